"""`weaksync reproduce subtitles WHAT`: Video2Subtitle's tables and figures, ours beside the paper's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from ...datamodules.streams import OBJECT, SCENE
from ..console import progress, tracker
from ..models import dual_encoder
from ..options import OrderedGroup, refuse_options
from ..scoring.comparison import Comparison
from ..scoring.paper_subtitles import PICTURES, TABLES
from ..training.launch import say
from . import subtitle_tables as tables
from .speakers_set import NETS, SPEAKERS, SpeakersSize, speakers_set
from .subtitle_runs import SubtitleRuns, pool_scores

_PATH = click.Path(path_type=Path)
_SIZE = SpeakersSize()


@click.group(cls=OrderedGroup)
def command() -> None:
    """Subtitle matching (Video2Subtitle): its tables and figures, with your own, and the difference.

    Runs that are finished are taken as they are; what is missing is trained.
    """


def reproduce(name: str, runs: SubtitleRuns, out: Path | None, **more: Any) -> None:
    """Make what a table or a figure still needs, print it, and write it to `out`.

    Args:
        name: of `TABLES` or `PICTURES`.
        more: ``clip4clip``, a checkpoint for Table 3; ``clip``, the id of the clip of a figure.

    Raises:
        ValueError, FileNotFoundError: as the stages do, and where something that is needed is absent.
    """
    if name == "table1":
        finish(tables.counts(runs.clips), out)
    elif name == "table2":
        scores = pool_scores(runs.aligned())
        finish(tables.aligners(scores, seeds=len(runs.seeds), apart=runs.apart), out)
        if out is not None:
            wrote(tables.write_curves(scores, out, name))
    elif name == "table3":
        _cues(runs, out, **more)
    elif name == "figure7":
        _regenerated(runs, out, **more)
    else:
        _alignments(name, runs, out, **more)


def finish(comparison: Comparison, out: Path | None) -> None:
    """Print a comparison, and write it where that is asked."""
    click.echo(comparison.text())
    if out is None:
        return
    from ..report.pool import pool_figure, sets_figure  # matplotlib takes longer to import than the rest

    wrote(comparison.write(out, sets_figure if comparison.table.name == "table1" else pool_figure))


def wrote(paths: list[Path]) -> None:
    """Say which files were written."""
    if paths:
        say(f"wrote {', '.join(str(path) for path in paths)}")


def _cues(runs: SubtitleRuns, out: Path | None, clip4clip: str | None = None) -> None:
    # a fault is known before anything is trained
    baseline = None if clip4clip is None else dual_encoder(clip4clip, "compare clips with texts")
    found = runs.fused()
    if baseline is not None:
        for each in found:
            each.costs["clip4clip"] = runs.baseline(baseline, each)
    weights = [runs.matcher(seed).weights for seed in runs.seeds]
    finish(tables.cues(pool_scores(found), weights, clip4clip=clip4clip), out)


def _alignments(name: str, runs: SubtitleRuns, out: Path | None, clip: str | None = None) -> None:
    from . import subtitle_figures as figures

    seed = runs.seeds[0]
    own = runs.aligner(seed, "soft-dsta")
    chosen = clip or runs.hidden_most(seed)
    if name == "figure6":
        dtw, dsta = (runs.aligner_folder(seed, aligner) for aligner in ("dtw", "dsta"))
        seen = runs.aligner(seed, "dsta")
        found = figures.hidden(dtw, dsta, seen.video, seen.text, chosen, runs.hidden_zone(chosen))
    else:
        term = "order" if name == "figure4" else "duration"
        found = figures.terms(runs.aligner_folder(seed, "soft-dsta"), own.video, own.text, chosen, term)
    figures.show(name, found)
    if out is not None:
        wrote(figures.write(name, found, out))


def _regenerated(runs: SubtitleRuns, out: Path | None, clip: str | None = None) -> None:
    from . import subtitle_retold as retold

    found = retold.retold(runs, runs.seeds[0], [clip] if clip else None)
    retold.show(found)
    if out is not None:
        wrote(retold.write(found, runs, out))


def _verb(name: str) -> click.Command:
    @click.command(
        name, help=f"{_title(name)}.\n\nOVERRIDES such as syncnet.set.trainer.max_epochs=9 go to the recipe."
    )
    @click.argument("overrides", nargs=-1)
    @click.option("--clips", type=_PATH, help="Folder of conversational clips.")
    @click.option("--pool", type=_PATH, help="Folder of `weaksync data speech`: further subtitles to choose from.")
    @click.option("--runs", type=_PATH, help="Folder of the runs; by default ./runs, or runs in that of --world.")
    @click.option("--recipe", default="subtitles/quickstart", show_default=True, help="Of a matcher.")
    @click.option("--world", type=_PATH, help="Make synthetic speakers there (or take them), with small models.")
    @click.option("--videos", default=_SIZE.clips, show_default=True, help="Of the synthetic speakers.")
    @click.option("--texts", default=_SIZE.pool, show_default=True, help="Further ones in the pool of the speakers.")
    @click.option("--seed", default=0, show_default=True, help="Of the synthetic speakers.")
    @click.option("--seeds", default="0", show_default=True, help="Of the runs, with commas; tables are their means.")
    @click.option("--out", type=_PATH, help="Folder for CSV, Markdown and PNG.")
    @click.pass_context
    def verb(
        context: click.Context,
        overrides: tuple[str, ...],
        clips: Path | None,
        pool: Path | None,
        runs: Path | None,
        recipe: str,
        world: Path | None,
        videos: int,
        texts: int,
        seed: int,
        seeds: str,
        out: Path | None,
        **more: Any,
    ) -> None:
        if (clips is None) == (world is None):
            raise click.UsageError("give --clips CLIPS, or --world FOLDER for synthetic speakers")
        if world is not None:
            refuse_options(context, "pool", why="the synthetic speakers have their own")
            clips, pool = made(world, SpeakersSize(videos, texts, seed))
            root = runs or world / "runs"
            overrides = (*(f"{cue}.net={world / NETS / cue}" for cue in (OBJECT, SCENE)), *overrides)
        else:
            assert clips is not None
            refuse_options(context, "videos", "texts", "seed", why="they are those of --world")
            root = runs or Path("runs")
        apart = bool(more.pop("apart", False))
        truth = None if world is None else world / SPEAKERS / "speakers.json"
        given = SubtitleRuns(clips, root, pool, numbers(seeds), recipe, overrides, apart, truth)
        reproduce(name, given, out, **more)

    return _with_own(name, verb)


def _with_own(name: str, verb: click.Command) -> click.Command:
    """The options that one table or figure alone has."""
    own = {
        "table2": [click.Option(["--apart"], is_flag=True, help="Train for each domain by itself, as the paper does.")],
        "table3": [
            click.Option(
                ["--clip4clip"],
                help="A dual encoder for the last row: a run (story/clip4clip says how to train one for this), a "
                "checkpoint folder, or hf://openai/clip-vit-base-patch32 as it is.",
            )
        ],
        **{
            figure: [click.Option(["--clip"], help="Id of a test clip; by default one with hidden lips.")]
            for figure in PICTURES
        },
    }
    verb.params += own.get(name, [])
    return verb


def made(world: Path, size: SpeakersSize) -> tuple[Path, Path]:
    """The clips and the pool of synthetic speakers, made where they are missing, as are the networks of their cues."""
    units = {"clips": "clips", "texts of the pool": "texts", "sentences of the pool": "sentences", "seeing": "steps"}
    with progress("videos") as bar:
        return speakers_set(world, size, jobs=os.cpu_count() or 1, track=tracker(bar, **units))


def numbers(seeds: str) -> tuple[int, ...]:
    """Seeds such as ``0,1,2``.  Raises ValueError for what is no list of whole numbers, or has one twice."""
    try:
        found = tuple(int(seed) for seed in seeds.split(","))
    except ValueError:
        raise ValueError(f"--seeds should be whole numbers with commas, such as 0,1,2, not {seeds!r}") from None
    if len(set(found)) < len(found) or min(found) < 0:
        raise ValueError(f"--seeds should be different and 0 or more, not {seeds!r}")
    return found


def _title(name: str) -> str:
    return TABLES[name].title if name in TABLES else PICTURES[name]


for _name in (*TABLES, *PICTURES):
    command.add_command(_verb(_name))

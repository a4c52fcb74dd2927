"""`weaksync reproduce story TABLE`: M-SyMoN's tables with our own figures beside the paper's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ...datamodules.manifest import MANIFEST
from ..data.stats import msymon_stats, shard_stats
from ..options import OrderedGroup, refuse_options
from ..published import release
from ..scoring.comparison import Comparison
from ..scoring.paper import STRATEGIES, TABLES
from ..training.launch import is_rank_zero, say
from . import neumatch
from . import story_tables as tables
from .ceilings import ceilings_command
from .story_runs import Runs, languages_in, on_yms
from .story_world import world_runs
from .world_set import WorldSize, in_world

_PATH = click.Path(path_type=Path)
F = TypeVar("F", bound=Callable[..., Any])
_YMS_ROWS = ("multilingual", "individual", "translate", "two_stage", "two_stage_supervision")


@click.group(cls=OrderedGroup)
def command() -> None:
    """Story alignment (M-SyMoN): its tables, with your own figures, and the difference.

    Runs that are finished are taken as they are; what is missing is trained, first stages first.
    """


command.add_command(ceilings_command)


def reproduce(
    name: str, runs: Runs, strategies: list[str], *, yms: Path | None = None, features: Path | None = None
) -> Comparison:
    """Train what a table still needs, score it, and set it beside the paper's figures.

    Args:
        name: of `paper.TABLES`, from ``table3`` on.
        runs: where they lie, and how they are made.
        strategies: rows of the tables that have one for each.
        yms: shard set of YMS, for ``table5``.
        features: of that set, for NeuMATCH; by default they are made with the CCLM that is trained on it.

    Raises:
        ValueError, FileNotFoundError: before anything is trained, where something that is needed is absent.
    """
    if name == "table4":
        runs.train(["two_stage_supervision"])
        return tables.with_times(runs)
    if name == "table5":
        if yms is None:
            raise ValueError("Table 5 scores on YMS: --yms names its shard set (weaksync data build yms)")
        neumatch.check(yms, features)
        english = dataclasses.replace(runs, languages=languages_in(runs.shards, ["en"]))
        on_yms(english, yms).plan(["individual"])  # its faults come before hours of training
        runs.train(_YMS_ROWS, english.languages)  # two of them are one model for all languages
        return tables.yms(english, yms, features)
    if name in tables.CROSS:
        runs.train(["translate", "two_stage"])
        return tables.cross_lingual(name, runs)
    runs.train(strategies)
    if name in tables.RETRIEVAL:
        return tables.retrieved(name, runs, strategies)
    return tables.parts(runs, strategies) if name == "table14" else tables.intra_lingual(runs, strategies)


def counted(name: str, data: Path) -> Comparison:
    """Table 1 or 2 of a shard set; Table 1, as far as it goes, of the release.

    Raises:
        FileNotFoundError: `data` is neither.
        ValueError: Table 2 of the release, which has no clips.
    """
    if (data / MANIFEST).is_file():
        return tables.counts(name, {code: each.table() for code, each in shard_stats(data).items()})
    root = release(data, "m-symon", "annotations")
    if root is None:
        raise FileNotFoundError(f"{data} holds neither a shard set nor the release of M-SyMoN")
    if name == "table2":
        raise ValueError("the release has no clips, so no pairs: build shards of it, and give their folder as --data")
    found = {code: each.table() for code, each in msymon_stats(root).items()}
    known = {"videos": "listed_videos", "annotated videos": "annotated_urls"}
    return tables.counts(
        name, {code: {row: each.get(key) for row, key in known.items()} for code, each in found.items()}
    )


def finish(comparison: Comparison, out: Path | None) -> None:
    """Print a comparison, and write it where that is asked."""
    if not is_rank_zero():
        return
    click.echo(comparison.text())
    if out is not None:
        say(f"wrote {', '.join(str(path) for path in comparison.write(out))}")


def _counting(name: str) -> click.Command:
    @click.command(name, help=f"{TABLES[name].title}, counted in a shard set or in the release.")
    @click.option("--data", type=_PATH, required=True, help="Folder of a shard set, or of the release.")
    @click.option("--out", type=_PATH, help="Folder for CSV, Markdown and PNG.")
    def count(data: Path, out: Path | None) -> None:
        finish(counted(name, data), out)

    return count


def _training(name: str) -> click.Command:
    needs_yms = name == "table5"
    rows = name not in ("table4", "table5", *tables.CROSS)

    @click.command(name, help=f"{TABLES[name].title}.\n\nOVERRIDES such as optim.lr=1e-4 go to every recipe.")
    @click.argument("overrides", nargs=-1)
    @click.option("--data", type=_PATH, help="Folder of a shard set.")
    @click.option("--runs", type=_PATH, help="Folder of the runs; by default ./runs, or runs in that of --world.")
    @click.option("--translations", type=_PATH, help="Folder of `weaksync data translate DATA --to en`.")
    @click.option("--model", help="What first stages start from, such as cclm-tiny; by default ./cclm-base.")
    @click.option("--language", "languages", multiple=True,
                  help="Only these; by default all of the set. A new world is made in them.")  # fmt: skip
    @_if(rows, click.option("--strategy", "strategies", multiple=True, type=click.Choice(list(STRATEGIES)),
                            help="Only these rows; may be given several times."))  # fmt: skip
    @_if(needs_yms, click.option("--yms", type=_PATH, help="Folder of a shard set of YMS."))
    @_if(needs_yms, click.option("--features", type=_PATH,
                                 help="Of that set, for NeuMATCH; else made with the CCLM trained on it."))  # fmt: skip
    @click.option(
        "--world",
        type=_PATH,
        help="Make a synthetic world there (or take it), with tiny models; no --data. "
        "A whole one takes some quarter of an hour on two free cores, its runs apart.",
    )
    @click.option("--stories", default=WorldSize.stories, show_default=True, help="Of each language of the world.")
    @click.option("--seed", default=0, show_default=True, help="Of the world and of its runs.")
    @click.option("--out", type=_PATH, help="Folder for CSV, Markdown and PNG.")
    @click.pass_context
    def table(
        context: click.Context,
        overrides: tuple[str, ...],
        data: Path | None,
        runs: Path | None,
        translations: Path | None,
        model: str | None,
        languages: tuple[str, ...],
        world: Path | None,
        stories: int,
        seed: int,
        out: Path | None,
        strategies: tuple[str, ...] = (),
        yms: Path | None = None,
        features: Path | None = None,
    ) -> None:
        if world is not None and data is None:
            refuse_options(context, "translations", "model", why="a world has its own")
            size = WorldSize(stories, in_world(world, languages), seed)
            given = world_runs(world, size, languages, overrides, root=runs)
        elif data is not None and world is None:
            refuse_options(context, "stories", "seed", why="they are those of --world; seed=1 is the seed of runs")
            given = Runs(data, runs or Path("runs"), languages_in(data, languages), translations, model, overrides)
        else:
            raise click.UsageError("give --data SHARDS, or --world FOLDER for a synthetic one")
        chosen = [name for name in STRATEGIES if not strategies or name in strategies]
        finish(reproduce(name, given, chosen, yms=yms, features=features), out)

    return table


def _if(wanted: bool, decorate: Callable[[F], F]) -> Callable[[F], F]:
    return decorate if wanted else lambda unchanged: unchanged


for _name in TABLES:
    command.add_command(_counting(_name) if _name in ("table1", "table2") else _training(_name))

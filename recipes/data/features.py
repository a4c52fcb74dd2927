"""`weaksync data features`: clips and sentences encoded once, and kept for models that train on features.

Features of one's own come in as a folder of ``VIDEO.npz``, each with ``clips`` (n, Dv) and ``sentences`` (m, Dt).
The streams of subtitle matching are made by `data.streams`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click

from ...datamodules.index import open_set
from ...datamodules.streams import TEXT_STREAMS, VIDEO_STREAMS
from ..console import err, print_table, progress
from ..derived.features import Precision, encoded, imported, usable
from ..options import refuse_options

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("source", type=_PATH)
@click.option("--model", help="A run, a checkpoint folder, hf://org/repo, or a registry name (random weights).")
@click.option("--stream", type=click.Choice([*VIDEO_STREAMS, *TEXT_STREAMS]), help="Of clips, or of their speech.")
@click.option("--words", help="For --stream words: a file of vectors as GloVe publishes them, or hashed.")
@click.option("--per-second", type=click.FloatRange(0, min_open=True), help="Pictures of object, scene.  [default: 8]")
@click.option("--import", "folder", type=_PATH, help="Folder of VIDEO.npz with clips (n, Dv) and sentences (m, Dt).")
@click.option("--translations", type=_PATH, help="Folder of translations of the shards; by default the run's.")
@click.option("--out", type=_PATH, required=True, help="Folder of the set of features.")
@click.option("--precision", type=click.Choice(get_args(Precision)), default="float16", show_default=True,
              help="Of what --model makes.")  # fmt: skip
@click.option("--workers", default=1, show_default=True, help="Reading processes.")
@click.option("--seed", default=0, show_default=True, help="Of random weights, where --model is a registry name.")
@click.option("--json", "as_json", is_flag=True, help="Print what the set holds as JSON.")
@click.pass_context
def command(
    context: click.Context,
    source: Path,
    model: str | None,
    stream: str | None,
    words: str | None,
    per_second: float | None,
    folder: Path | None,
    translations: Path | None,
    out: Path,
    precision: Precision,
    workers: int,
    seed: int,
    as_json: bool,
) -> None:
    """Encode SOURCE once, for models that train on features.

    Of a story set: every clip and sentence, by --model, or features of your own.  For subtitle matching, one --stream:
    lips, object, scene or action of a set of conversational clips; speech or words of a set of speech.

    The set remembers what it was made of and by whom: it is refused beside other shards, and so is a model that was
    trained on other features.  A call that was stopped goes on where it was.
    """
    if stream is not None:
        if folder is not None or translations is not None:
            raise click.UsageError("--import and --translations are for story sets, and go with no --stream")
        if per_second is not None and stream not in ("object", "scene"):
            raise click.UsageError(f"--per-second is for object and scene; {stream} has its own pace")
        encode_stream(source, stream, out, model, words, per_second or 8.0, precision, workers, seed, as_json)
        return
    if words is not None or per_second is not None:
        raise click.UsageError("--words and --per-second go with --stream")
    if (model is None) == (folder is None):
        raise click.UsageError("give one of --model and --import, or a --stream")
    if folder is not None:
        own = "features of your own are taken as they are"
        refuse_options(context, "translations", "precision", "workers", "seed", why=own)
    with progress("videos") as bar:
        task = bar.add_task("encoding", total=None)
        callbacks: dict[str, Any] = {
            "started": lambda total: bar.update(task, total=total),
            "advance": lambda: bar.advance(task),
        }
        if model is not None:
            manifest = encoded(
                source,
                model,
                out,
                translations=translations,
                precision=precision,
                workers=workers,
                seed=seed,
                **callbacks,
            )
        elif folder is not None:
            manifest = imported(source, folder, out, **callbacks)
    parent = open_set(source)
    clips = {split: sum(len(video.clips or []) for video in usable(parent, split)) for split in manifest.counts}
    rows = [[split, each.videos, clips[split], each.sentences] for split, each in manifest.counts.items()]
    columns = ["split", "videos", "clips", "sentences"]
    print_table(f"{out}: features of {source}", columns, rows, as_json=as_json)


def encode_stream(
    source: Path,
    stream: str,
    out: Path,
    model: str | None,
    words: str | None,
    per_second: float,
    precision: Precision,
    workers: int,
    seed: int,
    as_json: bool,
) -> None:
    """Make a stream of subtitle matching, with a progress bar, and print what the set holds."""
    from ..derived.streams import make_stream  # it is made of parts of this file

    with progress("clips") as bar:
        task = bar.add_task(f"encoding {stream}", total=None)
        made = make_stream(
            source,
            stream,
            out,
            model=model,
            words=words,
            per_second=per_second,
            precision=precision,
            workers=workers,
            seed=seed,
            started=lambda total: bar.update(task, total=total),
            advance=lambda: bar.advance(task),
        )
    rows = [[split, each.videos, each.sentences] for split, each in made.manifest.counts.items()]
    print_table(f"{out}: {stream} of {source}", ["split", "clips", "sentences"], rows, as_json=as_json)
    for name, reason in made.left_out.items():
        err.print(f"left out: {name}: {reason}", highlight=False, markup=False, soft_wrap=True)

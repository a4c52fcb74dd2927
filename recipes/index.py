"""`weaksync index`: speak a pool of subtitles, and keep what a matcher sees of them."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from ..datamodules.captions import Cut
from .console import err, print_table, progress, tracker
from .matching.indexing import index


@click.command()
@click.argument("pool", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", required=True, help="Folder of a matcher, or of the run that trained it, or hf://org/repo.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the index.")
@click.option("--language", help="Code of the subtitles' language.  [default: the model's only one]")
@click.option("--split", help="Of sets of speech, such as test.  [default: all]")
@click.option("--sentences", "cut", type=click.Choice(get_args(Cut)), default="auto", show_default=True)
@click.option("--whole", is_flag=True, help="Take each file as one subtitle, however long it is.")
@click.option("--search", is_flag=True, help="Prepare narrowing by global cues: pip install 'weaksync[search]'.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
def command(
    pool: tuple[Path, ...],
    model: str,
    out: Path,
    language: str | None,
    split: str | None,
    cut: Cut,
    whole: bool,
    search: bool,
    as_json: bool,
) -> None:
    """Index POOL for weaksync match: subtitle files, folders of them, or sets of speech.

    Each file is one subtitle, and one that is longer than a clip is divided into groups of 15 to 30 s.  It is spoken in
    the model's voice; features of the speech and the vectors of its words are kept as float16.  A call that was stopped
    goes on.
    """
    with progress("subtitles") as bar:
        track = tracker(bar, speaking="sentences")
        found = index(
            model, pool, out, language=language, split=split, cut=cut, whole=whole, search=search, track=track
        )
    for text, reason in found.info.left_out.items():
        err.print(f"left out: {text}: {reason}", highlight=False, markup=False, soft_wrap=True)
    info, size = found.info, sum(found.info.sizes.values())
    rows = [(info.subtitles, info.steps / info.subtitles, info.seconds / 60, size / 1e6, size // info.subtitles)]
    columns = ("subtitles", "steps of one", "minutes", "MB", "bytes of one")
    print_table(str(out), columns, rows, as_json=as_json)

"""The options of every verb that asks about a clip of a video."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ..building.speaking import BASELINE

_PATH = click.Path(path_type=Path)
_OPTIONS = (
    click.argument("video", type=_PATH),
    click.option(
        "--model", required=True, help="Folder of a matcher, or of the run that trained it, or hf://org/repo."
    ),
    click.option("--pool", required=True, multiple=True, type=_PATH, help="An index; or subtitles, repeatable."),
    click.option("--out", required=True, type=_PATH, help="Folder for what is written."),
    click.option("--start", type=click.FloatRange(0), default=0.0, metavar="SECONDS", help="Of the clip in the video."),
    click.option("--end", type=click.FloatRange(0), metavar="SECONDS", help="Of the clip.  [default: the video's end]"),
    click.option("--faces", type=_PATH, help="File of known faces; else MTCNN finds them."),
    click.option(
        "--speaking",
        default=BASELINE,
        show_default=True,
        help="What tells who speaks: lip motion times voice, or a run of subtitles/speaking.",
    ),
    click.option("--narrow", type=click.IntRange(1), metavar="N", help="Align the N that fit best by global cues."),
    click.option("--language", help="Code of subtitle files' language.  [default: the model's only one]"),
    click.option("--json", "as_json", is_flag=True, help="Print the table as JSON."),
)


def clip_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command its VIDEO and the options of `match`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function

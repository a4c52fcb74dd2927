"""`weaksync reproduce`: the paper's tables with our own figures beside."""

from __future__ import annotations

import click

from .cli import LazyGroup


@click.group(
    cls=LazyGroup,
    verbs={
        "story": ("reproduce_story", "Story alignment (M-SyMoN)."),
        "subtitles": ("reproduce_subtitles", "Subtitle matching (Video2Subtitle)."),
    },
)
def command() -> None:
    """Print the paper's tables with your own figures beside."""

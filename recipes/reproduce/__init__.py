"""`weaksync reproduce`: the paper's tables with our own figures beside."""

from __future__ import annotations

from typing import Any

import click

from ..cli import LazyGroup


class ResumableGroup(LazyGroup):
    """Verbs that take what is made already, so that the same command goes on where it was stopped."""

    def invoke(self, ctx: click.Context) -> Any:
        from ..training.launch import resumed_by  # imports torch

        with resumed_by("the same command"):
            return super().invoke(ctx)


@click.group(
    cls=ResumableGroup,
    verbs={
        "story": ("reproduce.story", "Story alignment (M-SyMoN)."),
        "subtitles": ("reproduce.subtitles", "Subtitle matching (Video2Subtitle)."),
    },
)
def command() -> None:
    """Print the paper's tables with your own figures beside."""

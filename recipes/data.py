"""`weaksync data`: the verbs that make, check and count data sets."""

from __future__ import annotations

import click

from .cli import DATA_VERBS, LazyGroup


@click.group(cls=LazyGroup, verbs=DATA_VERBS)
def command() -> None:
    """Make, check and count data sets."""

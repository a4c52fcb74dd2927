"""`weaksync data`: the verbs that make, check and count data sets."""

from __future__ import annotations

import click

from ..cli import LazyGroup

DATA_VERBS = {
    "build": ("data.build", "Raw video and subtitles to shards."),
    "check": ("data.check", "Verify a shard set against its index."),
    "stats": ("data.stats", "Count a shard set or a published data set."),
    "align": ("data.align", "Align the training videos with a model, for another to learn from."),
    "agreement": ("data.agreement", "How far two annotations of the same videos agree."),
    "features": ("data.features", "Clips and sentences encoded once, for models that train on features."),
    "translate": ("data.translate", "Translate the sentences of a shard set."),
    "world": ("data.world", "Generate the synthetic story world."),
    "speech": ("data.speech", "Speak subtitle files: sound, and the time of every word."),
    "speakers": ("data.speakers", "Generate the synthetic speakers."),
}


@click.group(cls=LazyGroup, verbs=DATA_VERBS)
def command() -> None:
    """Make, check and count data sets."""

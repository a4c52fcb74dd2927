"""`weaksync bench`: speed, measured beside the plainest loop that does the same, in the same run."""

from __future__ import annotations

import click

from ..cli import LazyGroup

BENCH_VERBS = {
    "build": ("bench.build", "Cut videos into shots and pictures, beside bare decoding of the same files."),
    "clips": ("bench.clips", "Find conversational clips, beside the face detector alone."),
    "encode": ("bench.encode", "Encode frames and sentences, beside bare timm and transformers; and memory."),
    "decode": ("bench.decode", "Decode: a full test set from similarities to labels."),
    "kernels": ("bench.kernels", "Align: every recurrence with its gradient, beside what else is installed."),
    "match": ("bench.match", "Match one clip with a pool of 5,000: exactly and narrowed, with a profile."),
    "pairs": ("bench.pairs", "Align every video with every text: product, recurrence and memory."),
    "retrieval": ("bench.retrieval", "Retrieve: every sentence against every clip, with time and memory."),
    "stream": ("bench.stream", "Read and decode shards, beside a bare loop over the same members."),
    "syncnet": ("bench.syncnet", "Lip features of a whole face tube, beside sliding windows."),
    "step": ("bench.step", "Train a model for some steps, beside a bare loop."),
}


@click.group(cls=LazyGroup, verbs=BENCH_VERBS)
def command() -> None:
    """Measure speed beside a bare loop, in the same run."""

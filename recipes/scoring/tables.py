"""An evaluation as tables on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import Any

import click

from ...zoo.evaluation import Evaluation, Row
from ...zoo.metrics import Interval
from ...zoo.retrieval import Retrieval
from ..console import counted, print_table

VARIANTS = {
    "credit": "Clip Accuracy with credit for unmatched time that was dropped",
    "matched": "Clip Accuracy over annotated time alone",
}
ALIGNMENT = ("", "F1", "95 % interval", "clip accuracy", "sentence IoU")
RETRIEVAL = ("sought among", "clips", "R@1", "R@5", "R@10", "mean rank", "median", "chance")


def shown_gap(gap: Interval) -> str:
    """How much of the way a model goes, or why that cannot be said."""
    if isnan(gap.value):
        return "a baseline is as good as the oracle on these videos"
    if isnan(gap.low):
        return f"{gap.value:.3f} (no interval: with some of these videos alone a baseline is as good as the oracle)"
    return f"{gap.value:.3f} ({gap.low:.3f} to {gap.high:.3f})"


def shown_gain(gain: Interval) -> str:
    """A difference of F1, with its sign."""
    return f"{gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"


def show(evaluation: Evaluation, title: str) -> None:
    """Print an evaluation, with the readings of Clip Accuracy that the paper leaves open."""
    print_table(f"{title}: {counted(evaluation.videos, 'video')}", ALIGNMENT, alignment_table(evaluation.rows))
    click.echo(f"of the way from the best baseline to the oracle: {shown_gap(evaluation.gap_closed)}")
    if times := evaluation.worth_of_times:
        click.echo(f"F1 over similarity alone, paired by film: {shown_gain(times)}")
    if languages := list(evaluation.rows[0].by_language):
        print_table("F1 of each language", ["", *languages], language_table(evaluation.rows))
    if evaluation.retrieval:
        asking = sum(row.sentences for row in evaluation.retrieval if row.name == evaluation.retrieval[-1].name)
        title = (
            f"Text-to-video retrieval: {asking} sentences; chance is the mean rank of a model that sees no difference"
        )
        print_table(title, RETRIEVAL, retrieval_table(evaluation.retrieval))
    for variant, words in VARIANTS.items():
        rows = [[row.name, row.clip_accuracy.value, row.f1.value] for row in evaluation.variants[variant]]
        print_table(words, ["", "clip accuracy", "F1"], rows)
    if evaluation.skipped:
        click.echo(
            f"nothing to score in {counted(len(evaluation.skipped), 'video')}: {', '.join(evaluation.skipped[:5])}"
        )


def alignment_table(rows: Sequence[Row]) -> list[list[Any]]:
    """A line for each row: F1 with its interval, then its two parts."""
    return [
        [
            row.name,
            row.f1.value,
            f"{row.f1.low:.3f} to {row.f1.high:.3f}",
            row.clip_accuracy.value,
            row.sentence_iou.value,
        ]
        for row in rows
    ]


def language_table(rows: Sequence[Row]) -> list[list[Any]]:
    """A line for each row: F1 in each language, then the mean over languages."""
    return [[row.name, *(means.f1.value for means in row.by_language.values())] for row in rows]


def retrieval_table(rows: Sequence[Retrieval]) -> list[list[Any]]:
    """A line for each gallery."""
    return [
        [
            row.name,
            row.clips,
            row.r1.value,
            row.r5.value,
            row.r10.value,
            f"{row.mean_rank.value:.1f} ({row.mean_rank.low:.1f} to {row.mean_rank.high:.1f})",
            f"{row.median_rank:.1f}",
            f"{row.chance[-1]:.1f}",
        ]
        for row in rows
    ]

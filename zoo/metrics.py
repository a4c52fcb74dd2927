"""Agreement with annotators: Clip Accuracy, Sentence IoU and their F1, for one video and over many.

All is float64 and keyed by video id: padding, order and the number of ranks change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..datamodules.batches import overlap_seconds

Denominator = Literal["all", "matched"]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class AlignmentScores:
    """Fractions in [0, 1]; NaN where the video has nothing to score (no clips, or no sentence with a segment)."""

    clip_accuracy: float
    sentence_iou: float
    f1: float


class VideoScorer:
    """Scores labellings of one video; what does not depend on the labels is computed once.

    Arguments and metrics are those of `alignment_scores`.
    """

    def __init__(
        self,
        clips: ArrayLike,
        segments: ArrayLike,
        *,
        credit_unmatched: bool = False,
        denominator: Denominator = "all",
    ) -> None:
        if denominator not in ("all", "matched"):
            raise ValueError(f"denominator must be 'all' or 'matched', not {denominator!r}")
        if credit_unmatched and denominator == "matched":
            raise ValueError("credit_unmatched counts time outside the matched segments: it needs denominator='all'")
        clips, segments = _spans("clips", clips), _spans("segments", segments)
        if np.isnan(clips).any():
            raise ValueError(f"clips hold NaN at row {int(np.isnan(clips).any(axis=1).argmax())}")
        order = clips[np.argsort(clips[:, 0], kind="stable")]
        late = order[:-1, 1] > order[1:, 0] + 1e-6
        if late.any():
            raise ValueError(f"clips overlap near {order[int(late.argmax()), 1]:.3f} s; one moment is in one clip")

        self.length = clips[:, 1] - clips[:, 0]  # (n,) seconds
        self.matched = ~np.isnan(segments).any(axis=1)  # (m,)
        self.segment_length = np.where(self.matched, segments[:, 1] - segments[:, 0], 0.0)
        shared = overlap_seconds(clips, segments)
        covered = overlap_seconds(clips, union(segments)).sum(axis=1)
        dropped = np.clip(self.length - covered, 0.0, None) if credit_unmatched else np.zeros(len(clips))
        self.shared = np.concatenate([shared, dropped[:, None]], axis=1)  # (n, m + 1): the last column is "dropped"
        self.total = float((self.length if denominator == "all" else covered).sum())

    def __call__(self, labels: NDArray[np.integer[Any]]) -> Floats:
        """`labels` (..., n), -1 for dropped; returns (..., 3): clip accuracy, sentence IoU, F1."""
        n, columns = self.shared.shape
        m = columns - 1
        labels = np.asarray(labels)
        if labels.shape[-1:] != (n,) or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"labels must be integers (..., n) = (..., {n}), not {labels.dtype} {labels.shape}")
        if labels.size and not -1 <= labels.min() <= labels.max() < m:
            raise ValueError(f"labels must lie in -1..{m - 1}, not {labels.min()}..{labels.max()}")
        many = labels.reshape(math.prod(labels.shape[:-1]), n)
        column = np.where(many < 0, m, many)
        right = self.shared[np.arange(n), column]  # (G, n) seconds
        with np.errstate(invalid="ignore", divide="ignore"):
            accuracy = right.sum(axis=1) / self.total if self.total > 0 else np.full(len(many), np.nan)
            cell = (np.arange(len(many))[:, None] * columns + column).ravel()
            both = np.bincount(cell, right.ravel(), len(many) * columns).reshape(-1, columns)[:, :m]
            taken = np.bincount(cell, np.tile(self.length, len(many)), len(many) * columns).reshape(-1, columns)[:, :m]
            either = self.segment_length + taken - both
            iou = np.where(either > 0, both / either, 0.0)[:, self.matched]
            sentence = iou.mean(axis=1) if self.matched.any() and n else np.full(len(many), np.nan)
            f1 = np.where(accuracy + sentence > 0, 2 * accuracy * sentence / (accuracy + sentence), 0.0)
        f1 = np.where(np.isnan(accuracy + sentence), np.nan, f1)
        return np.stack([accuracy, sentence, f1], axis=1).reshape(*labels.shape[:-1], 3)


def alignment_scores(
    clips: ArrayLike,
    labels: ArrayLike,
    segments: ArrayLike,
    *,
    credit_unmatched: bool = False,
    denominator: Denominator = "all",
) -> AlignmentScores:
    """Score one video (M-SyMoN section 6.2, after Dogan et al. 2018).

    Clip Accuracy is the share of clip time that lies inside the segment of the sentence its clip was given.
    Sentence IoU is the mean, over the sentences that have a segment, of the intersection over union of the segment with
    the clips that the sentence was given (0 where it got none).  F1 is their harmonic mean, 0 where both are 0.
    A clip given to a sentence without a segment earns nothing.

    Args:
        clips: (n, 2) seconds, without overlap.
        labels: (n,) integers, the 0-based sentence of each clip; -1 is dropped.
        segments: (m, 2) seconds, a NaN row where people found no match.
        credit_unmatched: whether a dropped clip earns its time outside of every segment.
        denominator: "all" clip time, or only the clip time that some segment covers ("matched").

    Raises:
        ValueError: for clips that overlap, spans that end before they begin, labels out of range, or
            credit_unmatched with denominator="matched".
    """
    scorer = VideoScorer(clips, segments, credit_unmatched=credit_unmatched, denominator=denominator)
    return AlignmentScores(*(float(value) for value in scorer(np.asarray(labels))))


@dataclass(frozen=True)
class Interval:
    """A figure with its bootstrap interval."""

    value: float
    low: float
    high: float


def bootstrap(
    table: Mapping[str, ArrayLike],
    statistic: Callable[[Floats], Floats] = lambda mean: mean,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    film: Callable[[str], str] = str,
) -> list[Interval]:
    """Percentile bootstrap over videos of a statistic of the mean row.

    Args:
        table: a row of K figures for each video id; rows that hold a NaN are left out.
        statistic: means (..., K) to values (..., S).
        level: share of the resamples that the interval holds.
        resamples: how many times the videos are drawn with replacement.
        seed: of the draws; videos are sorted by id first, so that the result does not depend on their order.
        film: video id to the film that it tells: one told in several languages is drawn, or not, in all of them.

    Returns:
        S intervals; NaN throughout where no video can be scored.
    """
    return interval(*resample(table, statistic, resamples=resamples, seed=seed, film=film), level=level)


def resample(
    table: Mapping[str, ArrayLike],
    statistic: Callable[[Floats], Floats] = lambda mean: mean,
    *,
    resamples: int = 2000,
    seed: int | Sequence[int] = 0,
    film: Callable[[str], str] = str,
) -> tuple[Floats, Floats]:
    """The values (S,) of `bootstrap`, and those of every resample (resamples, S); see `interval`."""
    rows = _complete(table)
    films, told = np.unique([film(name) for name in rows], return_inverse=True)
    counts = _draw(len(films), resamples, seed)[:, told] if rows else np.zeros((resamples, 0))
    return _statistics(rows or table, counts, statistic)


def resample_groups(
    tables: Mapping[str, Mapping[str, ArrayLike]],
    statistic: Callable[[Floats], Floats] = lambda mean: mean,
    *,
    resamples: int = 2000,
    seed: int = 0,
    film: Callable[[str], str] = str,
) -> dict[str, tuple[Floats, Floats]]:
    """`resample` of several groups of videos, such as languages, whose means can be averaged resample by resample.

    A film in several groups is drawn in all of them or in none.  Films are drawn among those of the same groups, so
    every group keeps its number of videos.

    Args:
        tables: for each group, what `bootstrap` takes.
    """
    rows = {group: _complete(table) for group, table in tables.items()}
    groups_of: dict[str, set[int]] = {}
    for place, table in enumerate(rows.values()):
        for name in table:
            groups_of.setdefault(film(name), set()).add(place)
    strata: dict[tuple[int, ...], list[str]] = {}
    for name in sorted(groups_of):
        strata.setdefault(tuple(sorted(groups_of[name])), []).append(name)
    counts: dict[str, Floats] = {}
    for place, stratum in enumerate(sorted(strata)):
        drawn = _draw(len(strata[stratum]), resamples, [seed, place])
        counts |= dict(zip(strata[stratum], drawn.T, strict=True))
    return {
        group: _statistics(
            own or tables[group],
            np.stack([counts[film(name)] for name in own], axis=1) if own else np.zeros((resamples, 0)),
            statistic,
        )
        for group, own in rows.items()
    }


def _complete(table: Mapping[str, ArrayLike]) -> dict[str, Floats]:
    """The rows that hold no NaN, sorted by video id."""
    rows = {name: np.asarray(table[name], dtype=np.float64).ravel() for name in sorted(table)}
    return {name: row for name, row in rows.items() if not np.isnan(row).any()}


def _draw(films: int, resamples: int, seed: int | Sequence[int]) -> Floats:
    """How often each film is drawn in each resample: (resamples, films)."""
    draws = np.random.default_rng(seed).integers(0, films, (resamples, films))
    return np.stack([np.bincount(draw, minlength=films) for draw in draws]).astype(np.float64)


def _statistics(
    table: Mapping[str, ArrayLike], counts: Floats, statistic: Callable[[Floats], Floats]
) -> tuple[Floats, Floats]:
    """The statistic of the mean row, and of every resample's, whose rows come `counts` (resamples, videos) times."""
    rows = complete_rows(table)
    if len(rows) == 0:
        width = np.atleast_1d(statistic(np.zeros(rows.shape[1:]))).shape[-1]
        return np.full(width, np.nan), np.full((len(counts), width), np.nan)
    values = np.atleast_1d(statistic(rows.mean(axis=0)))
    return values, statistic(counts @ rows / counts.sum(axis=1, keepdims=True)).reshape(len(counts), -1)


def interval(values: Floats, spread: Floats, *, level: float = 0.95) -> list[Interval]:
    """Values (S,) with the percentiles of their resamples (resamples, S)."""
    tail = 100 * (1 - level) / 2
    with np.errstate(invalid="ignore"):
        low, high = np.percentile(spread, [tail, 100 - tail], axis=0)
    return [Interval(float(v), float(a), float(b)) for v, a, b in zip(values, low, high, strict=True)]


def complete_rows(table: Mapping[str, ArrayLike]) -> Floats:
    """The rows of `table`, sorted by video id, that hold no NaN: (videos, K)."""
    if not table:
        return np.zeros((0, 0))
    rows = list(_complete(table).values())
    return np.stack(rows) if rows else np.zeros((0, np.asarray(next(iter(table.values()))).size))


def _spans(name: str, spans: ArrayLike) -> Floats:
    array = np.asarray(spans, dtype=np.float64)
    array = array.reshape(0, 2) if array.size == 0 else array
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"{name} must have shape (rows, 2), begin and end in seconds, not {array.shape}")
    backward = array[:, 1] < array[:, 0]
    if backward.any():
        row = int(backward.argmax())
        raise ValueError(f"{name} row {row} ends before it begins: {array[row].tolist()}")
    return array


def union(spans: Floats) -> Floats:
    """The union of intervals (rows, 2) as disjoint ones, in order; NaN rows are ignored."""
    merged: list[list[float]] = []
    for start, end in sorted(spans[~np.isnan(spans).any(axis=1)].tolist()):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    return np.array(merged, dtype=np.float64).reshape(-1, 2)

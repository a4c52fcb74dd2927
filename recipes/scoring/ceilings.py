"""What alignment scores can be without any model: floors, ceilings, and how far annotated stories keep their order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ...datamodules.msymon import LONG_SEGMENT
from ...datamodules.records import AnnotatedVideo, overlap_seconds
from ...kernels import drop_dtw
from ...zoo import baselines
from ...zoo.metrics import VideoScorer

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

#: M-SyMoN section 4.3: the mean length of its clips, in seconds
CLIP_SECONDS = 2.4


@dataclass(frozen=True)
class Ceiling:
    """Means over the videos of one data set for one way to label clips; fractions.

    Attributes:
        labels: how the clips got their sentences.
        clip_accuracy: of all clip time; a dropped clip earns nothing.
        credited: Clip Accuracy where a dropped clip earns its unmatched time.
        sentence_iou: see `zoo.metrics.alignment_scores`.
        f1: mean of each video's F1 of `clip_accuracy` and `sentence_iou`.
    """

    labels: str
    clip_accuracy: float
    credited: float
    sentence_iou: float
    f1: float


@dataclass(frozen=True)
class Ceilings:
    """One data set's rows, and the share of annotated time that a monotone alignment can keep."""

    videos: int
    rows: list[Ceiling]
    in_order: float


def ceilings(videos: Sequence[AnnotatedVideo]) -> Ceilings:
    """Score every label rule that needs no model; videos without a matched sentence are left out.

    Clips are the video's own, or a grid of `CLIP_SECONDS` up to its last annotated moment.  Segments over
    `LONG_SEGMENT` seconds are mistyped times, and count as unmatched here.

    Raises ValueError where nothing can be scored.
    """
    kept = [(video, _segments(video)) for video in videos]
    kept = [(video, segments) for video, segments in kept if not np.isnan(segments).all()]
    if not kept:
        raise ValueError("no video with a matched sentence; there is nothing to score")
    scores: dict[str, list[list[float]]] = {name: [] for name in RULES}
    for video, segments in kept:
        clips = grid(float(np.nanmax(segments))) if video.clips is None else video.clip_times()
        plain, credited = VideoScorer(clips, segments), VideoScorer(clips, segments, credit_unmatched=True)
        for name, rule in RULES.items():
            labels = rule(clips, segments)
            accuracy, iou, f1 = plain(labels)
            scores[name].append([accuracy, credited(labels)[0], iou, f1])
    rows = [Ceiling(name, *(float(v) for v in np.mean(each, axis=0))) for name, each in scores.items()]
    return Ceilings(len(kept), rows, float(np.mean([in_order_share(segments) for _, segments in kept])))


def grid(end: float) -> Floats:
    """Clips of `CLIP_SECONDS` from 0 to `end`, the last one cut there: (n, 2) seconds."""
    starts = np.arange(0.0, end, CLIP_SECONDS)
    return np.stack([starts, np.minimum(starts + CLIP_SECONDS, end)], axis=1)


def monotone(clips: Floats, segments: Floats) -> Labels:
    """The labelling with the most correct time among those that Drop-DTW can give: in order, each sentence in one run.

    A clip that overlaps no segment is dropped.
    """
    shared = torch.from_numpy(overlap_seconds(clips, segments))
    cost = torch.where(shared > 0, -shared, torch.inf)
    _, labels = drop_dtw(cost[None], 0.0, 0.0)
    return labels[0].numpy()


def midpoint(clips: Floats, segments: Floats) -> Labels:
    """Each clip with the sentence whose segment holds its middle; the earlier one where two do."""
    middle = clips.mean(axis=1)[:, None]
    with np.errstate(invalid="ignore"):
        inside = (segments[:, 0] <= middle) & (middle < segments[:, 1])
    return np.where(inside.any(axis=1), inside.argmax(axis=1), -1).astype(np.int64)


def in_order_share(segments: Floats) -> float:
    """Share of annotated time on the best chain of sentences whose begins and ends never go back."""
    segments = segments[~np.isnan(segments).any(axis=1)]
    lengths = segments[:, 1] - segments[:, 0]
    best = lengths.copy()
    for k in range(1, len(segments)):
        before = (segments[:k] <= segments[k]).all(axis=1)
        if before.any():
            best[k] += best[:k][before].max()
    return float(best.max() / lengths.sum())


#: the middle three look at the annotation, clip by clip: oracles; the last one keeps the order too
RULES: dict[str, Callable[[Floats, Floats], Labels]] = {
    "all-drop": lambda clips, segments: baselines.all_drop(clips),
    "uniform": lambda clips, segments: baselines.uniform(clips, len(segments)),
    "midpoint": midpoint,
    "most overlap": baselines.oracle,
    "overlap or drop": lambda clips, segments: baselines.oracle(clips, segments, drop_unmatched=True),
    "best monotone": monotone,
}


def _segments(video: AnnotatedVideo) -> Floats:
    segments = video.segments()
    segments[segments[:, 1] - segments[:, 0] > LONG_SEGMENT] = np.nan
    return segments

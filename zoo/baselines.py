"""Labels that need no model: the baselines that every result is printed beside.

Each returns labels (n,) of one video: the 0-based sentence of each clip, -1 for none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..datamodules.batches import overlap_seconds, weak_labels
from .metrics import union

Labels = NDArray[np.int64]


def all_drop(clips: ArrayLike) -> Labels:
    """No clip gets a sentence: what credit for dropped clips is worth by itself."""
    return np.full(len(np.asarray(clips)), -1, dtype=np.int64)


def uniform(clips: ArrayLike, sentences: int) -> Labels:
    """The sentences in order, spread evenly over the clips."""
    n = len(np.asarray(clips))
    if sentences == 0:
        return np.full(n, -1, dtype=np.int64)
    return np.arange(n, dtype=np.int64) * sentences // max(n, 1)


def transcript(clips: ArrayLike, narrations: ArrayLike) -> Labels:
    """Each clip with the sentence that is spoken over most of it (M-SyMoN section 6.5): times, no pictures."""
    return weak_labels(_spans(clips), _spans(narrations), least_share=0.0)


def oracle(clips: ArrayLike, segments: ArrayLike, *, drop_unmatched: bool = False) -> Labels:
    """Each clip with the sentence whose annotated segment covers most of it.

    With `drop_unmatched` a clip is dropped if more of it lies outside all segments, which is best where dropped clips
    earn credit.  Greedy by clip, so not always optimal: a clip on the border of two segments can cost more IoU than it
    earns.
    """
    clips, segments = _spans(clips), _spans(segments)
    labels = weak_labels(clips, segments, least_share=0.0)
    if drop_unmatched and len(segments):
        best = overlap_seconds(clips, segments).max(axis=1)
        unmatched = clips[:, 1] - clips[:, 0] - overlap_seconds(clips, union(segments)).sum(axis=1)
        labels[unmatched > best] = -1
    return labels


def _spans(spans: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(spans, dtype=np.float64).reshape(-1, 2)

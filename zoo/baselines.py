"""Labels that need no model: what every result is printed beside.

Each takes what is known of one video and returns labels (n,): the 0-based sentence of each clip, -1 for none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..datamodules.batches import weak_labels

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


def oracle(clips: ArrayLike, segments: ArrayLike) -> Labels:
    """Each clip with the sentence whose annotated segment covers most of it.

    Greedy by clip: an upper reference, not a proof of the best; a clip on the border of two segments can cost one
    sentence's IoU more than it earns.
    """
    return weak_labels(_spans(clips), _spans(segments), least_share=0.0)


def _spans(spans: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(spans, dtype=np.float64).reshape(-1, 2)

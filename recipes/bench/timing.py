"""How benchmarks measure: processor time, which others on the machine do not change, and ratios of repeats in turn."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_DRAWS = 2000


def processor_seconds(work: Callable[[], object]) -> float:
    """Seconds of processor time that work takes, over all threads of this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def median_ratio(ours: NDArray[np.float64], bare: NDArray[np.float64]) -> tuple[float, float, float]:
    """Median of our time over the bare one's, pair by pair of (R,) each, and its 95 % bootstrap interval."""
    ratios = ours / bare
    chosen = np.random.default_rng(0).integers(len(ratios), size=(_DRAWS, len(ratios)))
    low, high = np.percentile(np.median(ratios[chosen], axis=1), [2.5, 97.5])
    return float(np.median(ratios)), float(low), float(high)


def peak_memory() -> float:
    """MiB that this process held at its peak, pages of mapped files among them."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

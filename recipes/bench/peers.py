"""What else one could align with: installed libraries, and the plain loops of the papers, as peers for benchmarks.

Each peer takes a cost tensor (B, n, m) that requires a gradient and does the whole job on it, gradient included where
the job has one.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

Run = Callable[[Tensor], object]


@dataclass
class Peer:
    """Another implementation of one job, and whether it takes costs that lie on a GPU."""

    name: str
    run: Run
    on_gpu: bool = False


def set_threads(threads: int) -> None:
    """As many threads for the peers as for this library."""
    if _installed("numba"):
        import numba

        numba.set_num_threads(threads)


def missing() -> list[str]:
    """The libraries of the extra `bench` that are not installed here."""
    return [name for name in ("tslearn", "pysdtw", "dtaidistance", "numba") if not _installed(name)]


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def soft_dtw(gamma: float) -> list[Peer]:
    """Soft-DTW with its gradient."""
    peers = []
    if _installed("tslearn") and _installed("numba"):
        from tslearn.metrics import SoftDTWLossPyTorch

        def tslearn(cost: Tensor) -> object:
            return SoftDTWLossPyTorch(gamma, dist_func=lambda x, y: cost)(*_series(cost)).sum().backward()

        peers.append(Peer("tslearn", tslearn))
    if _installed("pysdtw") and _installed("numba"):
        from pysdtw import SoftDTW

        def pysdtw(cost: Tensor) -> object:
            distance = SoftDTW(gamma, dist_func=lambda x, y: cost, use_cuda=cost.is_cuda)
            return distance(*_series(cost)).sum().backward()

        peers.append(Peer("pysdtw", pysdtw, on_gpu=True))
    return peers


def _series(cost: Tensor) -> tuple[Tensor, Tensor]:
    """Series of the right lengths for libraries that want series and ask for their distances."""
    batch, n, m = cost.shape
    return cost.new_zeros(batch, n, 1), cost.new_zeros(batch, m, 1)


def soft_dsta(gamma: float, window: int | None, weight: float, margin: int) -> list[Peer]:
    """Soft-DSTA with its gradient, in Numba: a loop over the window in each cell (Video2Subtitle, Algorithms 1, 2)."""
    if not _installed("numba"):
        return []
    from numba import njit

    @njit(error_model="numpy")
    def loops(cost: np.ndarray, width: int) -> np.ndarray:
        n, m = cost.shape
        value = np.full((n + 1, m + 1), np.inf)
        value[0, 0] = 0.0
        for i in range(1, n + 1):
            for j in range(1, m + 1):
                low, high = max(0, j - width), min(m, j + width)
                least = np.inf
                for p in range(low, high + 1):
                    least = min(least, value[i - 1, p] + weight * max(p - j - margin, 0))
                if least < np.inf:
                    total = 0.0
                    for p in range(low, high + 1):
                        total += math.exp((least - value[i - 1, p] - weight * max(p - j - margin, 0)) / gamma)
                    value[i, j] = cost[i - 1, j - 1] + least - gamma * math.log(total)
        share = np.zeros((n + 1, m + 1))
        share[n, m] = 1.0
        for i in range(n - 1, 0, -1):
            for j in range(1, m + 1):
                for p in range(max(1, j - width), min(m, j + width) + 1):
                    leap = weight * max(j - p - margin, 0)
                    step = value[i + 1, p] - cost[i, p - 1] - value[i, j] - leap
                    share[i, j] += share[i + 1, p] * math.exp(step / gamma)
        return share[1:, 1:]

    def run(cost: Tensor) -> object:
        width = cost.shape[2] if window is None else window
        return [loops(pair, width) for pair in cost.detach().double().numpy()]

    return [Peer("paper's loop", run)]


def dtw_path() -> list[Peer]:
    """DTW with its path, from a matrix of costs."""
    peers = []
    if _installed("tslearn") and _installed("numba"):
        from tslearn.metrics import dtw_path_from_metric

        def tslearn(cost: Tensor) -> object:
            return [dtw_path_from_metric(pair, metric="precomputed") for pair in cost.detach().numpy()]

        peers.append(Peer("tslearn", tslearn))
    if _installed("dtaidistance"):
        from dtaidistance import dtw

        if dtw.try_import_c():

            def dtaidistance(cost: Tensor) -> object:
                # it takes series and not costs: numbers of the same lengths
                return [
                    dtw.warping_path_fast(pair[:, 0].copy(), pair[0].copy()) for pair in cost.detach().double().numpy()
                ]

            peers.append(Peer("dtaidistance", dtaidistance))
    return peers


def drop_dtw(drop_video: float, drop_text: float) -> list[Peer]:
    """Double Drop-DTW with its labels, cell by cell over four states, as public code has it: lists and argmin."""

    def run(cost: Tensor) -> object:
        return [drop_dtw_cell_by_cell(pair, drop_video, drop_text) for pair in cost.detach().double().numpy()]

    return [Peer("Python loop", run)]


def drop_dtw_cell_by_cell(cost: np.ndarray, drop_video: float, drop_text: float) -> tuple[float, list[int]]:
    """Cost and labels (n,) for `cost` (n, m): M-SyMoN, appendix E.1, with contiguous texts.

    States: 0 matched; 1 the text is open and the step dropped; 2 the text dropped; 3 both dropped.
    """
    n, m = cost.shape
    best = np.full((n + 1, m + 1, 4), 99999999.0)
    came = np.zeros((n + 1, m + 1, 4, 3), dtype=int)
    best[0, 0, 0] = 0.0
    for i in range(1, n + 1):
        best[i, 0, [1, 3]] = i * drop_video
        came[i, 0, 1], came[i, 0, 3] = (i - 1, 0, 1), (i - 1, 0, 3)
    for j in range(1, m + 1):
        best[0, j, [2, 3]] = j * drop_text
        came[0, j, 2], came[0, j, 3] = (0, j - 1, 2), (0, j - 1, 3)
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            diagonal = [(i - 1, j - 1, state) for state in range(4)]
            ways = [
                ([*diagonal, (i - 1, j, 0)], [cost[i - 1, j - 1]] * 5),
                ([(i - 1, j, 0), (i - 1, j, 1)], [drop_video] * 2),
                ([(i, j - 1, 0), (i, j - 1, 2)], [drop_text] * 2),
                ([(i - 1, j, 2), (i - 1, j, 3), (i, j - 1, 1), (i, j - 1, 3)], [drop_video] * 2 + [drop_text] * 2),
            ]
            for state, (places, prices) in enumerate(ways):
                totals = [best[place] + price for place, price in zip(places, prices, strict=True)]
                chosen = int(np.argmin(totals))
                best[i, j, state] = totals[chosen]
                came[i, j, state] = places[chosen]
    labels = [-1] * n
    i, j, state = n, m, int(np.argmin(best[n, m]))
    value = float(best[n, m, state])
    while i > 0 and j > 0:
        if state == 0:
            labels[i - 1] = j - 1
        i, j, state = (int(x) for x in came[i, j, state])
    return value, labels

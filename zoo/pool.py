"""The rank of the right subtitle in a pool: R@1, R@5, R@10 and MedRank of Video2Subtitle (section 5.1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .retrieval import Ranks


@dataclass(frozen=True)
class PoolMetrics:
    """Means over the queries.

    Attributes:
        queries: how many clips were compared with the pool.
        pool: how many subtitles it has.
        r1, r5, r10: share of the clips whose own subtitle is among the first, in [0, 1].
        median_rank: of the own subtitle, 1 for the first.
        mean_reciprocal_rank: in (0, 1].
    """

    queries: int
    pool: int
    r1: float
    r5: float
    r10: float
    median_rank: float
    mean_reciprocal_rank: float

    def logged(self) -> dict[str, float]:
        """Those that runs log, by their short names."""
        recalls = {"r1": self.r1, "r5": self.r5, "r10": self.r10}
        return recalls | {"median_rank": self.median_rank, "mrr": self.mean_reciprocal_rank}


def pool_ranks(costs: Tensor, right: Tensor) -> Ranks:
    """The rank of each clip's right subtitle; equal costs share their ranks.

    Rows may come in blocks, and from several ranks: `join_ranks` puts them together.

    Args:
        costs: (V, S), the least fits best; +inf for what cannot be aligned.
        right: (V,) int64, the column of each clip's own subtitle.

    Raises:
        ValueError: for other shapes, or a cost that is not a number.
    """
    if costs.ndim != 2 or right.shape != costs.shape[:1]:
        raise ValueError(f"costs must be (V, S) and right (V,), not {tuple(costs.shape)} and {tuple(right.shape)}")
    if bool(costs.isnan().any()):
        raise ValueError(f"clip {int(costs.isnan().any(dim=1).nonzero()[0])} has a cost that is not a number")
    if not costs.shape[1] or bool(((right < 0) | (right >= costs.shape[1])).any()):
        raise ValueError(f"right must hold columns of the pool, 0 to {costs.shape[1] - 1}, not {right.tolist()}")
    own = costs.gather(1, right[:, None])
    better, tied = (costs < own).sum(dim=1), (costs == own).sum(dim=1) - 1
    return Ranks(better.cpu().numpy(), tied.cpu().numpy(), np.ones(len(costs), dtype=np.int64))


def join_ranks(blocks: Iterable[Ranks]) -> Ranks:
    """The ranks of all blocks, one after the other."""
    parts = list(blocks)
    return Ranks(
        *(
            np.concatenate([getattr(part, name) for part in parts]) if parts else np.zeros(0, dtype=np.int64)
            for name in ("better", "tied", "relevant")
        )
    )


def pool_metrics(ranks: Ranks, pool: int) -> PoolMetrics:
    """The metrics of a pool of so many subtitles.  Raises ValueError without a single query."""
    if not len(ranks.better):
        raise ValueError("no clip was ranked: there is nothing to report")
    r1, r5, r10 = (float(ranks.recall(most).mean()) for most in (1, 5, 10))
    expected = ranks.expected()
    return PoolMetrics(
        queries=len(expected),
        pool=pool,
        r1=r1,
        r5=r5,
        r10=r10,
        median_rank=float(np.median(expected)),
        mean_reciprocal_rank=float((1.0 / expected).mean()),
    )


def zero_based_ranks(costs: Tensor, columns: Tensor) -> Tensor:
    """Ranks of chosen subtitles as Figure 7 counts them, 0 for the first: (V, S) and (V,) to (V,) int64."""
    return (costs < costs.gather(1, columns[:, None])).sum(dim=1).to(torch.int64)

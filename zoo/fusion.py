"""Late fusion of the cues of subtitle matching (Video2Subtitle, section 4.2.2 and 5.3): a weighted sum of costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from .pool import PoolFigures, pool_figures, pool_ranks

#: "empirically designed" weights of section 5.3; costs of the alignment must be divided by the video's steps before
PAPER_WEIGHTS: Mapping[str, float] = MappingProxyType({"object": 1.0, "scene": 1.0, "action": 1.0, "alignment": 10.0})
#: what is tried for a weight, in so many rounds at most
GRID = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
ROUNDS = 5


@dataclass(frozen=True)
class Fusion:
    """Weights, and what they reached where they were tuned.

    Attributes:
        weights: cue to its weight.
        figures: of the fused costs.
    """

    weights: dict[str, float]
    figures: PoolFigures


def fuse(costs: Mapping[str, Tensor], weights: Mapping[str, float] = PAPER_WEIGHTS) -> Tensor:
    """The weighted sum of the cues' costs, (V, S): the least fits best.

    Eq. 17 calls it a similarity and has no weights; it is a distance, and section 5.3 gives them.

    Args:
        costs: cue to (V, S) costs of clips with subtitles; those of an alignment per video step.
        weights: cue to its weight; cues that `costs` lacks are left out.

    Raises:
        ValueError: no cue, one without a weight, a negative weight, or other shapes.
    """
    if not costs:
        raise ValueError("no cue to fuse")
    if unknown := [cue for cue in costs if cue not in weights]:
        raise ValueError(f"no weight for {', '.join(unknown)}; there are weights for {', '.join(weights)}")
    if negative := [cue for cue in costs if not weights[cue] >= 0]:
        raise ValueError(f"weights must be 0 or more: {', '.join(f'{cue} {weights[cue]}' for cue in negative)}")
    shapes = {cue: tuple(cost.shape) for cue, cost in costs.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"costs of all cues must have one shape (V, S), not {shapes}")
    # a cue of weight 0 is left out, as 0 times inf is NaN
    parts = [weights[cue] * cost for cue, cost in costs.items() if weights[cue] > 0]
    return torch.stack(parts).sum(dim=0) if parts else torch.zeros_like(next(iter(costs.values())))


def tune_weights(
    costs: Mapping[str, Tensor],
    right: Tensor,
    *,
    start: Mapping[str, float] = PAPER_WEIGHTS,
) -> Fusion:
    """Weights that put the right subtitles first on a validation set, by a search along one cue at a time.

    What is best is R@1, and the mean reciprocal rank among equals; a weight only changes where that gains.  The search
    ends where a round changes nothing.  No chance is in it, and the order of the cues in `costs` does not matter.

    Args:
        costs: cue to (V, S) costs, as in `fuse`.
        right: (V,) int64, the column of each clip's own subtitle.
        start: weights to begin with; 1 for a cue that it lacks.

    Raises:
        ValueError: as in `fuse` and `pool_ranks`.
    """
    weights = {cue: float(start.get(cue, 1.0)) for cue in sorted(costs)}
    best = _figures(costs, weights, right)
    for _ in range(ROUNDS):
        before = dict(weights)
        for cue in weights:
            for weight in GRID:
                tried = {**weights, cue: weight}
                found = _figures(costs, tried, right)
                if _goodness(found) > _goodness(best):
                    weights, best = tried, found
        if weights == before:
            break
    return Fusion(weights, best)


def _figures(costs: Mapping[str, Tensor], weights: Mapping[str, float], right: Tensor) -> PoolFigures:
    fused = fuse(costs, weights)
    return pool_figures(pool_ranks(fused, right), fused.shape[1])


def _goodness(figures: PoolFigures) -> tuple[float, float]:
    return figures.r1, figures.mean_reciprocal_rank

"""Late fusion of the cues of subtitle matching (Video2Subtitle, section 4.2.2 and 5.3): a weighted sum of costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional as F

from .pool import PoolMetrics, pool_metrics, pool_ranks

#: "empirically designed" weights of section 5.3; costs of the alignment must be divided by the video's steps before
PAPER_WEIGHTS: Mapping[str, float] = MappingProxyType({"object": 1.0, "scene": 1.0, "action": 1.0, "alignment": 10.0})
#: steps of the fit at most; it ends where nothing is gained
STEPS = 200


@dataclass(frozen=True)
class Fusion:
    """Weights, and the metrics that they reached where they were tuned.

    Attributes:
        weights: cue to its weight.
        metrics: of the fused costs.
    """

    weights: dict[str, float]
    metrics: PoolMetrics


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


def tune_weights(costs: Mapping[str, Tensor], right: Tensor) -> Fusion:
    """Weights under which the right subtitles of a validation set are likeliest: a conditional logit.

    The weights, none negative, maximise the likelihood of the right subtitles under softmax(-fused cost); unlike R@1 it
    differs between any two weightings.  Deterministic, in float64. The weights sum to the paper's, as their scale ranks
    nothing.

    Args:
        costs: cue to (V, S) costs, as in `fuse`.
        right: (V,) int64, the column of each clip's own subtitle.

    Raises:
        ValueError: as in `fuse` and `pool_ranks`.
    """
    start = {cue: PAPER_WEIGHTS.get(cue, 1.0) for cue in sorted(costs)}
    pool_ranks(fuse(costs, start), right)  # raises for faulty costs
    stacked = torch.stack([costs[cue].double() for cue in start])  # (C, V, S)
    logs = torch.tensor([*start.values()], dtype=torch.float64).log().requires_grad_()
    fit = torch.optim.LBFGS([logs], max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        fit.zero_grad()
        loss = F.cross_entropy(-(logs.exp()[:, None, None] * stacked).sum(dim=0), right)
        loss.backward()
        return loss

    with torch.enable_grad():
        fit.step(closure)
    shares = logs.detach().softmax(dim=0) * sum(start.values())
    weights = {cue: round(weight, 3) for cue, weight in zip(start, shares.tolist(), strict=True)}
    fused = fuse(costs, weights)
    return Fusion(weights, pool_metrics(pool_ranks(fused, right), fused.shape[1]))

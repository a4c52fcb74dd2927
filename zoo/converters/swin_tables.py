"""Relative position tables of a Swin tower, carried from one window to a larger one.

As Swin is fine-tuned at a higher resolution (Liu et al., 2021): known offsets are spread geometrically to the edge of
the larger window, dense about 0, and a cubic spline through them gives the whole ones.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.floating[Any]]

#: where the search for the ratio of the series starts, and the width at which the published one stops
RATIO_BOUNDS, RATIO_WIDTH = (1.01, 1.5), 1e-6
DEGREE = 3


def window_of(table: Tensor) -> int:
    """The window that a table ((2 w - 1) ** 2, heads) belongs to, in patches; 0 where it belongs to none."""
    side = round(len(table) ** 0.5) if table.ndim == 2 else 0
    return (side + 1) // 2 if side % 2 and side**2 == len(table) else 0


def resize_table(table: Tensor, window: int) -> Tensor:
    """A relative position table for a larger window.

    Args:
        table: ((2 w - 1) ** 2, heads), one value for each offset, rows first.
        window: the larger one, in patches.

    Returns:
        ((2 window - 1) ** 2, heads), float32.
    """
    side, larger = 2 * window_of(table) - 1, 2 * window - 1
    whole = np.arange(larger, dtype=np.float64) - larger // 2
    weights = spline_weights(spread_offsets(side, larger), whole)
    grid = table.double().numpy().reshape(side, side, -1)
    resized = np.einsum("iy,jx,yxh->ijh", weights, weights, grid)
    return torch.from_numpy(resized.reshape(larger**2, -1)).float()


def spread_offsets(side: int, larger: int) -> Array:
    """(side,) offsets 0, 1, 1 + q, 1 + q + q^2, ... and their mirror image, the last about larger // 2."""
    steps = side // 2
    low, high = RATIO_BOUNDS
    while high - low > RATIO_WIDTH:
        ratio = (low + high) / 2
        if sum(ratio**power for power in range(steps)) > larger // 2:
            high = ratio
        else:
            low = ratio
    right = list(accumulate(ratio**power for power in range(steps)))
    return np.array([-offset for offset in reversed(right)] + [0.0] + right)


def spline_weights(known: Array, wanted: Array) -> Array:
    """(len(wanted), len(known)) weights of a cubic spline: times values at `known`, it gives those at `wanted`.

    Not-a-knot, as FITPACK's; constant beyond the ends.
    """
    inner = (DEGREE + 1) // 2
    knots = np.concatenate([[known[0]] * (DEGREE + 1), known[inner:-inner], [known[-1]] * (DEGREE + 1)])
    wanted = wanted.clip(known[0], known[-1])
    return np.linalg.solve(_basis(knots, known).T, _basis(knots, wanted).T).T


def _basis(knots: Array, at: Array) -> Array:
    """(len(at), len(knots) - 4) cubic B-splines by the recurrence of Cox and de Boor."""
    at = at[:, None]
    values = ((knots[:-1] <= at) & (at < knots[1:])).astype(np.float64)
    values[at[:, 0] == knots[-1], -DEGREE - 1] = 1.0  # the last interval is closed
    for degree in range(1, DEGREE + 1):
        span = knots[degree:] - knots[:-degree]
        slope = np.divide(1.0, span, out=np.zeros_like(span), where=span > 0)
        rising = (at - knots[: -degree - 1]) * slope[:-1]
        falling = (knots[degree + 1 :] - at) * slope[1:]
        values = rising * values[:, :-1] + falling * values[:, 1:]
    return values

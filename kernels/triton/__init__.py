"""The alignment recurrences as Triton kernels, for CUDA and ROCm tensors; imported only where such a tensor comes in.

Costs over gamma must stay below 10**7 in sum along a path and are counted as forbidden beyond.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from . import soft_dtw as _soft_dtw
from .launch import aligned, on, plan, spoiled_pairs

__all__ = ["soft_dtw"]


def soft_dtw(
    cost: Tensor, steps: Tensor, texts: Tensor, *, gamma: float, band: int | None, wanted: bool
) -> tuple[Tensor, Tensor]:
    """The value (B,) and, where `wanted`, the expected alignment (B, n, m), float32."""
    batch, n, m = cost.shape
    table = aligned(cost)
    width = (m + 3) // 4 * 4
    how = plan(m, band)
    shares = how.layout.width if how.narrow else width
    value = table.new_empty(batch)
    new_alignment = table.new_zeros if how.narrow else table.new_empty
    alignment = new_alignment((batch, n, width) if wanted else 0)
    left = table.new_empty(batch, n, shares) if wanted and how.narrow else alignment
    up = table.new_empty((batch, n, shares) if wanted else 0)
    edge = table.new_empty((batch, 2, n, 2) if how.chunked else 0)
    if batch == 0:
        return value, alignment[..., :m]
    with on(cost.device):
        spoiled = spoiled_pairs(table, steps, texts)
        _soft_dtw.forward[(batch,)](
            table,
            steps,
            texts,
            spoiled,
            value,
            left,
            up,
            edge,
            n,
            table.shape[2] // 4,
            table.stride(1) // 4,
            table.stride(0) // 4,
            shares // 4,
            -math.log2(math.e) / gamma,
            band or 0,
            STORE=wanted,
            EVERY=how.layout.every,
            **how.constants,
        )
        if wanted:
            _soft_dtw.backward[(batch,)](
                left,
                up,
                steps,
                texts,
                spoiled,
                value,
                alignment,
                edge,
                n,
                width // 4,
                shares // 4,
                band or 0,
                **how.constants,
            )
    return value, alignment[..., :m].contiguous() if wanted else alignment

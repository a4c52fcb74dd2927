"""The alignment recurrences as Triton kernels, for CUDA and ROCm tensors; imported only where such a tensor comes in.

Costs over gamma must stay below 10**7 in sum along a path and are counted as forbidden beyond.
"""

from __future__ import annotations

import math

from torch import Tensor

from .. import reference
from . import soft_dsta as _soft_dsta
from . import soft_dtw as _soft_dtw
from .launch import aligned, on, plan, spoiled_pairs

__all__ = ["soft_dsta", "soft_dtw"]


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


def soft_dsta(
    cost: Tensor,
    steps: Tensor,
    texts: Tensor,
    *,
    windows: Tensor | None,
    gamma: float,
    order_weight: float,
    order_margin: int,
    band: int | None,
    wanted: bool,
) -> tuple[Tensor, Tensor]:
    """The value (B,) and, where `wanted`, the expected alignment (B, n, m), float32.

    Rows wider than 2048 texts, unless a band narrows them, run on the reference: the same figures, slower. A finite
    window moves with no band: the whole width is held.
    """
    batch, n, m = cost.shape
    how = plan(m, band, narrows=windows is None)
    if how.chunked and not how.narrow:
        return reference.soft_dsta(
            cost, steps, texts, windows=windows, gamma=gamma, order_weight=order_weight, order_margin=order_margin,
            band=band, wanted=wanted,
        )  # fmt: skip
    table = aligned(cost)
    width = table.shape[2]
    held = how.layout.width if how.narrow else width
    value, corner = table.new_empty(batch), table.new_empty(batch, 2)
    new_alignment = table.new_zeros if how.narrow else table.new_empty
    alignment = new_alignment((batch, n, width) if wanted else 0)
    table_r = table.new_empty(batch, n, held) if wanted and how.narrow else alignment
    table_e = table.new_empty((batch, n, held) if wanted else 0)
    scale = -math.log2(math.e) / gamma
    constants = how.constants | {"WINDOWED": windows is not None, "MARGIN": order_margin, "EVERY": how.layout.every}
    del constants["CHUNKED"]
    if batch == 0:
        return value, alignment[..., :m]
    reach = steps if windows is None else windows
    shape = (n, width // 4, table.stride(1) // 4, table.stride(0) // 4, held // 4, scale, order_weight * scale, band or 0)
    with on(cost.device):
        spoiled = spoiled_pairs(table, steps, texts)
        _soft_dsta.forward[(batch,)](
            table, steps, texts, reach, spoiled, value, corner, table_r, table_e, *shape, STORE=wanted, **constants
        )
        if wanted:
            _soft_dsta.backward[(batch,)](
                table, steps, texts, reach, spoiled, corner, table_r, table_e, alignment, *shape, **constants
            )
    return value, alignment[..., :m].contiguous() if wanted else alignment

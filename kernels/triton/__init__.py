"""The alignment recurrences as Triton kernels, for CUDA and ROCm tensors; imported only where such a tensor comes in.

In the order to read them: semiring.py, how a row is one scan; rows.py, which cells a row has; soft_dtw.py, the first
recurrence, with every flag explained; soft_dsta.py and soft_drop_dtw.py; dtw.py, dsta.py and drop_dtw.py, the same
three without softness; long_dsta.py. This file allocates and launches, after launch.py has chosen the layout.

One program computes one pair, row by row (semiring.py). Everything is float32: soft values are accurate to 2e-7,
alignments to 3e-6 of their maximum. Along a path |cost| / gamma may add up to 5 * 10**6; what lies beyond is not
checked, as that would wait for the device. A single cost / gamma of 10**30 counts as forbidden. A pair whose lengths
lie beyond the table is NaN, with a gradient of 0.

Rows wider than a program holds are computed in blocks; DSTA, which reads a row in both directions, then keeps its rows
in memory (long_dsta.py). Tables kept for the backward pass or for tracing a path are as wide as the band, at most twice
its 2 * band + 11 columns; only a batch with too few video steps for that keeps whole rows. A band of up to 1018 also
saves time: the program moves along it. With a wider one, DTW and Drop-DTW take the time of whole rows.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from . import drop_dtw as _drop_dtw
from . import dsta as _dsta
from . import dtw as _dtw
from . import long_dsta as _long_dsta
from . import soft_drop_dtw as _soft_drop_dtw
from . import soft_dsta as _soft_dsta
from . import soft_dtw as _soft_dtw
from .launch import (
    Plan,
    aligned,
    aligned_drops,
    on,
    plan,
    plan_in_memory,
    quarters,
    spoiled_drops,
    spoiled_pairs,
    unmatched,
)

__all__ = ["drop_dtw", "dsta_path", "dtw_path", "soft_drop_dtw", "soft_dsta", "soft_dtw"]


def soft_dtw(
    cost: Tensor, steps: Tensor, texts: Tensor, *, gamma: float, band: int | None, with_alignment: bool
) -> tuple[Tensor, Tensor]:
    """The value (B,) and, if asked for, the expected alignment (B, n, m), float32."""
    batch, n, m = cost.shape
    table = aligned(cost)
    width = table.shape[2]
    how = plan(n, m, band)
    value = table.new_empty(batch)
    new_alignment = table.new_zeros if how.narrow else table.new_empty
    alignment = new_alignment((batch, n, width) if with_alignment else 0)
    left = table.new_empty(batch, n, how.held) if with_alignment and how.narrow else alignment
    up = table.new_empty((batch, n, how.held) if with_alignment else 0)
    edge = table.new_empty((batch, 2, n, 2) if how.chunked else 0)
    if batch == 0:
        return value, alignment[..., :m]
    scale = -math.log2(math.e) / gamma
    with on(cost.device):
        spoiled = spoiled_pairs(table, steps, texts, n, m)
        _soft_dtw.forward[(batch,)](
            table, steps, texts, spoiled, value, left, up, edge, n, *quarters(table, how), scale, band or 0,
            STORE=with_alignment, EVERY=how.layout.every, **how.block_constants,
        )  # fmt: skip
        if with_alignment:
            _soft_dtw.backward[(batch,)](
                left, up, steps, texts, spoiled, value, alignment, edge, n, width // 4, how.held // 4, band or 0,
                **how.block_constants,
            )  # fmt: skip
    return value, alignment[..., :m].contiguous() if with_alignment else alignment


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
    with_alignment: bool,
) -> tuple[Tensor, Tensor]:
    """The value (B,) and, if asked for, the expected alignment (B, n, m), float32."""
    batch, n, m = cost.shape
    how, in_memory = plan_dsta(n, m, band, windows)
    table = aligned(cost)
    width = table.shape[2]
    value, corner = table.new_empty(batch), table.new_empty(batch, 2)
    apart = in_memory or how.narrow
    new_alignment = table.new_zeros if apart else table.new_empty
    alignment = new_alignment((batch, n, width) if with_alignment else 0)
    table_r = table.new_empty(batch, n, how.held) if with_alignment and apart else alignment
    table_e = table.new_empty((batch, n, how.held) if with_alignment else 0)
    if batch == 0:
        return value, alignment[..., :m]
    scale = -math.log2(math.e) / gamma
    reach = steps if windows is None else windows
    shape = (n, *quarters(table, how), scale, order_weight * scale, band or 0)
    constants = how.constants | {"WINDOWED": windows is not None, "MARGIN": order_margin}
    with on(cost.device):
        inputs = (table, steps, texts, reach, spoiled_pairs(table, steps, texts, n, m))
        tables = (table_r, table_e)
        if in_memory:
            rows = table.new_empty(2, batch, 5, width).unbind()
            _long_dsta.forward[(batch,)](
                *inputs, value, corner, *tables, *rows, *shape, SOFT=True, STORE=with_alignment, **constants
            )
            if with_alignment:
                _long_dsta.backward[(batch,)](*inputs, corner, *tables, alignment, *rows, *shape, **constants)
        else:
            constants["EVERY"] = how.layout.every
            _soft_dsta.forward[(batch,)](*inputs, value, corner, *tables, *shape, STORE=with_alignment, **constants)
            if with_alignment:
                _soft_dsta.backward[(batch,)](*inputs, corner, *tables, alignment, *shape, **constants)
    return value, alignment[..., :m].contiguous() if with_alignment else alignment


def plan_dsta(steps: int, texts: int, band: int | None, windows: Tensor | None) -> tuple[Plan, bool]:
    """The plan, and whether rows lie in memory: where none fits a program, or a finite window moves with a band."""
    how = plan(steps, texts, band)
    in_memory = how.chunked and (windows is not None or not how.moving)
    return (plan_in_memory(texts, band) if in_memory else how), in_memory


def soft_drop_dtw(
    cost: Tensor,
    drop_video: Tensor,
    drop_text: Tensor | None,
    steps: Tensor,
    texts: Tensor,
    *,
    gamma: float,
    contiguous: bool,
    band: int | None,
    with_alignment: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The value (B,) and, if asked for, its gradients: alignment (B, n, m), video_drops (B, n), text_drops (B, m).

    A band forbids matches outside it; drops may pass there.
    """
    batch, n, m = cost.shape
    how = plan(n, m, band)
    table = aligned(cost)
    width, rows = table.shape[2], table.shape[1]
    video, text = aligned_drops(drop_video, rows), None if drop_text is None else aligned_drops(drop_text, width)
    value, corner = table.new_empty(batch), table.new_empty(batch, 2)
    new_alignment = table.new_zeros if how.narrow else table.new_empty
    alignment = new_alignment((batch, rows, width) if with_alignment else 0)
    table_r = table.new_empty(batch, rows, how.held) if with_alignment and how.narrow else alignment
    table_e = table.new_empty((batch, rows, how.held) if with_alignment else 0)
    matched = table.new_zeros((batch, width) if with_alignment else 0)
    edge = table.new_empty((batch, 2, rows + 1, 4) if how.chunked else 0)
    if batch == 0:
        drops = (video[:, :n], matched[:, :m]) if with_alignment else (table.new_empty(0), table.new_empty(0))
        return value, alignment[..., :n, :m] if with_alignment else alignment, *drops
    scale = -math.log2(math.e) / gamma
    shape = (rows, *quarters(table, how), scale, band or 0)
    constants = how.block_constants | {
        "DROP_TEXT": text is not None,
        "CONTIGUOUS": contiguous,
        "EVERY": how.layout.every,
    }
    with on(cost.device):
        spoiled = spoiled_pairs(table, steps, texts, n, m)
        spoiled |= spoiled_drops(video, steps) | (0 if text is None else spoiled_drops(text, texts))
        inputs = (table, video, video if text is None else text, steps, texts, spoiled)
        _soft_drop_dtw.forward[(batch,)](
            *inputs, value, corner, table_r, table_e, edge, *shape, STORE=with_alignment, **constants
        )
        if not with_alignment:
            return value, alignment, table.new_empty(0), table.new_empty(0)
        _soft_drop_dtw.backward[(batch,)](
            *inputs, corner, table_r, table_e, alignment, matched, edge, *shape, **constants
        )
    alignment = alignment[:, :n, :m].contiguous()
    video_drops = unmatched(alignment.sum(dim=2), video[:, :n], steps, value)
    if text is None:
        return value, alignment, video_drops, alignment.new_zeros(batch, m)
    return value, alignment, video_drops, unmatched(matched[:, :m], text[:, :m], texts, value)


def dtw_path(
    cost: Tensor, steps: Tensor, texts: Tensor, *, band: int | None, with_path: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The value (B,) and, if asked for, the path (B, n+m-1, 2) padded with -1 and its length (B,)."""
    batch, n, m = cost.shape
    table = aligned(cost)
    how = plan(n, m, band)
    rows = table.shape[1]
    longest = max(n + m - 1, 0)
    value = table.new_empty(batch)
    choices = table.new_empty((batch, rows, how.held) if with_path else 0, dtype=torch.int8)
    path = steps.new_empty((batch, longest, 2) if with_path else 0)
    path_lengths = steps.new_empty(batch if with_path else 0)
    edge = table.new_empty((batch, 2, rows) if how.chunked else 0)
    if batch == 0:
        return value, path, path_lengths
    with on(cost.device):
        spoiled = spoiled_pairs(table, steps, texts, n, m)
        _dtw.forward[(batch,)](
            table, steps, texts, spoiled, value, choices, edge,
            rows, *quarters(table, how), band or 0, STORE=with_path, **how.block_constants,
        )  # fmt: skip
        if with_path:
            _dtw.trace[(batch,)](
                choices, steps, texts, value, torch.empty_like(path), path, path_lengths,
                rows, longest, how.held // 4, band or 0,
                NARROW=how.narrow, Q=how.constants["Q"], BLOCK=256, num_warps=1,
            )  # fmt: skip
    return value, path, path_lengths


def dsta_path(
    cost: Tensor,
    steps: Tensor,
    texts: Tensor,
    *,
    windows: Tensor | None,
    order_weight: float,
    order_margin: int,
    band: int | None,
    with_path: bool,
) -> tuple[Tensor, Tensor]:
    """The value (B,) and, if asked for, the labels (B, n)."""
    batch, n, m = cost.shape
    how, in_memory = plan_dsta(n, m, band, windows)
    table = aligned(cost)
    width, rows = table.shape[2], table.shape[1]
    value = table.new_empty(batch)
    gains = table.new_empty((batch, rows, how.held) if with_path else 0)
    labels = steps.new_empty((batch, n) if with_path else 0)
    if batch == 0:
        return value, labels
    constants = how.constants | {"WINDOWED": windows is not None, "MARGIN": order_margin}
    reach = steps if windows is None else windows
    strides = quarters(table, how)
    with on(cost.device):
        inputs = (table, steps, texts, reach, spoiled_pairs(table, steps, texts, n, m))
        if in_memory:
            _long_dsta.forward[(batch,)](
                *inputs, value, value, gains, gains, value, table.new_empty(batch, 5, width),
                rows, *strides, -1.0, -order_weight, band or 0, SOFT=False, STORE=with_path, **constants,
            )  # fmt: skip
        else:
            _dsta.forward[(batch,)](
                *inputs, value, gains, rows, *strides, order_weight, band or 0, STORE=with_path, **constants
            )
        if with_path:
            _dsta.trace[(batch,)](
                gains, steps, texts, reach, value, labels, n, rows, how.held // 4, order_weight, band or 0,
                MARGIN=order_margin, WINDOWED=windows is not None, BAND=band is not None, NARROW=how.narrow,
                Q=how.constants["Q"], BLOCK=256, num_warps=1,
            )  # fmt: skip
    return value, labels


def drop_dtw(
    cost: Tensor,
    drop_video: Tensor,
    drop_text: Tensor | None,
    steps: Tensor,
    texts: Tensor,
    *,
    contiguous: bool,
    band: int | None,
    with_path: bool,
) -> tuple[Tensor, Tensor]:
    """The value (B,) and, if asked for, the labels (B, n): a text, or -1 where the step is dropped."""
    batch, n, m = cost.shape
    how = plan(n, m, band)
    table = aligned(cost)
    width, rows = table.shape[2], table.shape[1]
    video, text = aligned_drops(drop_video, rows), None if drop_text is None else aligned_drops(drop_text, width)
    value = table.new_empty(batch)
    choices = table.new_empty((batch, rows, how.held) if with_path else 0, dtype=torch.int8)
    labels = steps.new_empty((batch, n) if with_path else 0)
    edge = table.new_empty((batch, 2, rows + 1, 2) if how.chunked else 0)
    if batch == 0:
        return value, labels
    constants = how.block_constants | {"DROP_TEXT": text is not None, "CONTIGUOUS": contiguous}
    with on(cost.device):
        spoiled = spoiled_pairs(table, steps, texts, n, m)
        spoiled |= spoiled_drops(video, steps) | (0 if text is None else spoiled_drops(text, texts))
        _drop_dtw.forward[(batch,)](
            table, video, video if text is None else text, steps, texts, spoiled, value, choices, edge,
            rows, *quarters(table, how), band or 0, STORE=with_path, **constants,
        )  # fmt: skip
        if with_path:
            _drop_dtw.trace[(batch,)](
                choices, steps, texts, value, labels, n, rows, how.held // 4, band or 0,
                CONTIGUOUS=contiguous, NARROW=how.narrow, Q=how.constants["Q"], BLOCK=256, num_warps=1,
            )  # fmt: skip
    return value, labels

"""The alignment recurrences as Triton kernels, for CUDA and ROCm tensors; imported only where such a tensor comes in.

One program computes one pair, row by row (semiring.py). Everything is float32: soft values are accurate to 2e-7,
alignments to 3e-6 of their maximum. Along a path |cost| / gamma may add up to 5 * 10**6; what lies beyond is not
checked, as that would wait for the device. A single cost / gamma of 10**30 counts as forbidden. A pair whose lengths
lie beyond the table is NaN, with a gradient of 0.

Rows of any width go in blocks, but for DSTA, whose rows are read in both directions: beyond 2048 texts it runs on the
reference, and says so once, unless a band without a window narrows it. Bands narrow DTW and DSTA in memory and time;
in Drop-DTW they only forbid, since drops may pass outside them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .. import reference
from . import drop_dtw as _drop_dtw
from . import dsta as _dsta
from . import dtw as _dtw
from . import soft_drop_dtw as _soft_drop_dtw
from . import soft_dsta as _soft_dsta
from . import soft_dtw as _soft_dtw
from .launch import aligned, aligned_drops, on, plan, spoiled_drops, spoiled_pairs, unmatched, warn_of_width

__all__ = ["drop_dtw", "dsta_path", "dtw_path", "soft_drop_dtw", "soft_dsta", "soft_dtw"]


def soft_dtw(
    cost: Tensor, steps: Tensor, texts: Tensor, *, gamma: float, band: int | None, wanted: bool
) -> tuple[Tensor, Tensor]:
    """The value (B,) and, where `wanted`, the expected alignment (B, n, m), float32."""
    batch, n, m = cost.shape
    table = aligned(cost)
    width = table.shape[2]
    how = plan(n, m, band)
    shares = how.layout.width if how.narrow else width
    value = table.new_empty(batch)
    new_alignment = table.new_zeros if how.narrow else table.new_empty
    alignment = new_alignment((batch, n, width) if wanted else 0)
    left = table.new_empty(batch, n, shares) if wanted and how.narrow else alignment
    up = table.new_empty((batch, n, shares) if wanted else 0)
    edge = table.new_empty((batch, 2, n, 2) if how.chunked else 0)
    if batch == 0:
        return value, alignment[..., :m]
    strides = (table.stride(1) // 4, table.stride(0) // 4, shares // 4)
    scale = -math.log2(math.e) / gamma
    with on(cost.device):
        spoiled = spoiled_pairs(table, steps, texts, n, m)
        _soft_dtw.forward[(batch,)](
            table, steps, texts, spoiled, value, left, up, edge, n, width // 4, *strides, scale, band or 0,
            STORE=wanted, EVERY=how.layout.every, **how.constants,
        )  # fmt: skip
        if wanted:
            _soft_dtw.backward[(batch,)](
                left, up, steps, texts, spoiled, value, alignment, edge, n, width // 4, shares // 4, band or 0,
                **how.constants,
            )  # fmt: skip
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
    how = plan(n, m, band, narrows=windows is None)
    if how.chunked and not how.narrow:
        warn_of_width("soft-DSTA")
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
    shape = (
        n,
        width // 4,
        table.stride(1) // 4,
        table.stride(0) // 4,
        held // 4,
        scale,
        order_weight * scale,
        band or 0,
    )
    with on(cost.device):
        spoiled = spoiled_pairs(table, steps, texts, n, m)
        _soft_dsta.forward[(batch,)](
            table, steps, texts, reach, spoiled, value, corner, table_r, table_e, *shape, STORE=wanted, **constants
        )
        if wanted:
            _soft_dsta.backward[(batch,)](
                table, steps, texts, reach, spoiled, corner, table_r, table_e, alignment, *shape, **constants
            )
    return value, alignment[..., :m].contiguous() if wanted else alignment


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
    wanted: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The value (B,) and, where `wanted`, its gradients: alignment (B, n, m), video_drops (B, n), text_drops (B, m).

    A band forbids matches outside it; drops may pass there.
    """
    batch, n, m = cost.shape
    how = plan(n, m, band)
    table = aligned(cost)
    width, rows = table.shape[2], table.shape[1]
    held = how.layout.width if how.narrow else width
    video, text = aligned_drops(drop_video, rows), None if drop_text is None else aligned_drops(drop_text, width)
    value, corner = table.new_empty(batch), table.new_empty(batch, 2)
    new_alignment = table.new_zeros if how.narrow else table.new_empty
    alignment = new_alignment((batch, rows, width) if wanted else 0)
    table_r = table.new_empty(batch, rows, held) if wanted and how.narrow else alignment
    table_e = table.new_empty((batch, rows, held) if wanted else 0)
    matched = table.new_zeros((batch, width) if wanted else 0)
    edge = table.new_empty((batch, 2, rows + 1, 4) if how.chunked else 0)
    if batch == 0:
        return value, alignment[..., :m], video.new_empty(0, n), video.new_empty(0, m)
    scale = -math.log2(math.e) / gamma
    shape = (rows, width // 4, table.stride(1) // 4, table.stride(0) // 4, held // 4, scale, band or 0)
    constants = how.constants | {"DROP_TEXT": text is not None, "CONTIGUOUS": contiguous, "EVERY": how.layout.every}
    with on(cost.device):
        spoiled = spoiled_pairs(table, steps, texts, n, m)
        spoiled |= spoiled_drops(video, steps) | (0 if text is None else spoiled_drops(text, texts))
        inputs = (table, video, video if text is None else text, steps, texts, spoiled)
        _soft_drop_dtw.forward[(batch,)](
            *inputs, value, corner, table_r, table_e, edge, *shape, STORE=wanted, **constants
        )
        if not wanted:
            return value, alignment, alignment, alignment
        _soft_drop_dtw.backward[(batch,)](
            *inputs, corner, table_r, table_e, alignment, matched, edge, *shape, **constants
        )
    alignment = alignment[:, :n, :m].contiguous()
    video_drops = unmatched(alignment.sum(dim=2), video[:, :n], steps, value)
    if text is None:
        return value, alignment, video_drops, alignment.new_zeros(batch, m)
    return value, alignment, video_drops, unmatched(matched[:, :m], text[:, :m], texts, value)


def dtw_path(
    cost: Tensor, steps: Tensor, texts: Tensor, *, band: int | None, wanted: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The value (B,) and, where `wanted`, the path (B, n+m-1, 2) padded with -1 and its length (B,)."""
    batch, n, m = cost.shape
    table = aligned(cost)
    how = plan(n, m, band)
    width, rows = table.shape[2], table.shape[1]
    held, longest = how.layout.width if how.narrow else width, max(n + m - 1, 0)
    value = table.new_empty(batch)
    choices = table.new_empty((batch, rows, held) if wanted else 0, dtype=torch.int8)
    path = steps.new_empty((batch, longest, 2) if wanted else 0)
    path_lengths = steps.new_empty(batch if wanted else 0)
    edge = table.new_empty((batch, 2, rows) if how.chunked else 0)
    if batch == 0:
        return value, path, path_lengths
    with on(cost.device):
        spoiled = spoiled_pairs(table, steps, texts, n, m)
        _dtw.forward[(batch,)](
            table, steps, texts, spoiled, value, choices, edge,
            rows, width // 4, table.stride(1) // 4, table.stride(0) // 4, held // 4, band or 0,
            STORE=wanted, **how.constants,
        )  # fmt: skip
        if wanted:
            _dtw.trace[(batch,)](
                choices, steps, texts, value, torch.empty_like(path), path, path_lengths,
                rows, longest, held // 4, band or 0,
                NARROW=how.narrow, Q=how.constants["Q"], L=how.layout.lanes, BLOCK=256, num_warps=1,
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
    wanted: bool,
) -> tuple[Tensor, Tensor]:
    """The value (B,) and, where `wanted`, the labels (B, n). Wide rows as in `soft_dsta`."""
    batch, n, m = cost.shape
    how = plan(n, m, band, narrows=windows is None)
    if how.chunked and not how.narrow:
        warn_of_width("DSTA")
        return reference.dsta_path(
            cost, steps, texts, windows=windows, order_weight=order_weight, order_margin=order_margin, band=band,
            wanted=wanted,
        )  # fmt: skip
    table = aligned(cost)
    width, rows = table.shape[2], table.shape[1]
    held = how.layout.width if how.narrow else width
    value = table.new_empty(batch)
    gains = table.new_empty((batch, rows, held) if wanted else 0)
    labels = steps.new_empty((batch, n) if wanted else 0)
    if batch == 0:
        return value, labels
    constants = how.constants | {"WINDOWED": windows is not None, "MARGIN": order_margin}
    del constants["CHUNKED"]
    reach = steps if windows is None else windows
    with on(cost.device):
        spoiled = spoiled_pairs(table, steps, texts, n, m)
        _dsta.forward[(batch,)](
            table, steps, texts, reach, spoiled, value, gains,
            rows, width // 4, table.stride(1) // 4, table.stride(0) // 4, held // 4, order_weight, band or 0,
            STORE=wanted, **constants,
        )  # fmt: skip
        if wanted:
            _dsta.trace[(batch,)](
                gains, steps, texts, reach, value, labels, n, rows, held // 4, order_weight, band or 0,
                MARGIN=order_margin, WINDOWED=windows is not None, NARROW=how.narrow, Q=how.constants["Q"],
                BLOCK=256, num_warps=1,
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
    wanted: bool,
) -> tuple[Tensor, Tensor]:
    """The value (B,) and, where `wanted`, the labels (B, n): a text, or -1 where the step is dropped."""
    batch, n, m = cost.shape
    how = plan(n, m, band)
    table = aligned(cost)
    width, rows = table.shape[2], table.shape[1]
    held = how.layout.width if how.narrow else width
    video, text = aligned_drops(drop_video, rows), None if drop_text is None else aligned_drops(drop_text, width)
    value = table.new_empty(batch)
    choices = table.new_empty((batch, rows, held) if wanted else 0, dtype=torch.int8)
    labels = steps.new_empty((batch, n) if wanted else 0)
    edge = table.new_empty((batch, 2, rows + 1, 2) if how.chunked else 0)
    if batch == 0:
        return value, labels
    constants = how.constants | {"DROP_TEXT": text is not None, "CONTIGUOUS": contiguous}
    with on(cost.device):
        spoiled = spoiled_pairs(table, steps, texts, n, m)
        spoiled |= spoiled_drops(video, steps) | (0 if text is None else spoiled_drops(text, texts))
        _drop_dtw.forward[(batch,)](
            table, video, video if text is None else text, steps, texts, spoiled, value, choices, edge,
            rows, width // 4, table.stride(1) // 4, table.stride(0) // 4, held // 4, band or 0,
            STORE=wanted, **constants,
        )  # fmt: skip
        if wanted:
            _drop_dtw.trace[(batch,)](
                choices, steps, texts, value, labels, n, rows, held // 4, band or 0,
                CONTIGUOUS=contiguous, NARROW=how.narrow, Q=how.constants["Q"], L=how.layout.lanes, BLOCK=256,
                num_warps=1,
            )  # fmt: skip
    return value, labels

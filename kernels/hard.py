"""The hard recurrences: the cheapest alignment, and where it goes.

Costs, lengths, masks, bands and errors are as in `weaksync.kernels.soft`, but on the CPU float64 is as fast as float32.
Costs of paths are float64 for float64 input and float32 otherwise; nothing here is differentiable.  Where masks leave
no alignment the cost is +inf, where a pair holds NaN or -inf it is NaN, and in both cases its labels and path are -1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from . import ops
from .arguments import (
    broadcast_drop,
    check_device,
    check_dsta_settings,
    check_whole,
    costs_of,
    windows_of,
)
from .dispatch import call


@torch.no_grad()
def dtw_path(
    cost: Tensor,
    *,
    video_lengths: Tensor | None = None,
    text_lengths: Tensor | None = None,
    band: int | None = None,
    validate: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Dynamic time warping (Sakoe and Chiba 1978): every step and every text on one monotone path.

    Args:
        cost: (B, n, m) floating; +inf forbids the cell.
        video_lengths: (B,) integers, how many of the n steps are real; None means all.
        text_lengths: (B,) integers, how many of the m texts are real; None means all.
        band: keep only cells within `band` texts of the line from corner to corner (see `geometry.within_band`); None
            keeps all.
        validate: also check what lies on the GPU, and that every pair has a path and holds no NaN or -inf; waits
            for the device.

    Returns:
        cost (B,); path (B, n+m-1, 2) int64, the cells (i, j) in order, padded with -1; and path_lengths (B,) int64.
        Of equally good ways the diagonal is taken, then the step to the next video step.

    Raises:
        ValueError: for shapes, types, lengths or a band that fit no path, naming the pair.
    """
    cost = costs_of(cost, video_lengths, text_lengths)
    check_whole("band", band)
    return call(ops.dtw_path, cost, video_lengths, text_lengths, band, False, validate, True)


@torch.no_grad()
def dsta_path(
    cost: Tensor,
    *,
    video_lengths: Tensor | None = None,
    text_lengths: Tensor | None = None,
    window: int | Tensor | None = None,
    order_weight: float = 1.0,
    order_margin: int = 1,
    band: int | None = None,
    validate: bool = False,
) -> tuple[Tensor, Tensor]:
    """Duration-shifts temporal alignment (Video2Subtitle, equation 4): the best text for every video step.

    Arguments and errors are those of `soft_dsta`.

    Returns:
        cost (B,), and labels (B, n) int64: the 0-based text of each video step, -1 in padding.  Of equally good ways
        the one over earlier texts is taken.
    """
    cost = costs_of(cost, video_lengths, text_lengths)
    check_dsta_settings(order_weight, order_margin, band)
    check_device("window", window, cost)
    windows = windows_of(window, len(cost))
    return call(
        ops.dsta_path,
        cost,
        video_lengths,
        text_lengths,
        windows,
        order_weight,
        order_margin,
        band,
        False,
        validate,
        True,
    )


@torch.no_grad()
def drop_dtw(
    cost: Tensor,
    drop_video: Tensor | float,
    drop_text: Tensor | float | None = None,
    *,
    video_lengths: Tensor | None = None,
    text_lengths: Tensor | None = None,
    contiguous: bool = True,
    band: int | None = None,
    validate: bool = False,
) -> tuple[Tensor, Tensor]:
    """The cheapest monotone alignment in which video steps and texts may be dropped (double Drop-DTW).

    A text takes any number of video steps, a video step takes at most one text, and both keep their order.
    Source: M-SyMoN, equation 3 and appendix E.1, with the start at d(1, 1).

    Args:
        cost: (B, n, m) floating; what it costs that step i shows text j.  +inf forbids the cell.
        drop_video: what dropping a video step costs, a number or a tensor that broadcasts to (B, n); +inf forbids it.
        drop_text: what dropping a text costs, broadcast to (B, m), at most 1e6; None: every text must be matched.
        video_lengths: (B,) integers, how many of the n steps are real; None means all.
        text_lengths: (B,) integers, how many of the m texts are real; None means all.
        contiguous: whether the steps of one text must be neighbours; if False, dropped steps may lie between them.
        band: keep only cells within `band` texts of the line from corner to corner (see `geometry.within_band`); None
            keeps all.
        validate: also check what lies on the GPU, and that every pair has an alignment and holds no NaN or -inf; waits
            for the device.

    Returns:
        cost (B,), and labels (B, n) int64: the 0-based text of each video step, -1 where it is dropped or padding.
        A pair that holds NaN or -inf among its costs or prices has the cost NaN and only -1 for labels, one without
        an alignment +inf and -1; the other pairs are what they are alone.

    Raises:
        ValueError: for shapes, lengths or a band that fit no alignment, naming the pair; for a drop_text beyond 1e6,
            if the costs lie on the CPU or `validate` is set.
    """
    cost = costs_of(cost, video_lengths, text_lengths)
    check_whole("band", band)
    batch, n, m = cost.shape
    video = broadcast_drop("drop_video", drop_video, batch, n, cost)
    text = None if drop_text is None else broadcast_drop("drop_text", drop_text, batch, m, cost)
    return call(ops.drop_dtw, cost, video, text, video_lengths, text_lengths, contiguous, band, validate, True)

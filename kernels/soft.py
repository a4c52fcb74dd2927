"""The soft recurrences: smooth minima over all alignments, differentiable in every cost.

All of them take `cost` (B, n, m), video first, in any floating dtype, and compute in float32, or float64 for float64.
float64 is for checking: the reference in torch computes it, many times slower (on CUDA with a warning).
Values are plain sums over the path; divide by the length before comparing pairs of different lengths.
A mask is +inf in `cost`.  Huge finite costs, such as 1e9, are none: they leave the range of the fast arithmetic
(|cost| / gamma of 7e5) and are a hundred times slower on the CPU.  A pair whose masks leave no alignment has the value
+inf and zero gradient; a pair that holds NaN or -inf has the value NaN, alone.  Lengths, windows and bands that fit no
alignment are a ValueError that names the pair and the least feasible width; where they lie on the GPU the value is +inf
instead, unless `validate=True` waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from . import ops
from .arguments import (
    broadcast_drop,
    check_device,
    check_dsta_settings,
    check_positive,
    check_whole,
    costs_of,
    windows_of,
)
from .derivatives import alignment, differentiable


def soft_dtw(
    cost: Tensor,
    *,
    video_lengths: Tensor | None = None,
    text_lengths: Tensor | None = None,
    gamma: float = 0.1,
    band: int | None = None,
    validate: bool = False,
) -> Tensor:
    """Soft dynamic time warping (Cuturi and Blondel 2017): every step and every text on a monotone path.

    Args:
        cost: (B, n, m) floating; +inf forbids the cell.
        video_lengths: (B,) integers, how many of the n steps are real; None means all.
        text_lengths: (B,) integers, how many of the m texts are real; None means all.
        gamma: temperature of the soft minimum, in units of cost; positive.
        band: keep only cells within `band` texts of the line from corner to corner (see `geometry.within_band`); None
            keeps all.
        validate: also check what lies on the GPU, and that every pair has an alignment and holds no NaN or -inf; waits
            for the device.

    Returns:
        (B,): -gamma log of the sum over paths of exp(-path cost / gamma); at most the cost of the best path.

    Raises:
        ValueError: for shapes, types, gamma, lengths or a band that fit no path, naming the pair.
    """
    with_alignment = differentiates(cost)
    return _soft_dtw(differentiable, cost, video_lengths, text_lengths, gamma, band, validate, with_alignment)


@torch.no_grad()
def soft_dtw_alignment(
    cost: Tensor,
    *,
    video_lengths: Tensor | None = None,
    text_lengths: Tensor | None = None,
    gamma: float = 0.1,
    band: int | None = None,
    validate: bool = False,
) -> Tensor:
    """The expected soft-DTW path, (B, n, m): the probability that a path takes the cell, d value / d cost.

    Arguments and errors are those of `soft_dtw`.  No gradient flows through the result.
    """
    return _soft_dtw(alignment, cost, video_lengths, text_lengths, gamma, band, validate, True)


def soft_dsta(
    cost: Tensor,
    *,
    video_lengths: Tensor | None = None,
    text_lengths: Tensor | None = None,
    gamma: float = 0.1,
    window: int | Tensor | None = None,
    order_weight: float = 1.0,
    order_margin: int = 1,
    band: int | None = None,
    validate: bool = False,
) -> Tensor:
    """Soft duration-shifts temporal alignment (Video2Subtitle, equations 2 to 8): every video step takes one text.

    r(i, j) = cost(i, j) + softmin over |p - j| <= window of r(i-1, p) + order_weight max(p - j - order_margin, 0).
    Texts may be skipped for free; going back is allowed, but costs.  The value is r(n, m).

    Args:
        cost: (B, n, m) floating; +inf forbids the cell.
        video_lengths: (B,) integers, how many of the n steps are real; None means all.
        text_lengths: (B,) integers, how many of the m texts are real; None means all.
        gamma: temperature of the soft minimum, in units of cost; positive.
        window: how far the text of one step may lie from that of the next, closed, a number or (B,) integers; None:
            as far as it likes.  A pair is feasible iff n * window >= m.
        order_weight: price of each text gone back beyond the margin, in units of cost.
        order_margin: how many texts one may go back for free.
        band: keep only cells within `band` texts of the line from corner to corner (see `geometry.within_band`); None
            keeps all.
        validate: also check what lies on the GPU, and that every pair has an alignment and holds no NaN or -inf; waits
            for the device.

    Returns:
        (B,): a sum of n terms.

    Raises:
        ValueError: for shapes, types, settings, or lengths, a window or a band that fit no path, naming the pair.
    """
    with_alignment = differentiates(cost)
    lengths = video_lengths, text_lengths
    return _soft_dsta(
        differentiable, cost, *lengths, gamma, window, order_weight, order_margin, band, validate, with_alignment
    )


@torch.no_grad()
def soft_dsta_alignment(
    cost: Tensor,
    *,
    video_lengths: Tensor | None = None,
    text_lengths: Tensor | None = None,
    gamma: float = 0.1,
    window: int | Tensor | None = None,
    order_weight: float = 1.0,
    order_margin: int = 1,
    band: int | None = None,
    validate: bool = False,
) -> Tensor:
    """The expected soft-DSTA alignment, (B, n, m): each row is a distribution over the texts of one video step.

    Arguments and errors are those of `soft_dsta`.  No gradient flows through the result.
    """
    lengths = video_lengths, text_lengths
    return _soft_dsta(alignment, cost, *lengths, gamma, window, order_weight, order_margin, band, validate, True)


def soft_drop_dtw(
    cost: Tensor,
    drop_video: Tensor | float,
    drop_text: Tensor | float | None = None,
    *,
    video_lengths: Tensor | None = None,
    text_lengths: Tensor | None = None,
    gamma: float = 0.1,
    contiguous: bool = True,
    band: int | None = None,
    validate: bool = False,
) -> Tensor:
    """Soft double Drop-DTW: steps and texts may be dropped, a text takes many steps, a step at most one text.

    Each alignment is counted once (see `reference.soft_drop_dtw`), so that drops are not rewarded for being spelled in
    many ways.  Source: Drop-DTW (Dvornik et al. 2021) and M-SyMoN, equation 3 and appendix E.1.

    Args:
        cost: (B, n, m) floating; what it costs that step i shows text j.  +inf forbids the cell.
        drop_video: what dropping a video step costs, a number or a tensor that broadcasts to (B, n); +inf forbids it.
        drop_text: what dropping a text costs, broadcast to (B, m), at most 1e6; None: every text must be matched.
        video_lengths: (B,) integers, how many of the n steps are real; None means all.
        text_lengths: (B,) integers, how many of the m texts are real; None means all.
        gamma: temperature of the soft minimum, in units of cost; positive.
        contiguous: whether the steps of one text must be neighbours; if False, dropped steps may lie between them.
        band: keep only cells within `band` texts of the line from corner to corner (see `geometry.within_band`); None
            keeps all.
        validate: also check what lies on the GPU, and that every pair has an alignment and holds no NaN or -inf; waits
            for the device.

    Returns:
        (B,), differentiable in `cost`, `drop_video` and `drop_text`.

    Raises:
        ValueError: for shapes, types, gamma, lengths or a band that fit no alignment, naming the pair; for a
            drop_text beyond 1e6, if the costs lie on the CPU or `validate` is set.
    """
    with_alignment, lengths = differentiates(cost, drop_video, drop_text), (video_lengths, text_lengths)
    return _soft_drop_dtw(
        differentiable, cost, drop_video, drop_text, *lengths, gamma, contiguous, band, validate, with_alignment
    )


@torch.no_grad()
def soft_drop_dtw_alignment(
    cost: Tensor,
    drop_video: Tensor | float,
    drop_text: Tensor | float | None = None,
    *,
    video_lengths: Tensor | None = None,
    text_lengths: Tensor | None = None,
    gamma: float = 0.1,
    contiguous: bool = True,
    band: int | None = None,
    validate: bool = False,
) -> Tensor:
    """The expected alignment with drops, (B, n, m): a row sums to the probability that its video step is matched.

    Arguments and errors are those of `soft_drop_dtw`.  No gradient flows through the result.
    """
    lengths = video_lengths, text_lengths
    return _soft_drop_dtw(alignment, cost, drop_video, drop_text, *lengths, gamma, contiguous, band, validate, True)


#: `differentiable` or `alignment`: calls an operator and returns its value or its alignment
Run = Callable[..., Tensor]

_alignments_follow = ContextVar("alignments follow", default=True)


@contextmanager
def values_alone() -> Iterator[None]:
    """Within it no alignments are computed: for a forward pass that will run again before the backward pass."""
    token = _alignments_follow.set(False)
    try:
        yield
    finally:
        _alignments_follow.reset(token)


def differentiates(*given: Tensor | float | None) -> bool:
    """Whether a gradient with respect to one of these may be asked for, so that the alignment must be computed."""
    if torch.is_grad_enabled():
        for one in given:
            if isinstance(one, Tensor) and one.requires_grad:
                return _alignments_follow.get()
    return False


def _soft_dtw(
    run: Run,
    cost: Tensor,
    video_lengths: Tensor | None,
    text_lengths: Tensor | None,
    gamma: float,
    band: int | None,
    validate: bool,
    with_alignment: bool,
) -> Tensor:
    cost = costs_of(cost, video_lengths, text_lengths)
    check_positive("gamma", gamma)
    check_whole("band", band)
    settings = video_lengths, text_lengths, gamma, band, False, validate, with_alignment
    return run(ops.soft_dtw, (cost,), settings)


def _soft_dsta(
    run: Run,
    cost: Tensor,
    video_lengths: Tensor | None,
    text_lengths: Tensor | None,
    gamma: float,
    window: int | Tensor | None,
    order_weight: float,
    order_margin: int,
    band: int | None,
    validate: bool,
    with_alignment: bool,
) -> Tensor:
    cost = costs_of(cost, video_lengths, text_lengths)
    check_positive("gamma", gamma)
    check_dsta_settings(order_weight, order_margin, band)
    check_device("window", window, cost)
    windows = windows_of(window, len(cost))
    settings = windows, gamma, order_weight, order_margin, band, False, validate, with_alignment
    return run(ops.soft_dsta, (cost,), (video_lengths, text_lengths, *settings))


def _soft_drop_dtw(
    run: Run,
    cost: Tensor,
    drop_video: Tensor | float,
    drop_text: Tensor | float | None,
    video_lengths: Tensor | None,
    text_lengths: Tensor | None,
    gamma: float,
    contiguous: bool,
    band: int | None,
    validate: bool,
    with_alignment: bool,
) -> Tensor:
    cost = costs_of(cost, video_lengths, text_lengths)
    check_positive("gamma", gamma)
    check_whole("band", band)
    batch, n, m = cost.shape
    video = broadcast_drop("drop_video", drop_video, batch, n, cost)
    text = None if drop_text is None else broadcast_drop("drop_text", drop_text, batch, m, cost)
    settings = video_lengths, text_lengths, gamma, contiguous, band, validate, with_alignment
    return run(ops.soft_drop_dtw, (cost, video, text), settings)

"""The alignment recurrences in plain float64 torch: short, readable, on any device; loops over video steps alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .geometry import (
    broadcast_drop,
    check_band,
    check_cost,
    check_every_text_fits,
    check_lengths,
    inside,
    within_band,
)

MATCHED, OPEN, TEXT_DROPPED, VIDEO_DROPPED = range(4)

#: how many cells are held at once (8 bytes each, beside the costs); larger batches run in slices
CELLS_AT_ONCE = 4_000_000


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
) -> tuple[Tensor, Tensor]:
    """The cheapest monotone alignment in which video steps and texts may be dropped (double Drop-DTW).

    A text takes any number of video steps, a video step takes at most one text, and both keep their order.
    Source: M-SyMoN, equation 3 and appendix E.1, with the start at d(1, 1) and one state for each way to be in a
    gap, so that each alignment is spelled in one way: texts are dropped before video steps.

    Args:
        cost: (B, n, m) floating; what it costs that step i shows text j.  +inf forbids the cell.
        drop_video: what dropping a video step costs, broadcast to (B, n); +inf forbids it.
        drop_text: what dropping a text costs, broadcast to (B, m), finite; None: every text must be matched.
        video_lengths: (B,) how many of the n steps are real; None means all.
        text_lengths: (B,) how many of the m texts are real; None means all.
        contiguous: whether the steps of one text must be neighbours; if False, dropped steps may lie between them.
        band: keep only cells near the line from corner to corner (see `geometry.within_band`); None keeps all.

    Returns:
        The cost (B,), float64 for float64 input and float32 otherwise, and labels (B, n) int64: the 0-based text of
        each video step, -1 where it is dropped or padding.  Where masks leave no alignment the cost is +inf; where the
        pair holds a NaN it is NaN; in both cases every label of that pair is -1.

    Raises:
        ValueError: for shapes, lengths or a band that fit no alignment, naming the pair; for an infinite drop_text.
    """
    check_cost(cost)
    check_band(band)
    batch, n, m = cost.shape
    steps = check_lengths("video_lengths", video_lengths, batch, n, cost.device)
    texts = check_lengths("text_lengths", text_lengths, batch, m, cost.device)
    video = broadcast_drop("drop_video", drop_video, batch, n, cost)
    text = None if drop_text is None else broadcast_drop("drop_text", drop_text, batch, m, cost)
    if text is None:
        check_every_text_fits(steps, texts, band)
    elif torch.isinf(text).any():
        raise ValueError("drop_text holds inf; leave it None to have every text matched, or mask with a large cost")

    values = torch.empty(batch, dtype=torch.float64, device=cost.device)
    labels = torch.empty(batch, n, dtype=torch.int64, device=cost.device)
    at_once = max(1, CELLS_AT_ONCE // ((n + 1) * (m + 1)))
    for start in range(0, batch, at_once):
        part = slice(start, start + at_once)
        values[part], labels[part] = _drop_dtw(
            cost[part].double(),
            video[part],
            None if text is None else text[part],
            steps[part],
            texts[part],
            contiguous,
            band,
        )
    return values.to(torch.float64 if cost.dtype == torch.float64 else torch.float32), labels


def _drop_dtw(
    cost: Tensor,
    drop_video: Tensor,
    drop_text: Tensor | None,
    steps: Tensor,
    texts: Tensor,
    contiguous: bool,
    band: int | None,
) -> tuple[Tensor, Tensor]:
    n, m = cost.shape[1:]
    real = inside(steps, texts, n, m)
    real_step = torch.arange(n, device=cost.device) < steps[:, None]
    real_text = torch.arange(m, device=cost.device) < texts[:, None]
    kept = real if band is None else real & within_band(steps, texts, n, m, band)
    spoiled = (cost.isnan() & real).any(dim=(1, 2)) | (drop_video.isnan() & real_step).any(dim=1)
    if drop_text is not None:
        spoiled |= (drop_text.isnan() & real_text).any(dim=1)
        drop_text = drop_text.where(real_text & ~spoiled[:, None], 0.0)
    cost = cost.where(kept & ~spoiled[:, None, None], torch.inf)
    drop_video = drop_video.where(real_step & ~spoiled[:, None], 0.0)

    corner, choices = _fill(cost, drop_video, drop_text, steps, texts, contiguous)
    value, state = corner.min(dim=0)
    # a pair that cannot be aligned, or must not be, has nothing to trace
    traced = steps.where(value.isfinite() & ~spoiled, 0)
    labels = choices.trace(state.cpu().numpy(), traced.cpu().numpy(), texts.cpu().numpy(), contiguous)
    return value.where(~spoiled, torch.nan), labels.to(cost.device)


@dataclass
class _Choices:
    """Where the best path into each cell came from; after i steps and j texts, all (n+1, B, m+1)."""

    text_open: Tensor  # bool: with the text still open, the step was dropped (OPEN) rather than matched
    text_closed: Tensor  # bool: after a dropped text, steps were dropped too (VIDEO_DROPPED)
    closed: Tensor  # bool: the gap holds a dropped text
    stay: Tensor  # bool, at i: step i goes on with the text of the step before
    run: Tensor  # int32: the text at which the run of dropped texts that ends here began

    @classmethod
    def empty(cls, shape: tuple[int, int, int], device: torch.device, *, texts_may_drop: bool) -> _Choices:
        def flags() -> Tensor:
            return torch.zeros(shape, dtype=torch.bool, device=device)

        run = torch.zeros(shape if texts_may_drop else (0, 0, 0), dtype=torch.int32, device=device)
        return cls(flags(), flags(), flags(), flags(), run)

    def trace(
        self, state: NDArray[np.int64], steps: NDArray[np.int64], texts: NDArray[np.int64], contiguous: bool
    ) -> Tensor:
        """Labels (B, n) of the best path, from each pair's corner (`state`, all (B,)) back to the start."""
        opened, gap, closed = self.text_open.cpu().numpy(), self.text_closed.cpu().numpy(), self.closed.cpu().numpy()
        stay, run = self.stay.cpu().numpy(), self.run.cpu().numpy()
        n, batch, _ = opened.shape
        pair = np.arange(batch)
        labels = np.full((batch, n - 1), -1, dtype=np.int64)
        j = texts.copy()
        for i in range(n - 1, 0, -1):
            alive = steps >= i
            if run.size:
                dropped = alive & (state == TEXT_DROPPED)
                j = np.where(dropped, run[i, pair, j], j)
                state = np.where(dropped, MATCHED, state)
            matched = alive & (state == MATCHED)
            labels[:, i - 1] = np.where(matched, j - 1, -1)
            stays = matched & stay[i, pair, j]
            j = j - (matched & ~stays)
            in_gap = np.where(matched, ~stays & closed[i - 1, pair, j], state == VIDEO_DROPPED)
            from_gap = np.where(gap[i - 1, pair, j], VIDEO_DROPPED, TEXT_DROPPED)
            from_open = np.where(opened[i - 1, pair, j] & ~(stays & contiguous), OPEN, MATCHED)
            state = np.where(alive, np.where(in_gap, from_gap, from_open), state)
        return torch.from_numpy(labels)


def _fill(
    cost: Tensor, drop_video: Tensor, drop_text: Tensor | None, steps: Tensor, texts: Tensor, contiguous: bool
) -> tuple[Tensor, _Choices]:
    """The best cost at each pair's corner by state, (4, B), and the choices that lead there.

    The states after i steps and j texts: MATCHED, step i shows text j; OPEN, step i is dropped and text j was the last
    one matched; TEXT_DROPPED, text j is dropped; VIDEO_DROPPED, step i is dropped after a dropped text, or before any.
    """
    batch, n, m = cost.shape
    choices = _Choices.empty((n + 1, batch, m + 1), cost.device, texts_may_drop=drop_text is not None)
    states = cost.new_full((4, batch, m + 1), torch.inf)
    matched, opened, skipped, gap = states
    skipped[:, 0] = 0.0
    paid = cost.new_zeros(batch, m + 1)
    if drop_text is not None:
        paid[:, 1:] = drop_text.cumsum(dim=1)
        skipped.copy_(paid)

    corner = cost.new_empty(4, batch)
    ending = {i: (steps == i).nonzero().squeeze(1) for i in steps.unique().tolist()}
    for i in range(n + 1):
        if i in ending:
            corner[:, ending[i]] = states[:, ending[i], texts[ending[i]]]
        if i == n:
            break
        text_open = torch.minimum(matched, opened)
        text_closed = torch.minimum(skipped, gap)
        before = torch.minimum(text_open, text_closed)[:, :-1]
        going_on = (matched if contiguous else text_open)[:, 1:]
        torch.lt(opened, matched, out=choices.text_open[i])
        torch.lt(gap, skipped, out=choices.text_closed[i])
        torch.lt(text_closed, text_open, out=choices.closed[i])
        torch.lt(going_on, before, out=choices.stay[i + 1, :, 1:])

        drop = drop_video[:, i, None]
        torch.add(torch.minimum(before, going_on), cost[:, i], out=matched[:, 1:])
        torch.add(text_open, drop, out=opened)
        torch.add(text_closed, drop, out=gap)
        skipped[:, 0] = torch.inf
        if drop_text is not None:
            # the only recurrence inside a row: a run of dropped texts, whose weights are the drop costs alone
            best, began = (matched - paid).cummin(dim=1)
            torch.add(best[:, :-1], paid[:, 1:], out=skipped[:, 1:])
            choices.run[i + 1, :, 1:] = began[:, :-1]
    return corner, choices

"""The alignment recurrences in plain float64 torch: short, readable, on any device; loops over video steps alone."""

from __future__ import annotations

import torch
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

#: how many cells of the four tables are held at once; larger batches run in slices
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
    batch, n, m = cost.shape
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

    table, source = _fill(cost, drop_video, drop_text, contiguous)
    pair = torch.arange(batch, device=cost.device)
    value, state = table[steps, :, pair, texts].min(dim=1)
    labels = _trace(table, source, state, steps, texts, contiguous)
    labels[~value.isfinite() | spoiled] = -1
    return value.where(~spoiled, torch.nan), labels


def _fill(cost: Tensor, drop_video: Tensor, drop_text: Tensor | None, contiguous: bool) -> tuple[Tensor, Tensor | None]:
    """The table (n+1, 4, B, m+1) of best costs after i steps and j texts, by state, and where each text gap began.

    The states: MATCHED, step i shows text j; OPEN, step i is dropped and text j was the last one matched;
    TEXT_DROPPED, text j is dropped; VIDEO_DROPPED, step i is dropped after a dropped text (or before any).
    `source` (n+1, B, m+1) is the j at which the run of dropped texts that ends here began; None without drop_text.
    """
    batch, n, m = cost.shape
    table = cost.new_full((n + 1, 4, batch, m + 1), torch.inf)
    source = None if drop_text is None else torch.zeros(n + 1, batch, m + 1, dtype=torch.int32, device=cost.device)
    table[0, TEXT_DROPPED, :, 0] = 0.0
    paid = cost.new_zeros(batch, m + 1)
    if drop_text is not None:
        paid[:, 1:] = drop_text.cumsum(dim=1)
        table[0, TEXT_DROPPED] = paid
    for i in range(1, n + 1):
        matched, opened, skipped, gap = table[i - 1]
        drop = drop_video[:, i - 1, None]
        text_open = torch.minimum(matched, opened)
        text_closed = torch.minimum(skipped, gap)
        torch.add(text_open, drop, out=table[i, OPEN])
        torch.add(text_closed, drop, out=table[i, VIDEO_DROPPED])
        before = torch.minimum(text_open, text_closed)
        enter = torch.minimum(before[:, :-1], (matched if contiguous else text_open)[:, 1:])
        torch.add(enter, cost[:, i - 1], out=table[i, MATCHED, :, 1:])
        if drop_text is not None and source is not None:
            # the only recurrence inside a row: a run of dropped texts, whose weights are the drop costs alone
            best, began = (table[i, MATCHED] - paid).cummin(dim=1)
            torch.add(best[:, :-1], paid[:, 1:], out=table[i, TEXT_DROPPED, :, 1:])
            source[i, :, 1:] = began[:, :-1]
    return table, source


def _trace(
    table: Tensor, source: Tensor | None, state: Tensor, steps: Tensor, texts: Tensor, contiguous: bool
) -> Tensor:
    """Labels (B, n) of the cheapest path, from each pair's corner back; ties go to matching, then to the next text."""
    n, _, batch, _ = table.shape
    pair = torch.arange(batch, device=table.device)
    labels = torch.full((batch, n - 1), -1, dtype=torch.int64, device=table.device)
    j = texts.clone()
    for i in range(n - 1, 0, -1):
        alive = steps >= i
        if source is not None:
            dropped = alive & (state == TEXT_DROPPED)
            j = torch.where(dropped, source[i, pair, j].long(), j)
            state = torch.where(dropped, MATCHED, state)
        matched = alive & (state == MATCHED)
        labels[:, i - 1] = torch.where(matched, j - 1, -1)

        here = table[i - 1][:, pair, j]  # (4, B): the same text, one step earlier
        back = (j - 1).clamp(min=0)
        stay = here[: MATCHED + 1] if contiguous else here[: OPEN + 1]
        came = torch.cat([table[i - 1][:, pair, back], stay]).argmin(dim=0)  # (B,): four states of j - 1, then of j
        from_open = torch.where(here[OPEN] < here[MATCHED], OPEN, MATCHED)
        from_gap = torch.where(here[VIDEO_DROPPED] < here[TEXT_DROPPED], VIDEO_DROPPED, TEXT_DROPPED)
        before = torch.where(matched, came % 4, torch.where(state == OPEN, from_open, from_gap))
        j = torch.where(matched & (came < 4), back, j)
        state = torch.where(alive, before, state)
    return labels

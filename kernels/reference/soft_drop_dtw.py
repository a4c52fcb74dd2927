"""Soft double Drop-DTW: four states, each alignment spelled in one way, so that none is counted twice.

After i video steps and j texts: M, step i shows text j; X, step i is dropped and text j is still open; Z, text j is
dropped; W, step i is dropped after a dropped text, or before any text.  In a gap texts are dropped before video steps.

    M = cost + softmin(M, X, Z, W of (i-1, j-1); M of (i-1, j); X of (i-1, j) unless contiguous)
    X = drop_video + softmin(M, X of (i-1, j))        Z = drop_text + softmin(M, Z of (i, j-1))
    W = drop_video + softmin(Z, W of (i-1, j))        start: Z(0, 0) = 0        value: softmin(M, X, Z, W of (n, m))
"""

from __future__ import annotations

import torch
from torch import Tensor

from .table import Table, rounded, softmin


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
    """The value, and the shares of the alignments that match each cell, drop each video step and drop each text."""
    batch, n, m = cost.shape
    table = Table.of(cost, steps, texts, band)
    video, text = table.drops(drop_video, drop_text)
    there = _forward(table.cost, video, text, gamma, contiguous)
    pair = torch.arange(batch, device=cost.device)
    value = softmin([state[pair, steps, texts] for state in there], gamma)
    if not with_alignment:
        nothing = rounded(cost.new_empty(0), cost)
        return rounded(value.where(~table.spoiled, torch.nan), cost), nothing, nothing.clone(), nothing.clone()

    back = _backward(table, video, text, gamma, contiguous)
    matched, opened, skipped, gap = (
        table.share(before, after, value, gamma) for before, after in zip(there, back, strict=True)
    )
    real_step = torch.arange(n, device=cost.device) < steps[:, None]
    real_text = torch.arange(m, device=cost.device) < texts[:, None]
    alignment = table.spoil(matched[:, 1:, 1:], table.real)
    video_drops = table.spoil((opened + gap)[:, 1:].sum(dim=2), real_step)
    text_drops = table.spoil(skipped[:, :, 1:].sum(dim=1), real_text)
    value = value.where(~table.spoiled, torch.nan)
    return rounded(value, cost), rounded(alignment, cost), rounded(video_drops, cost), rounded(text_drops, cost)


def _forward(cost: Tensor, video: Tensor, text: Tensor | None, gamma: float, contiguous: bool) -> tuple[Tensor, ...]:
    """M, X, Z, W, each (B, n+1, m+1): the soft minimum over the beginnings that end in the cell, its own price paid."""
    batch, n, m = cost.shape
    matched, opened, skipped, gap = cost.new_full((4, batch, n + 1, m + 1), torch.inf)
    skipped[:, 0, 0] = 0.0
    if text is not None:
        paid = _paid(text)
        skipped[:, 0] = paid
    for i in range(1, n + 1):
        drop = video[:, i - 1, None]
        last = [matched[:, i - 1], opened[:, i - 1], skipped[:, i - 1], gap[:, i - 1]]
        open_before, closed_before = softmin(last[:2], gamma), softmin(last[2:], gamma)
        going_on = last[0] if contiguous else open_before
        ways = [open_before[:, :-1], closed_before[:, :-1], going_on[:, 1:]]
        matched[:, i, 1:] = cost[:, i - 1] + softmin(ways, gamma)
        opened[:, i] = drop + open_before
        gap[:, i] = drop + closed_before
        if text is not None:
            # a run of dropped texts after a match: its price is what is paid up to here less what was paid there
            runs = -gamma * torch.logcumsumexp((matched[:, i] - paid) / -gamma, dim=1)
            skipped[:, i, 1:] = runs[:, :-1] + paid[:, 1:]
    return matched, opened, skipped, gap


def _backward(table: Table, video: Tensor, text: Tensor | None, gamma: float, contiguous: bool) -> tuple[Tensor, ...]:
    """For M, X, Z, W, each (B, n+1, m+1): the soft minimum over the ways from the cell to the end, without the cell."""
    cost = table.cost
    batch, n, m = cost.shape
    matched, opened, skipped, gap = cost.new_full((4, batch, n + 1, m + 1), torch.inf)
    nowhere = cost.new_full((batch, m + 1), torch.inf)
    paid = None if text is None else _paid(text)
    at_end = torch.arange(m + 1, device=cost.device) == table.texts[:, None]
    for i in range(n, -1, -1):
        end = torch.where(at_end & (table.steps == i)[:, None], 0.0, torch.inf)
        stay, next_text, step_open, step_closed = nowhere.clone(), nowhere.clone(), nowhere, nowhere
        if i < n:
            match = cost[:, i] + matched[:, i + 1, 1:]
            stay[:, 1:] = match
            next_text[:, :-1] = match
            step_open = video[:, i, None] + opened[:, i + 1]
            step_closed = video[:, i, None] + gap[:, i + 1]
        done = softmin([end, next_text], gamma)
        opened[:, i] = softmin([done, step_open] if contiguous else [done, step_open, stay], gamma)
        gap[:, i] = softmin([done, step_closed], gamma)
        text_run = nowhere.clone()
        if paid is None:
            skipped[:, i] = gap[:, i]
        else:
            runs = -gamma * torch.logcumsumexp((gap[:, i] + paid).flip(1) / -gamma, dim=1).flip(1)
            skipped[:, i] = runs - paid
            text_run[:, :-1] = runs[:, 1:] - paid[:, :-1]
        matched[:, i] = softmin([done, stay, step_open, text_run], gamma)
    return matched, opened, skipped, gap


def _paid(text: Tensor) -> Tensor:
    """(B, m+1): what dropping the first j texts costs."""
    return torch.cat([text.new_zeros(len(text), 1), text.cumsum(dim=1)], dim=1)

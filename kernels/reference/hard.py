"""DTW and DSTA: the cheapest path and where it goes.  Ties: diagonal before up before left; the smallest text."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .soft import LEAPS_AT_ONCE, leaps, start_of
from .table import Table, rounded

DIAGONAL, UP, LEFT = range(3)


def dtw_path(
    cost: Tensor, steps: Tensor, texts: Tensor, *, band: int | None, with_path: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """D[i, j] = cost[i, j] + min(D[i-1, j-1], D[i-1, j], D[i, j-1]), by antidiagonals."""
    table = Table.of(cost, steps, texts, band)
    batch, n, m = cost.shape
    best = table.cost.new_full((batch, n + 1, m + 1), torch.inf)
    came = torch.zeros(batch, n, m, dtype=torch.int8, device=cost.device)
    best[:, 0, 0] = 0.0
    for antidiagonal in range(n + m - 1):
        i = torch.arange(max(0, antidiagonal - m + 1), min(antidiagonal + 1, n), device=cost.device)
        j = antidiagonal - i
        diagonal, up, left = best[:, i, j], best[:, i, j + 1], best[:, i + 1, j]
        side = torch.minimum(up, left)
        came[:, i, j] = torch.where(diagonal <= side, DIAGONAL, torch.where(up <= left, UP, LEFT)).to(torch.int8)
        best[:, i + 1, j + 1] = table.cost[:, i, j] + torch.minimum(diagonal, side)
    value = table.corner(best[:, 1:, 1:]).where(~table.spoiled, torch.nan)
    if not with_path:
        nothing = steps.new_empty(0)
        return rounded(value, cost), nothing, nothing.clone()
    path, lengths = _trace_dtw(came, steps.where(value.isfinite(), 0), texts)
    return rounded(value, cost), path, lengths


def _trace_dtw(came: Tensor, steps: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
    """Paths (B, n+m-1, 2) from corner to corner, padded with -1, and their lengths; steps 0 means no path."""
    moves = came.cpu().numpy()
    batch, n, m = moves.shape
    pair = np.arange(batch)
    i, j = steps.cpu().numpy() - 1, texts.cpu().numpy() - 1
    backwards = []
    alive = i >= 0
    while alive.any():
        backwards.append(np.where(alive[:, None], np.stack([i, j], axis=1), -1))
        move = moves[pair, i, j]
        ended = ~alive | ((i == 0) & (j == 0))
        i = np.where(ended, i, i - (move != LEFT))
        j = np.where(ended, j, j - (move != UP))
        alive = ~ended
    path = torch.full((batch, max(n + m - 1, 0), 2), -1, dtype=torch.int64)
    lengths = torch.zeros(batch, dtype=torch.int64)
    if backwards:
        whole = torch.from_numpy(np.stack(backwards, axis=1))  # (B, longest, 2), last cell first
        lengths = (whole[:, :, 0] >= 0).sum(dim=1)
        for row, length in enumerate(lengths.tolist()):
            path[row, :length] = whole[row, :length].flip(0)
    return path.to(came.device), lengths.to(came.device)


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
    """D[i, j] = cost[i, j] + min over |p - j| <= window of D[i-1, p] + leap(p, j), and the text of each video step."""
    batch, n, m = cost.shape
    values = torch.empty(batch, dtype=torch.float64, device=cost.device)
    labels = torch.full((batch, n) if with_path else (0,), -1, dtype=torch.int64, device=cost.device)
    at_once = max(1, LEAPS_AT_ONCE // max(1, m * m))
    for start in range(0, batch, at_once):
        part = slice(start, start + at_once)
        table = Table.of(cost[part], steps[part], texts[part], band)
        window = None if windows is None else windows[part]
        leap = leaps(m, window, order_weight, order_margin, cost.device)
        rows, came = [start_of(m, window, cost.device) + table.cost[:, 0]] if n else [], []
        for i in range(1, n):
            ways = rows[-1][:, :, None] + leap  # (B, p, j)
            came.append(ways.argmin(dim=1))  # argmin takes the first of equals
            rows.append(ways.amin(dim=1) + table.cost[:, i] if m else table.cost[:, i])
        value = table.corner(torch.stack(rows, dim=1) if rows else table.cost).where(~table.spoiled, torch.nan)
        values[part] = value
        if not with_path or m == 0:
            continue
        traced = steps[part].where(value.isfinite(), 0)
        j = (texts[part] - 1).clamp(min=0)
        for i in range(n - 1, -1, -1):
            on_path = i < traced
            labels[part, i] = j.where(on_path, -1)
            if i > 0:
                j = came[i - 1].gather(1, j[:, None]).squeeze(1).where(on_path, j)
    return rounded(values, cost), labels

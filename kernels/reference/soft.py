"""Soft-DTW and soft-DSTA.  The way back is the way there on the table mirrored in both axes.

A table holds for each cell the soft minimum over the partial paths that end in it, its own cost included.  With the
mirrored table, for the paths that start in it, the share of all paths through a cell follows; that share is the
derivative of the value with respect to the cell's cost.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .table import Table, rounded, softmin

#: how many leaps from text to text are held at once (8 bytes each); larger batches run in slices
LEAPS_AT_ONCE = 16_000_000


def soft_dtw(
    cost: Tensor, steps: Tensor, texts: Tensor, *, gamma: float, band: int | None, with_alignment: bool
) -> tuple[Tensor, Tensor]:
    """D[i, j] = cost[i, j] + softmin(D[i-1, j-1], D[i-1, j], D[i, j-1]), by antidiagonals."""
    table = Table.of(cost, steps, texts, band)
    there = _dtw_table(table.cost, gamma)
    back = table.mirrored(_dtw_table(table.mirrored(table.cost), gamma)) if with_alignment else None
    return _result(cost, table, there, back, gamma)


def _dtw_table(cost: Tensor, gamma: float) -> Tensor:
    batch, n, m = cost.shape
    table = cost.new_full((batch, n + 1, m + 1), torch.inf)
    table[:, 0, 0] = 0.0
    for diagonal in range(n + m - 1):
        i = torch.arange(max(0, diagonal - m + 1), min(diagonal + 1, n), device=cost.device)
        j = diagonal - i
        ways = [table[:, i, j], table[:, i, j + 1], table[:, i + 1, j]]
        table[:, i + 1, j + 1] = cost[:, i, j] + softmin(ways, gamma)
    return table[:, 1:, 1:]


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
    """D[i, j] = cost[i, j] + softmin over |p - j| <= window of D[i-1, p] + leap(p, j); see `leaps`."""
    batch, _, m = cost.shape
    at_once = max(1, LEAPS_AT_ONCE // max(1, m * m))
    values, alignments = [], []
    for start in range(0, max(batch, 1), at_once):
        part = slice(start, start + at_once)
        table = Table.of(cost[part], steps[part], texts[part], band)
        leap = leaps(m, None if windows is None else windows[part], order_weight, order_margin, cost.device)
        first = start_of(m, None if windows is None else windows[part], cost.device)
        there = _dsta_table(table.cost, first, leap, gamma)
        back = None
        if with_alignment:
            # seen from the end, the path starts in the last text; leap(p, j) keeps its form, for p - j mirrors to j - p
            corner = torch.full_like(first[:1], torch.inf)
            corner[:, :1] = 0.0
            back = table.mirrored(_dsta_table(table.mirrored(table.cost), corner, leap, gamma))
        value, alignment = _result(cost[part], table, there, back, gamma)
        values.append(value)
        alignments.append(alignment)
    return torch.cat(values), torch.cat(alignments)


def leaps(m: int, windows: Tensor | None, weight: float, margin: int, device: torch.device) -> Tensor:
    """(B or 1, p, j) float64: what it costs to go from text p of one video step to text j of the next one.

    Going back by more than `margin` costs `weight` for each text beyond it; farther than the window is +inf.
    """
    p = torch.arange(m, device=device)[:, None]
    j = torch.arange(m, device=device)[None, :]
    leap = weight * (p - j - margin).clamp(min=0).double()[None]
    return leap if windows is None else leap.where((p - j).abs() <= windows[:, None, None], torch.inf)


def start_of(m: int, windows: Tensor | None, device: torch.device) -> Tensor:
    """(B or 1, m): 0 for the texts that the first video step reaches from before the first text, +inf for the rest."""
    first = torch.zeros(1, m, dtype=torch.float64, device=device)
    if windows is None:
        return first
    return first.where(torch.arange(1, m + 1, device=device) <= windows[:, None], torch.inf)


def _dsta_table(cost: Tensor, first: Tensor, leap: Tensor, gamma: float) -> Tensor:
    rows: list[Tensor] = []
    for i in range(cost.shape[1]):
        reached = first if i == 0 else -gamma * torch.logsumexp((rows[-1][:, :, None] + leap) / -gamma, dim=1)
        rows.append(cost[:, i] + reached)
    return torch.stack(rows, dim=1) if rows else cost


def _result(cost: Tensor, table: Table, there: Tensor, back: Tensor | None, gamma: float) -> tuple[Tensor, Tensor]:
    value = table.corner(there)
    if back is None:
        alignment = there.new_empty(0)
    else:
        # both tables hold the cell's own cost; once is enough
        alignment = table.spoil(
            table.share(there, back - table.cost.where(back.isfinite(), 0.0), value, gamma), table.real
        )
    return rounded(value.where(~table.spoiled, torch.nan), cost), rounded(alignment, cost)

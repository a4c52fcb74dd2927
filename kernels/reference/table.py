"""What the recurrences share: costs made ready for a table, soft minima, and tables mirrored in both axes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..geometry import inside, within_band


def rounded(value: Tensor, cost: Tensor) -> Tensor:
    """float64 results for float64 costs, float32 for all others."""
    return value.to(torch.float64 if cost.dtype == torch.float64 else torch.float32)


def softmin(ways: list[Tensor], gamma: float) -> Tensor:
    """-gamma log sum exp(-way / gamma), cell by cell; +inf where every way is."""
    return -gamma * torch.logsumexp(torch.stack(ways) / -gamma, dim=0)


@dataclass
class Table:
    """The costs of a batch, and which pairs hold a NaN."""

    cost: Tensor  # (B, n, m) float64; +inf outside the lengths and the band, and throughout spoiled pairs
    real: Tensor  # (B, n, m) bool: inside the lengths
    steps: Tensor  # (B,) int64
    texts: Tensor  # (B,) int64
    spoiled: Tensor  # (B,) bool: NaN or -inf among the real costs

    @classmethod
    def of(cls, cost: Tensor, steps: Tensor, texts: Tensor, band: int | None) -> Table:
        n, m = cost.shape[1:]
        real = inside(steps, texts, n, m)
        spoiled = (_no_cost(cost) & real).any(dim=2).any(dim=1)
        kept = real if band is None else real & within_band(steps, texts, n, m, band)
        return cls(cost.double().where(kept & ~spoiled[:, None, None], torch.inf), real, steps, texts, spoiled)

    def drops(self, video: Tensor, text: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Drop costs (B, n) and (B, m) as float64, 0 in padding and in spoiled pairs; a NaN there spoils a pair too."""
        n, m = self.cost.shape[1:]
        step = torch.arange(n, device=self.steps.device) < self.steps[:, None]
        self.spoiled = self.spoiled | (_no_cost(video) & step).any(dim=1)
        if text is not None:
            column = torch.arange(m, device=self.texts.device) < self.texts[:, None]
            self.spoiled = self.spoiled | (_no_cost(text) & column).any(dim=1)
            text = text.double().where(column & ~self.spoiled[:, None], 0.0)
        self.cost = self.cost.where(~self.spoiled[:, None, None], torch.inf)
        return video.double().where(step & ~self.spoiled[:, None], 0.0), text

    def mirrored(self, table: Tensor) -> Tensor:
        """`table` with each pair's rows and columns in reverse; padding stays where it is.  Its own inverse."""
        n, m = self.cost.shape[1:]
        i = torch.arange(n, device=table.device).expand(len(table), n)
        j = torch.arange(m, device=table.device).expand(len(table), m)
        i = torch.where(i < self.steps[:, None], self.steps[:, None] - 1 - i, i)
        j = torch.where(j < self.texts[:, None], self.texts[:, None] - 1 - j, j)
        pair = torch.arange(len(table), device=table.device)[:, None, None]
        return table[pair, i[:, :, None], j[:, None, :]]

    def corner(self, table: Tensor) -> Tensor:
        """The last cell of each pair, (B,); +inf where a side is empty."""
        n, m = self.cost.shape[1:]
        empty = (self.steps == 0) | (self.texts == 0)
        if n == 0 or m == 0:
            return table.new_full((len(table),), torch.inf)
        pair = torch.arange(len(table), device=table.device)
        return table[pair, (self.steps - 1).clamp(min=0), (self.texts - 1).clamp(min=0)].where(~empty, torch.inf)

    def share(self, before: Tensor, after: Tensor, value: Tensor, gamma: float) -> Tensor:
        """exp((value - before - after) / gamma): which share of the paths takes each cell; 0 where none does.

        `before` and `after` (B, …) count every cost of a path once between them.
        """
        value = value.reshape(-1, *[1] * (before.dim() - 1))
        through = before + after
        # where costs are huge their rounding may exceed gamma; no share exceeds one
        share = torch.exp(((value - through) / gamma).clamp(max=0.0))
        return share.where(through.isfinite() & value.isfinite(), 0.0)

    def spoil(self, result: Tensor, real: Tensor) -> Tensor:
        """NaN on the real cells of spoiled pairs."""
        return result.masked_fill(self.spoiled.reshape(-1, *[1] * (result.dim() - 1)) & real, torch.nan)


def _no_cost(cost: Tensor) -> Tensor:
    return cost.isnan() | cost.isneginf()

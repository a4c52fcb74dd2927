"""Double Drop-DTW: one row of the table per video step, and the way back over the choices made there.

Source: M-SyMoN, equation 3 and appendix E.1, with the start at d(1, 1) and one state for each way to be in a gap, so
that each alignment is spelled in one way: in a gap, texts are dropped before video steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .table import Table, rounded

MATCHED, OPEN, TEXT_DROPPED, VIDEO_DROPPED = range(4)

#: how many cells are held at once (8 bytes each, beside the costs); larger batches run in slices
CELLS_AT_ONCE = 4_000_000


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
    """The cheapest alignment with drops, and its labels."""
    batch, n, m = cost.shape
    values = torch.empty(batch, dtype=torch.float64, device=cost.device)
    labels = torch.empty((batch, n) if with_path else 0, dtype=torch.int64, device=cost.device)
    at_once = max(1, CELLS_AT_ONCE // ((n + 1) * (m + 1)))
    for start in range(0, batch, at_once):
        part = slice(start, start + at_once)
        table = Table.of(cost[part], steps[part], texts[part], band)
        video, text = table.drops(drop_video[part], None if drop_text is None else drop_text[part])
        corner, choices = _fill(table.cost, video, text, steps[part], texts[part], contiguous)
        value, state = corner.min(dim=0)
        values[part] = value.where(~table.spoiled, torch.nan)
        if with_path:
            # a pair that cannot be aligned, or must not be, has nothing to trace
            traced = steps[part].where(values[part].isfinite(), 0)
            labels[part] = choices.trace(state, traced, texts[part], contiguous).to(cost.device)
    return rounded(values, cost), labels


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

    def trace(self, corner: Tensor, lengths: Tensor, last: Tensor, contiguous: bool) -> Tensor:
        """Labels (B, n) of the best path, from each pair's corner (the state there, steps and texts) to the start."""
        state, steps, texts = corner.cpu().numpy(), lengths.cpu().numpy(), last.cpu().numpy()
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
    """The best cost at each pair's corner by state, (4, B), and the choices that lead there."""
    batch, n, m = cost.shape
    choices = _Choices.empty((n + 1, batch, m + 1), cost.device, texts_may_drop=drop_text is not None)
    corner = cost.new_empty(4, batch)
    ending = {i: (steps == i).nonzero().squeeze(1) for i in steps.unique().tolist()}
    for i, states in enumerate(_rows(cost, drop_video, drop_text, contiguous, choices)):
        if i in ending:
            corner[:, ending[i]] = states[:, ending[i], texts[ending[i]]]
    return corner, choices


def _rows(
    cost: Tensor, drop_video: Tensor, drop_text: Tensor | None, contiguous: bool, choices: _Choices
) -> Iterator[Tensor]:
    """The best costs by state, (4, B, m+1), after 0 to n steps: one tensor, which each step overwrites.

    The states after i steps and j texts: MATCHED, step i shows text j; OPEN, step i is dropped and text j was the last
    one matched; TEXT_DROPPED, text j is dropped; VIDEO_DROPPED, step i is dropped after a dropped text, or before any.
    """
    batch, n, m = cost.shape
    states = cost.new_full((4, batch, m + 1), torch.inf)
    matched, opened, skipped, gap = states
    skipped[:, 0] = 0.0
    paid = cost.new_zeros(batch, m + 1)
    if drop_text is not None:
        paid[:, 1:] = drop_text.cumsum(dim=1)
        skipped.copy_(paid)
    yield states

    for i in range(n):
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
        yield states

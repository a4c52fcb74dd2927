"""One call of a recurrence: its tensors laid out for the library, and what the library says of each pair."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .library import BATCH, empty, function

#: fewer cells than this are not worth a second thread
CELLS_PER_THREAD = 20_000


class Call:
    """One call of the library: its tensors, kept alive, and what it says about them.

    Attributes:
        value: (B,), of the costs' type.
        beyond: how many pairs `hand_over` must still compute.
    """

    def __init__(self, name: str, cost: Tensor, steps: Tensor, texts: Tensor, band: int | None) -> None:
        double = cost.dtype == torch.float64 and not name.startswith("soft")
        if not double and cost.dtype != torch.float32:
            cost = cost.float()
        batch, n, m = cost.shape
        pair_stride, row_stride, column_stride = cost.stride()
        if m > 1 and column_stride != 1:
            cost = cost.contiguous()
            pair_stride, row_stride, _ = cost.stride()
        self.name, self.cost, self.steps, self.texts = name, cost, steps.contiguous(), texts.contiguous()
        self.longest = max(n, m)
        self.value = cost.new_empty(batch)
        self._batch = BATCH.pack(
            cost.data_ptr(),
            batch,
            n,
            m,
            pair_stride,
            row_stride,
            self.steps.data_ptr(),
            self.texts.data_ptr(),
            -1 if band is None else min(band, self.longest),
            double,
            min(torch.get_num_threads(), 1 + batch * n * m // CELLS_PER_THREAD),
            self.value.data_ptr(),
        )
        self.beyond = 0

    def prices(self, drops: Tensor | None) -> Tensor | None:
        """Drop costs of the costs' type, one behind the other."""
        if drops is None:
            return None
        return (drops if drops.dtype == self.cost.dtype else drops.to(self.cost.dtype)).contiguous()

    def output(self, needed: bool, shape: Sequence[int]) -> Tensor:
        """An uninitialised tensor for the library to fill, of the costs' type; without elements unless needed."""
        return empty(self.cost, *shape) if needed else self.cost.new_empty(0)

    def indices(self, needed: bool, shape: Sequence[int]) -> Tensor:
        """The same for int64."""
        return empty(self.steps, *shape) if needed else self.steps.new_empty(0)

    def run(self, *arguments: Any) -> None:
        """Raises MemoryError where the workspace of a pair does not fit."""
        self.beyond = function(self.name)(self._batch, *arguments)
        if self.beyond < 0:
            raise MemoryError(
                f"{self.name} of {tuple(self.cost.shape)} needs more memory than there is; set a band, or fewer threads"
            )

    def hand_over(self, outputs: list[Tensor], reference: Callable[[Tensor], tuple[Tensor, ...]]) -> None:
        """Lets the reference compute the pairs whose costs are beyond the range of the arithmetic, valued -inf."""
        pairs = (self.value == -math.inf).nonzero().squeeze(1)
        self.value[pairs], *results = reference(pairs)
        for output, result in zip(outputs, results, strict=True):
            if output.numel():
                output[pairs] = result

    def part(self, pairs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.cost[pairs], self.steps[pairs], self.texts[pairs]

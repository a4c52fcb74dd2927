"""What the Triton tests share: the parallel scan, poisoned memory, ragged batches, small programs, comparisons."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from weaksync.kernels import reference
from weaksync.kernels import triton as backend
from weaksync.kernels.triton import launch

from . import triton_scan

if os.environ.get("STOCK_SCAN") != "1":
    triton_scan.install()


@pytest.fixture(autouse=True)
def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is allocated without a value holds NaN, or a number out of place."""

    def poisoned(allocate: Any) -> Any:
        def allocated(*arguments: Any, **options: Any) -> Tensor:
            tensor: Tensor = allocate(*arguments, **options)
            return tensor.fill_(torch.nan if tensor.is_floating_point() else 77)

        return allocated

    monkeypatch.setattr(torch.Tensor, "new_empty", poisoned(torch.Tensor.new_empty))
    monkeypatch.setattr(torch, "empty", poisoned(torch.empty))


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with np.errstate(invalid="raise", over="ignore"):
        yield


@dataclass
class Pairs:
    """A ragged batch; padding holds NaN."""

    cost: Tensor
    steps: Tensor
    texts: Tensor
    draw: torch.Generator

    @property
    def real(self) -> Tensor:
        n, m = self.cost.shape[1:]
        rows = torch.arange(n)[None, :, None] < self.steps[:, None, None]
        return rows & (torch.arange(m)[None, None] < self.texts[:, None, None])


def pairs(
    batch: int, n: int, m: int, *, seed: int = 0, shortest: int = 0, forbidden: float = 0.0, low: float = 0.0
) -> Pairs:
    """Costs in [low, low + 2]; the first pair is whole, the second has one step, the third one text."""
    draw = torch.Generator().manual_seed(seed)
    cost = torch.rand(batch, n, m, generator=draw) * 2 + low
    steps = torch.randint(min(shortest, n), n + 1, (batch,), generator=draw)
    texts = torch.randint(min(shortest, m), m + 1, (batch,), generator=draw)
    steps[0], texts[0] = n, m
    if batch > 3:
        steps[1], texts[2] = min(1, n), min(1, m)
    cost[torch.rand(batch, n, m, generator=draw) < forbidden] = torch.inf
    made = Pairs(cost, steps, texts, draw)
    made.cost[~made.real] = torch.nan
    return made


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs no wider than 128 columns, so that rows take several blocks and bands are held narrow."""
    small = launch.Layout(128, 1, 4)
    monkeypatch.setattr(launch, "LAYOUTS", (small, small))
    monkeypatch.setattr(launch, "MEMORY_LAYOUTS", (small,))


class Tiny(launch.Layout):
    """Four lanes, fewer than any GPU has."""

    @property
    def lanes(self) -> int:
        return 4


@pytest.fixture
def tiny_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs of 16 columns, for rows of 17 and more."""
    tiny = Tiny(16, 1, 2)
    monkeypatch.setattr(launch, "LAYOUTS", (tiny, tiny))
    monkeypatch.setattr(launch, "MEMORY_LAYOUTS", (tiny,))


def wide_pairs(seed: int, **options: Any) -> Pairs:
    """Rows of three blocks; the pairs end in the third, have one step, one text, and end in the second."""
    batch = pairs(4, 5, 290, seed=seed, shortest=3, **options)
    batch.texts[1:] = torch.tensor([290, 1, 200])
    batch.cost[1, 0] = torch.rand(290, generator=batch.draw)
    batch.cost[3] = torch.rand(5, 290, generator=batch.draw) + options.get("low", 0.0)
    batch.cost[~batch.real] = torch.nan
    return batch


def assert_close(found: Tensor, truth: Tensor, tolerance: float) -> None:
    """Absolutely for gradients (their maximum is 1); NaN and inf where the truth has them, zeros where it has none."""
    assert found.dtype == torch.float32
    assert found.shape == truth.shape
    torch.testing.assert_close(found.double(), truth, atol=tolerance, rtol=2e-7, equal_nan=True)
    assert not ((found != 0) & (truth == 0)).any(), "mass where no alignment passes"


def spoil(batch: Pairs, pair: int, value: float = torch.nan) -> None:
    batch.cost[pair, int(batch.steps[pair]) - 1, 0] = value


def drop_costs(batch: Pairs, options: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
    """Drop costs from `low` on, NaN in padding; a share of the video steps may not be dropped."""
    size, n, m = batch.cost.shape
    low, stay = options.pop("low", 0.0), options.pop("stay", 0.0)
    video = torch.rand(size, n, generator=batch.draw) * 0.8 + low
    text = torch.rand(size, m, generator=batch.draw) * 0.8 + low
    video[torch.rand(size, n, generator=batch.draw) < stay] = torch.inf
    video[torch.arange(n) >= batch.steps[:, None]] = torch.nan
    text[torch.arange(m) >= batch.texts[:, None]] = torch.nan
    return video, text if options.pop("drop_text", True) else None


def assert_values(found: Tensor, truth: Tensor) -> None:
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), truth, atol=1e-6, rtol=1e-6, equal_nan=True)


def whole_costs(batch: Pairs) -> Pairs:
    """Costs of 0, 1 and 2, whose sums are exact and tie."""
    return Pairs(batch.cost.round(), batch.steps, batch.texts, batch.draw)


def assert_soft_forms(batch: Pairs, *, window: int, band: int | None) -> None:
    video, text = drop_costs(batch, {})
    assert text is not None
    exact = batch.cost.double()
    options: dict[str, Any] = {"gamma": 0.2, "band": band, "with_alignment": True}
    order: dict[str, Any] = {"order_weight": 0.2, "order_margin": 1, "windows": torch.tensor([window])}
    drops, exact_drops = (video, text * 0.2), (video.double(), (text * 0.2).double())
    lengths = batch.steps, batch.texts
    found = backend.soft_dtw(batch.cost, *lengths, **options)
    truth = reference.soft_dtw(exact, *lengths, **options)
    found += backend.soft_dsta(batch.cost, *lengths, **options, **order)
    truth += reference.soft_dsta(exact, *lengths, **options, **order)
    found += backend.soft_drop_dtw(batch.cost, *drops, *lengths, contiguous=True, **options)
    truth += reference.soft_drop_dtw(exact, *exact_drops, *lengths, contiguous=True, **options)
    for one, true_one in zip(found, truth, strict=True):
        torch.testing.assert_close(one.double(), true_one, atol=2e-6, rtol=2e-7)

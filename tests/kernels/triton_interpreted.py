"""The Triton launchers in Triton's interpreter, against the float64 reference.

Not collected by itself: `test_triton.py` runs it in a process that has TRITON_INTERPRET=1 from the start. By hand:

    TRITON_INTERPRET=1 pytest tests/kernels/triton_interpreted.py
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from weaksync.kernels import reference
from weaksync.kernels import triton as backend
from weaksync.kernels.triton import launch

if os.environ.get("STOCK_SCAN") != "1":
    import importlib.util

    # the suite imports by path, so a neighbour has no package to be imported from
    spec = importlib.util.spec_from_file_location("triton_scan", Path(__file__).with_name("triton_scan.py"))
    assert spec and spec.loader
    scan = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scan)
    scan.install()


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


# ---------------------------------------------------------------- soft-DTW

SOFT_DTW = {
    "ragged": (pairs(4, 9, 14, seed=1), 0.1, None),
    "masked": (pairs(5, 15, 37, seed=2, forbidden=0.15), 0.3, None),
    "negative": (pairs(3, 8, 11, seed=3, low=-3.0, forbidden=0.1, shortest=5), 0.02, None),
    "sharp": (pairs(2, 12, 13, seed=4, shortest=5), 0.001, None),
    "band": (pairs(4, 12, 30, seed=5, forbidden=0.02), 0.5, 3),
    "one step": (pairs(2, 1, 6, seed=6), 0.1, None),
    "one text": (pairs(2, 6, 1, seed=7), 0.1, 0),
}


@pytest.mark.parametrize("case", SOFT_DTW)
def test_soft_dtw(case: str) -> None:
    batch, gamma, band = SOFT_DTW[case]
    if case == "ragged":
        spoil(batch, 3)
    found = backend.soft_dtw(batch.cost, batch.steps, batch.texts, gamma=gamma, band=band, wanted=True)
    truth = reference.soft_dtw(batch.cost.double(), batch.steps, batch.texts, gamma=gamma, band=band, wanted=True)
    assert_close(found[0], truth[0], 1e-7)
    assert_close(found[1], truth[1], 3e-5 if gamma < 0.01 else 2e-6)


def test_soft_dtw_of_nothing() -> None:
    for shape in ((0, 3, 4), (2, 0, 4), (2, 3, 0)):
        value, alignment = backend.soft_dtw(
            torch.zeros(shape),
            torch.full((shape[0],), shape[1]),
            torch.full((shape[0],), shape[2]),
            gamma=1.0,
            band=None,
            wanted=True,
        )
        assert torch.isinf(value).all()
        assert alignment.shape == shape


# ---------------------------------------------------------------- soft-DSTA

SOFT_DSTA: dict[str, tuple[Pairs, dict[str, Any]]] = {
    "whole": (pairs(4, 9, 14, seed=11), {}),
    "masked": (pairs(4, 8, 37, seed=12, forbidden=0.2), {"order_margin": 3, "order_weight": 0.05}),
    "negative": (pairs(3, 7, 11, seed=13, low=-3.0, forbidden=0.1, shortest=4), {"gamma": 0.02, "order_margin": 0}),
    "free order": (pairs(2, 5, 9, seed=14), {"order_weight": 0.0, "order_margin": 20}),
    "band": (pairs(4, 14, 21, seed=15), {"band": 4, "order_weight": 0.3}),
    "windows": (pairs(5, 8, 17, seed=16), {"windows": [3, 0, 1, 6, 40], "order_weight": 0.1}),
    "windows, no margin": (pairs(4, 7, 23, seed=17, forbidden=0.1), {"windows": [5, 4, 2, 9], "order_margin": 0}),
    "windows, wide margin": (pairs(4, 6, 19, seed=18), {"windows": [4, 3, 7, 9], "order_margin": 4}),
    "windows and band": (pairs(3, 9, 13, seed=19, shortest=6), {"windows": [5, 4, 13], "band": 2}),
    "one step": (pairs(2, 1, 6, seed=20), {}),
}


@pytest.mark.parametrize("case", SOFT_DSTA)
def test_soft_dsta(case: str) -> None:
    batch, options = SOFT_DSTA[case]
    if case == "whole":
        spoil(batch, 3, -torch.inf)
    options = {"gamma": 0.1, "order_weight": 1.0, "order_margin": 1, "band": None, "windows": None} | options
    if options["windows"] is not None:
        options["windows"] = torch.tensor(options["windows"])
    found = backend.soft_dsta(batch.cost, batch.steps, batch.texts, **options, wanted=True)
    truth = reference.soft_dsta(batch.cost.double(), batch.steps, batch.texts, **options, wanted=True)
    assert_close(found[0], truth[0], 1e-7)
    assert_close(found[1], truth[1], 2e-6)


# ---------------------------------------------------------------- soft Drop-DTW

SOFT_DROP: dict[str, tuple[Pairs, dict[str, Any]]] = {
    "texts drop": (pairs(4, 9, 14, seed=21), {}),
    "gaps": (pairs(4, 8, 11, seed=22, forbidden=0.2), {"contiguous": False}),
    "every text matched": (pairs(4, 12, 7, seed=23), {"drop_text": False}),
    "every text matched, gaps": (pairs(4, 9, 6, seed=24, forbidden=0.1), {"drop_text": False, "contiguous": False}),
    "negative": (pairs(3, 7, 9, seed=25, low=-3.0, forbidden=0.1, shortest=4), {"gamma": 0.02, "low": -1.0}),
    # texts dropped before the first video step weigh less than float32 can say
    "sharp": (pairs(3, 4, 16, seed=30, shortest=3), {"gamma": 0.004}),
    "dropping pays": (pairs(2, 4, 40, seed=56, shortest=3), {"gamma": 0.1, "band": 3, "low": -0.5}),
    "steps that stay": (pairs(4, 8, 9, seed=26, forbidden=0.1), {"stay": 0.4}),
    "band": (pairs(4, 12, 15, seed=27), {"band": 2, "contiguous": False}),
    "one step": (pairs(2, 1, 6, seed=28), {}),
    "one text": (pairs(2, 5, 1, seed=29), {"drop_text": False}),
}


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


@pytest.mark.parametrize("case", SOFT_DROP)
def test_soft_drop_dtw(case: str) -> None:
    batch, options = SOFT_DROP[case]
    options = dict(options)
    video, text = drop_costs(batch, options)
    if case == "texts drop":
        spoil(batch, 3)
        video[1, 0] = torch.nan
    options = {"gamma": 0.1, "contiguous": True, "band": None} | options
    found = backend.soft_drop_dtw(batch.cost, video, text, batch.steps, batch.texts, **options, wanted=True)
    truth = reference.soft_drop_dtw(
        batch.cost.double(), video.double(), None if text is None else text.double(), batch.steps, batch.texts,
        **options, wanted=True,
    )  # fmt: skip
    assert_close(found[0], truth[0], 1e-7)
    assert_close(found[1], truth[1], 3e-6)
    for share, true_share in zip(found[2:], truth[2:], strict=True):
        torch.testing.assert_close(share.double(), true_share, atol=3e-6, rtol=0.0, equal_nan=True)


# ---------------------------------------------------------------- hard forms


def assert_values(found: Tensor, truth: Tensor) -> None:
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), truth, atol=1e-6, rtol=1e-6, equal_nan=True)


def whole_costs(batch: Pairs) -> Pairs:
    """Costs of 0, 1 and 2, whose sums are exact and tie."""
    return Pairs(batch.cost.round(), batch.steps, batch.texts, batch.draw)


HARD_DTW = {
    "ragged": (pairs(4, 9, 14, seed=31), None),
    "masked": (pairs(5, 11, 17, seed=32, forbidden=0.15), None),
    "ties": (whole_costs(pairs(4, 9, 10, seed=33)), None),
    "band": (pairs(4, 12, 18, seed=34), 2),
    "one step": (pairs(2, 1, 6, seed=35), None),
    "one text": (pairs(2, 6, 1, seed=36), None),
}


@pytest.mark.parametrize("case", HARD_DTW)
def test_dtw_path(case: str) -> None:
    batch, band = HARD_DTW[case]
    if case == "ragged":
        spoil(batch, 3)
    found = backend.dtw_path(batch.cost, batch.steps, batch.texts, band=band, wanted=True)
    truth = reference.dtw_path(batch.cost.double(), batch.steps, batch.texts, band=band, wanted=True)
    assert_values(found[0], truth[0])
    assert torch.equal(found[1], truth[1])
    assert torch.equal(found[2], truth[2])


@pytest.mark.parametrize("case", SOFT_DSTA)
def test_dsta_path(case: str) -> None:
    batch, options = SOFT_DSTA[case]
    options = {"order_weight": 1.0, "order_margin": 1, "band": None, "windows": None} | options
    options.pop("gamma", None)
    if options["windows"] is not None:
        options["windows"] = torch.as_tensor(options["windows"])
    found = backend.dsta_path(batch.cost, batch.steps, batch.texts, **options, wanted=True)
    truth = reference.dsta_path(batch.cost.double(), batch.steps, batch.texts, **options, wanted=True)
    assert_values(found[0], truth[0])
    assert torch.equal(found[1], truth[1])


@pytest.mark.parametrize("case", SOFT_DROP)
def test_drop_dtw(case: str) -> None:
    batch, options = SOFT_DROP[case]
    options = dict(options)
    video, text = drop_costs(batch, options)
    options = {"contiguous": True, "band": None} | options
    options.pop("gamma", None)
    found = backend.drop_dtw(batch.cost, video, text, batch.steps, batch.texts, **options, wanted=True)
    truth = reference.drop_dtw(
        batch.cost.double(), video.double(), None if text is None else text.double(), batch.steps, batch.texts,
        **options, wanted=True,
    )  # fmt: skip
    assert_values(found[0], truth[0])
    assert torch.equal(found[1], truth[1])


# ---------------------------------------------------------------- promises of all


def test_stock_scan_agrees() -> None:
    """Small enough for the interpreter's own scan, which goes one element after the other."""
    assert_soft_forms(pairs(1, 3, 6, seed=51), window=3, band=None)


@pytest.mark.usefixtures("tiny_blocks")
@pytest.mark.parametrize("band", [None, 2])
def test_stock_scan_agrees_in_blocks(band: int | None) -> None:
    """Rows of two blocks, or a band that moves, or rows in memory."""
    assert launch.plan(4, 30, band).narrow is (band is not None)
    assert_soft_forms(pairs(1, 4, 30, seed=59), window=12, band=band)


def assert_soft_forms(batch: Pairs, *, window: int, band: int | None) -> None:
    video, text = drop_costs(batch, {})
    assert text is not None
    exact = batch.cost.double()
    options: dict[str, Any] = {"gamma": 0.2, "band": band, "wanted": True}
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


def test_any_dtype_and_strides_in_and_nothing_changed() -> None:
    cost = torch.rand(6, 2, 5, generator=torch.Generator().manual_seed(52)).permute(1, 2, 0).to(torch.bfloat16)
    kept = cost.clone()
    lengths = torch.tensor([5, 4]), torch.tensor([6, 5])
    value, alignment = backend.soft_dtw(cost, *lengths, gamma=0.5, band=None, wanted=True)
    truth = reference.soft_dtw(cost.double(), *lengths, gamma=0.5, band=None, wanted=True)
    assert_close(value, truth[0], 1e-7)
    assert_close(alignment, truth[1], 2e-6)
    assert alignment.is_contiguous()
    assert torch.equal(cost, kept)


def test_what_is_not_wanted_is_not_there() -> None:
    batch = pairs(2, 4, 5, seed=53)
    video, text = drop_costs(batch, {})
    lengths = batch.steps, batch.texts
    order: dict[str, Any] = {"order_weight": 1.0, "order_margin": 1, "windows": None}
    none: dict[str, Any] = {"band": None, "wanted": False}
    for _, *others in (
        backend.soft_dtw(batch.cost, *lengths, gamma=1.0, **none),
        backend.soft_dsta(batch.cost, *lengths, gamma=1.0, **order, **none),
        backend.soft_drop_dtw(batch.cost, video, text, *lengths, gamma=1.0, contiguous=True, **none),
        backend.dtw_path(batch.cost, *lengths, **none),
        backend.dsta_path(batch.cost, *lengths, **order, **none),
        backend.drop_dtw(batch.cost, video, text, *lengths, contiguous=True, **none),
    ):
        assert all(one.numel() == 0 for one in others)


def test_lengths_beyond_the_table_and_any_padding() -> None:
    """Lengths that nobody checked read nothing outside; padding of -inf, inf and NaN stays there."""
    batch = pairs(4, 5, 8, seed=54)
    batch.steps[:], batch.texts[:] = torch.tensor([5, 6, 4, 3]), torch.tensor([6, 7, 9, -1])
    batch.cost[0, :, 6:] = torch.tensor([-torch.inf, torch.inf])
    video, text = torch.rand(4, 5, generator=batch.draw), torch.rand(4, 8, generator=batch.draw)
    settings: dict[str, Any] = {"gamma": 0.5, "band": None, "wanted": True}
    order: dict[str, Any] = {"order_weight": 0.2, "order_margin": 1, "windows": None}
    whole = batch.cost[:1, :, :6].double(), batch.steps[:1], batch.texts[:1]
    drops = video[:1].double(), text[:1, :6].double()
    with np.errstate(invalid="ignore"):
        found = [
            backend.soft_dtw(batch.cost, batch.steps, batch.texts, **settings),
            backend.soft_dsta(batch.cost, batch.steps, batch.texts, **order, **settings),
            backend.soft_drop_dtw(batch.cost, video, text, batch.steps, batch.texts, contiguous=True, **settings)[:2],
        ]
    truth = [
        reference.soft_dtw(*whole, **settings),
        reference.soft_dsta(*whole, **order, **settings),
        reference.soft_drop_dtw(whole[0], *drops, *whole[1:], contiguous=True, **settings)[:2],
    ]
    for (value, alignment), (true_value, true_alignment) in zip(found, truth, strict=True):
        assert_close(value[:1], true_value, 1e-7)
        assert_close(alignment[:1, :, :6], true_alignment, 2e-6)
        assert value[1:].isnan().all()
        assert not alignment[1:].any()
        assert not alignment[0, :, 6:].any()


def test_exponents_far_from_0() -> None:
    """Where float32 counts whole bits: sums of 2**21 bits and more, in which every cell still weighs what it does."""
    batch = pairs(2, 9, 12, seed=55, low=2000.0, shortest=9)
    found = backend.soft_dtw(batch.cost, batch.steps, batch.texts, gamma=0.02, band=None, wanted=True)
    truth = reference.soft_dtw(batch.cost.double(), batch.steps, batch.texts, gamma=0.02, band=None, wanted=True)
    assert_close(found[0], truth[0], 1e-7)
    assert_close(found[1], truth[1], 2e-2)


# ---------------------------------------------------------------- rows of several blocks, bands held narrow


def test_a_narrow_plan_holds_the_band() -> None:
    for texts in (1, 127, 129, 1000, 2049, 5000, 100_000):
        for band in (0, 3, 58, 200, 600, 1018, 1019, 2000, 50_000):
            plan, in_memory = launch.plan(texts, texts, band), launch.plan_in_memory(texts, band)
            assert plan.narrow <= (2 * band + 3 + plan.layout.columns <= plan.held == plan.layout.width < texts)
            assert plan.narrow or plan.chunked == (texts > launch.LAYOUTS[-1].width)
            assert in_memory.narrow is (in_memory.held < texts)
            assert in_memory.held >= min(texts, 2 * band + 3 + in_memory.layout.columns)
            assert in_memory.held <= 2 * band + 16
    assert launch.plan(5000, 5000, 600).narrow
    assert not launch.plan(2, 5000, 600).narrow


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("band", [None, 45])
def test_long_dtw(band: int | None) -> None:
    batch = wide_pairs(41)
    assert launch.plan(5, 290, band).narrow is (band is not None)
    options = {"band": band, "wanted": True}
    found = backend.soft_dtw(batch.cost, batch.steps, batch.texts, gamma=0.3, **options)
    truth = reference.soft_dtw(batch.cost.double(), batch.steps, batch.texts, gamma=0.3, **options)
    assert_close(found[0], truth[0], 1e-7)
    assert_close(found[1], truth[1], 3e-6)
    path = backend.dtw_path(batch.cost, batch.steps, batch.texts, **options)
    true_path = reference.dtw_path(batch.cost.double(), batch.steps, batch.texts, **options)
    assert_values(path[0], true_path[0])
    assert torch.equal(path[1], true_path[1])
    assert torch.equal(path[2], true_path[2])


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("band", [None, 45])
@pytest.mark.parametrize("contiguous", [True, False])
def test_long_drop_dtw(contiguous: bool, band: int | None) -> None:
    batch = wide_pairs(42, forbidden=0.05)
    video, text = drop_costs(batch, {})
    assert text is not None
    assert launch.plan(5, 290, band).narrow is (band is not None)
    assert_drop_dtw(batch, video, text * 0.1, contiguous, band)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("contiguous", [True, False])
def test_drop_dtw_in_a_band_that_leaps(contiguous: bool) -> None:
    """Farther from one row to the next than a program is wide; pairs of two steps, one, and none."""
    batch = pairs(4, 9, 150, seed=57)
    batch.steps[:], batch.texts[:] = torch.tensor([9, 2, 1, 0]), torch.tensor([150, 150, 149, 140])
    batch.cost = torch.rand(4, 9, 150, generator=batch.draw) * 2
    video, text = drop_costs(batch, {})
    assert text is not None
    assert launch.plan(9, 150, 2).narrow
    assert_drop_dtw(batch, video, text * 0.2, contiguous, 2)


@pytest.mark.usefixtures("tiny_blocks")
def test_every_text_matched_in_a_moving_band() -> None:
    batch = pairs(1, 27, 24, seed=58)
    video, _ = drop_costs(batch, {})
    assert launch.plan(27, 24, 1).narrow
    assert_drop_dtw(batch, video, None, False, 1)


def assert_drop_dtw(batch: Pairs, video: Tensor, text: Tensor | None, contiguous: bool, band: int | None) -> None:
    options: dict[str, Any] = {"contiguous": contiguous, "band": band, "wanted": True}
    exact = (video.double(), None if text is None else text.double(), batch.steps, batch.texts)
    arguments = (video, text, batch.steps, batch.texts)
    found = backend.soft_drop_dtw(batch.cost, *arguments, gamma=0.1, **options)
    truth = reference.soft_drop_dtw(batch.cost.double(), *exact, gamma=0.1, **options)
    assert_close(found[0], truth[0], 2e-7)
    for share, true_share in zip(found[1:], truth[1:], strict=True):
        torch.testing.assert_close(share.double(), true_share, atol=3e-6, rtol=0.0)
    labels = backend.drop_dtw(batch.cost, *arguments, **options)
    true_labels = reference.drop_dtw(batch.cost.double(), *exact, **options)
    assert_values(labels[0], true_labels[0])
    assert torch.equal(labels[1], true_labels[1])


#: windows narrower than a step's share of the text, as wide as a pair's text, and wider; bands below and above a block
LONG_DSTA: dict[str, tuple[dict[str, Any], bool]] = {
    "whole": ({}, True),
    "windows": ({"windows": [60, 300, 0, 97]}, True),
    "windows, no margin": ({"windows": [80, 300, 1, 67], "order_margin": 0}, True),
    "windows, wide margin": ({"windows": [80, 300, 1, 67], "order_margin": 90}, True),
    "narrow band": ({"band": 45}, False),
    "wide band": ({"band": 100}, True),
    "windows in a narrow band": ({"windows": [80, 300, 1, 67], "band": 45}, True),
    "windows in a wide band": ({"windows": [80, 300, 1, 120], "band": 100}, True),
}


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("case", LONG_DSTA)
def test_long_dsta(case: str) -> None:
    changes, in_memory = LONG_DSTA[case]
    batch = wide_pairs(43)
    options: dict[str, Any] = {"windows": None, "order_weight": 0.1, "order_margin": 2, "band": None} | changes
    if options["windows"] is not None:
        options["windows"] = torch.tensor(options["windows"])
    how, found_in_memory = backend.plan_dsta(5, 290, options["band"], options["windows"])
    assert found_in_memory is in_memory
    assert how.narrow is (options["band"] is not None)
    found = backend.soft_dsta(batch.cost, batch.steps, batch.texts, gamma=0.2, **options, wanted=True)
    truth = reference.soft_dsta(batch.cost.double(), batch.steps, batch.texts, gamma=0.2, **options, wanted=True)
    assert_close(found[0], truth[0], 1e-7)
    assert_close(found[1], truth[1], 3e-6)
    labels = backend.dsta_path(batch.cost, batch.steps, batch.texts, **options, wanted=True)
    true_labels = reference.dsta_path(batch.cost.double(), batch.steps, batch.texts, **options, wanted=True)
    assert_values(labels[0], true_labels[0])
    assert torch.equal(labels[1], true_labels[1])


@pytest.mark.usefixtures("small_blocks")
def test_long_dsta_of_masks_nan_and_nothing() -> None:
    """A spoiled pair, one that cannot be aligned, one without video steps; the value alone, too."""
    batch = pairs(4, 3, 140, seed=44, forbidden=0.2)
    batch.steps[:], batch.texts[:] = torch.tensor([3, 3, 2, 0]), torch.tensor([140, 139, 140, 1])
    batch.cost = torch.rand(4, 3, 140, generator=batch.draw)
    spoil(batch, 1)
    batch.cost[2, 1] = torch.inf
    options: dict[str, Any] = {"windows": None, "order_weight": 0.1, "order_margin": 1, "band": None}
    assert backend.plan_dsta(3, 140, None, None)[1]
    found = backend.soft_dsta(batch.cost, batch.steps, batch.texts, gamma=0.2, **options, wanted=True)
    truth = reference.soft_dsta(batch.cost.double(), batch.steps, batch.texts, gamma=0.2, **options, wanted=True)
    assert truth[0].isfinite().tolist() == [True, False, False, False]
    assert_close(found[0], truth[0], 1e-7)
    assert_close(found[1], truth[1], 3e-6)
    value, _ = backend.soft_dsta(batch.cost, batch.steps, batch.texts, gamma=0.2, **options, wanted=False)
    assert_close(value, truth[0], 1e-7)
    labels = backend.dsta_path(batch.cost, batch.steps, batch.texts, **options, wanted=True)
    assert torch.equal(labels[1], reference.dsta_path(batch.cost, batch.steps, batch.texts, **options, wanted=True)[1])


@pytest.mark.parametrize("form", ["soft_dtw", "soft_dsta", "dtw_path", "dsta_path"])
def test_a_pair_without_video_steps_has_no_alignment(form: str) -> None:
    order: dict[str, Any] = {"order_weight": 1.0, "order_margin": 1, "windows": None} if "dsta" in form else {}
    soft = {"gamma": 0.1} if "soft" in form else {}
    found = getattr(backend, form)(
        torch.rand(2, 3, 4), torch.tensor([0, 3]), torch.tensor([1, 1]), band=None, wanted=False, **order, **soft
    )
    assert found[0].isinf().tolist() == [True, False]


def test_exponents_that_pass_a_power_of_two() -> None:
    """What a coarser exponent has no bits for must not be lost where rows are renormalised."""
    draw = torch.Generator().manual_seed(0)
    cost, video = torch.rand(1, 4, 300, generator=draw) * 2, torch.rand(1, 4, generator=draw) * 0.8
    text = torch.rand(1, 300, generator=draw) * 0.08 - 0.08
    lengths = torch.tensor([4]), torch.tensor([300])
    options: dict[str, Any] = {"gamma": 0.3, "contiguous": True, "band": 10, "wanted": True}
    found = backend.soft_drop_dtw(cost, video, text, *lengths, **options)
    truth = reference.soft_drop_dtw(cost.double(), video.double(), text.double(), *lengths, **options)
    assert_close(found[0], truth[0], 1e-6)
    for share, true_share in zip(found[1:], truth[1:], strict=True):
        torch.testing.assert_close(share.double(), true_share, atol=6e-6, rtol=0.0)

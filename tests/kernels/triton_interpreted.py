"""The Triton launchers in Triton's interpreter, against the float64 reference.

Not collected by itself: `test_triton.py` runs it in a process that has TRITON_INTERPRET=1 from the start. By hand:

    TRITON_INTERPRET=1 pytest tests/kernels/triton_interpreted.py
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import triton
import triton.language as tl

from weaksync.kernels import ops, reference
from weaksync.kernels import triton as backend
from weaksync.kernels.triton.rows import place_of

from .outputs import OPERATORS, assert_as_declared, called
from .triton_pairs import (  # noqa: F401 (fixtures)
    Pairs,
    assert_close,
    assert_soft_forms,
    assert_values,
    drop_costs,
    pairs,
    poison,
    quiet,
    spoil,
    whole_costs,
)

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
    found = backend.soft_dtw(batch.cost, batch.steps, batch.texts, gamma=gamma, band=band, with_alignment=True)
    truth = reference.soft_dtw(
        batch.cost.double(), batch.steps, batch.texts, gamma=gamma, band=band, with_alignment=True
    )
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
            with_alignment=True,
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
    found = backend.soft_dsta(batch.cost, batch.steps, batch.texts, **options, with_alignment=True)
    truth = reference.soft_dsta(batch.cost.double(), batch.steps, batch.texts, **options, with_alignment=True)
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


@pytest.mark.parametrize("case", SOFT_DROP)
def test_soft_drop_dtw(case: str) -> None:
    batch, options = SOFT_DROP[case]
    options = dict(options)
    video, text = drop_costs(batch, options)
    if case == "texts drop":
        spoil(batch, 3)
        video[1, 0] = torch.nan
    options = {"gamma": 0.1, "contiguous": True, "band": None} | options
    found = backend.soft_drop_dtw(batch.cost, video, text, batch.steps, batch.texts, **options, with_alignment=True)
    truth = reference.soft_drop_dtw(
        batch.cost.double(), video.double(), None if text is None else text.double(), batch.steps, batch.texts,
        **options, with_alignment=True,
    )  # fmt: skip
    assert_close(found[0], truth[0], 1e-7)
    assert_close(found[1], truth[1], 3e-6)
    for share, true_share in zip(found[2:], truth[2:], strict=True):
        torch.testing.assert_close(share.double(), true_share, atol=3e-6, rtol=0.0, equal_nan=True)


# ---------------------------------------------------------------- hard forms


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
    found = backend.dtw_path(batch.cost, batch.steps, batch.texts, band=band, with_path=True)
    truth = reference.dtw_path(batch.cost.double(), batch.steps, batch.texts, band=band, with_path=True)
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
    found = backend.dsta_path(batch.cost, batch.steps, batch.texts, **options, with_path=True)
    truth = reference.dsta_path(batch.cost.double(), batch.steps, batch.texts, **options, with_path=True)
    assert_values(found[0], truth[0])
    assert torch.equal(found[1], truth[1])


@pytest.mark.parametrize("case", SOFT_DROP)
def test_drop_dtw(case: str) -> None:
    batch, options = SOFT_DROP[case]
    options = dict(options)
    video, text = drop_costs(batch, options)
    options = {"contiguous": True, "band": None} | options
    options.pop("gamma", None)
    found = backend.drop_dtw(batch.cost, video, text, batch.steps, batch.texts, **options, with_path=True)
    truth = reference.drop_dtw(
        batch.cost.double(), video.double(), None if text is None else text.double(), batch.steps, batch.texts,
        **options, with_path=True,
    )  # fmt: skip
    assert_values(found[0], truth[0])
    assert torch.equal(found[1], truth[1])


# ---------------------------------------------------------------- promises of all


def test_stock_scan_agrees() -> None:
    """Small enough for the interpreter's own scan, which goes one element after the other."""
    assert_soft_forms(pairs(1, 3, 6, seed=51), window=3, band=None)


def test_any_dtype_and_strides_in_and_nothing_changed() -> None:
    cost = torch.rand(6, 2, 5, generator=torch.Generator().manual_seed(52)).permute(1, 2, 0).to(torch.bfloat16)
    kept = cost.clone()
    lengths = torch.tensor([5, 4]), torch.tensor([6, 5])
    value, alignment = backend.soft_dtw(cost, *lengths, gamma=0.5, band=None, with_alignment=True)
    truth = reference.soft_dtw(cost.double(), *lengths, gamma=0.5, band=None, with_alignment=True)
    assert_close(value, truth[0], 1e-7)
    assert_close(alignment, truth[1], 2e-6)
    assert alignment.is_contiguous()
    assert torch.equal(cost, kept)


def test_what_is_not_asked_for_is_not_there() -> None:
    batch = pairs(2, 4, 5, seed=53)
    video, text = drop_costs(batch, {})
    lengths = batch.steps, batch.texts
    order: dict[str, Any] = {"order_weight": 1.0, "order_margin": 1, "windows": None}
    soft: dict[str, Any] = {"gamma": 1.0, "band": None, "with_alignment": False}
    hard: dict[str, Any] = {"band": None, "with_path": False}
    for _, *others in (
        backend.soft_dtw(batch.cost, *lengths, **soft),
        backend.soft_dsta(batch.cost, *lengths, **order, **soft),
        backend.soft_drop_dtw(batch.cost, video, text, *lengths, contiguous=True, **soft),
        backend.dtw_path(batch.cost, *lengths, **hard),
        backend.dsta_path(batch.cost, *lengths, **order, **hard),
        backend.drop_dtw(batch.cost, video, text, *lengths, contiguous=True, **hard),
    ):
        assert all(one.numel() == 0 for one in others)


@pytest.mark.parametrize("name", OPERATORS)
def test_called_by_the_operators(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU: through torch's dispatcher, with what follows the value and without."""
    cost = pairs(2, 4, 6, seed=60).cost.nan_to_num(0.3)
    truth = called(name, cost.double(), with_rest=True)
    monkeypatch.setattr(ops, "backend_of", lambda cost, soft=True: backend)
    assert_as_declared(name, (2, 4, 6))
    for found, exact in zip(called(name, cost, with_rest=True), truth, strict=True):
        torch.testing.assert_close(found, exact.to(found.dtype), atol=3e-6, rtol=1e-6)
    torch.testing.assert_close(called(name, cost, with_rest=False)[0], truth[0].float(), atol=3e-6, rtol=1e-6)


def test_lengths_beyond_the_table_and_any_padding() -> None:
    """Lengths that nobody checked read nothing outside; padding of -inf, inf and NaN stays there."""
    batch = pairs(4, 5, 8, seed=54)
    batch.steps[:], batch.texts[:] = torch.tensor([5, 6, 4, 3]), torch.tensor([6, 7, 9, -1])
    batch.cost[0, :, 6:] = torch.tensor([-torch.inf, torch.inf])
    video, text = torch.rand(4, 5, generator=batch.draw), torch.rand(4, 8, generator=batch.draw)
    settings: dict[str, Any] = {"gamma": 0.5, "band": None, "with_alignment": True}
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
    found = backend.soft_dtw(batch.cost, batch.steps, batch.texts, gamma=0.02, band=None, with_alignment=True)
    truth = reference.soft_dtw(
        batch.cost.double(), batch.steps, batch.texts, gamma=0.02, band=None, with_alignment=True
    )
    assert_close(found[0], truth[0], 1e-7)
    assert_close(found[1], truth[1], 2e-2)


@pytest.mark.parametrize("form", ["soft_dtw", "soft_dsta", "dtw_path", "dsta_path"])
def test_a_pair_without_video_steps_has_no_alignment(form: str) -> None:
    order: dict[str, Any] = {"order_weight": 1.0, "order_margin": 1, "windows": None} if "dsta" in form else {}
    alone = {"gamma": 0.1, "with_alignment": False} if "soft" in form else {"with_path": False}
    lengths = torch.tensor([0, 3]), torch.tensor([1, 1])
    found = getattr(backend, form)(torch.rand(2, 3, 4), *lengths, band=None, **order, **alone)
    assert found[0].isinf().tolist() == [True, False]


def test_exponents_that_pass_a_power_of_two() -> None:
    """What a coarser exponent has no bits for must not be lost where rows are renormalised."""
    draw = torch.Generator().manual_seed(0)
    cost, video = torch.rand(1, 4, 300, generator=draw) * 2, torch.rand(1, 4, generator=draw) * 0.8
    text = torch.rand(1, 300, generator=draw) * 0.08 - 0.08
    lengths = torch.tensor([4]), torch.tensor([300])
    options: dict[str, Any] = {"gamma": 0.3, "contiguous": True, "band": 10, "with_alignment": True}
    found = backend.soft_drop_dtw(cost, video, text, *lengths, **options)
    truth = reference.soft_drop_dtw(cost.double(), video.double(), text.double(), *lengths, **options)
    assert_close(found[0], truth[0], 1e-6)
    for share, true_share in zip(found[1:], truth[1:], strict=True):
        torch.testing.assert_close(share.double(), true_share, atol=6e-6, rtol=0.0)


def test_pairs_that_lie_beyond_what_32_bits_count() -> None:
    """In a view of more than 2**31 cells, of which only two pairs are ever touched."""
    memory = torch.from_numpy(np.zeros(2**31 + 5 * 8, np.float32))  # whose pages are there once they are written
    cost = memory.as_strided((2, 5, 8), (2**31, 8, 1))
    cost[:] = torch.rand(5, 8, generator=torch.Generator().manual_seed(61))
    lengths = torch.tensor([5, 5]), torch.tensor([8, 8])
    drops = torch.full((2, 5), 0.4), torch.full((2, 8), 0.3)
    order: dict[str, Any] = {"order_weight": 0.2, "order_margin": 1, "windows": None}
    soft: dict[str, Any] = {"gamma": 0.5, "band": None, "with_alignment": True}
    hard: dict[str, Any] = {"band": None, "with_path": True}
    for near_and_far in (
        backend.soft_dtw(cost, *lengths, **soft),
        backend.soft_dsta(cost, *lengths, **order, **soft),
        backend.soft_drop_dtw(cost, *drops, *lengths, contiguous=True, **soft),
        backend.dtw_path(cost, *lengths, **hard),
        backend.dsta_path(cost, *lengths, **order, **hard),
        backend.drop_dtw(cost, *drops, *lengths, contiguous=True, **hard),
    ):
        assert near_and_far[0].isfinite().all()
        assert all(torch.equal(one[0], one[1]) for one in near_and_far)


@triton.jit
def hold(held, n, row, N):
    tl.store(held, place_of(0, 0, row, n, N, True, False, 4)[1].to(tl.int64))


@pytest.mark.parametrize("steps", [1, 2])
def test_a_narrow_table_of_more_cells_than_32_bits_count(steps: int) -> None:
    held = torch.zeros(1, dtype=torch.int64)
    hold[(1,)](held, 1_000_000, 2412, steps)
    assert held.item() == (2**30 if steps == 1 else 2412)

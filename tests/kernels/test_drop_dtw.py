"""drop_dtw against every labelling there is."""

from __future__ import annotations

import math
from importlib import import_module
from itertools import pairwise, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from weaksync.kernels import drop_dtw, ops
from weaksync.kernels.geometry import within_band

pytestmark = pytest.mark.usefixtures("each_backend")


def price(labels, cost, drop_video, drop_text, contiguous):
    """What a labelling costs, +inf where it is no alignment; written from the definition."""
    matched = [(i, j) for i, j in enumerate(labels) if j >= 0]
    order = [j for _, j in matched]
    if order != sorted(order):
        return math.inf
    if contiguous and any(a == b and later - i > 1 for (i, a), (later, b) in pairwise(matched)):
        return math.inf
    total = sum(cost[i][j] for i, j in matched)
    total += sum(drop_video[i] for i, j in enumerate(labels) if j < 0)
    missing = [j for j in range(len(cost[0]) if cost else 0) if j not in order]
    if drop_text is None:
        return math.inf if missing else total
    return total + sum(drop_text[j] for j in missing)


def cheapest(cost, drop_video, drop_text, contiguous):
    n, m = len(cost), len(cost[0]) if cost else 0
    return min(price(labels, cost, drop_video, drop_text, contiguous) for labels in product(range(-1, m), repeat=n))


@st.composite
def problems(draw):
    n, m = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    number = st.floats(0, 2, allow_subnormal=False) | st.sampled_from([0.0, 0.5, 1.0])
    cell = number | st.just(math.inf) if draw(st.booleans()) else number
    cost = draw(st.lists(st.lists(cell, min_size=m, max_size=m), min_size=n, max_size=n))
    drop_video = draw(st.lists(number, min_size=n, max_size=n))
    must = draw(st.booleans()) and m <= n
    drop_text = None if must else draw(st.lists(number, min_size=m, max_size=m))
    return cost, drop_video, drop_text, draw(st.booleans())


def solve(cost, drop_video, drop_text, contiguous, **options):
    text = None if drop_text is None else torch.tensor([drop_text], dtype=torch.float64)
    return drop_dtw(
        torch.tensor([cost], dtype=torch.float64),
        torch.tensor([drop_video], dtype=torch.float64),
        text,
        contiguous=contiguous,
        **options,
    )


@given(problems())
@settings(max_examples=600)
def test_no_labelling_is_cheaper(problem):
    cost, drop_video, drop_text, contiguous = problem
    value, labels = solve(*problem)
    best = cheapest(*problem)
    if math.isinf(best):
        assert value.item() == math.inf and (labels == -1).all()
        return
    assert value.item() == pytest.approx(best, abs=1e-12)
    assert price(labels[0].tolist(), cost, drop_video, drop_text, contiguous) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("contiguous", [True, False])
@pytest.mark.parametrize("must_match", [True, False])
def test_padding_and_batch_change_nothing(contiguous, must_match):
    generator = torch.Generator().manual_seed(0)
    sizes = [(1, 1), (6, 3), (9, 9), (4, 4), (12, 5), (7, 1)]
    costs = [torch.rand(n, m, generator=generator, dtype=torch.float64) * 2 for n, m in sizes]
    padded = torch.full((len(sizes), 12, 9), torch.nan, dtype=torch.float64)
    drop_video = torch.full((len(sizes), 12), torch.nan, dtype=torch.float64)
    drop_text = torch.full((len(sizes), 9), torch.nan, dtype=torch.float64)
    for row, (n, m) in enumerate(sizes):
        padded[row, :n, :m] = costs[row]
        drop_video[row, :n] = torch.rand(n, generator=generator, dtype=torch.float64)
        drop_text[row, :m] = torch.rand(m, generator=generator, dtype=torch.float64)
    values, labels = drop_dtw(
        padded,
        drop_video,
        None if must_match else drop_text,
        video_lengths=torch.tensor([n for n, _ in sizes]),
        text_lengths=torch.tensor([m for _, m in sizes]),
        contiguous=contiguous,
    )
    for row, (n, m) in enumerate(sizes):
        alone, single = drop_dtw(
            costs[row][None],
            drop_video[row : row + 1, :n],
            None if must_match else drop_text[row : row + 1, :m],
            contiguous=contiguous,
        )
        assert values[row].item() == pytest.approx(alone.item(), abs=1e-12)
        assert labels[row, :n].tolist() == single[0].tolist()
        assert (labels[row, n:] == -1).all()


@pytest.mark.parametrize("size", [(9, 4), (5, 5), (1, 3), (4, 9)])
@pytest.mark.parametrize("band", [0, 1, 2])
def test_a_band_is_a_mask(size, band):
    n, m = size
    cost = torch.rand(3, n, m, generator=torch.Generator().manual_seed(band), dtype=torch.float64)
    near = within_band(torch.full((3,), n), torch.full((3,), m), n, m, band)
    if n == m:
        i, j = torch.meshgrid(torch.arange(n), torch.arange(m), indexing="ij")
        assert torch.equal(near[0], (i - j).abs() <= band)
    banded = drop_dtw(cost, 0.3, 0.2, band=band)
    masked = drop_dtw(cost.where(near, torch.inf), 0.3, 0.2)
    assert torch.equal(banded[0], masked[0]) and torch.equal(banded[1], masked[1])


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2))
def test_infeasible_lengths_are_told_before_the_start(n, m, band):
    cost = torch.zeros(1, n, m, dtype=torch.float64)
    near = within_band(torch.tensor([n]), torch.tensor([m]), n, m, band)
    possible = math.isfinite(drop_dtw(cost.where(near, torch.inf), 0.0, 1000.0)[0].item()) and (
        # with texts this dear to drop, an alignment that keeps them all costs nothing
        drop_dtw(cost.where(near, torch.inf), 0.0, 1000.0)[0].item() == 0
    )
    if possible:
        assert drop_dtw(cost, 0.0, band=band)[0].item() == 0
    else:
        with pytest.raises(ValueError, match=r"pair 0.*(texts for|least feasible band is 1)"):
            drop_dtw(cost, 0.0, band=band)


def test_nan_spoils_its_own_pair_alone():
    cost = torch.rand(3, 4, 2, generator=torch.Generator().manual_seed(3))
    clean, labels = drop_dtw(cost, 0.5, 0.5)
    cost[1, 2, 1] = torch.nan
    value, spoiled = drop_dtw(cost, 0.5, 0.5)
    assert value[1].isnan() and (spoiled[1] == -1).all()
    assert torch.equal(value[[0, 2]], clean[[0, 2]]) and torch.equal(spoiled[[0, 2]], labels[[0, 2]])


@pytest.mark.parametrize("drop_text", [None, 0.5])
def test_masks_that_leave_no_alignment(drop_text):
    cost = torch.zeros(3, 9, 2)
    cost[1] = torch.inf
    cost[2, :, 1] = torch.inf
    drop_video = torch.tensor([[0.5], [torch.inf], [torch.inf]])
    value, labels = drop_dtw(cost, drop_video, drop_text)
    assert value.tolist() == [0.0, torch.inf, torch.inf if drop_text is None else 0.5]
    assert labels[1].tolist() == [-1] * 9
    assert labels[2].tolist() == [-1 if drop_text is None else 0] * 9


def test_a_text_is_kept_by_the_largest_price_and_the_others_keep_theirs():
    cost = torch.rand(1, 5, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    prices = [0.3, 1e6, 0.2, 0.4]
    value, labels = drop_dtw(cost, 0.4, torch.tensor(prices))
    assert value.item() == pytest.approx(cheapest(cost[0].tolist(), [0.4] * 5, prices, True), abs=1e-6)
    assert 1 in labels[0]


def test_prices_in_the_padding_do_not_count():
    cost = torch.rand(2, 5, 4, generator=torch.Generator().manual_seed(4))
    lengths = torch.tensor([2, 3])
    whole = torch.tensor([0.3, 0.2, 0.4, 0.5])
    padded = torch.tensor([[0.3, 0.2, torch.inf, torch.nan], [0.3, 0.2, 0.4, torch.inf]])
    for one, other in zip(*(drop_dtw(cost, 0.4, t, text_lengths=lengths) for t in (whole, padded)), strict=True):
        assert torch.equal(one, other)


def test_empty_sides():
    assert drop_dtw(torch.zeros(2, 3, 0), 0.5, 1.0)[0].tolist() == [1.5, 1.5]
    assert drop_dtw(torch.zeros(2, 0, 3), 0.5, 1.0)[0].tolist() == [3.0, 3.0]
    value, labels = drop_dtw(torch.zeros(0, 3, 2), 0.5, 1.0)
    assert value.shape == (0,) and labels.shape == (0, 3)


def test_large_batches_run_in_slices(monkeypatch):
    module = import_module("weaksync.kernels.reference.drop_dtw")
    monkeypatch.setattr(ops, "_compiled", lambda: False)  # the reference's slices
    cost = torch.rand(7, 6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    whole = drop_dtw(cost, 0.4, 0.3)
    monkeypatch.setattr(module, "CELLS_AT_ONCE", 60)
    sliced = drop_dtw(cost, 0.4, 0.3)
    assert torch.equal(whole[0], sliced[0]) and torch.equal(whole[1], sliced[1])


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((torch.zeros(3, 2), 1.0), {}, "add a batch axis"),
        ((torch.zeros(1, 3, 2, dtype=torch.int64), 1.0), {}, "must be floating"),
        ((torch.full((1, 3, 2), -torch.inf), 1.0), {"validate": True}, "pair 0 holds NaN or -inf"),
        ((torch.full((1, 3, 2), torch.inf), torch.inf), {"validate": True}, "pair 0 has no alignment"),
        ((torch.zeros(1, 3, 2), torch.zeros(2)), {}, r"drop_video of shape \(2,\)"),
        ((torch.zeros(1, 3, 2), 1.0, torch.inf), {}, "leave drop_text None"),
        ((torch.zeros(1, 3, 2), 1.0, torch.tensor([1.0, 1e30])), {}, r"drop_text\[0, 1\] is 1e\+30, beyond 1e\+06"),
        ((torch.zeros(1, 3, 2), 1.0), {"band": -1}, "band must be"),
        ((torch.zeros(1, 3, 2), 1.0), {"video_lengths": torch.tensor([4])}, r"video_lengths\[0\] is 4"),
        ((torch.zeros(1, 3, 2), 1.0), {"text_lengths": torch.tensor([1, 1])}, "text_lengths must be"),
        ((torch.zeros(1, 3, 4), 1.0), {}, "4 texts for 3 video steps"),
    ],
)
def test_bad_input_is_named(arguments, options, words):
    with pytest.raises(ValueError, match=words):
        drop_dtw(*arguments, **options)

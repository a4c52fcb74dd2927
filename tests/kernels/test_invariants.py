"""What holds of every alignment, whatever its size: the public functions, in both precisions and on each backend."""

from __future__ import annotations

import sys
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from weaksync import kernels

from .problems import gammas

pytestmark = pytest.mark.usefixtures("each_backend")

dtypes = st.sampled_from([torch.float32, torch.float64])
sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))


def costs_of(size, seed, dtype, batch=2):
    return 2 * torch.rand(batch, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def close(dtype):
    return {"rtol": 1e-5, "atol": 2e-6} if dtype == torch.float32 else {"rtol": 1e-9, "atol": 1e-9}


SOFT_AND_HARD = {
    "dtw": (kernels.soft_dtw, kernels.dtw_path),
    "dsta": (kernels.soft_dsta, kernels.dsta_path),
    "drop": (
        partial(kernels.soft_drop_dtw, drop_video=0.4, drop_text=0.6),
        partial(kernels.drop_dtw, drop_video=0.4, drop_text=0.6),
    ),
}


@given(st.sampled_from(list(SOFT_AND_HARD)), sizes, st.integers(0, 99), dtypes, gammas)
@settings(max_examples=60)
def test_soft_values_lie_below_hard_ones_and_meet_them_as_gamma_falls(name, size, seed, dtype, gamma):
    soft, hard = SOFT_AND_HARD[name]
    cost = costs_of(size, seed, dtype)
    best = hard(cost)[0]
    assert (soft(cost, gamma=gamma) <= best + 1e-5).all()
    # gamma log(number of alignments) bounds the gap
    torch.testing.assert_close(soft(cost, gamma=1e-3), best, rtol=1e-4, atol=0.15)
    assert (soft(cost, gamma=1e-3) >= soft(cost, gamma=1e-2) - 1e-5).all()


@given(sizes, st.integers(0, 99), dtypes, gammas, st.integers(1, 45))
@settings(max_examples=60)
def test_each_video_step_has_a_distribution_over_texts(size, seed, dtype, gamma, window):
    n, m = size
    if n * window < m:
        return
    share = kernels.soft_dsta_alignment(costs_of(size, seed, dtype), gamma=gamma, window=window)
    assert (share >= 0).all()
    torch.testing.assert_close(share.sum(dim=2), torch.ones(2, n, dtype=dtype), **close(dtype))
    torch.testing.assert_close(share[:, -1, -1], torch.ones(2, dtype=dtype), **close(dtype))


@given(sizes, st.integers(0, 99), dtypes, gammas, st.booleans())
@settings(max_examples=60)
def test_steps_are_matched_or_dropped(size, seed, dtype, gamma, contiguous):
    cost = costs_of(size, seed, dtype).requires_grad_()
    video = torch.full(size[:1], 0.4, dtype=dtype).requires_grad_()
    kernels.soft_drop_dtw(cost, video, 0.6, gamma=gamma, contiguous=contiguous)[0].backward()
    torch.testing.assert_close(cost.grad[0].sum(dim=1) + video.grad, torch.ones(size[0], dtype=dtype), **close(dtype))


@given(st.sampled_from(list(SOFT_AND_HARD)), sizes, st.integers(0, 99), dtypes, st.integers(0, 8))
@settings(max_examples=80)
def test_a_band_is_a_mask_and_a_wide_one_is_none(name, size, seed, dtype, band):
    soft, hard = SOFT_AND_HARD[name]
    n, m = size
    cost = costs_of(size, seed, dtype)
    inside = kernels.geometry.within_band(torch.full((2,), n), torch.full((2,), m), n, m, band)
    masked = cost.where(inside, torch.inf)
    try:
        value, best = soft(cost, band=band), hard(cost, band=band)
    except ValueError:
        assert soft(masked).isinf().all()
        return
    torch.testing.assert_close(value, soft(masked), **close(dtype))
    for one, other in zip(best, hard(masked), strict=True):
        torch.testing.assert_close(one, other, **close(dtype))
    torch.testing.assert_close(soft(cost, band=n + m), soft(cost), **close(dtype))


@given(sizes, st.integers(0, 99), dtypes, gammas)
@settings(max_examples=40)
def test_a_window_as_wide_as_the_text_is_none(size, seed, dtype, gamma):
    cost = costs_of(size, seed, dtype)
    wide = kernels.soft_dsta(cost, gamma=gamma, window=torch.tensor([size[1], size[1] + 7]))
    torch.testing.assert_close(wide, kernels.soft_dsta(cost, gamma=gamma), **close(dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("endless", [2**32, 2**40, sys.maxsize, np.int64(sys.maxsize)])
def test_endless_widths_do_not_overflow(dtype, endless):
    cost = costs_of((7, 9), 6, dtype)
    for soft, hard in SOFT_AND_HARD.values():
        assert torch.equal(soft(cost, band=endless), soft(cost))
        assert torch.equal(hard(cost, band=endless)[1], hard(cost)[1])
    for function in (kernels.soft_dsta, lambda *a, **k: kernels.dsta_path(*a, **k)[0]):
        torch.testing.assert_close(function(cost, window=endless), function(cost), **close(dtype))
        torch.testing.assert_close(function(cost, order_margin=endless), function(cost, order_margin=9), **close(dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", list(SOFT_AND_HARD))
def test_paths_over_huge_costs_have_finite_gradients(name, dtype):
    cost = costs_of((6, 40), 7, dtype) * torch.tensor([1e18, 1e30])[:, None, None]
    cost.requires_grad_()
    SOFT_AND_HARD[name][0](cost, gamma=1e-3).sum().backward()
    assert cost.grad.isfinite().all() and cost.grad.min() >= 0 and cost.grad.max() <= 1


@given(sizes, st.integers(0, 99), dtypes, gammas)
@settings(max_examples=40)
def test_soft_dtw_is_symmetric(size, seed, dtype, gamma):
    cost = costs_of(size, seed, dtype)
    value = kernels.soft_dtw(cost, gamma=gamma)
    torch.testing.assert_close(kernels.soft_dtw(cost.transpose(1, 2), gamma=gamma), value, **close(dtype))
    torch.testing.assert_close(kernels.soft_dtw(cost.flip(1, 2), gamma=gamma), value, **close(dtype))


@given(sizes, st.integers(0, 99), st.booleans())
@settings(max_examples=40)
def test_dropping_everything_is_the_worst_that_can_happen(size, seed, contiguous):
    cost = costs_of(size, seed, torch.float32)
    everything = 0.4 * size[0] + 0.6 * size[1]
    assert (kernels.drop_dtw(cost, 0.4, 0.6, contiguous=contiguous)[0] <= everything + 1e-4).all()
    value, labels = kernels.drop_dtw(cost + 9, 0.4, 0.6, contiguous=contiguous)
    torch.testing.assert_close(value, torch.full((2,), everything))
    assert (labels == -1).all()


@pytest.mark.parametrize("gamma", [1e-3, 0.1, 10.0])
@pytest.mark.parametrize("name", list(SOFT_AND_HARD))
def test_long_pairs_stay_finite_at_every_temperature(name, gamma):
    if not kernels.cpu.available() or not kernels.ops._compiled():
        pytest.skip("the reference would take minutes")
    n, m = 4096, 3001
    cost = costs_of((n, m), 5, torch.float32, batch=1).requires_grad_()
    value = SOFT_AND_HARD[name][0](cost, gamma=gamma)
    value.backward()
    assert value.isfinite().all() and cost.grad.isfinite().all() and (cost.grad >= 0).all()
    if name == "dsta":
        torch.testing.assert_close(cost.grad.sum(dim=2), torch.ones(1, n), rtol=1e-4, atol=1e-4)

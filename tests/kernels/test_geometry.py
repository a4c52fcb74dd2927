"""Bands and windows: the least feasible width is the least, and narrower is an error that says so."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from weaksync.kernels import dsta_path, dtw_path
from weaksync.kernels.geometry import least_dsta_window, least_dtw_band

from .problems import near

pytestmark = pytest.mark.usefixtures("each_backend")


def masked(n, m, band):
    return torch.zeros(1, n, m, dtype=torch.float64).where(near(n, m, band), torch.inf)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 5))
def test_a_dtw_band_is_told_infeasible_exactly_where_it_is(n, m, band):
    feasible = dtw_path(masked(n, m, band))[0].isfinite().item()
    assert feasible == (band >= least_dtw_band(n, m))
    if feasible:
        assert dtw_path(torch.zeros(1, n, m), band=band)[0].item() == 0
    else:
        with pytest.raises(ValueError, match=rf"pair 0 .*least feasible band is {least_dtw_band(n, m)}$"):
            dtw_path(torch.zeros(1, n, m), band=band)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 9), st.none() | st.integers(0, 3))
@settings(max_examples=300)
def test_a_dsta_window_is_told_infeasible_exactly_where_it_is(n, m, window, band):
    cost = masked(n, m, band)
    reachable = [0]  # columns counted from 1 that a step can take; 0 is the start
    for i in range(n):
        reachable = [
            j for j in range(1, m + 1) if cost[0, i, j - 1] == 0 and any(abs(p - j) <= window for p in reachable)
        ]
    if m in reachable:
        assert dsta_path(torch.zeros(1, n, m), window=window, band=band, order_weight=0.0)[0].item() == 0
        return
    with pytest.raises(ValueError, match=r"pair 0 .*least feasible") as told:
        dsta_path(torch.zeros(1, n, m), window=window, band=band)
    if "window" in str(told.value):
        least = least_dsta_window(n, m, band)
        assert least > window
        assert dsta_path(torch.zeros(1, n, m), window=least, band=band, order_weight=0.0)[0].item() == 0


def test_windows_and_lengths_are_named():
    cost = torch.zeros(2, 3, 6)
    with pytest.raises(ValueError, match=r"pair 1 \(3 x 6\): 3 steps of window 1 .*least feasible window is 2"):
        dsta_path(cost, window=torch.tensor([2, 1]))
    with pytest.raises(ValueError, match="window of pair 0 is -1"):
        dsta_path(cost, window=torch.tensor([-1, 1]))
    with pytest.raises(ValueError, match="window must be None, a whole number"):
        dsta_path(cost, window=-1)
    with pytest.raises(ValueError, match=r"pair 1 \(0 x 6\) is empty"):
        dtw_path(cost, video_lengths=torch.tensor([3, 0]))

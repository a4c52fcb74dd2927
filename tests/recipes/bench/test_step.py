"""The step benchmark runs both loops on the same batch; its figures are for people, not for a test."""

from __future__ import annotations

import numpy as np
import pytest

from weaksync.recipes.bench.step import StepTimes, measure


def test_both_loops_are_timed() -> None:
    times = measure("cclm-tiny", pairs=8, steps=2, repeats=2)
    assert times.lightning.shape == times.bare.shape == (2,)
    assert (times.lightning > 0).all()
    assert (times.bare > 0).all()


def test_the_ratio_is_taken_pair_by_pair() -> None:
    middle, low, high = StepTimes(np.array([2.0, 30.0, 4.0]), np.array([1.0, 10.0, 4.0])).ratio()
    assert (middle, low, high) == (2.0, 1.0, 3.0)


def test_another_kind_of_model_is_refused() -> None:
    with pytest.raises(ValueError, match="does not align stories"):
        measure("transnet-v2", repeats=1)

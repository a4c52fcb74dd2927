"""The Triton launchers where a row takes several blocks, lies in memory, or moves with a band.

Not collected by itself: `test_triton.py` runs it in a process that has TRITON_INTERPRET=1 from the start. By hand:

    TRITON_INTERPRET=1 pytest tests/kernels/triton_blocks.py
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from weaksync.kernels import reference
from weaksync.kernels import triton as backend
from weaksync.kernels.triton import launch

from .triton_pairs import (  # noqa: F401 (fixtures)
    Pairs,
    assert_close,
    assert_soft_forms,
    assert_values,
    drop_costs,
    pairs,
    poison,
    quiet,
    small_blocks,
    spoil,
    tiny_blocks,
    wide_pairs,
)

#: none, one that a program moves along, and one that takes several blocks
BANDS = (None, 45, 100)


def assert_planned(band: int | None) -> None:
    """For `wide_pairs` in small blocks."""
    plan = launch.plan(5, 290, band)
    assert plan.chunked
    assert plan.narrow is (band is not None)
    assert plan.moving is (band == 45)


def test_a_narrow_plan_holds_the_band() -> None:
    for texts in (1, 127, 129, 1000, 2049, 5000, 100_000):
        for band in (0, 3, 58, 200, 600, 1018, 1019, 2000, 50_000):
            plan, in_memory = launch.plan(texts, texts, band), launch.plan_in_memory(texts, band)
            needed = 2 * band + 3 + plan.layout.columns
            assert plan.narrow <= (needed <= plan.held < texts)
            assert plan.held <= max(2 * needed + 10, 128)
            assert plan.moving == (plan.narrow and needed <= launch.LAYOUTS[-1].width)
            assert plan.moving <= (plan.held == plan.layout.width)
            assert plan.moving or plan.chunked == (texts > launch.LAYOUTS[-1].width)
            assert in_memory.narrow is (in_memory.held < texts)
            assert in_memory.held >= min(texts, 2 * band + 3 + in_memory.layout.columns)
            assert in_memory.held <= 2 * band + 16
    assert launch.plan(5000, 5000, 600).moving
    assert launch.plan(10_000, 10_000, 1200).held == 2 * 1200 + 12
    assert not launch.plan(2, 5000, 600).narrow


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("band", BANDS)
def test_long_dtw(band: int | None) -> None:
    batch = wide_pairs(41)
    assert_planned(band)
    options = {"band": band}
    found = backend.soft_dtw(batch.cost, batch.steps, batch.texts, gamma=0.3, with_alignment=True, **options)
    truth = reference.soft_dtw(batch.cost.double(), batch.steps, batch.texts, gamma=0.3, with_alignment=True, **options)
    assert_close(found[0], truth[0], 1e-7)
    assert_close(found[1], truth[1], 3e-6)
    path = backend.dtw_path(batch.cost, batch.steps, batch.texts, with_path=True, **options)
    true_path = reference.dtw_path(batch.cost.double(), batch.steps, batch.texts, with_path=True, **options)
    assert_values(path[0], true_path[0])
    assert torch.equal(path[1], true_path[1])
    assert torch.equal(path[2], true_path[2])


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("band", BANDS)
@pytest.mark.parametrize("contiguous", [True, False])
def test_long_drop_dtw(contiguous: bool, band: int | None) -> None:
    batch = wide_pairs(42, forbidden=0.05)
    video, text = drop_costs(batch, {})
    assert text is not None
    assert_planned(band)
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
    found = backend.soft_dsta(batch.cost, batch.steps, batch.texts, gamma=0.2, **options, with_alignment=True)
    truth = reference.soft_dsta(
        batch.cost.double(), batch.steps, batch.texts, gamma=0.2, **options, with_alignment=True
    )
    assert_close(found[0], truth[0], 1e-7)
    assert_close(found[1], truth[1], 3e-6)
    labels = backend.dsta_path(batch.cost, batch.steps, batch.texts, **options, with_path=True)
    true_labels = reference.dsta_path(batch.cost.double(), batch.steps, batch.texts, **options, with_path=True)
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
    found = backend.soft_dsta(batch.cost, batch.steps, batch.texts, gamma=0.2, **options, with_alignment=True)
    truth = reference.soft_dsta(
        batch.cost.double(), batch.steps, batch.texts, gamma=0.2, **options, with_alignment=True
    )
    assert truth[0].isfinite().tolist() == [True, False, False, False]
    assert_close(found[0], truth[0], 1e-7)
    assert_close(found[1], truth[1], 3e-6)
    value, _ = backend.soft_dsta(batch.cost, batch.steps, batch.texts, gamma=0.2, **options, with_alignment=False)
    assert_close(value, truth[0], 1e-7)
    labels = backend.dsta_path(batch.cost, batch.steps, batch.texts, **options, with_path=True)
    assert torch.equal(
        labels[1], reference.dsta_path(batch.cost, batch.steps, batch.texts, **options, with_path=True)[1]
    )


@pytest.mark.usefixtures("tiny_blocks")
@pytest.mark.parametrize("band", [None, 2])
def test_stock_scan_agrees_in_blocks(band: int | None) -> None:
    """Rows of two blocks, or a band that moves, or rows in memory."""
    assert launch.plan(4, 30, band).narrow is (band is not None)
    assert_soft_forms(pairs(1, 4, 30, seed=59), window=12, band=band)


def assert_drop_dtw(batch: Pairs, video: Tensor, text: Tensor | None, contiguous: bool, band: int | None) -> None:
    options: dict[str, Any] = {"contiguous": contiguous, "band": band}
    exact = (video.double(), None if text is None else text.double(), batch.steps, batch.texts)
    arguments = (video, text, batch.steps, batch.texts)
    found = backend.soft_drop_dtw(batch.cost, *arguments, gamma=0.1, with_alignment=True, **options)
    truth = reference.soft_drop_dtw(batch.cost.double(), *exact, gamma=0.1, with_alignment=True, **options)
    assert_close(found[0], truth[0], 2e-7)
    for share, true_share in zip(found[1:], truth[1:], strict=True):
        torch.testing.assert_close(share.double(), true_share, atol=3e-6, rtol=0.0)
    labels = backend.drop_dtw(batch.cost, *arguments, with_path=True, **options)
    true_labels = reference.drop_dtw(batch.cost.double(), *exact, with_path=True, **options)
    assert_values(labels[0], true_labels[0])
    assert torch.equal(labels[1], true_labels[1])

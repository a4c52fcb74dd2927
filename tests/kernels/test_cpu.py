"""The C++ kernels against the reference in float64: every function, setting and instruction set."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from weaksync.kernels import cpu, reference

pytestmark = pytest.mark.skipif(not cpu.available(), reason="the compiled CPU kernels were not built")

INF = float("inf")
GRADIENT = 2e-6


def usable() -> list[str]:
    names = []
    for name in cpu.INSTRUCTION_SETS if cpu.available() else ():
        try:
            names.append(cpu.use(name))
        except ValueError:
            continue
    if cpu.available():
        cpu.use(None)
    return names


@pytest.fixture(params=usable(), scope="module")
def instructions(request: pytest.FixtureRequest) -> Iterator[str]:
    yield cpu.use(request.param)
    cpu.use(None)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# ---- what is compared


def hold_to(found: Tensor, truth: Tensor, tolerance: float, scale: float = 0.0) -> None:
    """Equal where the truth is not finite, and within `tolerance` of its largest magnitude (or `scale`) elsewhere."""
    assert found.shape == truth.shape
    truth, found = truth.double(), found.double()
    finite = truth.isfinite()
    torch.testing.assert_close(found[~finite], truth[~finite], equal_nan=True, rtol=0, atol=0)
    if finite.any():
        allowed = tolerance * max(float(truth[finite].abs().max()), scale)
        assert float((found - truth)[finite].abs().max()) <= allowed


def hold_values(found: Tensor, truth: Tensor, scale: float) -> None:
    """Value by value, to the rounding of the float32 that is returned.

    Near zero to that of `scale`: a soft value is a difference of costs and of gamma for each step of the path.
    """
    for one, other in zip(found, truth, strict=True):
        hold_to(one[None], other[None], 1e-7, scale)


class Case:
    """A batch of ragged pairs with every setting that the functions take, drawn from one seed."""

    def __init__(self, seed: int, longest: int = 70) -> None:
        draw = torch.Generator().manual_seed(seed)

        def whole(low: int, high: int) -> int:
            return int(torch.randint(low, high + 1, (1,), generator=draw))

        def one_of(*choices: Any) -> Any:
            return choices[whole(0, len(choices) - 1)]

        self.pairs, self.n, self.m = whole(1, 4), whole(1, longest), whole(1, longest)
        shape = (self.pairs, self.n, self.m)
        self.cost = torch.rand(shape, generator=draw) * 2
        if one_of(True, False, False):
            self.cost[torch.rand(shape, generator=draw) < 0.1] = INF
        least = one_of(0, 1, 1, 1)
        self.steps = torch.randint(least, self.n + 1, (self.pairs,), generator=draw)
        self.texts = torch.randint(least, self.m + 1, (self.pairs,), generator=draw)
        if one_of(True, False):
            self.steps.fill_(self.n), self.texts.fill_(self.m)
        self.drop_video = 0.1 + torch.rand(self.pairs, self.n, generator=draw)
        self.drop_video[torch.rand(self.pairs, self.n, generator=draw) < one_of(0.0, 0.0, 0.2)] = INF
        self.drop_text = one_of(None, 0.1 + torch.rand(self.pairs, self.m, generator=draw))
        self.band = one_of(None, None, whole(0, 20))
        self.gamma = one_of(1e-3, 0.02, 0.1, 1.0, 10.0)
        self.contiguous = one_of(True, False)
        self.order = {
            "windows": one_of(None, torch.randint(0, self.m + 3, (self.pairs,), generator=draw)),
            "order_weight": one_of(0.0, 0.1, 1.0, 5.0),
            "order_margin": whole(0, 6),
        }
        # nothing may be read from the padding
        for pair in range(self.pairs):
            self.cost[pair, int(self.steps[pair]) :] = torch.nan
            self.cost[pair, :, int(self.texts[pair]) :] = torch.nan
            self.drop_video[pair, int(self.steps[pair]) :] = torch.nan
            if self.drop_text is not None:
                self.drop_text[pair, int(self.texts[pair]) :] = torch.nan

    @property
    def drops(self) -> tuple[Tensor, Tensor | None]:
        return self.drop_video, self.drop_text

    @property
    def drops_truth(self) -> tuple[Tensor, Tensor | None]:
        return self.drop_video.double(), None if self.drop_text is None else self.drop_text.double()

    @property
    def lengths(self) -> tuple[Tensor, Tensor]:
        return self.steps, self.texts


seeds = st.integers(0, 2**31 - 1)
quick = settings(max_examples=40)


# ---- the soft forms


@quick
@given(seed=seeds)
def test_soft_dtw(instructions: str, seed: int) -> None:
    case = Case(seed)
    given_ = {"gamma": case.gamma, "band": case.band}
    truth, share = reference.soft_dtw(case.cost.double(), *case.lengths, **given_, with_alignment=True)
    value, alignment = cpu.soft_dtw(case.cost, *case.lengths, **given_, with_alignment=True)
    hold_values(value, truth, case.gamma * (case.n + case.m))
    hold_to(alignment, share, GRADIENT)
    alone, nothing = cpu.soft_dtw(case.cost, *case.lengths, **given_, with_alignment=False)
    assert torch.equal(alone, value) and nothing.numel() == 0


@quick
@given(seed=seeds)
def test_soft_dsta(instructions: str, seed: int) -> None:
    case = Case(seed)
    given_ = {"gamma": case.gamma, "band": case.band, **case.order}
    truth, share = reference.soft_dsta(case.cost.double(), *case.lengths, **given_, with_alignment=True)
    value, alignment = cpu.soft_dsta(case.cost, *case.lengths, **given_, with_alignment=True)
    hold_values(value, truth, case.gamma * (case.n + case.m))
    hold_to(alignment, share, GRADIENT)
    real = torch.arange(case.n) < torch.where(value.isfinite(), case.steps, 0)[:, None]
    torch.testing.assert_close(alignment.sum(dim=2), real.float(), rtol=0, atol=1e-5)  # one text to each step
    assert torch.equal(cpu.soft_dsta(case.cost, *case.lengths, **given_, with_alignment=False)[0], value)


@quick
@given(seed=seeds)
def test_soft_drop_dtw(instructions: str, seed: int) -> None:
    case = Case(seed)
    given_ = {"gamma": case.gamma, "band": case.band, "contiguous": case.contiguous}
    truth, *shares = reference.soft_drop_dtw(
        case.cost.double(), *case.drops_truth, *case.lengths, **given_, with_alignment=True
    )
    value, *found = cpu.soft_drop_dtw(case.cost, *case.drops, *case.lengths, **given_, with_alignment=True)
    hold_values(value, truth, case.gamma * (case.n + case.m))
    for one, other in zip(found, shares, strict=True):
        hold_to(one, other, GRADIENT, scale=0.01)
    assert torch.equal(
        cpu.soft_drop_dtw(case.cost, *case.drops, *case.lengths, **given_, with_alignment=False)[0], value
    )


@pytest.mark.parametrize("window", [1, 2, 7, 15, 16, 17, 31, 32, 33, 48, 63, 64, 80, 95, 96, 110, 127, 128, 200])
@pytest.mark.parametrize("margin", [0, 1, 5, 40])
def test_every_window(instructions: str, window: int, margin: int) -> None:
    cost = torch.rand(1, 130, 128, generator=torch.Generator().manual_seed(window)) * 2
    lengths = torch.tensor([130]), torch.tensor([128])
    given_ = {"windows": torch.tensor([window]), "order_weight": 0.3, "order_margin": margin, "band": None}
    truth, share = reference.soft_dsta(cost.double(), *lengths, **given_, gamma=0.2, with_alignment=True)
    value, alignment = cpu.soft_dsta(cost, *lengths, **given_, gamma=0.2, with_alignment=True)
    hold_values(value, truth, 0.2)
    hold_to(alignment, share, GRADIENT)
    hard, labels = cpu.dsta_path(cost, *lengths, **given_, with_path=True)
    best, path = reference.dsta_path(cost.double(), *lengths, **given_, with_path=True)
    hold_values(hard, best, 1.0)
    assert torch.equal(labels, path)


@pytest.mark.parametrize("window", [17, 40, 64, 99])
def test_no_way_back_is_longer_than_the_window(instructions: str, window: int) -> None:
    cost = torch.rand(2, 30, 160, generator=torch.Generator().manual_seed(window)) * 2
    wall, back = 140, 140 - window
    cost[:, 14, :wall] = torch.inf  # from here only `back` is within the window, and in the second pair nothing
    cost[:, 15, back + 1 :] = torch.inf
    cost[1, 15, back] = torch.inf
    lengths = torch.tensor([30, 30]), torch.tensor([160, 160])
    given_ = {"windows": torch.tensor([window] * 2), "order_weight": 1.0, "order_margin": 1, "band": None}
    truth, share = reference.soft_dsta(cost.double(), *lengths, **given_, gamma=0.1, with_alignment=True)
    value, alignment = cpu.soft_dsta(cost, *lengths, **given_, gamma=0.1, with_alignment=True)
    assert truth.isfinite().tolist() == [True, False]
    hold_values(value, truth, 0.1)
    hold_to(alignment, share, GRADIENT)


@pytest.mark.parametrize("gamma", [1e-3, 0.1, 10.0])
def test_long_pairs_stay_accurate(gamma: float) -> None:
    cost = torch.rand(1, 600, 500, generator=torch.Generator().manual_seed(3)) * 2
    drops = torch.full((1, 600), 0.4), torch.full((1, 500), 0.4)
    lengths = torch.tensor([600]), torch.tensor([500])
    truth, share = reference.soft_dtw(cost.double(), *lengths, gamma=gamma, band=None, with_alignment=True)
    value, alignment = cpu.soft_dtw(cost, *lengths, gamma=gamma, band=None, with_alignment=True)
    hold_values(value, truth, gamma)
    hold_to(alignment, share, GRADIENT)
    given_ = {"gamma": gamma, "contiguous": True, "band": None, "with_alignment": True}
    truth, *shares = reference.soft_drop_dtw(cost.double(), *(drop.double() for drop in drops), *lengths, **given_)
    value, *found = cpu.soft_drop_dtw(cost, *drops, *lengths, **given_)
    hold_values(value, truth, gamma)
    for one, other in zip(found, shares, strict=True):
        hold_to(one, other, GRADIENT)


@pytest.mark.parametrize("gamma", [1e-3, 10.0])
def test_4096_steps_are_finite(gamma: float) -> None:
    cost = torch.rand(1, 4096, 4096, generator=torch.Generator().manual_seed(4)) * 2
    lengths = torch.tensor([4096]), torch.tensor([4096])
    order = {"windows": torch.tensor([9]), "order_weight": 1.0, "order_margin": 1}
    for value, alignment in (
        cpu.soft_dtw(cost, *lengths, gamma=gamma, band=64, with_alignment=True),
        cpu.soft_dsta(cost, *lengths, **order, gamma=gamma, band=None, with_alignment=True),
    ):
        assert value.isfinite().all() and alignment.isfinite().all()
        assert float(alignment.sum(dim=2).min()) > 1 - 1e-5


# ---- the hard forms


@quick
@given(seed=seeds, double=st.booleans(), tied=st.booleans())
def test_hard_forms(instructions: str, seed: int, double: bool, tied: bool) -> None:
    case = Case(seed)
    drops, truths = case.drops, case.drops_truth
    cost = case.cost.double() if double else case.cost
    if tied:  # quarters add up exactly, so that ties are ties in any order of summation
        cost = (cost * 4).round() / 4
        drops = tuple(None if drop is None else (drop * 4).round() / 4 for drop in drops)
        truths = tuple(None if drop is None else drop.double() for drop in drops)
        case.order["order_weight"] = round(case.order["order_weight"] * 4) / 4
    band, exact = {"band": case.band}, cost.double()

    best, *truth = reference.dtw_path(exact, *case.lengths, **band, with_path=True)
    value, *found = cpu.dtw_path(cost, *case.lengths, **band, with_path=True)
    hold_to(value, best.to(value.dtype), 1e-6)
    assert torch.equal(found[0], truth[0]) and torch.equal(found[1], truth[1])
    assert torch.equal(cpu.dtw_path(cost, *case.lengths, **band, with_path=False)[0].nan_to_num(7), value.nan_to_num(7))

    best, labels = reference.dsta_path(exact, *case.lengths, **band, **case.order, with_path=True)
    value, found = cpu.dsta_path(cost, *case.lengths, **band, **case.order, with_path=True)
    hold_to(value, best.to(value.dtype), 1e-6)
    if tied or case.order["order_weight"] == 0:
        assert torch.equal(found, labels)
    else:
        assert torch.equal(price_of_labels(exact, found, case), price_of_labels(exact, labels, case))

    given_ = {"contiguous": case.contiguous, **band}
    best, labels = reference.drop_dtw(exact, *truths, *case.lengths, **given_, with_path=True)
    value, found = cpu.drop_dtw(cost, *drops, *case.lengths, **given_, with_path=True)
    hold_to(value, best.to(value.dtype), 1e-6)
    assert torch.equal(found, labels)
    assert torch.equal(cpu.drop_dtw(cost, *drops, *case.lengths, **given_, with_path=False)[0], value)


def price_of_labels(cost: Tensor, labels: Tensor, case: Case) -> Tensor:
    """What each pair's labels cost under DSTA, rounded beyond the order of summation; 0 where there are none."""
    prices = []
    for pair in range(case.pairs):
        steps = int(case.steps[pair])
        j = labels[pair, :steps]
        if steps == 0 or j[0] < 0:
            prices.append(0.0)
            continue
        back = (j[:-1] - j[1:] - case.order["order_margin"]).clamp(min=0).sum()
        price = cost[pair, torch.arange(steps), j].sum() + case.order["order_weight"] * back
        prices.append(round(float(price), 9))
    return torch.tensor(prices)


# ---- bands, strides, threads, masks


def test_a_band_is_a_mask(instructions: str) -> None:
    generator = torch.Generator().manual_seed(5)
    for n, m, band in [(40, 90, 3), (90, 40, 2), (64, 64, 0), (33, 1, 0), (1, 33, 0), (100, 97, 12), (50, 60, 1000)]:
        cost = torch.rand(2, n, m, generator=generator)
        i, j = torch.arange(n)[:, None], torch.arange(m)[None]
        outside = ((j * (n - 1) - i * (m - 1)).abs() > band * max(n - 1, 1)) & (n > 1)
        masked = cost.masked_fill(outside, INF)
        lengths = torch.tensor([n, n]), torch.tensor([m, m])
        order = {"windows": None, "order_weight": 1.0, "order_margin": 1}
        drops = torch.full((2, n), 0.4), torch.full((2, m), 0.3)
        both = [{"cost": cost, "band": band}, {"cost": masked, "band": None}]
        for one, other in (
            [cpu.soft_dtw(**b, steps=lengths[0], texts=lengths[1], gamma=0.1, with_alignment=True) for b in both],
            [
                cpu.soft_dsta(**b, steps=lengths[0], texts=lengths[1], gamma=0.1, **order, with_alignment=True)
                for b in both
            ],
            [cpu.dtw_path(**b, steps=lengths[0], texts=lengths[1], with_path=True) for b in both],
            [cpu.dsta_path(**b, steps=lengths[0], texts=lengths[1], **order, with_path=True) for b in both],
            [cpu.drop_dtw(b["cost"], *drops, *lengths, contiguous=True, band=b["band"], with_path=True) for b in both],
        ):
            for found, truth in zip(one, other, strict=True):
                hold_to(found, truth, 1e-6)


def test_any_stride(instructions: str) -> None:
    generator = torch.Generator().manual_seed(6)
    whole = torch.rand(6, 50, 80, generator=generator)
    lengths = torch.tensor([20, 13, 20]), torch.tensor([37, 37, 5])
    for cost in (
        whole[::2, 5:45:2, 3:40],
        whole.transpose(1, 2)[1::2, 4:24, 2:39],
        whole[:1, :20, :37].expand(3, 20, 37),
    ):
        before = whole.clone()
        found = cpu.soft_dtw(cost, *lengths, gamma=0.1, band=None, with_alignment=True)
        truth = cpu.soft_dtw(
            cost.clone(memory_format=torch.contiguous_format), *lengths, gamma=0.1, band=None, with_alignment=True
        )
        assert torch.equal(found[0], truth[0]) and torch.equal(found[1], truth[1])
        assert torch.equal(whole, before)


@pytest.mark.parametrize("spoiler", [float("nan"), -INF])
def test_a_spoiled_pair_is_nan_alone(instructions: str, spoiler: float) -> None:
    cost = torch.rand(3, 12, 21, generator=torch.Generator().manual_seed(8))
    lengths = torch.tensor([12, 9, 12]), torch.tensor([21, 18, 20])
    drops = torch.full((3, 12), 0.4), torch.full((3, 21), 0.4)
    order = {"windows": None, "order_weight": 1.0, "order_margin": 1}

    def all_of(cost: Tensor, drops: tuple[Tensor, Tensor], band: int | None) -> list[tuple[Tensor, ...]]:
        soft = {"gamma": 0.1, "band": band, "with_alignment": True}
        hard = {"band": band, "with_path": True}
        return [
            cpu.soft_dtw(cost, *lengths, **soft),
            cpu.soft_dsta(cost, *lengths, **soft, **order),
            cpu.soft_drop_dtw(cost, *drops, *lengths, **soft, contiguous=True),
            cpu.dtw_path(cost, *lengths, **hard),
            cpu.dsta_path(cost, *lengths, **hard, **order),
            cpu.drop_dtw(cost, *drops, *lengths, **hard, contiguous=True),
        ]

    for band in (None, 4):
        sound = all_of(cost, drops, band)
        for i, j in [(0, 17), (8, 3)]:  # outside of the band too
            spoiled = cost.clone()
            spoiled[1, i, j] = spoiler
            for number, (before, after) in enumerate(zip(sound, all_of(spoiled, drops, band), strict=True)):
                assert after[0][1].isnan()
                for one, other in zip(before, after, strict=True):
                    assert torch.equal(one[[0, 2]], other[[0, 2]])
                if number < 3:
                    assert after[1][1, :9, :18].isnan().all()
                    assert not after[1][1, 9:].any() and not after[1][1, :, 18:].any()
                else:
                    assert (after[1][1] == -1).all()
    bad = drops[0].clone()
    bad[1, 3] = spoiler
    assert cpu.drop_dtw(cost, bad, drops[1], *lengths, contiguous=True, band=None, with_path=True)[
        0
    ].isnan().tolist() == [
        False,
        True,
        False,
    ]


def test_costs_beyond_the_range_go_to_the_reference() -> None:
    cost = torch.rand(3, 9, 8, generator=torch.Generator().manual_seed(9))
    cost[1, 2:5] = 1e9
    lengths = torch.tensor([9, 9, 7]), torch.tensor([8, 8, 8])
    truth, share = reference.soft_dtw(cost.double(), *lengths, gamma=0.1, band=None, with_alignment=True)
    value, alignment = cpu.soft_dtw(cost, *lengths, gamma=0.1, band=None, with_alignment=True)
    hold_values(value, truth, 0.1)
    hold_to(alignment, share, GRADIENT)
    order = {"windows": torch.tensor([3, 8, 8]), "order_weight": 1e8, "order_margin": 0}
    truth, share = reference.soft_dsta(cost.double(), *lengths, **order, gamma=0.1, band=None, with_alignment=True)
    value, alignment = cpu.soft_dsta(cost, *lengths, **order, gamma=0.1, band=None, with_alignment=True)
    hold_values(value, truth, 0.1)
    hold_to(alignment, share, GRADIENT)


def test_masks_that_force_long_ways_back_are_not_taken_for_infeasible() -> None:
    cost = torch.full((1, 40, 300), INF)
    cost[0, torch.arange(40), (torch.arange(40) % 2) * 299] = 0.5  # from end to end and back
    lengths = torch.tensor([40]), torch.tensor([300])
    order = {"windows": None, "order_weight": 40.0, "order_margin": 1}
    truth, share = reference.soft_dsta(cost.double(), *lengths, **order, gamma=1e-3, band=None, with_alignment=True)
    value, alignment = cpu.soft_dsta(cost, *lengths, **order, gamma=1e-3, band=None, with_alignment=True)
    assert truth.isfinite().all()
    hold_values(value, truth, 1e-3)
    hold_to(alignment, share, GRADIENT)


@pytest.mark.parametrize("shape", [(0, 4, 5), (2, 0, 5), (2, 4, 0), (1, 0, 0)])
def test_empty_batches(instructions: str, shape: tuple[int, int, int]) -> None:
    batch, n, m = shape
    cost = torch.rand(shape)
    lengths = torch.full((batch,), n), torch.full((batch,), m)
    drops = torch.full((batch, n), 0.5), torch.full((batch, m), 0.5)
    for value, alignment in (
        cpu.soft_dtw(cost, *lengths, gamma=0.1, band=None, with_alignment=True),
        cpu.soft_dsta(
            cost, *lengths, windows=None, gamma=0.1, order_weight=1.0, order_margin=1, band=None, with_alignment=True
        ),
    ):
        assert alignment.shape == shape and torch.isposinf(value).all()
    path = cpu.dtw_path(cost, *lengths, band=None, with_path=True)[1]
    assert path.shape == (batch, max(n + m - 1, 0), 2) and (path == -1).all()
    value, _, video, text = cpu.soft_drop_dtw(
        cost, *drops, *lengths, gamma=0.1, contiguous=True, band=None, with_alignment=True
    )
    torch.testing.assert_close(value, torch.full((batch,), 0.5 * (n + m)))  # everything is dropped
    hold_to(torch.cat([video, text], dim=1), torch.ones(batch, n + m), GRADIENT)


def test_scaling_in_place(instructions: str) -> None:
    alignment = torch.rand(3, 5, 7, generator=torch.Generator().manual_seed(5))
    for factors in (torch.tensor([2.0, -0.3, 0.0]), torch.tensor(0.7).expand(3)):
        found = alignment.clone()
        assert cpu.scale(found, factors) is found
        assert torch.equal(found, alignment * factors[:, None, None])
    assert cpu.scale(torch.rand(0, 5, 7), torch.rand(0)).shape == (0, 5, 7)


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_scaling_without_memory_is_an_error() -> None:
    """The workspace that the recurrence left in pieces is made one before it is used again."""
    script = """
import resource, torch
from weaksync.kernels import cpu, drop_dtw
torch.set_num_threads(1)
drop_dtw(torch.rand(1, 6000, 6000), drop_video=0.4, drop_text=0.3)
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() - (20 << 20), resource.RLIM_INFINITY))
try:
    cpu.scale(torch.ones(2, 5, 5), torch.zeros(2))
except MemoryError:
    print("MemoryError")
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100)
    assert found.stdout == "MemoryError\n", found.stderr


EDGES = [(2, 7, 3, 5, 3), (1, 50, 2, 49, 17), (3, 6, 2, 97, 33), (1, 1, 1, 1, 1), (2, 4, 0, 5, 8)]


@pytest.mark.parametrize("shape", EDGES)
def test_costs_of_unit_vectors(instructions: str, shape: tuple[int, ...]) -> None:
    """Tiles, and what is left at their edges, against the product in double precision."""
    videos, n, texts, m, depth = shape
    random = torch.Generator().manual_seed(0)
    video = torch.randn(n, videos, depth, generator=random).transpose(0, 1) / depth**0.5
    text = torch.randn(texts, m, 2 * depth, generator=random)[..., :depth] / depth**0.5
    exact = 1 - torch.einsum("vnd,smd->vsnm", video.double(), text.double())
    for extra in (None, torch.rand(1, n, m, generator=random), torch.rand(texts, m, n, generator=random).mT):
        found = cpu.unit_cost(video, text, extra)
        expected = exact if extra is None else exact + extra
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="dimensions"):
        cpu.unit_cost(video, torch.zeros(1, 2, depth + 1))
    with pytest.raises(ValueError, match="extra must be"):
        cpu.unit_cost(video, text, torch.zeros(texts + 2, n, m))
    spoilt = [(video.double(), text, None), (video, text.half(), None), (video, text, torch.zeros(1, n, m).double())]
    for inputs in (*spoilt, (video.to("meta"), text, None)):
        with pytest.raises(ValueError, match="must be float32 on the CPU, not torch"):
            cpu.unit_cost(*inputs)

"""The reference against every alignment there is, each counted once: values, derivatives, paths and labels."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from weaksync import kernels
from weaksync.kernels.geometry import least_dtw_band

from .problems import costs, dsta_paths, dtw_paths, gammas, gibbs, labellings, near

TIGHT = {"rtol": 1e-9, "atol": 1e-9}

pytestmark = pytest.mark.usefixtures("each_backend")


def expected(shares, paths, shape):
    """The probability that a path takes each cell."""
    alignment = torch.zeros(shape, dtype=torch.float64)
    for share, path in zip(shares, paths, strict=True):
        for i, j in path:
            alignment[i, j] += share
    return alignment


def differentiated(function, *inputs):
    """The value and its derivatives with respect to each input."""
    inputs = tuple(value.clone().requires_grad_() for value in inputs)
    value = function(*inputs)
    return value.detach()[0], torch.autograd.grad(value.sum(), inputs)


@given(st.data(), st.integers(1, 4), st.integers(1, 4), gammas, st.sampled_from([None, 1, 2]))
@settings(max_examples=150)
def test_soft_dtw_sums_over_all_paths(data, n, m, gamma, band):
    cost = data.draw(costs(n, m))
    masked = cost.where(near(n, m, band), math.inf)
    paths = list(dtw_paths(n, m))
    prices = torch.stack([sum(masked[i, j] for i, j in path) for path in paths])
    value, shares = gibbs(prices, gamma)
    if band is not None and least_dtw_band(n, m) > band:
        with pytest.raises(ValueError, match="least feasible band"):
            kernels.soft_dtw(cost[None], gamma=gamma, band=band)
        return
    found, (gradient,) = differentiated(lambda c: kernels.soft_dtw(c, gamma=gamma, band=band), cost[None])
    torch.testing.assert_close(found, value, **TIGHT)
    torch.testing.assert_close(gradient[0], expected(shares, paths, (n, m)), **TIGHT)

    best, path, length = kernels.dtw_path(cost[None], band=band)
    assert best.item() == pytest.approx(prices.min().item(), abs=1e-12)
    if math.isinf(prices.min()):
        assert length.item() == 0 and (path == -1).all()
    else:
        walked = [tuple(cell) for cell in path[0, : length.item()].tolist()]
        assert walked in paths and (path[0, length.item() :] == -1).all()
        assert sum(masked[i, j] for i, j in walked).item() == pytest.approx(prices.min().item(), abs=1e-12)


@given(
    st.data(),
    st.integers(1, 4),
    st.integers(1, 4),
    gammas,
    st.sampled_from([None, 0, 1, 2, 4]),
    st.sampled_from([0.0, 0.7]),
    st.integers(0, 2),
    st.sampled_from([None, 1, 2]),
)
@settings(max_examples=300)
def test_soft_dsta_sums_over_all_choices(data, n, m, gamma, window, weight, margin, band):
    cost = data.draw(costs(n, m))
    masked = cost.where(near(n, m, band), math.inf)
    choices = list(dsta_paths(n, m, window, weight, margin))
    inside = [path for path, _ in choices if all(near(n, m, band)[cell] for cell in path)]
    options = {"window": window, "order_weight": weight, "order_margin": margin, "band": band}
    if not inside:
        with pytest.raises(ValueError, match="least feasible"):
            kernels.soft_dsta(cost[None], gamma=gamma, **options)
        return
    prices = torch.stack([sum(masked[cell] for cell in path) + extra for path, extra in choices])
    value, shares = gibbs(prices, gamma)
    found, (gradient,) = differentiated(lambda c: kernels.soft_dsta(c, gamma=gamma, **options), cost[None])
    torch.testing.assert_close(found, value, **TIGHT)
    torch.testing.assert_close(gradient[0], expected(shares, [path for path, _ in choices], (n, m)), **TIGHT)

    best, labels = kernels.dsta_path(cost[None], **options)
    assert best.item() == pytest.approx(prices.min().item(), abs=1e-12)
    if math.isinf(prices.min()):
        assert (labels == -1).all()
    else:
        price = {tuple(path): price.item() for (path, _), price in zip(choices, prices, strict=True)}
        assert price[tuple(enumerate(labels[0].tolist()))] == pytest.approx(prices.min().item(), abs=1e-12)


@given(
    st.data(), st.integers(1, 4), st.integers(1, 3), gammas, st.booleans(), st.booleans(), st.sampled_from([None, 1])
)
@settings(max_examples=250)
def test_soft_drop_dtw_sums_over_all_labellings(data, n, m, gamma, contiguous, must, band):
    must = must and m <= n
    cost = data.draw(costs(n, m))
    number = st.floats(0, 2, allow_subnormal=False)
    video = torch.tensor(data.draw(st.lists(number, min_size=n, max_size=n)), dtype=torch.float64)
    text = torch.tensor(data.draw(st.lists(number, min_size=m, max_size=m)), dtype=torch.float64)
    masked = cost.where(near(n, m, band), math.inf)
    ways = list(labellings(n, m, contiguous, texts_may_drop=not must))
    cells = [[(i, j) for i, j in enumerate(labels) if j >= 0] for labels in ways]
    steps = [[i for i, j in enumerate(labels) if j < 0] for labels in ways]
    texts = [[j for j in range(m) if j not in labels] for labels in ways]
    prices = torch.tensor(
        [
            sum(masked[cell].item() for cell in c) + sum(video[i].item() for i in s) + sum(text[j].item() for j in t)
            for c, s, t in zip(cells, steps, texts, strict=True)
        ],
        dtype=torch.float64,
    )
    value, shares = gibbs(prices, gamma)
    inputs = [cost[None], video[None]] if must else [cost[None], video[None], text[None]]
    options = {"gamma": gamma, "contiguous": contiguous, "band": band}
    found, gradients = differentiated(lambda *given: kernels.soft_drop_dtw(*given, **options), *inputs)
    torch.testing.assert_close(found, value, **TIGHT)
    torch.testing.assert_close(gradients[0][0], expected(shares, cells, (n, m)), **TIGHT)
    dropped = [(steps, gradients[1][0])] + ([] if must else [(texts, gradients[2][0])])
    for places, gradient in dropped:
        counted = torch.zeros_like(gradient)
        for share, places_of_way in zip(shares, places, strict=True):
            counted[places_of_way] += share
        torch.testing.assert_close(gradient, counted, **TIGHT)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (3, 4), (4, 3), (5, 2)])
@pytest.mark.parametrize("contiguous", [True, False])
def test_zero_costs_at_gamma_one_count_the_alignments(n, m, contiguous):
    cost = torch.zeros(1, n, m, dtype=torch.float64)

    def count(value):
        return round(math.exp(-value.item()))

    assert count(kernels.soft_dtw(cost, gamma=1.0)) == len(list(dtw_paths(n, m)))
    assert count(kernels.soft_dsta(cost, gamma=1.0, order_weight=0.0)) == len(list(dsta_paths(n, m, None, 0.0, 0)))
    drops = kernels.soft_drop_dtw(cost, 0.0, 0.0, gamma=1.0, contiguous=contiguous)
    assert count(drops) == len(list(labellings(n, m, contiguous, texts_may_drop=True)))


def test_the_published_count_of_a_small_table():
    # four clips and three sentences: 83 alignments, of which a naive softening of the four states counts 364
    cost = torch.zeros(1, 4, 3, dtype=torch.float64)
    assert round(math.exp(-kernels.soft_drop_dtw(cost, 0.0, 0.0, gamma=1.0).item())) == 83


@pytest.mark.parametrize("name", ["soft_dtw", "soft_dsta", "soft_drop_dtw"])
def test_padding_and_batch_change_nothing(name):
    function = getattr(kernels, name)
    generator = torch.Generator().manual_seed(0)
    sizes = [(1, 1), (6, 3), (9, 9), (4, 4), (12, 5), (7, 1)]
    padded = torch.full((len(sizes), 12, 9), torch.nan, dtype=torch.float64)
    for row, (n, m) in enumerate(sizes):
        padded[row, :n, :m] = torch.rand(n, m, generator=generator, dtype=torch.float64) * 2
    padded.requires_grad_()
    lengths = {
        "video_lengths": torch.tensor([n for n, _ in sizes]),
        "text_lengths": torch.tensor([m for _, m in sizes]),
    }
    drops = (0.4, 0.6) if name == "soft_drop_dtw" else ()
    values = function(padded, *drops, **lengths)
    (gradient,) = torch.autograd.grad(values.sum(), padded)
    for row, (n, m) in enumerate(sizes):
        alone = padded.detach()[row : row + 1, :n, :m].clone().requires_grad_()
        value = function(alone, *drops)
        torch.testing.assert_close(values[row], value[0], **TIGHT)
        torch.testing.assert_close(gradient[row, :n, :m], torch.autograd.grad(value.sum(), alone)[0][0], **TIGHT)
        outside = torch.ones_like(gradient[row], dtype=torch.bool)
        outside[:n, :m] = False
        assert (gradient[row][outside] == 0).all()

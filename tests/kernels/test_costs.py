"""Costs from similarities, each against its formula written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from weaksync.kernels import (
    cosine_cost,
    duration_prior,
    logit_costs,
    pairwise_cosine_cost,
    pairwise_dsta,
    pairwise_dtw,
    pairwise_soft_dsta,
    pairwise_soft_dtw,
    percentile_drop,
)


def test_cosine_cost_is_one_minus_the_cosine():
    video = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 9
    text = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    cost = cosine_cost(video, text)
    for b in range(2):
        for i in range(5):
            for j in range(3):
                v, t = video[b, i].numpy(), text[b, j].numpy()
                cosine = v @ t / math.sqrt((v @ v) * (t @ t))
                assert cost[b, i, j].item() == pytest.approx(1 - cosine, abs=1e-12)
    assert torch.allclose(cosine_cost(video[0], text[0]), cost[0], atol=1e-12)
    assert cosine_cost(video[0], -video[0]).max() <= 2 and cosine_cost(video[0], video[0]).min() >= 0
    assert cosine_cost(torch.zeros(1, 7), text[0].float()).tolist() == [[1.0, 1.0, 1.0]]


def test_a_vector_without_direction_costs_one_and_has_no_gradient():
    video = torch.randn(1, 4, 7, generator=torch.Generator().manual_seed(0))
    text = torch.randn(1, 3, 7, generator=torch.Generator().manual_seed(1))
    video[0, 2], text[0, 1] = 0, 1e-20
    for cost_of in (cosine_cost, lambda v, t: pairwise_cosine_cost(v, t)[0]):
        found = [video.clone().requires_grad_(), text.clone().requires_grad_()]
        truth = [video.double().requires_grad_(), text.double().requires_grad_()]
        cost = cost_of(*found)
        assert (cost[0, 2] == 1).all() and (cost[0, :, 1] == 1).all()
        (cost.sin() * torch.arange(12.0).view(4, 3)).sum().backward()
        exact = 1 - torch.cosine_similarity(truth[0][:, :, None], truth[1][:, None], dim=-1)
        (exact.sin() * torch.arange(12.0).view(4, 3))[:, [0, 1, 3]][:, :, [0, 2]].sum().backward()
        assert (found[0].grad[0, 2] == 0).all() and (found[1].grad[0, 1] == 0).all()
        for here, there in zip(found, truth, strict=True):
            torch.testing.assert_close(here.grad.double(), there.grad, rtol=1e-5, atol=1e-5)
    assert cosine_cost(torch.full((1, 7), torch.nan), text[0]).isnan().all()
    assert cosine_cost(torch.zeros(1, 7).half(), text[0].half()).tolist() == [[1.0, 1.0, 1.0]]


def test_pairwise_costs_with_a_derivative_and_without_are_the_same():
    video = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0))
    text = torch.randn(3, 4, 7, generator=torch.Generator().manual_seed(1))
    plain, leaf = pairwise_cosine_cost(video, text), video.clone().requires_grad_()
    followed = pairwise_cosine_cost(leaf, text)
    torch.testing.assert_close(plain, followed.detach(), rtol=0, atol=1e-6)
    _, tangent = torch.func.jvp(lambda x: pairwise_cosine_cost(x, text), (video,), (torch.ones_like(video),))
    (gradient,) = torch.autograd.grad(followed.sum(), leaf)
    assert gradient.sum().item() == pytest.approx(tangent.sum().item(), abs=1e-4)
    for v in range(2):
        for s in range(3):
            torch.testing.assert_close(plain[v, s], cosine_cost(video[v], text[s]), rtol=0, atol=1e-6)
    spread = torch.vmap(lambda x: pairwise_cosine_cost(x[None], text)[0])(video)
    torch.testing.assert_close(plain, spread, rtol=0, atol=1e-6)
    compiled = torch.compile(pairwise_cosine_cost, fullgraph=True, backend="eager")
    torch.testing.assert_close(plain, compiled(video, text), rtol=0, atol=1e-6)


@pytest.mark.parametrize("followed", [False, True])
def test_half_precision_features_are_compared_in_float32(followed):
    """Neighbouring steps, whose costs bfloat16 rounds to one number."""
    step = torch.randn(3, 1, 64, generator=torch.Generator().manual_seed(0))
    video = (step + 0.02 * torch.randn(3, 5, 64, generator=torch.Generator().manual_seed(1))).requires_grad_(followed)
    text = step + 0.02 * torch.randn(3, 4, 64, generator=torch.Generator().manual_seed(2))
    forms = (
        cosine_cost,
        pairwise_cosine_cost,
        pairwise_soft_dtw,
        pairwise_dtw,
        lambda v, t: pairwise_soft_dsta(v, t, memory=0),
        pairwise_dsta,
    )
    for form in forms:
        whole = form(video, text)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(form(video, text), whole)
        half = form(video.bfloat16(), text.bfloat16())
        assert half.dtype == torch.float32
        torch.testing.assert_close(half, form(video.bfloat16().float(), text.bfloat16().float()))


@pytest.mark.parametrize("shapes", [((3, 4), (3, 5)), ((2, 3, 4), (1, 3, 4)), ((4,), (4,)), ((2, 3, 4), (3, 4))])
def test_shapes_that_do_not_go_together(shapes):
    with pytest.raises(ValueError, match=r"\(B, n, d\) and \(B, m, d\)"):
        cosine_cost(torch.zeros(shapes[0]), torch.zeros(shapes[1]))


def test_percentiles_are_numpys():
    cost = torch.rand(17, 11, generator=torch.Generator().manual_seed(2))
    shares = torch.tensor([0.0, 0.13, 0.5, 1.0], dtype=torch.float64)
    expected = np.quantile(cost.double().numpy(), shares.numpy())
    np.testing.assert_allclose(percentile_drop(cost, shares).numpy(), expected, atol=1e-12)
    masked = torch.cat([cost, torch.full((2, 11), torch.inf)])
    np.testing.assert_allclose(percentile_drop(masked, shares).numpy(), expected, atol=1e-12)
    assert percentile_drop(torch.zeros(0, 3), shares).tolist() == [0.0] * 4
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        percentile_drop(cost, torch.tensor([1.2]))


@settings(max_examples=60)
@given(
    values=st.lists(st.floats(-2, 2, width=32) | st.sampled_from([math.inf, -math.inf, math.nan, 0.5]), max_size=60),
    shares=st.lists(st.floats(0, 1), min_size=1, max_size=5),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
def test_percentiles_of_anything_are_numpys_and_the_same_with_a_gradient(values, shares, dtype):
    cost = torch.tensor(values, dtype=torch.float64).to(dtype)[:, None]
    kept = cost[cost.isfinite()].double().numpy()
    expected = np.percentile(kept, 100 * np.array(shares)) if len(kept) else np.zeros(len(shares))
    asked = torch.tensor(shares, dtype=torch.float64)
    found = percentile_drop(cost, asked)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-9)
    learnt = percentile_drop(cost.requires_grad_(), asked)
    assert torch.equal(found, learnt.detach()) and (learnt.requires_grad or not len(kept))


def test_percentiles_of_a_long_film():
    cost = torch.arange(18_000_000, dtype=torch.float32).reshape(6000, 3000)
    assert percentile_drop(cost, torch.tensor([0.5])).item() == pytest.approx(8_999_999.5, rel=1e-6)


def test_logit_costs_are_a_posterior_with_none_as_a_text():
    similarity = torch.rand(6, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    cost, drop = logit_costs(similarity, keep_share=0.25, temperature=0.2)
    none = sorted(similarity.flatten().tolist(), reverse=True)[5]  # 24 * 0.25 = the sixth largest
    for i in range(6):
        weights = [math.exp(value / 0.2) for value in [*similarity[i].tolist(), none]]
        nats = [-math.log(weight / sum(weights) + 1e-5) for weight in weights]
        assert cost[i].tolist() == pytest.approx(nats[:-1]) and drop[i].item() == pytest.approx(nats[-1])
    assert logit_costs(torch.zeros(3, 0))[1].tolist() == [0.0] * 3
    for wrong in ({"keep_share": 0.0}, {"temperature": 0.0}):
        with pytest.raises(ValueError, match="must"):
            logit_costs(similarity, **wrong)


@settings(max_examples=60)
@given(
    values=st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=60),
    share=st.floats(0, 1, exclude_min=True),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
def test_none_of_the_texts_stands_where_a_sort_puts_it(values, share, dtype):
    similarity = torch.tensor(values, dtype=dtype)[:, None].requires_grad_()
    ordered = sorted(similarity.flatten().tolist(), reverse=True)
    none = ordered[max(1, int(len(values) * share)) - 1]
    _, drop = logit_costs(similarity, keep_share=share, temperature=0.5)
    for value, price in zip(similarity.flatten().tolist(), drop.tolist(), strict=True):
        share_of_none = 1 / (1 + math.exp((value - none) / 0.5))
        assert price == pytest.approx(-math.log(share_of_none + 1e-5), abs=1e-9)
    drop.sum().backward()
    constant = similarity.detach().double().requires_grad_()  # no gradient flows through the choice of "none"
    likely = torch.softmax(torch.cat([constant, torch.full_like(constant, none)], dim=1) / 0.5, dim=1)
    (-torch.log(likely[:, 1] + 1e-5)).sum().backward()
    torch.testing.assert_close(similarity.grad, constant.grad.to(dtype))


def test_costs_of_the_unlikely_are_bounded():
    cost, drop = logit_costs(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]), temperature=1e-3)
    assert cost.max() == pytest.approx(-math.log(1e-5)) and drop.isfinite().all()
    with pytest.raises(ValueError, match="temperature must be positive"):
        logit_costs(torch.zeros(2, 2), temperature=math.nan)


def test_all_pairs_of_costs_are_those_of_each_pair():
    video = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0))
    text = torch.randn(2, 4, 7, generator=torch.Generator().manual_seed(1))
    cost = pairwise_cosine_cost(video, text)
    for v in range(3):
        for s in range(2):
            torch.testing.assert_close(cost[v, s], cosine_cost(video[v], text[s]), atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match=r"\(V, n, d\) and \(S, m, d\)"):
        pairwise_cosine_cost(video, text[..., :6])


def test_the_duration_prior_is_a_gaussian_whose_variance_grows():
    prior = duration_prior(4, 6, rate=0.8, tolerance=1.5)
    printed = duration_prior(4, 6, rate=0.8, tolerance=1.5, form="printed")
    for i in range(4):
        for j in range(6):
            away, variance = (j + 1) - 0.8 * (i + 1), 1.5**2 * (i + 1)
            assert prior[i, j].item() == pytest.approx(1 - math.exp(-(away**2) / (2 * variance)), abs=1e-6)
            assert printed[i, j].item() == pytest.approx(1 - math.exp(-abs(away) / (2 * variance)), abs=1e-6)


def test_the_rate_of_each_language_can_be_learned():
    rate = torch.tensor([0.6, 0.9], dtype=torch.float64, requires_grad=True)
    assert duration_prior(3, 4, rate=rate).shape == (2, 3, 4)
    assert torch.autograd.gradcheck(lambda r: duration_prior(3, 4, rate=r), rate, eps=1e-4, atol=1e-3)


def test_bad_priors_are_named():
    with pytest.raises(ValueError, match="'square' or 'printed'"):
        duration_prior(2, 2, form="cubic")
    with pytest.raises(ValueError, match="tolerance must be positive"):
        duration_prior(2, 2, tolerance=0.0)

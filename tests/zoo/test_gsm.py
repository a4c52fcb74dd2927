"""Global semantic matching one sequence at a time, fusion and its weights, and places in a pool by sorting."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from weaksync import zoo
from weaksync.zoo.fusion import PAPER_WEIGHTS, fuse, tune_weights
from weaksync.zoo.losses import PairwiseRanking
from weaksync.zoo.models.gsm import GSM
from weaksync.zoo.pool import join_ranks, pool_metrics, pool_ranks, zero_based_ranks

WIDTH = 6


def model_of(**arguments: Any) -> GSM:
    torch.manual_seed(0)
    sizes = {"video_dim": WIDTH, "text_dim": WIDTH, "hidden": 8, "filters": 7, "embed_dim": 9}
    model = zoo.create("gsm-tiny", **{**sizes, **arguments})
    assert isinstance(model, GSM)
    return model.eval()


def padded(lengths: list[int], more: int, fill: float) -> tuple[Tensor, Tensor]:
    x = torch.full((len(lengths), max(lengths) + more, WIDTH), fill)
    for row, length in enumerate(lengths):
        x[row, :length] = torch.randn(length, WIDTH, generator=torch.Generator().manual_seed(row))
    return x, torch.tensor(lengths)


@settings(max_examples=25)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=4), st.integers(0, 7), st.sampled_from([0.0, 1e4, math.nan]))
@torch.no_grad()
def test_padding_changes_nothing(lengths: list[int], more: int, fill: float) -> None:
    model = model_of()
    found = model.encode_video(*padded(lengths, more, fill))
    for row, length in enumerate(lengths):
        x, sizes = padded(lengths[: row + 1], 0, 0.0)
        alone = model.encode_video(x[row:, :length], sizes[row:])
        torch.testing.assert_close(found[row], alone[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("length", [0, 2, 5, 11])
@torch.no_grad()
def test_it_is_the_layers_one_after_the_other(length: int) -> None:
    model = model_of()
    x, sizes = padded([length], 0, 0.0)
    side = model.text
    states = side.gru(nn.functional.pad(x, (0, 0, 0, max(0, 5 - length))))[0].transpose(1, 2)
    pooled = [convolution(states).relu().mean(dim=2) for convolution in side.convolutions]
    assert [each.kernel_size for each in side.convolutions] == [(2,), (3,), (5,)]
    torch.testing.assert_close(model.encode_text(x, sizes), side.project(torch.cat(pooled, dim=1)))


def test_gradients_ignore_padding() -> None:
    gradients = []
    for more, fill in ((0, 0.0), (6, 99.0)):
        model = model_of()
        model.encode_video(*padded([3, 9, 6], more, fill)).square().sum().backward()
        gradients.append([p.grad for p in model.video.parameters()])
    for ours, theirs in zip(*gradients, strict=True):
        assert ours is not None
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_costs_and_the_ranking_loss() -> None:
    model = model_of()
    (x, n), (y, m) = padded([3, 9, 6], 0, 0.0), padded([5, 2, 4], 0, 0.0)
    video, text = model.encode_video(x, n), model.encode_text(y, m)
    costs = model(x, n, y, m)
    expected = torch.stack([1 - torch.cosine_similarity(v[None], text) for v in video])
    torch.testing.assert_close(costs, expected)
    hinge = [max(0.0, costs[i, i].item() - costs[i, j].item() + 0.2) for i, j in itertools.permutations(range(3), 2)]
    loss = PairwiseRanking(model.values, margin=0.2)(video[:, None], text[:, None])
    assert loss.item() == pytest.approx(sum(hinge) / 6, abs=1e-6)


def test_half_precision_features_are_compared_in_float32() -> None:
    video, text = torch.randn(3, 1, 9), torch.randn(4, 1, 9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = GSM.values(video, text)
    assert torch.equal(mixed, GSM.values(video, text))


def test_what_does_not_fit_is_refused() -> None:
    model = model_of()
    with pytest.raises(ValueError, match=r"features must be \(B, L, 6\)"):
        model.encode_video(torch.zeros(1, 3, 5), torch.tensor([3]))
    with pytest.raises(ValueError, match="lengths must lie between 0 and 3"):
        model.encode_video(torch.zeros(1, 3, 6), torch.tensor([4]))


def test_a_folder_keeps_cue_and_input(tmp_path: Path) -> None:
    model = model_of(cue="scene")
    model.save_pretrained(tmp_path / "out")
    loaded = zoo.load(tmp_path / "out")
    assert isinstance(loaded, GSM) and loaded.config.cue == "scene" and loaded.preprocess == model.preprocess


@settings(max_examples=40)
@given(st.integers(1, 6), st.integers(1, 12), st.integers(0, 9), st.booleans())
def test_places_are_those_of_sorting(queries: int, pool: int, seed: int, tied: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    costs = torch.rand(queries, pool, generator=generator)
    costs = (4 * costs).round() if tied else costs
    right = torch.randint(pool, (queries,), generator=generator)
    ranks = pool_ranks(costs, right)
    figures = pool_metrics(ranks, pool)
    places, firsts = [], []
    for row, column in zip(costs.tolist(), right.tolist(), strict=True):
        others = row[:column] + row[column + 1 :]
        better, same = sum(c < row[column] for c in others), sum(c == row[column] for c in others)
        places.append(1 + better + same / 2)
        firsts.append(0.0 if better else 1 / (1 + same))
    assert ranks.expected().tolist() == places
    assert figures.median_rank == np.median(places) and figures.r1 == pytest.approx(np.mean(firsts))
    assert figures.mean_reciprocal_rank == pytest.approx(np.mean([1 / place for place in places]))
    assert figures.r1 <= figures.r5 <= figures.r10 <= 1
    blocks = [pool_ranks(costs[i : i + 2], right[i : i + 2]) for i in range(0, queries, 2)]
    assert pool_metrics(join_ranks(blocks), pool) == figures
    if not tied:
        assert zero_based_ranks(costs, right).tolist() == [place - 1 for place in places]


def test_costs_that_cannot_be_ranked() -> None:
    with pytest.raises(ValueError, match="clip 1 has a cost that is not a number"):
        pool_ranks(torch.tensor([[0.0, 1.0], [0.0, math.nan]]), torch.tensor([0, 0]))
    with pytest.raises(ValueError, match="columns of the pool, 0 to 1"):
        pool_ranks(torch.zeros(1, 2), torch.tensor([2]))
    with pytest.raises(ValueError, match="no clip was ranked"):
        pool_metrics(join_ranks([]), 5)
    last = pool_metrics(pool_ranks(torch.tensor([[math.inf, 1.0, 2.0]]), torch.tensor([0])), 3)
    assert last.median_rank == 3


def test_the_paper_weighs_the_alignment_ten_times() -> None:
    costs = {cue: torch.rand(2, 3) for cue in ("alignment", "action", "object", "scene")}
    expected = costs["object"] + costs["scene"] + costs["action"] + 10 * costs["alignment"]
    torch.testing.assert_close(fuse(costs), expected)
    torch.testing.assert_close(fuse({"scene": costs["scene"]}), costs["scene"])
    torch.testing.assert_close(
        fuse({"a": torch.full((1, 1), math.inf), "b": torch.ones(1, 1)}, {"a": 0, "b": 2})[0, 0], torch.tensor(2.0)
    )
    for cues, weights, message in [
        ({}, PAPER_WEIGHTS, "no cue"),
        ({"smell": costs["scene"]}, PAPER_WEIGHTS, "no weight for smell"),
        ({"scene": costs["scene"]}, {"scene": -1.0}, "must be 0 or more: scene -1.0"),
        ({"scene": costs["scene"], "action": torch.zeros(3, 2)}, PAPER_WEIGHTS, "one shape"),
    ]:
        with pytest.raises(ValueError, match=message):
            fuse(cues, weights)


def test_weights_are_tuned_towards_the_cue_that_knows() -> None:
    generator = torch.Generator().manual_seed(0)
    right = torch.arange(40)
    noise = [torch.rand(40, 40, generator=generator) for _ in range(3)]
    costs = {"object": noise[0], "scene": noise[1] - 0.9 * torch.eye(40), "alignment": noise[2] - 0.2 * torch.eye(40)}
    tuned = tune_weights(costs, right)
    single = {cue: pool_metrics(pool_ranks(cost, right), 40).r1 for cue, cost in costs.items()}
    assert tuned.metrics.r1 >= max(single.values())
    assert tuned.metrics.r1 >= pool_metrics(pool_ranks(fuse(costs), right), 40).r1
    assert tuned.weights["scene"] > tuned.weights["object"]
    again = tune_weights(dict(reversed(costs.items())), right)
    assert again == tuned
    torch.testing.assert_close(pool_metrics(pool_ranks(fuse(costs, tuned.weights), right), 40).r1, tuned.metrics.r1)


def test_weights_are_those_under_which_choices_were_drawn() -> None:
    """Clips that choose by a known logit give its weights back, up to their scale."""
    generator = torch.Generator().manual_seed(1)
    true = {"alignment": 12.0, "object": 3.0, "scene": 0.0}
    costs = {cue: torch.rand(4000, 30, generator=generator) for cue in true}
    chances = torch.stack([-weight * costs[cue] for cue, weight in true.items()]).sum(dim=0).softmax(dim=1)
    found = tune_weights(costs, torch.multinomial(chances, 1, generator=generator).squeeze(1)).weights
    assert found["object"] / found["alignment"] == pytest.approx(0.25, abs=0.03)
    assert found["scene"] / found["alignment"] < 0.02


def test_a_cue_that_is_always_right_is_enough() -> None:
    generator = torch.Generator().manual_seed(0)
    costs = {"object": torch.rand(20, 20, generator=generator), "alignment": 1 - torch.eye(20)}
    tuned = tune_weights(costs, torch.arange(20))
    assert tuned.metrics.r1 == 1 and tuned.weights["alignment"] > 10 * tuned.weights["object"]

"""The front end one sequence at a time, the costs cell by cell."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from weaksync import kernels, zoo
from weaksync.zoo.losses import PairwiseRanking
from weaksync.zoo.models.lipspeech import LipSpeech, LipSpeechConfig, pooled_times

WIDTH = 12


def model_of(seed: int = 0, **arguments: Any) -> LipSpeech:
    """A narrow model whose running statistics are not those of a fresh one, in evaluation mode."""
    torch.manual_seed(seed)
    model = zoo.create("lipspeech-tiny", **{"feature_dim": WIDTH, "dim": 10, **arguments})
    assert isinstance(model, LipSpeech)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d):
            nn.init.normal_(layer.running_mean, 0, 0.1)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
            nn.init.normal_(layer.weight, 1, 0.3)
    return model.eval()


def padded(lengths: list[int], seed: int, fill: float = 0.0) -> tuple[Tensor, Tensor]:
    """Random features whose padding is `fill`; their content does not depend on how long the padding is."""
    x = torch.full((len(lengths), max(lengths) + 3, WIDTH), fill)
    for row, length in enumerate(lengths):
        generator = torch.Generator().manual_seed(100 * seed + row)
        x[row, :length] = torch.randn(length, WIDTH, generator=generator)
    return x, torch.tensor(lengths)


several = st.lists(st.integers(4, 40), min_size=1, max_size=4)


@settings(max_examples=10)
@given(several, st.sampled_from(["conv", "pool", "none"]), st.sampled_from([0.0, 1e4, math.nan]))
@torch.no_grad()
def test_padding_changes_nothing(lengths: list[int], front_end: str, fill: float) -> None:
    model = model_of(front_end=front_end)
    x, sizes = padded(lengths, 1, fill)
    out, steps = model.encode_lips(x, sizes)
    assert steps.tolist() == [n if front_end == "none" else n // 2 // 2 for n in lengths]
    for row, length in enumerate(lengths):
        alone, _ = model.encode_lips(x[row : row + 1, :length], sizes[row : row + 1])
        torch.testing.assert_close(out[row, : steps[row]], alone[0], rtol=1e-5, atol=1e-6)
        assert not out[row, int(steps[row]) :].any()


def test_padding_changes_nothing_in_training() -> None:
    """Statistics and gradients are those of the real steps."""
    states = []
    for fill, more in ((0.0, 0), (50.0, 9)):
        model = model_of().train()
        x, lengths = padded([17, 8, 23], 1, fill)
        out, _ = model.encode_lips(nn.functional.pad(x, (0, 0, 0, more), value=fill), lengths)
        out.square().sum().backward()
        gradients = [p.grad for p in model.lips.parameters()]
        states.append((model.state_dict(), gradients))
    for name in states[0][0]:
        torch.testing.assert_close(states[0][0][name], states[1][0][name])
    for ours, theirs in zip(states[0][1], states[1][1], strict=True):
        assert ours is not None and ours.any() and theirs is not None
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_front_end_is_the_layers_in_the_order_printed() -> None:
    model = model_of()
    x, lengths = padded([22], 3)
    expected = x[:, :22].transpose(1, 2)
    for convolution, normalisation in zip(model.lips.convolutions, model.lips.normalisations, strict=True):
        layers = nn.Sequential(convolution, nn.ReLU(), normalisation, nn.AvgPool1d(2))
        expected = layers(expected)
    found, steps = model.encode_lips(x[:, :22], lengths)
    assert steps.tolist() == [5]
    torch.testing.assert_close(found, expected.transpose(1, 2))


@pytest.mark.parametrize(("seconds", "steps"), [(15, 92), (30, 186)])
def test_lengths_are_those_of_the_paper_at_25_frames(seconds: int, steps: int) -> None:
    from weaksync.zoo.models.syncnet import lip_steps

    assert lip_steps(25 * seconds) // 2 // 2 == steps
    assert len(pooled_times(torch.arange(lip_steps(25 * seconds)).float())) == steps
    assert pooled_times(torch.arange(10.0)).tolist() == [1.5, 5.5]


def reference_value(config: LipSpeechConfig, cost: Tensor) -> Tensor:
    n, m = cost.shape[1:]
    if config.aligner == "soft-dtw":
        return kernels.soft_dtw(cost, gamma=config.gamma)
    if config.aligner == "dtw":
        return kernels.dtw_path(cost)[0]
    window = max(abs(n - m), 2, math.ceil(m / n))
    if config.aligner == "dsta":
        return kernels.dsta_path(cost, window=window, order_weight=1.0, order_margin=1)[0]
    return kernels.soft_dsta(cost, gamma=config.gamma, window=window, order_weight=1.0, order_margin=1)


def one_by_one(
    config: LipSpeechConfig, lips: Tensor, sizes: Tensor, speech: Tensor, sizes_: Tensor, rates: list[float]
) -> Tensor:
    """Costs per step, pair by pair, in float64, without padding."""
    values = torch.empty(len(lips), len(speech), dtype=torch.float64)
    for v, n in enumerate(sizes.tolist()):
        for s, m in enumerate(sizes_.tolist()):
            a, b = lips[v, :n].double(), speech[s, :m].double()
            cost = 1 - torch.cosine_similarity(a[:, None], b[None], dim=-1, eps=1e-12)
            i, j = torch.arange(1.0, n + 1)[:, None], torch.arange(1.0, m + 1)
            away = (j - rates[s] * i) ** 2
            prior = 1 - torch.exp(-away / (2 * config.duration_tolerance**2 * i))
            values[v, s] = reference_value(config, (cost + config.duration_weight * prior)[None])[0] / n
    return values


@pytest.mark.parametrize("aligner", ["soft-dsta", "soft-dtw", "dsta", "dtw"])
@pytest.mark.parametrize(("lips", "speech", "weight"), [([9, 24], [30, 5, 13], 0.5), ([4, 6], [17], 0.0)])
@torch.no_grad()
def test_scores_are_those_of_each_pair_alone(aligner: str, lips: list[int], speech: list[int], weight: float) -> None:
    model = model_of(aligner=aligner, duration_weight=weight, rates={"en": 0.7, "hi": 1.3})
    x, sizes = padded(lips, 1)
    y, sizes_ = padded(speech, 2)
    languages = ["hi", "en", "xx", "hi"][: len(speech)]
    found = model(x, sizes, y, sizes_, languages=languages)
    video, video_sizes = model.encode_lips(x, sizes)
    text, text_sizes = model.encode_speech(y, sizes_)
    rates = [{"hi": 1.3, "en": 0.7}.get(code, 0.85) for code in languages]
    expected = one_by_one(model.config, video, video_sizes, text, text_sizes, rates)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("aligner", ["soft-dsta", "dtw"])
@torch.no_grad()
def test_half_precision_features_are_compared_in_float32(aligner: str) -> None:
    model = model_of(aligner=aligner)
    lips, speech = torch.randn(3, 9, 10), model.with_rates(torch.randn(3, 7, 10))
    n, m = torch.tensor([9, 8, 6]), torch.tensor([7, 7, 5])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values, costs = model.values(lips, speech, video_lengths=n, text_lengths=m), model.costs(lips, speech, n, m)
        assert torch.equal(
            model.with_rates(speech[..., :-1].bfloat16()), model.with_rates(speech[..., :-1].bfloat16().float())
        )
    assert torch.equal(values, model.values(lips, speech, video_lengths=n, text_lengths=m))
    assert torch.equal(costs, model.costs(lips, speech, n, m))


def test_a_rate_is_learnt_from_which_pairs_belong_together() -> None:
    torch.manual_seed(0)
    model = model_of(rates={"en": 1.0, "hi": 1.0}, learn_rates=True, duration_weight=1.0)
    (x, sizes), (y, sizes_) = padded([20, 33, 16], 1), padded([18, 30, 21], 2)
    video, n = model.encode_lips(x, sizes)
    text, m = model.encode_speech(y, sizes_)
    text = model.with_rates(text, ["hi", "hi", "hi"])
    PairwiseRanking(model.values)(video, text, video_lengths=n, text_lengths=m).backward()
    gradient = model.log_rates.grad
    assert gradient is not None and gradient[2] != 0 and gradient[1] == 0 and gradient[0] == 0
    assert model_of().log_rates.requires_grad is False


def test_the_ranking_loss_is_the_hinge_over_scores() -> None:
    model = model_of().train()
    (x, sizes), (y, sizes_) = padded([20, 33, 16], 1), padded([18, 30, 21], 2)
    video, n = model.encode_lips(x, sizes)
    text, m = model.encode_speech(y, sizes_)
    text = model.with_rates(text)
    scores = model.values(video, text, video_lengths=n, text_lengths=m) / n[:, None]
    expected = (
        sum(torch.clamp(scores[i, i] - scores[i, j] + 0.1, min=0) for i in range(3) for j in range(3) if i != j) / 6
    )
    found = PairwiseRanking(model.values, margin=0.1)(video, text, video_lengths=n, text_lengths=m)
    torch.testing.assert_close(found, expected)
    found.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.lips.parameters())


@torch.no_grad()
def test_windows_are_wide_enough_for_every_pair() -> None:
    lengths = torch.arange(1, 30)
    windows = LipSpeech.windows(lengths, lengths)
    for n in range(1, 30):
        for m in range(1, 30):
            window = int(windows[n - 1, m - 1])
            assert window == max(abs(n - m), 2, -(-m // n)) and n * window >= m


@pytest.mark.parametrize("aligner", ["soft-dsta", "soft-dtw"])
@torch.no_grad()
def test_alignments_and_labels_of_pairs(aligner: str) -> None:
    model = model_of(aligner=aligner, front_end="none", duration_weight=0.0, gamma=0.01)
    y, sizes_ = padded([9, 14], 5)
    x = torch.zeros(2, 12, WIDTH)
    truth = [[0, 1, 2, 4, 5, 6, 7, 8], [0, 1, 3, 4, 6, 7, 8, 9, 10, 12, 13]]
    for row, steps in enumerate(truth):
        x[row, : len(steps)] = y[row, steps]
    sizes = torch.tensor([8, 11])
    video, _ = model.encode_lips(x, sizes)
    text, _ = model.encode_speech(y, sizes_)
    text = model.with_rates(text)
    labels = model.labels(video, text, sizes, sizes_)
    expected = model.alignment(video, text, sizes, sizes_)
    for row, steps in enumerate(truth):
        if aligner == "soft-dsta":
            assert labels[row, : len(steps)].tolist() == steps
            assert expected[row, range(len(steps)), steps].min() > 0.9
        assert labels[row, len(steps) :].tolist() == [-1] * (12 - len(steps))
        assert expected[row, :, int(sizes_[row]) :].abs().max() == 0
    if aligner == "soft-dtw":
        path = kernels.dtw_path(model.costs(video, text, sizes, sizes_), video_lengths=sizes, text_lengths=sizes_)[1]
        for row, steps in enumerate(truth):
            for i in range(len(steps)):
                assert labels[row, i] == min(j for a, j in path[row].tolist() if a == i)


@torch.no_grad()
def test_the_prior_draws_a_chosen_pair_to_its_own_diagonal() -> None:
    """Steps that tell nothing, so that the prior alone decides; the rate of the language is another."""
    model = model_of(aligner="dsta", front_end="none", duration_weight=5.0, rate=0.5)
    sizes, sizes_ = torch.tensor([20, 10]), torch.tensor([30, 14])
    video, text = torch.ones(2, 20, WIDTH), model.with_rates(torch.ones(2, 30, WIDTH))
    costs, labels = model.costs(video, text, sizes, sizes_), model.labels(video, text, sizes, sizes_)
    for row, (n, m) in enumerate(((20, 30), (10, 14))):
        i, j = torch.arange(1, n + 1)[:, None], torch.arange(1, m + 1)[None]
        prior = 1 - torch.exp(-((j - m / n * i) ** 2) / (2 * model.config.duration_tolerance**2 * i))
        torch.testing.assert_close(costs[row, :n, :m], 5.0 * prior, rtol=1e-5, atol=1e-5)
        assert (labels[row, :n] + 1 - m / n * i[:, 0]).abs().max() <= 1


def test_a_hard_aligner_teaches_nothing_and_says_so() -> None:
    model = model_of(aligner="dsta").train()
    (x, sizes), (y, sizes_) = padded([20], 1), padded([18], 2)
    with pytest.raises(ValueError, match="dsta has no gradient: train with soft-dsta"):
        model(x, sizes, y, sizes_)


def test_what_does_not_fit_is_refused() -> None:
    model = model_of()
    x, sizes = padded([20, 9], 1)
    with pytest.raises(ValueError, match=r"features must be \(B, L, 12\)"):
        model.encode_lips(x[..., :5], sizes)
    with pytest.raises(ValueError, match=r"lengths must lie between 4.*not \[20, 3\]"):
        model.encode_lips(x, torch.tensor([20, 3]))
    with pytest.raises(ValueError, match=r"lengths must lie between 4.*and 23"):
        model.encode_lips(x, torch.tensor([24, 9]))
    with pytest.raises(ValueError, match="did you mean 'soft-dsta'"):
        LipSpeechConfig(aligner="softdsta")
    with pytest.raises(ValueError, match="rates must be positive"):
        LipSpeechConfig(rates={"en": 0.0})


def test_a_folder_keeps_rates_and_input(tmp_path: Path) -> None:
    model = model_of(rates={"en": 0.7}, learn_rates=True)
    with torch.no_grad():
        model.log_rates[1] = math.log(0.9)
    model.preprocess.producers = {"video": "abc"}
    model.save_pretrained(tmp_path / "out")
    loaded = zoo.load(tmp_path / "out", aligner="dsta")
    assert isinstance(loaded, LipSpeech) and loaded.config.aligner == "dsta"
    assert loaded.log_rates[1].exp().item() == pytest.approx(0.9)
    assert loaded.preprocess == model.preprocess and loaded.preprocess.producers == {"video": "abc"}
    assert partial(loaded.with_rates, languages=["en"])(torch.randn(1, 3, 10))[0, 0, -1].item() == pytest.approx(0.9)


def test_both_networks_learn_end_to_end() -> None:
    """Gradients reach the first convolutions from the scores, with activations computed twice."""
    torch.manual_seed(0)
    backbone = zoo.create("syncnet-tiny", checkpoint_activations=True).train()
    model = zoo.create("lipspeech-tiny").train()
    assert isinstance(model, LipSpeech)
    frames = torch.randint(256, (3, 20, 3, 96, 96), dtype=torch.uint8)
    waveform = torch.randn(3, 20 * 640 + 240) * 1000
    lips, speech = backbone.encode_lips(frames), backbone.encode_speech(waveform)
    video, n = model.encode_lips(lips, torch.tensor([16, 16, 12]))
    text, m = model.encode_speech(speech, torch.tensor([16, 13, 16]))
    loss = PairwiseRanking(model.values)(video, model.with_rates(text), video_lengths=n, text_lengths=m)
    loss.backward()
    for first in (backbone.netcnnlip[0], backbone.netcnnaud[0]):
        assert first.weight.grad is not None and first.weight.grad.isfinite().all() and first.weight.grad.any()

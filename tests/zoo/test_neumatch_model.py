"""NeuMATCH against the plainest telling of it: real stacks, one video, one action at a time."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from weaksync.zoo.actions import MATCH, POP_CLIP, POP_SENTENCE, actions_of
from weaksync.zoo.models import neumatch
from weaksync.zoo.models.neumatch import NORMS, PADDING, NeuMATCH, NeuMATCHConfig
from weaksync.zoo.models.sequences import LayerNormLSTMCell, SequenceBatchNorm, run

from .test_actions import popped

SIZES = {"video_dim": 7, "text_dim": 5, "width": 12, "action_width": 4, "match_width": 6}


def small(norm: str = "none", projection: str = "learnt", seed: int = 0) -> NeuMATCH:
    torch.manual_seed(seed)
    model = NeuMATCH(NeuMATCHConfig(**SIZES, norm=norm, projection=projection))
    if norm == "sequence":
        for name in ("VideoStackBN", "TextStackBN"):
            getattr(model, name).running_mean.normal_()
            getattr(model, name).running_var.uniform_(0.5, 2)
    return model.eval()


def features(n: int, m: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    chance = torch.Generator().manual_seed(seed)
    return torch.randn(n, 7, generator=chance) * 2, torch.randn(m, 5, generator=chance) * 2


def told_plainly(
    model: NeuMATCH, clips: Tensor, sentences: Tensor, forced: list[int] | None
) -> tuple[Tensor, list[int]]:
    """Logits and actions of one video: every stack is a list, and a match of the same sentence rolls back."""

    def stack(items: Tensor, first: nn.Module, second: nn.Module, norm: str) -> list[Tensor]:
        a = b = (torch.zeros(1, 12), torch.zeros(1, 12))
        held = []
        for item in items.flip(0):
            a = first(item[None], a)
            b = second(a[0], b)
            out = b[0][0]
            if hasattr(model, norm):
                bn = getattr(model, norm)
                out = (out - bn.running_mean) / (bn.running_var + bn.eps).sqrt() * bn.weight + bn.bias
            held.append(out)
        return held

    video, text = model.encoder(clips[None], sentences[None])
    videos = stack(video[0], model.vrnn_layer1, model.vrnn_layer2, "VideoStackBN")
    texts = stack(text[0], model.srnn_layer1, model.srnn_layer2, "TextStackBN")
    n, m = len(videos), len(texts)
    action = [(torch.zeros(1, 4), torch.zeros(1, 4)) for _ in range(2)]
    matches = [(torch.zeros(1, 6), torch.zeros(1, 6)) for _ in range(2)]
    previous, last, taken = matches, None, []
    logits, actions = [], []
    while videos and (forced is None or len(actions) < len(forced)):
        v, s = float(len(videos)), float(len(texts))
        places = [v, s, v / (n + 1), s / (m + 1), (n + 1) / v, (m + 1) / s, v / s, s / v]
        places += [(n + 1 - v) / (m + 1 - s), (m + 1 - s) / (n + 1 - v)]
        state = [videos[-1], texts[-1], action[0][0][0] + action[1][0][0], matches[0][0][0] + matches[1][0][0]]
        out = model.f2(torch.relu(model.f1(torch.cat([*state, torch.tensor(places)]))))
        logits.append(out)
        possible = [POP_CLIP, MATCH] if len(texts) == 1 else [POP_CLIP, POP_SENTENCE, MATCH]
        act = max(possible, key=lambda each: float(out[each])) if forced is None else forced[len(actions)]
        actions.append(act)
        told = torch.eye(3)[act][None]
        action[0] = model.arnn_layer1(told, action[0])
        action[1] = model.arnn_layer2(action[0][0], action[1])
        if act == MATCH:
            if last == len(texts):
                matches = previous  # the same sentence again: its entry is taken off first
            else:
                previous, last, taken = list(matches), len(texts), []
            taken.append(videos[-1])
            entry = torch.cat([torch.stack(taken).mean(dim=0), texts[-1]])[None]
            first = model.mrnn_layer1(entry, matches[0])
            matches = [first, model.mrnn_layer2(first[0], matches[1])]
        (texts if act == POP_SENTENCE else videos).pop()
    return torch.stack(logits), actions


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("projection", ["learnt", "random"])
@torch.no_grad()
def test_decoding_is_what_stacks_would_do(norm: str, projection: str) -> None:
    matched = 0
    for seed in range(12):
        model = small(norm, projection, seed)
        clips, sentences = features(9, 6, seed)
        _, actions = told_plainly(model, clips, sentences, None)
        labels = model.decode([clips], [sentences])[0]
        assert labels.tolist() == popped(actions, 9, 6)
        matched += int((labels >= 0).sum())
    assert matched > 10  # so that there was something to compare


@pytest.mark.parametrize("norm", NORMS)
@torch.no_grad()
def test_teacher_forcing_of_a_batch_is_each_video_step_by_step(norm: str) -> None:
    model = small(norm)
    chance = torch.Generator().manual_seed(1)
    sizes = [(11, 5), (1, 1), (6, 9), (8, 3), (4, 4)]
    videos = [features(n, m, seed) for seed, (n, m) in enumerate(sizes)]
    forced = []
    for n, m in sizes:
        labels = torch.randint(0, m, (n,), generator=chance).sort().values
        labels[torch.rand(n, generator=chance) < 0.3] = -1
        forced.append(actions_of(labels, m))
    logits = model(
        pad_sequence([clips for clips, _ in videos], True),
        pad_sequence([sentences for _, sentences in videos], True),
        torch.tensor([n for n, _ in sizes]),
        torch.tensor([m for _, m in sizes]),
        pad_sequence(forced, True, PADDING),
    )
    for found, (clips, sentences), actions in zip(logits, videos, forced, strict=True):
        expected, _ = told_plainly(model, clips, sentences, actions.tolist())
        torch.testing.assert_close(found[: len(actions)], expected, atol=1e-5, rtol=1e-4)


@settings(max_examples=30)
@given(st.integers(1, 14), st.integers(1, 14), st.sampled_from([0.0, 1.0, 1e4]), st.integers(0, 50))
def test_decoding_always_ends_with_an_alignment(n: int, m: int, scale: float, seed: int) -> None:
    model = small(seed=seed)
    clips, sentences = features(n, m, seed)
    labels = model.decode([clips * scale], [sentences * scale])[0]
    assert labels.shape == (n,)
    assert labels.dtype == torch.int64
    actions = actions_of(labels, m)  # refuses what goes back, or is no sentence
    assert len(actions) < n + m


@pytest.mark.parametrize("norm", NORMS)
def test_a_model_that_only_wants_to_drop_sentences_ends(norm: str) -> None:
    model = small(norm)
    with torch.no_grad():
        model.f2.weight.zero_()
        model.f2.bias.copy_(torch.tensor([0.0, 100.0, 1.0]))
    clips, sentences = features(4, 30)
    assert model.decode([clips], [sentences])[0].tolist() == [29] * 4


@pytest.mark.parametrize("norm", NORMS)
def test_a_batch_decodes_as_each_video_alone(norm: str) -> None:
    model = small(norm, seed=3)
    videos = [features(n, m, n) for n, m in [(12, 4), (3, 10), (1, 1), (7, 7)]]
    together = model.decode(*zip(*videos, strict=True))
    for found, (clips, sentences) in zip(together, videos, strict=True):
        assert torch.equal(found, model.decode([clips], [sentences])[0])


@pytest.mark.parametrize("norm", NORMS)
def test_gradients_are_finite_and_reach_everything(norm: str) -> None:
    """With a short video padded to a long one."""
    model = small(norm).train()
    clips, sentences = zip(features(9, 5), features(2, 1), strict=True)
    actions = [actions_of(torch.tensor([0, 0, -1, 1, 1, 3, -1, 4, 4]), 5), actions_of(torch.tensor([0, -1]), 1)]
    padded = pad_sequence(actions, True, PADDING)
    logits = model(
        pad_sequence(clips, True), pad_sequence(sentences, True), torch.tensor([9, 2]), torch.tensor([5, 1]), padded
    )
    assert logits.isfinite().all()  # in the padding too, or its gradient of 0 would become NaN
    real = padded != PADDING
    nn.functional.cross_entropy(logits[real], padded[real]).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_actions_to_come_do_not_change_what_is_chosen_now() -> None:
    model = small()
    clips, sentences = features(6, 4)
    lengths = torch.tensor([6]), torch.tensor([4])
    one = actions_of(torch.tensor([0, 0, 1, 2, -1, 3]), 4)
    other = actions_of(torch.tensor([0, 0, 1, -1, -1, -1]), 4)
    same = int((one[: len(other)] != other).long().argmax())
    found = [model(clips[None], sentences[None], *lengths, each[None])[0, : same + 1] for each in (one, other)]
    torch.testing.assert_close(*found)


def test_sequence_batch_norm_leaves_padding_out() -> None:
    norm = SequenceBatchNorm(3).train()
    x = torch.randn(2, 5, 3) * 4 + 2
    x[1, 2:] = 1e6
    out = norm(x, torch.tensor([5, 2]))
    real = torch.cat([out[0], out[1, :2]])
    torch.testing.assert_close(real.mean(dim=0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(real.var(dim=0, unbiased=False), torch.ones(3), atol=1e-3, rtol=0)
    assert out[1, 2:].abs().sum() == 0
    torch.testing.assert_close(norm.running_mean, 0.1 * torch.cat([x[0], x[1, :2]]).mean(dim=0))


def test_a_cell_over_a_sequence_is_the_cell_step_by_step() -> None:
    for cell in (nn.LSTMCell(4, 6), LayerNormLSTMCell(4, 6)):
        x = torch.randn(2, 5, 4)
        state = torch.zeros(2, 6), torch.zeros(2, 6)
        for step in range(5):
            state = cell(x[:, step], state)
            torch.testing.assert_close(run(cell, x)[:, step], state[0])


def test_a_random_projection_keeps_lengths_and_never_learns() -> None:
    torch.manual_seed(0)
    encoder = neumatch.Encoder(NeuMATCHConfig(projection="random"))
    assert "video_projection" not in dict(encoder.named_parameters())
    matrix = encoder.video_projection * (300 / 3) ** 0.5
    assert set(matrix.round(decimals=4).unique().tolist()) == {-1.0, 0.0, 1.0}
    assert float((matrix != 0).float().mean()) == pytest.approx(1 / 3, abs=0.01)
    x = torch.nn.functional.normalize(torch.randn(200, 2048), dim=1)
    assert float((x @ encoder.video_projection).norm(dim=1).mean()) == pytest.approx(1, abs=0.05)


def test_features_of_another_model_are_refused() -> None:
    with pytest.raises(ValueError, match=r"sentences of video 0 should be \(1 or more, 5\), not \(3, 8\)"):
        small().decode([torch.zeros(2, 7)], [torch.zeros(3, 8)])
    with pytest.raises(ValueError, match="clips of video 1"):
        small().decode([torch.zeros(2, 7), torch.zeros(0, 7)], [torch.zeros(3, 5)] * 2)


def test_settings_that_cannot_be_are_refused_together() -> None:
    with pytest.raises(ValueError, match=r"width must be 1 or more, not 0; norm is one of .*; projection is one of"):
        NeuMATCHConfig(width=0, norm="batch", projection="none")

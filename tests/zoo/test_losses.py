"""InfoNCE against the sum written out, and several processes against one."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import normalize

from weaksync.zoo.losses import InfoNCE

VARIANTS = [(n, f) for n in ("video", "batch") for f in ("exclude", "multi_positive")]


def unit(rows: int, seed: int = 0, width: int = 6) -> Tensor:
    return normalize(torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)), dim=1)


def written_out(
    clips: Tensor, texts: Tensor, temp: float, video: list[int], sentence: list[int], weight: list[float],
    negatives: str, false_negatives: str,
) -> list[float]:  # fmt: skip
    """The loss of each pair, one exponential at a time."""
    n = len(video)
    similarity = (clips.double() @ texts.double().T).tolist()
    losses = []
    for i in range(n):
        near = [j for j in range(n) if negatives == "batch" or video[j] == video[i]]
        others = [j for j in near if j != i and weight[j] > 0]
        negative = [j for j in others if sentence[j] != sentence[i]]
        positive = [i]
        if false_negatives == "multi_positive":
            positive += [j for j in others if sentence[j] == sentence[i]]
        if not negative:
            losses.append(0.0)
            continue
        loss = 0.0
        for row in (similarity[i], [similarity[j][i] for j in range(n)]):
            total = sum(math.exp(row[j] / temp) for j in [*positive, *negative])
            loss += sum(-math.log(math.exp(row[j] / temp) / total) for j in positive) / len(positive) / 2
        losses.append(weight[i] * loss)
    return losses


@pytest.mark.parametrize(("negatives", "false_negatives"), VARIANTS)
@settings(max_examples=40)
@given(data=st.data())
def test_it_is_the_sum_written_out(negatives: str, false_negatives: str, data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 12))
    ids = st.lists(st.integers(0, 3), min_size=n, max_size=n)
    video, sentence = data.draw(ids), data.draw(ids)
    weight = [float(w) for w in data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))]
    clips, texts = unit(n, 1), unit(n, 2)
    expected = written_out(clips, texts, 0.2, video, sentence, weight, negatives, false_negatives)
    arguments = {"video": torch.tensor(video), "sentence": torch.tensor(sentence), "weight": torch.tensor(weight)}
    each = InfoNCE(negatives, false_negatives, reduction="none")(clips, texts, 0.2, **arguments)
    torch.testing.assert_close(each.loss, torch.tensor(expected), atol=1e-5, rtol=1e-4)
    mean = InfoNCE(negatives, false_negatives)(clips, texts, 0.2, **arguments)
    assert float(mean.loss) == pytest.approx(sum(expected) / max(1.0, sum(weight)), abs=1e-5)
    assert float(mean.value) == pytest.approx(float(mean.loss), abs=1e-6)
    total = InfoNCE(negatives, false_negatives, reduction="sum")(clips, texts, 0.2, **arguments)
    assert float(total.loss) == pytest.approx(sum(expected), abs=1e-4)


def test_the_positive_is_in_the_denominator_so_the_loss_is_never_negative() -> None:
    same = unit(1).expand(4, -1)
    ids = torch.arange(4)
    out = InfoNCE()(same, same, 0.07, video=torch.zeros(4, dtype=torch.int64), sentence=ids)
    assert float(out.loss) == pytest.approx(math.log(4), abs=1e-5)  # all alike: chance
    eye = torch.eye(4)
    assert 0 <= float(InfoNCE()(eye, eye, 0.01, video=ids * 0, sentence=ids).loss) < 1e-6


def test_a_pair_without_negatives_teaches_nothing_and_is_counted() -> None:
    clips, texts = unit(5, 1).requires_grad_(), unit(5, 2)
    out = InfoNCE()(clips, texts, 0.1, video=torch.tensor([0, 0, 1, 2, 2]), sentence=torch.tensor([0, 1, 2, 3, 3]))
    out.loss.backward()
    assert int(out.without_negatives) == 3  # alone in its video; and two of one sentence
    assert int(out.pairs) == 5
    assert clips.grad is not None
    assert clips.grad[2:].abs().max() == 0
    assert clips.grad[:2].abs().min() > 0


def test_a_batch_of_nothing_but_fillers_is_zero_and_still_differentiable() -> None:
    clips = unit(3, 1).requires_grad_()
    ids = torch.arange(3)
    out = InfoNCE()(clips, unit(3, 2), 0.1, video=ids * 0, sentence=ids, weight=torch.zeros(3))
    out.loss.backward()
    assert float(out.loss) == 0.0
    assert clips.grad is not None and clips.grad.abs().max() == 0


def test_accuracy_is_that_of_clips_among_their_negatives() -> None:
    texts = torch.eye(4)
    clips = torch.eye(4)[[0, 1, 3, 2]]  # two of four are right
    ids = torch.arange(4)
    out = InfoNCE()(clips, texts, 0.1, video=ids * 0, sentence=ids)
    assert float(out.accuracy) == 0.5
    assert float(out.chance) == 0.25
    alike = InfoNCE()(texts[:1].expand(4, -1), texts[:1].expand(4, -1), 0.1, video=ids * 0, sentence=ids)
    assert float(alike.accuracy) == 0.0  # a tie is not right
    assert float(alike.spread) == 0.0


def test_half_precision_features_are_compared_in_float32() -> None:
    clips, texts, ids = unit(6, 1), unit(6, 2), torch.arange(6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = InfoNCE()(clips, texts, 0.01, video=ids * 0, sentence=ids).loss
    assert mixed.dtype == torch.float32
    assert float(mixed) == float(InfoNCE()(clips, texts, 0.01, video=ids * 0, sentence=ids).loss)


def test_gradients_are_right() -> None:
    loss = InfoNCE(false_negatives="multi_positive")
    video, sentence = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0, 1, 1, 2, 3])

    def value(clips: Tensor, texts: Tensor, temp: Tensor) -> Tensor:
        return loss._forward(clips, texts, temp, video, sentence, torch.ones(5, dtype=torch.float64)).loss

    inputs = [t.double().requires_grad_() for t in (unit(5, 1), unit(5, 2), torch.tensor(0.3))]
    assert torch.autograd.gradcheck(value, inputs)


@pytest.mark.parametrize("name", ["negatives", "false_negatives", "reduction"])
def test_unknown_settings_name_the_known(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is one of"):
        InfoNCE(**{name: "vidoe"})


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize(("negatives", "false_negatives"), [VARIANTS[0], VARIANTS[3]])
def test_several_processes_have_the_gradient_of_one(
    world: int, negatives: str, false_negatives: str, tmp_path: Path
) -> None:
    """Uneven shares, groups that lie across ranks, sentences that occur twice, and pairs that only fill."""
    chance = torch.Generator().manual_seed(3)
    n = 11
    batch = {
        "clips": torch.randn(n, 5, generator=chance, dtype=torch.float64).float(),
        "texts": torch.randn(n, 5, generator=chance, dtype=torch.float64).float(),
        "video": torch.tensor([0, 0, 0, 0, 1, 1, 1, 0, 0, 2, 1]),
        "sentence": torch.tensor([0, 1, 1, 2, 3, 4, 4, 5, 0, 6, 7]),
        "weight": torch.tensor([1.0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 0]),
    }
    layers = {"clip": torch.randn(5, 4, generator=chance), "text": torch.randn(5, 4, generator=chance)}
    layers["temp"] = torch.tensor(0.2)
    save_file(batch, tmp_path / "batch.safetensors")
    save_file(layers, tmp_path / "layers.safetensors")
    script = Path(__file__).parent / "infonce_rank.py"
    command = [sys.executable, str(script)]
    ranks = [
        subprocess.Popen([*command, str(rank), str(world), str(tmp_path), "InfoNCE", negatives, false_negatives])
        for rank in range(world)
    ]
    assert [rank.wait(timeout=120) for rank in ranks] == [0] * world

    for layer in layers.values():
        layer.requires_grad_()
    out = InfoNCE(negatives, false_negatives)(
        normalize(batch["clips"] @ layers["clip"], dim=1),
        normalize(batch["texts"] @ layers["text"], dim=1),
        layers["temp"],
        video=batch["video"],
        sentence=batch["sentence"],
        weight=batch["weight"],
    )
    out.loss.backward()
    for rank in range(world):
        found = load_file(tmp_path / f"rank{rank}.safetensors")
        for name, layer in layers.items():
            torch.testing.assert_close(found[name], layer.grad, atol=1e-6, rtol=1e-5)
        for name in ("value", "accuracy", "chance", "without_negatives", "pairs"):
            torch.testing.assert_close(found[name], getattr(out, name).detach(), atol=1e-6, rtol=1e-6)

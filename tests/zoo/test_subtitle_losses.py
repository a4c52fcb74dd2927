"""The pre-training losses of SyncNet and the alignment loss, term by term; several processes against one."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from weaksync.zoo.losses import PathCrossEntropy, SyncNetLoss, path_cells
from weaksync.zoo.models.syncnet import lip_times, speech_times


def embeddings(clips: int, times: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(clips, times, 5, generator=generator) for _ in range(4)]


def cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b / a.norm() / b.norm())


def cross_entropy(logits: list[float], right: int) -> float:
    return -math.log(math.exp(logits[right]) / sum(math.exp(logit) for logit in logits))


@pytest.mark.parametrize(("clips", "times"), [(1, 1), (3, 4), (4, 2)])
def test_the_pre_training_losses_are_the_sums_written_out(clips: int, times: int) -> None:
    lips, speech, face, voice = embeddings(clips, times)
    found = SyncNetLoss(identity_weight=0.5)(lips, speech, face, voice, generator=Generator().manual_seed(3))
    seen = int(torch.randint(times, (), generator=Generator().manual_seed(3)))
    content = [
        cross_entropy([10 * cosine(lips[c, t], speech[c, u]) - 5 for u in range(times)], t)
        for c in range(clips)
        for t in range(times)
    ]
    voices = voice.mean(dim=1)
    identity = [
        cross_entropy([10 * cosine(face[c, seen], voices[d]) - 5 for d in range(clips)], c) for c in range(clips)
    ]
    assert float(found.content) == pytest.approx(sum(content) / len(content), abs=1e-5)
    assert float(found.identity) == pytest.approx(sum(identity) / clips, abs=1e-5)
    assert found.loss.item() == pytest.approx(float(found.content) + 0.5 * float(found.identity), abs=1e-5)


def test_half_precision_features_are_compared_in_float32() -> None:
    found = []
    for autocast in (False, True):
        parts = [part.requires_grad_() for part in embeddings(3, 4)]
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = SyncNetLoss()(*parts, generator=Generator().manual_seed(0)).loss
        found.append([loss, *torch.autograd.grad(loss, parts)])
    for mixed, whole in zip(*found, strict=True):
        assert torch.equal(mixed, whole)


def test_equal_embeddings_are_all_found() -> None:
    lips, _, face, _ = embeddings(4, 6)
    found = SyncNetLoss()(lips, lips, face[:, :1].expand(-1, 6, -1), face[:, :1].expand(-1, 6, -1))
    assert found.content_accuracy == 1 and found.identity_accuracy == 1
    with pytest.raises(ValueError, match=r"one shape \(B, T, D\)"):
        SyncNetLoss()(lips, lips[:, :3], face, face)


def test_ranks_change_nothing(tmp_path: Path) -> None:
    """Two processes with half of the clips each: the mean of their gradients is that of one process with all."""
    parts = embeddings(4, 3)
    leaves = [part.clone().requires_grad_() for part in parts]
    whole = SyncNetLoss()
    loss = whole(*leaves, generator=Generator().manual_seed(0)).loss
    loss.backward()
    torch.save(parts, tmp_path / "parts.pt")
    code = (
        "import sys, torch, torch.distributed as dist\n"
        "from weaksync.zoo.losses import SyncNetLoss\n"
        "rank, folder = int(sys.argv[1]), sys.argv[2]\n"
        "dist.init_process_group('gloo', init_method=f'file://{folder}/meet', rank=rank, world_size=2)\n"
        "parts = torch.load(f'{folder}/parts.pt', weights_only=True)\n"
        "own = [part[2 * rank : 2 * rank + 2].clone().requires_grad_() for part in parts]\n"
        "module = SyncNetLoss()\n"
        "out = module(*own, generator=torch.Generator().manual_seed(0))\n"
        "out.loss.backward()\n"
        "torch.save([out.loss.detach(), module.identity_scale.grad, *[x.grad for x in own]], f'{folder}/{rank}.pt')\n"
        "dist.barrier(); dist.destroy_process_group()\n"
    )
    ranks = [subprocess.Popen([sys.executable, "-P", "-c", code, str(r), str(tmp_path)]) for r in range(2)]
    assert [rank.wait(120) for rank in ranks] == [0, 0]
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    torch.testing.assert_close((found[0][0] + found[1][0]) / 2, loss.detach())
    torch.testing.assert_close((found[0][1] + found[1][1]) / 2, whole.identity_scale.grad)
    for place, leaf in enumerate(leaves, start=2):
        ours = torch.cat([found[0][place], found[1][place]]) / 2
        torch.testing.assert_close(ours, leaf.grad)


@settings(max_examples=20)
@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 5))
def test_the_alignment_loss_is_the_sum_over_cells(n: int, m: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    video, text = torch.randn(2, n, 4, generator=generator), torch.randn(2, m, 4, generator=generator)
    path = torch.rand(2, n, m, generator=generator) < 0.3
    expected = []
    for pair in range(2):
        near, far = [], []
        for i in range(n):
            for j in range(m):
                if not path[pair, i].any() or not path[pair, :, j].any():
                    continue
                likely = (cosine(video[pair, i], text[pair, j]) + 1) / 2
                (near if path[pair, i, j] else far).append(-math.log(likely if path[pair, i, j] else 1 - likely))
        expected.append((sum(near) / max(1, len(near)) + sum(far) / max(1, len(far))) / 2)
    found = PathCrossEntropy(reduction="none")(video, text, path)
    assert found.tolist() == pytest.approx(expected, abs=1e-4)
    pairs = max(1, int(path.flatten(1).any(dim=1).sum()))
    assert float(PathCrossEntropy()(video, text, path)) == pytest.approx(sum(expected) / pairs, abs=1e-4)


def test_padding_and_silence_do_not_count() -> None:
    video, text = torch.randn(1, 4, 3), torch.randn(1, 5, 3)
    path = torch.zeros(1, 4, 5, dtype=torch.bool)
    path[0, range(4), range(4)] = True
    few = PathCrossEntropy()(video, text, path)
    more = torch.nn.functional.pad(path, (0, 3, 0, 2))
    many = PathCrossEntropy()(
        torch.cat([video, torch.randn(1, 2, 3)], dim=1), torch.cat([text, torch.randn(1, 3, 3)], dim=1), more
    )
    torch.testing.assert_close(few, many)
    assert PathCrossEntropy()(video, text, torch.zeros_like(path)) == 0


def test_gradients_stay_finite_where_vectors_agree() -> None:
    video = torch.eye(3)[None].requires_grad_()
    path = torch.zeros(1, 3, 3, dtype=torch.bool)
    path[0, range(3), [1, 2, 0]] = True
    PathCrossEntropy()(video, torch.eye(3)[None], path).backward()
    assert video.grad is not None and video.grad.isfinite().all()
    with pytest.raises(ValueError, match=r"path must be bool \(B, n, m\) = \(1, 3, 3\)"):
        PathCrossEntropy()(video, torch.eye(3)[None], path[:, :2])


def test_the_path_runs_evenly_through_each_sentence() -> None:
    video_times, text_times = torch.arange(10).double(), torch.arange(8).double()
    spoken = torch.tensor([[0.0, 4.0], [6.0, 8.0]])
    synthesised = torch.tensor([[0.0, 2.0], [3.0, 7.0]])
    cells = path_cells(video_times, text_times, spoken, synthesised)
    # steps 0 to 3 are spoken twice as fast, 6 and 7 at half the pace, nobody speaks at the others
    assert cells.nonzero().tolist() == [[0, 0], [1, 0], [2, 1], [3, 1], [6, 3], [6, 4], [7, 5], [7, 6]]


def test_one_pace_gives_the_diagonal() -> None:
    times = lip_times(40, 25)
    span = torch.tensor([[0.0, 1.0], [1.0, 2.0]])
    assert torch.equal(path_cells(times, times, span, span), torch.eye(40, dtype=torch.bool))
    lips, speech = lip_times(371, 25), speech_times(371)
    assert (lips - speech).abs().max() < 0.0101  # one frame of the spectrum
    assert path_cells(lips[:0], speech, span, span).shape == (0, 371)
    with pytest.raises(ValueError, match="spoken sentence 1 ends before"):
        path_cells(times, times, torch.tensor([[0.0, 1.0], [2.0, 1.0]]), span)
    with pytest.raises(ValueError, match=r"both spans must be \(K, 2\)"):
        path_cells(times, times, span, span[:1])

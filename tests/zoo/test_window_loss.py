"""Windows set against windows: held to a plain loop, to InfoNCE, and to one process where there are several."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy, normalize

from weaksync.kernels import percentile_drop, soft_drop_dtw, soft_dtw
from weaksync.zoo.losses import InfoNCE, WindowNCE
from weaksync.zoo.losses.windows import windows


def batch(seed=0, *, fill=0):
    """Windows of 3, 1, 4 and 2 pairs; neighbouring pairs of the same sentence in the first and in the third."""
    chance = torch.Generator().manual_seed(seed)
    video = torch.tensor([5, 5, 5, 2, 7, 7, 7, 7, 5, 5] + [9] * fill)
    sentence = torch.tensor([0, 0, 1, 2, 3, 4, 4, 5, 6, 7] + [8] * fill)
    clips, texts = torch.randn(2, len(video), 6, generator=chance)
    for row in (1, 6):  # a sentence has one vector
        texts[row] = texts[row - 1]
    weight = torch.tensor([1.0] * 10 + [0.0] * fill)
    return {"clips": clips, "texts": texts, "video": video, "sentence": sentence, "weight": weight}


ROWS = [([0, 1, 2], [0, 2]), ([3], [3]), ([4, 5, 6, 7], [4, 5, 7]), ([8, 9], [8, 9])]


def test_windows_are_runs_of_a_video_and_sentences_runs_within():
    pairs = batch()
    found = windows(pairs["video"], pairs["sentence"])
    assert [(clips.tolist(), texts.tolist()) for clips, texts in found] == ROWS
    with pytest.raises(ValueError, match="no pair"):
        windows(torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64))


@pytest.mark.parametrize("aligner", ["soft_dtw", "soft_drop_dtw"])
def test_the_loss_is_that_of_a_plain_loop(aligner):
    pairs = batch(fill=2)
    clips, texts = normalize(pairs["clips"], dim=1), normalize(pairs["texts"], dim=1)
    costs = {(a, b): 1 - clips[x].double() @ texts[y].double().T for a, (x, _) in enumerate(ROWS)
             for b, (_, y) in enumerate(ROWS)}  # fmt: skip
    price = percentile_drop(torch.cat([cost.flatten() for cost in costs.values()])[None], torch.tensor([0.3])).item()
    logits = torch.empty(4, 4, dtype=torch.float64)
    for (a, b), cost in costs.items():
        n, m = cost.shape
        if aligner == "soft_dtw":
            logits[a, b] = -soft_dtw(cost[None], gamma=0.1)[0] / max(n, m) / 0.2
        else:
            logits[a, b] = -soft_drop_dtw(cost[None], price, price, gamma=0.1)[0] / (n + m) / 0.2
    right = torch.arange(4)
    expected = (cross_entropy(logits, right) + cross_entropy(logits.T, right)) / 2
    ids = {name: pairs[name] for name in ("video", "sentence", "weight")}
    out = WindowNCE(aligner)(clips, texts, 0.2, **ids)
    torch.testing.assert_close(out.loss.double(), expected, atol=1e-5, rtol=1e-5)
    assert out.accuracy == (logits.argmax(dim=1) == right).float().mean() and out.chance == 0.25
    assert (out.pairs, out.without_negatives) == (10, 0)


def test_windows_of_one_pair_are_info_nce():
    pairs = batch(1)
    clips, texts = normalize(pairs["clips"], dim=1), normalize(pairs["texts"], dim=1)
    ids = {"video": torch.arange(10), "sentence": torch.arange(10)}
    expected = InfoNCE("batch")(clips, texts, 0.1, **ids)
    out = WindowNCE("soft_dtw")(clips, texts, 0.1, **ids)
    torch.testing.assert_close(out.loss, expected.value, atol=1e-5, rtol=1e-5)
    assert out.accuracy == expected.accuracy


@pytest.mark.parametrize("aligner", ["soft_dtw", "soft_drop_dtw"])
def test_a_planted_order_is_learnt_from_shifted_pairs(aligner):
    """Every sentence is told one clip too late, so that not one pair is right; windows still say which goes where."""
    torch.manual_seed(0)
    things = 24
    looks, words = torch.randn(2, things, 32)
    see, read = torch.nn.Linear(32, 16, bias=False), torch.nn.Linear(32, 16, bias=False)
    optimizer = torch.optim.Adam([*see.parameters(), *read.parameters()], lr=0.02)
    loss = WindowNCE(aligner)
    for _ in range(150):
        happens = torch.rand(16, things).argsort(dim=1)[:, :6]  # 16 windows, in each of which six things happen
        shown, told = happens[:, 1:], happens[:, :-1]
        clips, texts = normalize(see(looks[shown]), dim=-1), normalize(read(words[told]), dim=-1)
        ids = {"video": torch.arange(16).repeat_interleave(5), "sentence": told.flatten()}
        out = loss(clips.flatten(0, 1), texts.flatten(0, 1), 0.1, **ids)
        optimizer.zero_grad()
        out.loss.backward()
        optimizer.step()
    found = (normalize(see(looks), dim=1) @ normalize(read(words), dim=1).T).argmax(dim=1)
    assert found.tolist() == list(range(things))


@pytest.mark.slow
@pytest.mark.parametrize("aligner", ["soft_dtw", "soft_drop_dtw"])
def test_ranks_have_the_gradient_of_one_process(tmp_path, aligner):
    world, pairs = 2, batch(2)
    layers = {"clip": torch.randn(6, 4), "text": torch.randn(6, 4), "temp": torch.tensor(0.2)}
    save_file(pairs, tmp_path / "batch.safetensors")
    save_file(layers, tmp_path / "layers.safetensors")
    script = Path(__file__).parent / "infonce_rank.py"
    command = [sys.executable, str(script)]
    ranks = [
        subprocess.Popen([*command, str(rank), str(world), str(tmp_path), "WindowNCE", aligner])
        for rank in range(world)
    ]
    assert [rank.wait(timeout=120) for rank in ranks] == [0] * world
    for layer in layers.values():
        layer.requires_grad_()
    ids = {name: pairs[name] for name in ("video", "sentence", "weight")}
    clips, texts = normalize(pairs["clips"] @ layers["clip"], dim=1), normalize(pairs["texts"] @ layers["text"], dim=1)
    out = WindowNCE(aligner)(clips, texts, layers["temp"], **ids)
    out.loss.backward()
    for rank in range(world):
        found = load_file(tmp_path / f"rank{rank}.safetensors")
        for name, layer in layers.items():
            torch.testing.assert_close(found[name], layer.grad, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(found["value"], out.value)

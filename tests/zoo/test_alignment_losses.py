"""Alignment losses: what they reduce to, several processes against one, and that they teach."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import log_softmax, normalize

from weaksync import kernels
from weaksync.zoo.losses import PairwiseRanking, SoftDropDTW, SoftDSTA, SoftDTW, WindowNCE

LENGTHS = {"video_lengths": torch.tensor([5, 4, 2]), "text_lengths": torch.tensor([3, 4, 2])}


def cost_of(seed: int = 0) -> torch.Tensor:
    return torch.rand(3, 5, 4, generator=torch.Generator().manual_seed(seed)) * 2


@pytest.mark.parametrize(
    ("loss", "value"),
    [
        (partial(SoftDTW, 0.2, band=3), partial(kernels.soft_dtw, gamma=0.2, band=3)),
        (partial(SoftDSTA, window=3, order_weight=0.5), partial(kernels.soft_dsta, window=3, order_weight=0.5)),
        (partial(SoftDropDTW, contiguous=False), partial(kernels.soft_drop_dtw, contiguous=False)),
    ],
)
def test_reductions_are_of_the_value_per_step(loss, value):
    drops = (0.4, 0.6) if loss.func is SoftDropDTW else ()
    values = value(cost_of(), *drops, **LENGTHS)
    each = values / LENGTHS["video_lengths"]
    for reduction, expected in (("none", each), ("sum", each.sum()), ("mean", each.mean())):
        torch.testing.assert_close(loss(reduction=reduction)(cost_of(), *drops, **LENGTHS), expected)
    torch.testing.assert_close(loss(per_step=False, reduction="none")(cost_of(), *drops, **LENGTHS), values)
    with pytest.raises(ValueError, match=r"reduction is one of .*did you mean 'mean'"):
        loss(reduction="meen")


@pytest.mark.parametrize("loss", [SoftDTW(), SoftDSTA(), partial(SoftDropDTW(), drop_video=0.4, drop_text=0.6)])
def test_the_mean_over_no_pairs_is_zero_and_has_a_gradient(loss):
    cost = torch.zeros(0, 5, 4, requires_grad=True)
    value = loss(cost)
    value.backward()
    assert value.item() == 0 and cost.grad.shape == cost.shape


def test_a_pair_without_video_steps_costs_its_dropped_texts():
    loss = SoftDropDTW(reduction="none")(cost_of(), 0.4, 0.6, video_lengths=torch.tensor([5, 0, 5]))
    torch.testing.assert_close(loss[1], torch.tensor(4 * 0.6))
    assert SoftDropDTW()(torch.zeros(1, 0, 4), 0.4, 0.6).item() == pytest.approx(4 * 0.6)


def test_a_loss_shows_every_setting():
    assert repr(SoftDSTA(window=3, order_weight=0.5)) == (
        "SoftDSTA(gamma=0.1, band=None, per_step=True, reduction='mean', window=3, order_weight=0.5, order_margin=1)"
    )
    assert "contiguous=False" in repr(SoftDropDTW(contiguous=False)) and "margin=0.3" in repr(
        PairwiseRanking(margin=0.3)
    )


@pytest.mark.parametrize("directions", ["video", "text", "both"])
def test_ranking_is_the_hinge_written_out(directions):
    video, text = torch.randn(4, 6, 8), torch.randn(4, 5, 8)
    cost = (kernels.pairwise_soft_dtw(video, text) / 6).tolist()
    by_video = [[max(cost[v][v] - cost[v][s] + 0.1, 0) for s in range(4) if s != v] for v in range(4)]
    by_text = [[max(cost[v][v] - cost[w][v] + 0.1, 0) for w in range(4) if w != v] for v in range(4)]
    total = {"video": sum(map(sum, by_video)), "text": sum(map(sum, by_text))}
    total["both"] = (total["video"] + total["text"]) / 2
    loss = partial(PairwiseRanking, kernels.pairwise_soft_dtw, directions=directions)
    assert loss(reduction="sum")(video, text).item() == pytest.approx(total[directions], rel=1e-5)
    assert loss()(video, text).item() == pytest.approx(total[directions] / 12, rel=1e-5)
    assert loss(reduction="none")(video, text).mean().item() == pytest.approx(total[directions] / 12, rel=1e-5)


def test_one_pair_has_no_negatives_and_is_zero():
    video = torch.randn(1, 6, 8, requires_grad=True)
    loss = PairwiseRanking()(video, torch.randn(1, 5, 8))
    loss.backward()
    assert loss.item() == 0 and (video.grad == 0).all()


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="2 videos and 3 texts"):
        PairwiseRanking()(torch.zeros(2, 4, 3), torch.zeros(3, 4, 3))
    with pytest.raises(ValueError, match="directions is one of video, text, both"):
        PairwiseRanking(directions="up")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: PairwiseRanking(torch.zeros(2, 2)), "values must be a function"),
        (lambda: PairwiseRanking(margin=torch.inf), "margin must be a finite number"),
        (lambda: PairwiseRanking(margin="0.1"), "margin must be a finite number, not '0.1'"),
        (lambda: SoftDTW(0.0), "gamma must be positive"),
        (lambda: SoftDropDTW(None), "gamma must be positive and finite, not None"),
        (lambda: SoftDTW(band=-1), "band must be None or a whole number"),
        (lambda: SoftDSTA(window=1.5), "window must be None or a whole number"),
        (lambda: SoftDSTA(order_weight=-1.0), "order_weight must be at least 0"),
        (lambda: SoftDSTA(order_margin=0.5), "order_margin must be"),
        (lambda: WindowNCE(gamma=-1.0), "gamma must be positive"),
        (lambda: WindowNCE(drop_share=1.5), r"drop_share must lie in \[0, 1\]"),
        (lambda: PairwiseRanking()(torch.zeros(4, 3), torch.zeros(4, 3)), r"\(b, n, d\) and \(b, m, d\)"),
    ],
)
def test_settings_are_checked_when_they_are_given(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_wrong_pair_that_cannot_be_aligned_teaches_nothing():
    """Window 2: three steps do not reach the last of seven texts."""
    n, m = torch.tensor([6, 3]), torch.tensor([7, 4])
    video, text = torch.randn(2, 6, 8, requires_grad=True), torch.randn(2, 7, 8, requires_grad=True)
    values = partial(kernels.pairwise_soft_dsta, window=2)
    loss = PairwiseRanking(values, margin=5.0, reduction="none")(video, text, video_lengths=n, text_lengths=m)
    assert loss[0] > 0 and loss[1] == 0
    loss.sum().backward()
    assert video.grad[0].abs().max() > 0 and (video.grad[1] == 0).all() and text.grad.isfinite().all()


def test_a_right_pair_that_cannot_be_aligned_is_named():
    values = partial(kernels.pairwise_soft_dtw, band=1)
    with pytest.raises(ValueError, match=r"video 1 cannot be aligned with text 1, its own: the lengths"):
        PairwiseRanking(values)(
            torch.randn(3, 6, 8), torch.randn(3, 6, 8), video_lengths=torch.tensor([6, 2, 5]), text_lengths=None
        )


@pytest.mark.parametrize("directions", ["video", "text", "both"])
def test_unaligned_pairs_give_no_nan(directions):
    """As on a GPU, where nobody looks: right and wrong pairs of a video at +inf."""
    costs = torch.tensor([[torch.inf, torch.inf, 1.0], [0.5, 0.7, torch.inf], [0.1, 0.9, 0.2]], requires_grad=True)
    loss = PairwiseRanking(margin=0.3, directions=directions)._per_video(costs).sum() * 2
    by_video = (0.7 - 0.5 + 0.3) + (0.2 - 0.1 + 0.3)
    by_text = 0.7 - 0.9 + 0.3
    expected = {"video": by_video, "text": by_text, "both": (by_video + by_text) / 2}[directions]
    assert loss.item() == pytest.approx(expected, abs=1e-6)
    loss.backward()
    assert costs.grad.isfinite().all() and (costs.grad[costs.isinf()] == 0).all()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_ranking_no_pairs_is_zero_and_has_a_gradient(reduction):
    video = torch.zeros(0, 5, 4, requires_grad=True)
    value = PairwiseRanking(reduction=reduction)(video, torch.zeros(0, 3, 4))
    value.backward()
    assert value.item() == 0 and video.grad.shape == video.shape


@pytest.mark.slow
@pytest.mark.parametrize(
    ("world", "name", "directions"), [(2, "pairwise_soft_dsta", "video"), (3, "pairwise_soft_dtw", "both")]
)
def test_several_processes_have_the_gradient_of_one(world, name, directions, tmp_path):
    """Seven pairs: uneven shares, and ranks whose longest pairs differ."""
    chance = torch.Generator().manual_seed(5)
    batch = {
        "video": torch.randn(7, 6, 5, generator=chance),
        "text": torch.randn(7, 5, 5, generator=chance),
        "video_lengths": torch.tensor([6, 5, 6, 4, 3, 4, 2]),
        "text_lengths": torch.tensor([3, 5, 4, 2, 3, 1, 2]),
    }
    layer = torch.randn(5, 4, generator=chance)
    save_file(batch, tmp_path / "batch.safetensors")
    save_file({"layer": layer}, tmp_path / "layer.safetensors")
    command = [sys.executable, str(Path(__file__).parent / "ranking_rank.py")]
    ranks = [subprocess.Popen([*command, str(r), str(world), str(tmp_path), name, directions]) for r in range(world)]
    assert [rank.wait(timeout=120) for rank in ranks] == [0] * world

    layer.requires_grad_()
    loss = PairwiseRanking(getattr(kernels, name), directions=directions, margin=0.3)(
        batch["video"] @ layer,
        batch["text"] @ layer,
        video_lengths=batch["video_lengths"],
        text_lengths=batch["text_lengths"],
    )
    loss.backward()
    assert layer.grad.abs().max() > 0.01
    for rank in range(world):
        found = load_file(tmp_path / f"rank{rank}.safetensors")
        torch.testing.assert_close(found["loss"], loss.detach(), atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(found["grad"], layer.grad, atol=1e-6, rtol=1e-5)


def planted(pairs: int, steps: int, texts: int, width: int, *, noise: bool):
    """Texts, videos that show them in order through an unknown rotation, and labels; with `noise`, steps of nothing."""
    chance = torch.Generator().manual_seed(11)
    text = normalize(torch.randn(pairs, texts, width, generator=chance), dim=-1)
    labels = torch.sort(torch.randint(0, texts, (pairs, steps), generator=chance), dim=1).values
    labels[:, 0], labels[:, -1] = 0, texts - 1
    rotation = torch.linalg.qr(torch.randn(width, width, generator=chance)).Q
    video = text.gather(1, labels[..., None].expand(-1, -1, width)) @ rotation
    if noise:
        nothing = torch.rand(pairs, steps, generator=chance) < 0.25
        video[nothing] = normalize(torch.randn(int(nothing.sum()), width, generator=chance), dim=-1)
        labels[nothing] = -1
    return video + 0.02 * torch.randn(video.shape, generator=chance), text, labels


@pytest.mark.parametrize("name", ["soft_dtw", "soft_dsta", "soft_drop_dtw"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_training_recovers_a_planted_alignment(name, dtype):
    """A linear map, learned from pairs alone, turns the videos back; labels were never shown."""
    drops = name == "soft_drop_dtw"
    video, text, labels = planted(24, 20, 6, 12, noise=drops)
    layer = torch.nn.Parameter(torch.eye(12))
    optimizer = torch.optim.Adam([layer], lr=0.03)
    loss = {"soft_dtw": SoftDTW(0.5), "soft_dsta": SoftDSTA(0.5), "soft_drop_dtw": SoftDropDTW(0.5, contiguous=False)}[
        name
    ]

    def costs():
        similarity = normalize((video @ layer).to(dtype), dim=-1) @ text.to(dtype).transpose(1, 2)
        return -log_softmax(similarity / 0.3, dim=-1)

    def accuracy():
        cost = costs().detach()
        found = {
            "soft_dtw": lambda: kernels.drop_dtw(cost, torch.inf)[1],
            "soft_dsta": lambda: kernels.dsta_path(cost)[1],
            "soft_drop_dtw": lambda: kernels.drop_dtw(cost, 2.0, 3.0, contiguous=False)[1],
        }[name]()
        return (found == labels).float().mean().item()

    before = accuracy()
    for _ in range(250):
        optimizer.zero_grad()
        loss(costs(), *((2.0, 3.0) if drops else ())).backward()
        optimizer.step()
    assert before < 0.6 and accuracy() > (0.8 if drops else 0.95)

"""SyncNet and the front end together: features as they would be cached, and the same gradients however they are had."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from weaksync import zoo
from weaksync.datamodules.batches import SpokenBatch
from weaksync.zoo.models.gsm import GSM
from weaksync.zoo.models.lipspeech import LipSpeech
from weaksync.zoo.models.syncnet import SyncNet, lip_steps, speech_steps
from weaksync.zoo.optim import StepOptimConfig
from weaksync.zoo.subtitles import SubtitleMatching, encode_streams

from .subtitle_ranks import outcomes

SMALL = {"image_size": 64, "lip_channels": [4] * 5, "speech_channels": [4] * 5, "feature_dim": 8, "embed_dim": 8}


def syncnet(**more: object) -> SyncNet:
    """Small, and its running statistics are not those of a fresh one."""
    torch.manual_seed(1)
    model = zoo.create("syncnet-tiny", **{**SMALL, **more})
    assert isinstance(model, SyncNet)
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.running_var, 0.5, 1.5)
    with torch.no_grad():
        model.netcnnlip[0].weight /= 100  # pixels go to 255
    return model.eval()


def lipspeech(**more: object) -> LipSpeech:
    torch.manual_seed(2)
    model = zoo.create("lipspeech", **{"feature_dim": 8, "dim": 8, **more})
    assert isinstance(model, LipSpeech)
    return model


def clips(count: int, seed: int = 0) -> SpokenBatch:
    """Noise of different lengths, with two cues in each half."""
    random = torch.Generator().manual_seed(seed)
    frames = torch.randint(30, 50, (count,), generator=random).tolist()
    samples = torch.randint(16000, 30000, (count,), generator=random).tolist()

    def halves(seconds: float) -> Tensor:
        return torch.tensor([[0.0, 0.5], [0.5, 1.0]], dtype=torch.float64) * seconds

    return SpokenBatch(
        ids=[f"clip{row}" for row in range(count)],
        languages=["en"] * count,
        tubes=[torch.randint(256, (each, 3, 64, 64), generator=random, dtype=torch.uint8) for each in frames],
        speech=[torch.randint(-9000, 9000, (each,), generator=random).to(torch.int16) for each in samples],
        spoken=[halves(each / 25) for each in frames],
        synthesised=[halves(each / 16000) for each in samples],
    )


@pytest.mark.parametrize(("fps", "stride"), [(25, 1), (24, 2)])
@torch.no_grad()
def test_streams_are_those_of_each_clip_by_itself(fps: int, stride: int) -> None:
    model, batch = syncnet(fps=fps, stride=stride), clips(3)
    found = encode_streams(model, batch)
    assert found.ids == batch.ids and found.spoken is batch.spoken and found.synthesised is batch.synthesised
    assert found.video_times is not None and found.text_times is not None
    for row in range(3):
        n = lip_steps(len(batch.tubes[row]), stride)
        m = speech_steps(len(batch.speech[row]), stride)
        assert (found.video_lengths[row], found.text_lengths[row]) == (n, m)
        assert torch.equal(found.video[row, :n], model.encode_lips(batch.tubes[row][None])[0])
        assert torch.equal(found.text[row, :m], model.encode_speech(batch.speech[row][None])[0])
        assert not found.video[row, n:].any() and not found.text[row, m:].any()
        seconds = (torch.arange(n, dtype=torch.float64) * stride + 2.5) / fps
        torch.testing.assert_close(found.video_times[row, :n], seconds, atol=1e-5, rtol=0)
        seconds = torch.arange(m, dtype=torch.float64) * 0.04 * stride + 0.09
        torch.testing.assert_close(found.text_times[row, :m], seconds, atol=1e-5, rtol=0)


def gradients(checkpointed: bool, autocast: bool = False) -> tuple[float, dict[str, Tensor]]:
    task = SubtitleMatching(lipspeech(), syncnet=syncnet(checkpoint_activations=checkpointed))
    task.on_fit_start()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss, _ = task.losses(task.streams(clips(3)))
    loss.backward()
    return loss.item(), {name: each.grad for name, each in task.named_parameters() if each.grad is not None}


def test_checkpointed_activations_change_no_gradient() -> None:
    (kept, ours), (computed, theirs) = gradients(False), gradients(True)
    assert kept == computed and ours.keys() == theirs.keys()
    for name, gradient in ours.items():
        torch.testing.assert_close(theirs[name], gradient, rtol=1e-5, atol=1e-6 * float(gradient.abs().max()))
    stacks = [f"syncnet.{stack}" for stack in ("netcnnlip", "netcnnaud")]
    learnt = [name for name in ours if name.startswith("syncnet.")]
    assert len(learnt) == 48 and all(name.startswith(tuple(stacks)) for name in learnt)  # no head
    assert all(float(ours[name].abs().max()) > 0 for name in learnt)


def test_gradients_are_those_of_finite_differences() -> None:
    task = SubtitleMatching(lipspeech(), syncnet=syncnet(checkpoint_activations=True))
    task.model.eval()
    batch = clips(2)
    assert task.syncnet is not None
    for weight in (task.syncnet.netcnnlip[4].weight, task.syncnet.netcnnaud[4].weight):
        task.zero_grad()
        task.losses(task.streams(batch))[0].backward()
        assert isinstance(weight, Tensor) and weight.grad is not None
        size = float(weight.grad.norm())
        step = weight.grad / size * 1e-2 * float(weight.detach().norm())
        with torch.no_grad():
            weight += step
            above = float(task.losses(task.streams(batch))[0])
            weight -= 2 * step
            below = float(task.losses(task.streams(batch))[0])
            weight += step
        assert (above - below) / (2 * float(step.norm())) == pytest.approx(size, rel=0.03)


def test_half_precision_is_near() -> None:
    whole, half = gradients(True), gradients(True, autocast=True)
    assert half[0] == pytest.approx(whole[0], rel=0.02)
    cosines = {}
    for name, gradient in whole[1].items():
        if float(gradient.norm()) > 0.1:  # smaller ones are sums that nearly cancel
            cosines[name] = float(torch.cosine_similarity(gradient.flatten(), half[1][name].flatten(), dim=0))
    assert len(cosines) >= 32 and min(cosines.values()) > 0.75, min(cosines.items(), key=lambda item: item[1])


def test_statistics_stay_and_both_rates_count() -> None:
    optim = StepOptimConfig(lr=1e-2)
    task = SubtitleMatching(lipspeech(), optim=optim, syncnet=syncnet(), syncnet_lr=0.1)
    task.train()
    task.on_fit_start()
    before = {name: value.clone() for name, value in task.syncnet.state_dict().items()}  # type: ignore[union-attr]
    optimiser = task.configure_optimizers()["optimizer"]  # type: ignore[index, call-overload]
    assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([1e-2, 1e-3])
    losses = []
    for _ in range(8):
        optimiser.zero_grad()
        loss, _ = task.losses(task.streams(clips(3)))
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    changed = {name for name, value in task.syncnet.state_dict().items() if not torch.equal(value, before[name])}  # type: ignore[union-attr]
    assert len(changed) == 48 and not any("running" in name or name.startswith("netfc") for name in changed)


def test_a_rate_of_nothing_leaves_syncnet_as_it_is() -> None:
    task = SubtitleMatching(lipspeech(), syncnet=syncnet(checkpoint_activations=True), syncnet_lr=0.0)
    loss, _ = task.losses(task.streams(clips(2)))
    loss.backward()
    assert all(each.grad is None for each in task.syncnet.parameters())  # type: ignore[union-attr]
    groups = task.configure_optimizers()["optimizer"].param_groups  # type: ignore[index, call-overload]
    assert len(groups) == 1


def test_syncnet_alone_may_learn() -> None:
    task = SubtitleMatching(lipspeech(front_end="pool"), syncnet=syncnet())
    (group,) = task.configure_optimizers()["optimizer"].param_groups  # type: ignore[index, call-overload]
    assert group["name"] == "syncnet"


def test_what_cannot_be_is_refused() -> None:
    gsm = zoo.create("gsm-tiny", video_dim=6, text_dim=6)
    assert isinstance(gsm, GSM)
    with pytest.raises(ValueError, match=r"a GSM has no alignment: .* syncnet=None"):
        SubtitleMatching(gsm, alignment_weight=0.0, syncnet=syncnet())
    with pytest.raises(ValueError, match="pictures and sound need a syncnet"):
        SubtitleMatching(lipspeech()).streams(clips(1))


@pytest.mark.slow
def test_processes_learn_as_one_does(tmp_path: Path) -> None:
    """Losses and gradients averaged as DDP does, of 1 and of 3 ranks."""
    batch = clips(5)
    found = {}
    for world in (1, 3):
        folder = tmp_path / str(world)
        lipspeech().save_pretrained(folder / "model")
        syncnet(checkpoint_activations=True).save_pretrained(folder / "syncnet")
        (folder / "settings.json").write_text(json.dumps({"timed": True, "alignment_weight": 1.0}))
        lists = {name: getattr(batch, name) for name in ("tubes", "speech", "spoken", "synthesised")}
        tensors = {f"{name} {row}": each for name, several in lists.items() for row, each in enumerate(several)}
        save_file(tensors, folder / "batch.safetensors")
        found[world] = outcomes(folder, world)
    ((alone, places),) = found[1]
    assert len(places) == 5 and sum(name.startswith("grad syncnet.") for name in alone) == 48
    for tensors, ranked in found[3]:
        assert ranked == places and tensors.keys() == alone.keys()
        for name, value in tensors.items():
            atol = 5e-4 * float(alone[name].abs().max())
            torch.testing.assert_close(value, alone[name], rtol=1e-3, atol=atol, msg=name)

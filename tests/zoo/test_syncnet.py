"""SyncNet against the published outputs, against sliding windows, and against the stated lengths.

The recorded outputs are data of a layout published elsewhere and lie outside this repository: name their folder in
WEAKSYNC_FIXTURES.
"""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from weaksync import zoo
from weaksync.zoo.folders import file_hash, write_sums
from weaksync.zoo.models.mel import LogMel, mel_filters, mel_frames
from weaksync.zoo.models.syncnet import SyncNet, SyncNetConfig, lip_steps, speech_steps
from weaksync.zoo.tubes import TubePreprocess

FIXTURES = os.environ.get("WEAKSYNC_FIXTURES")
needs_fixtures = pytest.mark.skipif(not FIXTURES, reason="WEAKSYNC_FIXTURES names no folder of recorded outputs")


def tiny(**arguments: Any) -> SyncNet:
    """A small model whose running statistics are not those of a fresh one, in evaluation mode."""
    torch.manual_seed(0)
    model = zoo.create("syncnet-tiny", **arguments)
    assert isinstance(model, SyncNet)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, 0, 0.1)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
            nn.init.normal_(layer.weight, 1, 0.3)
            nn.init.normal_(layer.bias, 0, 0.1)
    with torch.no_grad():
        model.netcnnlip[0].weight /= 255
    return model.eval()


def tubes(batch: int, frames: int, size: int = 96) -> Tensor:
    return torch.randint(256, (batch, frames, 3, size, size), generator=torch.Generator().manual_seed(1)).byte()


def speech(batch: int, samples: int) -> Tensor:
    return torch.randint(-9000, 9000, (batch, samples), generator=torch.Generator().manual_seed(2)).to(torch.int16)


@pytest.mark.parametrize(
    ("seconds", "stride", "speech_25", "lips_25", "lips_24"),
    [(15, 1, 371, 371, 356), (30, 1, 746, 746, 716), (15, 2, 186, 186, 178), (30, 2, 373, 373, 358)],
)
def test_lengths_are_those_of_the_published_network(
    seconds: int, stride: int, speech_25: int, lips_25: int, lips_24: int
) -> None:
    assert speech_steps(16000 * seconds, stride) == speech_25
    assert lip_steps(25 * seconds, stride) == lips_25
    assert lip_steps(24 * seconds, stride) == lips_24


@settings(max_examples=20)
@given(st.integers(1, 80), st.integers(1, 20000), st.sampled_from([1, 2]))
@torch.no_grad()
def test_features_are_as_many_as_foretold(frames: int, samples: int, stride: int) -> None:
    model = tiny(stride=stride)
    if lip_steps(frames, stride):
        assert model.encode_lips(tubes(1, frames)).shape == (1, lip_steps(frames, stride), 128)
    else:
        with pytest.raises(ValueError, match=f"tube of {frames} frames is too short"):
            model.encode_lips(tubes(1, frames))
    if speech_steps(samples, stride):
        assert model.encode_speech(speech(1, samples)).shape == (1, speech_steps(samples, stride), 128)
    else:
        with pytest.raises(ValueError, match=f"waveform of {samples} samples is too short"):
            model.encode_speech(speech(1, samples))


@settings(max_examples=15)
@given(st.integers(5, 90), st.integers(1, 3), st.sampled_from([1, 2]))
@torch.no_grad()
def test_a_whole_tube_is_what_its_windows_are(frames: int, batch: int, stride: int) -> None:
    model = tiny(stride=stride)
    x = tubes(batch, frames)
    whole = model.encode_lips(x)
    windows = [model.encode_lips(x[:, t : t + 5]) for t in range(0, frames - 4, stride)]
    assert (whole - torch.cat(windows, dim=1)).abs().max() < 1e-5 * whole.abs().max()


def by_conv3d(model: SyncNet, frames: Tensor) -> Tensor:
    """The lip stack with convolutions over time and picture, one published layer after the other."""
    x = frames.float().transpose(1, 2)  # (B, 3, T, H, W)
    for layer in model.netcnnlip:
        if isinstance(layer, nn.Conv2d):
            depth = layer.in_channels // 3 if x.shape[1] == 3 else 1
            weight = layer.weight.unflatten(1, (depth, -1)).transpose(1, 2)
            strides = (model.config.stride if depth == 5 else 1, *layer.stride)
            x = nn.functional.conv3d(x, weight, layer.bias, strides, (0, *layer.padding))
        elif isinstance(layer, nn.MaxPool2d):
            padding = 0 if isinstance(layer.padding, int) and not layer.padding else (0, 1, 1)
            x = nn.functional.max_pool3d(x, (1, 3, 3), (1, 2, 2), padding)
        elif isinstance(layer, nn.BatchNorm2d):
            x = nn.functional.batch_norm(
                x, layer.running_mean, layer.running_var, layer.weight, layer.bias, eps=layer.eps
            )
        else:
            x = x.relu()
    return x.flatten(2).transpose(1, 2)


@pytest.mark.parametrize("stride", [1, 2])
@torch.no_grad()
def test_pictures_of_five_frames_are_convolutions_over_time(stride: int) -> None:
    model = tiny(stride=stride)
    x = tubes(2, 9)
    expected = by_conv3d(model, x)
    assert expected.shape == (2, lip_steps(9, stride), 128)
    assert (model.encode_lips(x) - expected).abs().max() < 1e-5 * expected.abs().max()


@torch.no_grad()
def test_stride_2_keeps_every_other_feature() -> None:
    one, two = tiny(), tiny(stride=2)
    assert torch.allclose(two.encode_lips(tubes(1, 30)), one.encode_lips(tubes(1, 30))[:, ::2], rtol=1e-4, atol=1e-5)
    speech_1, speech_2 = one.encode_speech(speech(1, 16000)), two.encode_speech(speech(1, 16000))
    assert torch.allclose(speech_2, speech_1[:, ::2], rtol=1e-4, atol=1e-5)


def test_checkpointed_activations_change_nothing() -> None:
    states, gradients = [], []
    for checkpointed in (False, True):
        model = tiny(checkpoint_activations=checkpointed).train()
        out = model(tubes(2, 9), speech(2, 9 * 640 + 240))
        sum(part.square().sum() for part in (out.lip_content, out.speech_content, out.face, out.voice)).backward()
        gradients.append([p.grad for p in model.parameters()])
        states.append(model.state_dict())
    for ours, theirs in zip(*gradients, strict=True):
        assert ours is not None and theirs is not None
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))
    for name in states[0]:
        torch.testing.assert_close(states[0][name], states[1][name])
    assert int(states[1]["netcnnlip.1.num_batches_tracked"]) == 1


def test_evaluation_folds_what_training_computes() -> None:
    """With the statistics of the batch as running statistics, both modes give the same."""
    model = tiny().train()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    x = tubes(3, 20)
    with torch.no_grad():
        trained = model.encode_lips(x)
        found = model.eval().encode_lips(x)
    # running variances are the unbiased ones, and the last map has one pixel of 48 steps
    torch.testing.assert_close(found, trained, rtol=0.1, atol=0.05)


@torch.no_grad()
def test_a_batch_is_its_rows() -> None:
    model = tiny()
    both = model(tubes(2, 12), speech(2, 12 * 640 + 240))
    for row in range(2):
        alone = model(tubes(2, 12)[row : row + 1], speech(2, 12 * 640 + 240)[row : row + 1])
        torch.testing.assert_close(both.lip_content[row : row + 1], alone.lip_content, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(both.voice[row : row + 1], alone.voice, rtol=1e-4, atol=1e-5)


def test_the_mel_filters_are_triangles_on_htk_scale() -> None:
    filters = mel_filters(40).double().numpy()
    corners = [700 * (10 ** (m / 2595) - 1) for m in np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 42)]
    for band in range(40):
        low, peak, high = corners[band : band + 3]
        expected = np.interp(np.arange(257) * 31.25, [low, peak, high], [0, 1, 0], left=0, right=0)
        np.testing.assert_allclose(filters[:, band], expected, atol=1e-4)


def test_the_spectrum_is_the_sum_written_out() -> None:
    wave = speech(1, 1600).double()[0].numpy()
    mel = LogMel(40)
    power = mel.power(speech(1, 1600))[0].double().numpy()
    assert power.shape == (40, mel_frames(1600))
    padded = np.pad(wave, 256, mode="reflect")
    hann = np.zeros(512)
    hann[56:456] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    for frame in range(11):
        spectrum = np.abs(np.fft.rfft(hann * padded[frame * 160 : frame * 160 + 512])) ** 2
        np.testing.assert_allclose(power[:, frame], spectrum @ mel_filters(40).double().numpy(), rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 40}, "image_size must be 64 or more"),
        ({"fps": 30, "stride": 3}, "fps must be 24 or 25, not 30; stride must be 1 or 2"),
        ({"lip_channels": [1, 2]}, "lip_channels must be five numbers"),
    ],
)
def test_settings_are_checked(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SyncNetConfig(**arguments)


def test_other_shapes_are_refused() -> None:
    model = tiny()
    with pytest.raises(ValueError, match=r"frames must be \(B, T, 3, 96, 96\), not \(1, 9, 3, 64, 64\)"):
        model.encode_lips(tubes(1, 9, 64))
    with pytest.raises(ValueError, match=r"waveform must be \(B, S\)"):
        model.encode_speech(torch.zeros(16000))
    with pytest.raises(ValueError, match="uint8"):
        TubePreprocess(96)(torch.zeros(2, 3, 10, 10))


def test_a_folder_keeps_what_the_features_are(tmp_path: Path) -> None:
    model = tiny(fps=24)
    model.save_pretrained(tmp_path / "out")
    loaded = zoo.load(tmp_path / "out", stride=2)
    assert isinstance(loaded, SyncNet)
    assert loaded.preprocess == TubePreprocess(size=96, fps=24)
    faces = loaded.preprocess(tubes(1, 7, 50)[0])
    assert faces.shape == (7, 3, 96, 96) and faces.dtype == torch.uint8
    with torch.no_grad():
        torch.testing.assert_close(loaded.encode_lips(faces[None]), model.encode_lips(faces[None])[:, ::2])


def test_a_folder_of_before_it_could_augment_takes_an_augmentation(tmp_path: Path) -> None:
    tiny().save_pretrained(tmp_path / "out")
    for name, of in (("config.json", "arguments"), ("preprocessor_config.json", "")):
        path = tmp_path / "out" / name
        content = json.loads(path.read_text())
        del (content[of] if of else content)["augment"]
        path.write_text(json.dumps(content))
    write_sums(tmp_path / "out", ["config.json", "preprocessor_config.json", "model.safetensors", "README.md"])
    assert zoo.load(tmp_path / "out").preprocess.augment == "none"
    assert zoo.load(tmp_path / "out", augment="jitter").preprocess.augment == "jitter"


def recorded(keep_optional: bool = True) -> tuple[Any, dict[str, Tensor]]:
    """The recorded outputs, and the weights that they were computed with: each a function of its name."""
    file = np.load(Path(FIXTURES or "") / "syncnet_trainer.npz", allow_pickle=False)
    tensors = {}
    for name, shape, constant in zip(*(file[key].tolist() for key in ("keys", "shapes", "const_of")), strict=True):
        if constant:
            if keep_optional or name not in file["optional_keys"].tolist():
                tensors[name] = torch.from_numpy(np.asarray(file[constant]))
            continue
        sizes = tuple(int(size) for size in shape.split("x"))
        rng = np.random.RandomState(zlib.crc32(name.encode()) & 0x7FFFFFFF)
        noise = torch.from_numpy(rng.standard_normal(sizes).astype(np.float32))
        leaf = name.rsplit(".", 1)[-1]
        if noise.ndim >= 2:
            tensors[name] = noise * float(file["scale"])
        elif leaf == "running_var":
            tensors[name] = 0.5 + noise.abs()
        else:
            tensors[name] = {"running_mean": 0.1 * noise, "weight": 1 + 0.1 * noise}.get(leaf, 0.05 * noise)
    return file, tensors


def relative(found: Tensor, expected: np.ndarray) -> float:
    return float(np.abs(found.numpy() - expected).max() / np.abs(expected).max())


@needs_fixtures
@pytest.mark.slow
@pytest.mark.parametrize("wrapped", ["", "module.", "__S__.module."])
@torch.no_grad()
def test_recorded_outputs_come_out(tmp_path: Path, wrapped: str) -> None:
    file, tensors = recorded(keep_optional=wrapped != "module.")
    if wrapped == "__S__.module.":
        tensors = {name.replace("__S__.", wrapped): tensor for name, tensor in tensors.items()}
    else:
        tensors = {wrapped + name: tensor for name, tensor in tensors.items()}
    torch.save(tensors, tmp_path / "syncnet.model")
    zoo.convert(tmp_path / "syncnet.model", "syncnet-trainer", tmp_path / "out")
    model = SyncNet.from_pretrained(tmp_path / "out")
    waveform = torch.from_numpy(file["waveform"])[None]
    assert relative(model.mel.power(waveform), file["mel"]) < 1e-5
    assert np.abs(model.mel(waveform)[:, :, 1:-1].numpy() - file["log_mel_normalised"]).max() < 1e-4
    frames = torch.from_numpy(file["lip_frames"]).transpose(1, 2).flip(2)  # published: blue, green, red
    lips, speech = model.encode_lips(frames), model.encode_speech(waveform)
    found = {
        "lip_feature512": lips,
        "lip_content": model.lip_content(lips),
        "lip_identity": model.face(lips),
        "audio_feature512": speech,
        "audio_content": model.speech_content(speech),
        "audio_identity": model.voice(speech),
    }
    for name, value in found.items():
        assert relative(value.transpose(1, 2), file[name]) < 1e-5, name
    assert relative(model.lip_content(model.encode_lips(frames.flip(2))).transpose(1, 2), file["lip_content"]) > 1e-2
    if not wrapped:
        half = zoo.load(tmp_path / "out", stride=2)
        assert isinstance(half, SyncNet)
        lips, speech = half.encode_lips(frames), half.encode_speech(waveform)
        assert relative(half.lip_content(lips).transpose(1, 2), file["lip_content_stride2"]) < 1e-5
        assert relative(half.speech_content(speech).transpose(1, 2), file["audio_content_stride2"]) < 1e-5
        config = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))
        assert config["metrics"]["sha256 of that file"] == file_hash(tmp_path / "syncnet.model")


@needs_fixtures
def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    _, tensors = recorded()
    del tensors["__S__.netfcspk.1.running_var"]
    tensors["__S__.netcnnlip.21.weight"] = torch.zeros(3)
    tensors["__S__.netcnnaud.0.bias"] = torch.zeros(7)
    torch.save(tensors, tmp_path / "bad.model")
    with pytest.raises(ValueError) as fault:
        zoo.convert(tmp_path / "bad.model", "syncnet-trainer", tmp_path / "out")
    assert {tuple(line.split()[:2]) for line in str(fault.value).splitlines()[1:]} == {
        ("missing:", "__S__.netfcspk.1.running_var"),
        ("surplus:", "__S__.netcnnlip.21.weight"),
        ("misshaped:", "__S__.netcnnaud.0.bias"),
    }
    assert not (tmp_path / "out").exists()
    torch.save({"netcnnlip.0.weight": torch.zeros(3)}, tmp_path / "other.model")
    with pytest.raises(ValueError, match="not a SyncNet of syncnet_trainer"):
        zoo.convert(tmp_path / "other.model", "syncnet-trainer")

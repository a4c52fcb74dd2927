"""I3D written out by its published names, its padding one number at a time, and the files of DenseNet-161."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from weaksync import zoo
from weaksync.zoo.models.cues import ActionCue, PictureCue, PictureNet
from weaksync.zoo.models.frames import FramePreprocess
from weaksync.zoo.models.i3d import I3D, MIXED, I3DConfig, max_pool_same, pad_same


def test_published_names_and_counts() -> None:
    with torch.device("meta"):
        state = I3D().state_dict()
    counters = [name for name in state if name.endswith("num_batches_tracked")]
    assert len(state) == 344 and len(counters) == 57
    assert state["Conv3d_1a_7x7.conv3d.weight"].shape == (64, 3, 7, 7, 7)
    assert state["Mixed_3b.b1b.conv3d.weight"].shape == (128, 96, 3, 3, 3)
    assert state["Mixed_5c.b3b.bn.running_mean"].shape == (128,)
    assert state["logits.conv3d.weight"].shape == (400, 1024, 1, 1, 1)
    assert {name.split(".")[1] for name in state if name.startswith("Mixed_4d")} == {
        "b0", "b1a", "b1b", "b2a", "b2b", "b3b",
    }  # fmt: skip


@pytest.mark.parametrize("frames", [9, 16, 17, 24, 36, 38, 64])
def test_eight_frames_make_a_step_and_two_steps_are_pooled(frames: int) -> None:
    with torch.device("meta"):
        model = I3D().eval()
        x = torch.empty(2, frames, 3, 224, 224)
        assert model.extract_features(x).shape == (2, math.ceil(frames / 8) - 1, 1024)
        assert model(x).shape == (2, math.ceil(frames / 8) - 1, 400)


@settings(max_examples=60)
@given(st.integers(1, 23), st.integers(1, 7), st.integers(1, 3), st.integers(0, 9))
def test_padding_one_number_at_a_time(size: int, kernel: int, stride: int, seed: int) -> None:
    """SAME: ceil(size / stride) windows, as evenly around the input as can be, the odd zero at the end."""
    x = torch.randn(size, generator=torch.Generator().manual_seed(seed))
    steps = math.ceil(size / stride)
    before = max(0, (steps - 1) * stride + kernel - size) // 2
    sums, maxima = [], []
    for step in range(steps):
        places = [step * stride - before + k for k in range(kernel)]
        seen = [float(x[place]) if 0 <= place < size else 0.0 for place in places]
        sums.append(sum((k + 1) * value for k, value in enumerate(seen)))
        maxima.append(max(seen))
    line = x.view(1, 1, size, 1, 1)
    weight = torch.arange(1.0, kernel + 1).view(1, 1, kernel, 1, 1)
    found = F.conv3d(pad_same(line, (kernel, 1, 1), (stride, 1, 1)), weight, stride=(stride, 1, 1)).flatten()
    assert found.tolist() == pytest.approx(sums, abs=1e-4)
    assert max_pool_same(line, (kernel, 1, 1), (stride, 1, 1)).flatten().tolist() == pytest.approx(maxima)


def written_out(state: dict[str, Tensor], x: Tensor, cells: int = 7) -> Tensor:
    """I3D's features from the published names alone: (1, 3, T, H, W) to (1, 1024, steps)."""

    def same(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
        for axis, (k, s) in enumerate(zip(kernel, stride, strict=True)):
            size = x.shape[2 + axis]
            total = max(k - s, 0) if size % s == 0 else max(k - size % s, 0)
            pads = [0] * 6
            pads[2 * (2 - axis)], pads[2 * (2 - axis) + 1] = total // 2, total - total // 2
            x = F.pad(x, pads)
        return x

    def unit(name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = state[f"{name}.conv3d.weight"]
        x = F.conv3d(same(x, tuple(weight.shape[2:]), (stride,) * 3), weight, stride=stride)
        mean, var, gain, bias = (
            state[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return F.relu(F.batch_norm(x, mean, var, gain, bias, eps=1e-3))

    def pool(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
        return F.max_pool3d(same(x, kernel, stride), kernel, stride)

    def mixed(name: str, x: Tensor) -> Tensor:
        second, third = (unit(f"{name}.b{b}b", unit(f"{name}.b{b}a", x)) for b in (1, 2))
        fourth = unit(f"{name}.b3b", pool(x, (3, 3, 3), (1, 1, 1)))
        return torch.cat([unit(f"{name}.b0", x), second, third, fourth], dim=1)

    x = pool(unit("Conv3d_1a_7x7", x, 2), (1, 3, 3), (1, 2, 2))
    x = pool(unit("Conv3d_2c_3x3", unit("Conv3d_2b_1x1", x)), (1, 3, 3), (1, 2, 2))
    x = pool(mixed("Mixed_3c", mixed("Mixed_3b", x)), (3, 3, 3), (2, 2, 2))
    for name in "bcdef":
        x = mixed(f"Mixed_4{name}", x)
    x = mixed("Mixed_5c", mixed("Mixed_5b", pool(x, (2, 2, 2), (2, 2, 2))))
    return F.avg_pool3d(x, (2, cells, cells), 1).flatten(2)


def lively(model: Any) -> Any:
    """The model with running statistics and gains that are not those of a fresh one, in evaluation mode."""
    generator = torch.Generator().manual_seed(0)
    for layer in model.modules():
        if hasattr(layer, "running_var"):
            layer.running_var.uniform_(0.5, 1.5, generator=generator)
            layer.running_mean.normal_(0, 0.1, generator=generator)
            torch.nn.init.normal_(layer.bias, 0, 0.3)
    return model.eval()


@torch.no_grad()
def test_features_and_classes_are_those_written_out(tmp_path: Path) -> None:
    model = lively(I3D(I3DConfig(classes=5)))
    state = model.state_dict()
    old = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    assert len(old) == 287
    torch.save(old, tmp_path / "rgb.pt")
    zoo.convert(tmp_path / "rgb.pt", "i3d", tmp_path / "out")
    loaded = I3D.from_pretrained(tmp_path / "out")
    assert loaded.config.classes == 5 and loaded.preprocess == FramePreprocess(
        226, 224, mean=(0.5,) * 3, std=(0.5,) * 3
    )
    x = torch.randn(1, 17, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    expected = written_out(state, x.transpose(1, 2))
    found = loaded.extract_features(x)
    assert (found - expected.transpose(1, 2)).abs().max() < 1e-5 * expected.abs().max()
    logits = F.conv3d(expected[..., None, None], state["logits.conv3d.weight"], state["logits.conv3d.bias"])
    torch.testing.assert_close(loaded(x), logits.flatten(2).transpose(1, 2), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_small_one_is_the_same_network_with_an_eighth_of_the_channels() -> None:
    model = lively(zoo.create("i3d-tiny", classes=5))
    whole, state = I3D(I3DConfig(classes=5)).state_dict(), model.state_dict()
    assert state.keys() == whole.keys() and model.width == 128
    for name, tensor in state.items():
        # a layer's outputs; its inputs too, but for the colours
        expected = list(whole[name].shape)
        eighth = [size // 8 if axis < 2 and size not in (3, 5) else size for axis, size in enumerate(expected)]
        assert list(tensor.shape) == eighth, name
    x = torch.randn(1, 12, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    expected = written_out(state, x.transpose(1, 2), cells=2)
    assert expected.std() > 0.1  # a picture comes through random weights
    torch.testing.assert_close(model.extract_features(x), expected.transpose(1, 2), rtol=1e-4, atol=1e-5)
    assert model(x).shape == (1, 1, 5) and model.preprocess == FramePreprocess(66, 64, mean=(0.5,) * 3, std=(0.5,) * 3)
    cue = ActionCue(model)
    assert (cue.fps, cue.width, round(cue.per_second, 3)) == (8, 128, 0.667)
    with pytest.raises(ValueError, match="of 33 pixels or more"):
        model.extract_features(x[..., :32, :])
    with pytest.raises(ValueError, match="narrow must be 1, 2, 4 or 8"):
        I3DConfig(narrow=3)


def test_files_of_i3d_that_do_not_fit(tmp_path: Path) -> None:
    state = I3D(I3DConfig(classes=5)).state_dict()
    del state["Mixed_4b.b0.bn.num_batches_tracked"], state["Mixed_4b.b0.bn.bias"]
    state["Mixed_6a.b0.conv3d.weight"] = torch.zeros(1)
    torch.save(state, tmp_path / "bad.pt")
    with pytest.raises(ValueError) as fault:
        zoo.convert(tmp_path / "bad.pt", "i3d", tmp_path / "out")
    for words in (
        "missing: Mixed_4b.b0.bn.num_batches_tracked",
        "missing: Mixed_4b.b0.bn.bias",
        "surplus: Mixed_6a.b0.conv3d.weight",
    ):
        assert words in str(fault.value)
    assert len(str(fault.value).splitlines()) == 4


def test_frames_that_i3d_cannot_see() -> None:
    with torch.device("meta"):
        model = I3D()
        with pytest.raises(ValueError, match="8 frames are too few"):
            model.extract_features(torch.empty(1, 8, 3, 224, 224))
        with pytest.raises(ValueError, match="of 193 pixels or more"):
            model.extract_features(torch.empty(1, 16, 3, 112, 112))
        assert model.extract_features(torch.empty(1, 9, 3, 193, 193)).shape == (1, 1, 1024)


def test_pictures_are_resized_cut_and_normalised() -> None:
    frames = torch.full((2, 3, 60, 90), 255, dtype=torch.uint8)
    frames[..., :15], frames[..., 75:] = 0, 0
    out = FramePreprocess(resize=60, crop=60, mean=(0.5,) * 3, std=(0.5,) * 3)(frames)
    assert out.shape == (2, 3, 60, 60) and out.min() == out.max() == 1.0
    assert FramePreprocess.from_dict(FramePreprocess().to_dict()) == FramePreprocess()
    with pytest.raises(ValueError, match="uint8"):
        FramePreprocess()(frames.float())


@torch.no_grad()
def test_a_squashed_picture_keeps_its_sides() -> None:
    frames = torch.zeros(1, 3, 60, 120, dtype=torch.uint8)
    frames[..., :20] = 255  # the left sixth
    plain = {"mean": (0.0,) * 3, "std": (1.0,) * 3}
    cut = FramePreprocess(resize=60, crop=60, **plain)(frames)
    whole = FramePreprocess(crop=60, crop_mode="squash", **plain)(frames)
    assert cut.shape == whole.shape == (1, 3, 60, 60)
    assert cut.sum() == 0 and whole[..., :8].min() == 1 and whole[..., 12:].max() == 0


@torch.no_grad()
def test_the_published_densenet_is_that_of_timm(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = lively(timm.create_model("densenet161", num_classes=365))
    published = {}
    for name, tensor in network.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            for part in ("norm1", "norm2", "conv1", "conv2"):
                name = name.replace(f".{part}.", f".{part[:-1]}.{part[-1]}.") if "denselayer" in name else name
            published[f"module.{name}"] = tensor
    assert "module.features.denseblock1.denselayer1.norm.1.weight" in published
    torch.save({"state_dict": published, "epoch": 90, "arch": "densenet161"}, tmp_path / "places.pth")
    model = zoo.convert(tmp_path / "places.pth", "places365")
    assert isinstance(model, PictureNet) and model.registry_name == "densenet161-places365" and model.width == 2208
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(model(x), network(x))
    features = network.forward_features(x)
    assert features.shape == (1, 2208, 2, 2) and features.min() >= 0
    torch.testing.assert_close(model.encode_pictures(x), features.mean(dim=(2, 3)))
    del published["module.features.denseblock2.denselayer3.conv.2.weight"]
    torch.save({"state_dict": published}, tmp_path / "bad.pth")
    with pytest.raises(ValueError, match=r"missing: features\.denseblock2\.denselayer3\.conv2\.weight"):
        zoo.convert(tmp_path / "bad.pth", "places365")
    torch.save({"fc.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="it has no classifier"):
        zoo.convert(tmp_path / "other.pth", "places365")


def test_a_picture_cue_is_its_pictures_one_by_one() -> None:
    model = lively(zoo.create("picturenet-tiny"))
    cue = PictureCue(model)
    frames = torch.randint(256, (19, 3, 40, 60), dtype=torch.uint8)
    found = cue(frames)
    assert found.shape == (19, 96) == (19, cue.width) and cue.fps == cue.per_second == 8
    one = model.encode_pictures(model.preprocess(frames[17:18])).detach()
    torch.testing.assert_close(found[17:18], one, rtol=1e-4, atol=1e-5)
    assert cue(frames[:0]).shape == (0, 96)
    with pytest.raises(ValueError, match="timm has no model 'densenet16'"):
        zoo.create("picturenet-tiny", arch="densenet16")


def test_an_action_cue_is_its_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.device("meta"):
        model = I3D(I3DConfig(fps=8.0))
    model.preprocess = FramePreprocess(4, 4, mean=(0.0,) * 3, std=(1 / 255,) * 3)
    seen: list[list[float]] = []

    def number(pixels: Tensor) -> Tensor:
        seen.extend(pixels[:, :, 0, 0, 0].round().tolist())
        return pixels[:, :2, 0, 0, :1].expand(-1, -1, 1024)

    monkeypatch.setattr(model, "extract_features", number)
    monkeypatch.setattr(model, "parameters", lambda: iter([torch.zeros(1)]))
    cue = ActionCue(model)
    frames = torch.arange(46, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 4, 4)
    found = cue(frames)
    assert found.shape == (4, 1024) and cue.per_second == pytest.approx(1 / 1.5)
    assert seen == [[float(i) for i in range(s, min(s + 12, 46))] for s in (0, 12, 24, 36)]
    assert found[:, 0].tolist() == pytest.approx([0.5, 12.5, 24.5, 36.5])
    assert len(cue(frames[:32])) == 2  # a rest of eight
    with pytest.raises(ValueError, match="a clip of 8 frames is too short"):
        cue(frames[:8])


def test_mixed_blocks_are_as_wide_as_the_paper_has_them() -> None:
    widths = {name: b[0] + b[2] + b[4] + b[5] for name, b in MIXED.items()}
    assert list(widths.values()) == [256, 480, 512, 512, 512, 528, 832, 832, 1024]

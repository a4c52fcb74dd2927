"""`weaksync data features`: what the model would have said, resumed without a change, and one's own features."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from weaksync import zoo
from weaksync.datamodules.features import read_features
from weaksync.datamodules.index import open_set, verify
from weaksync.datamodules.sample_set import make_set
from weaksync.recipes.cli import main
from weaksync.recipes.derived import features
from weaksync.recipes.derived.features import encoded, imported, weights_hash
from weaksync.recipes.models import dual_encoder

from ..interruptions import interrupt_after

CLIPS = {"train": [3, 4], "val": [2], "test": [3]}
SMALL = {"embed_dim": 8, "num_heads": [1, 2, 2], "text_width": 32, "text_ffn": 64, "project_dim": 16, "frames": 2}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features") / "set"
    make_set(folder, CLIPS, size=(32, 40), frames=2)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return zoo.create("cclm-tiny", **SMALL).save_pretrained(tmp_path_factory.mktemp("model") / "model")


def run(*words: object) -> int:
    try:
        main(["data", "features", *map(str, words)])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_features_are_what_the_model_says(shards: Path, model: Path, tmp_path: Path) -> None:
    encoded(shards, str(model), tmp_path / "out", precision="float32", workers=0)
    assert verify(tmp_path / "out") == []
    found, parent, encoder = open_set(tmp_path / "out"), open_set(shards), zoo.load(model)
    assert found.manifest.origin is not None
    assert found.manifest.origin.producer == f"cclm-tiny {model} {weights_hash(encoder)}"
    for split in parent.splits:
        for video in parent.videos(split):
            arrays = read_features(found, video.id)
            assert arrays["clips"].shape == (len(video.clips or []), 16)
            with torch.no_grad():
                text = encoder.encode_text(*encoder.tokenize([s.text for s in video.sentences]))
            np.testing.assert_allclose(arrays["sentences"], text.numpy(), atol=1e-5)
            np.testing.assert_allclose(np.linalg.norm(arrays["clips"], axis=1), 1, atol=1e-5)


def test_a_call_that_was_stopped_goes_on_and_ends_with_the_same_bytes(
    shards: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = encoded(shards, str(model), tmp_path / "whole", workers=0)
    interrupt_after(monkeypatch, features, "write_features", 2)
    with pytest.raises(KeyboardInterrupt):
        encoded(shards, str(model), tmp_path / "out", workers=0)
    monkeypatch.undo()
    left = []
    again = encoded(shards, str(model), tmp_path / "out", workers=0, started=left.append)
    assert left == [2]
    assert again == whole
    assert not (tmp_path / "out" / ".parts").exists()
    with pytest.raises(ValueError, match="holds a shard set already"):
        encoded(shards, str(model), tmp_path / "out", workers=0)


def test_the_hash_is_of_all_that_decides_the_vectors(model: Path) -> None:
    assert weights_hash(zoo.load(model)) == weights_hash(zoo.load(model))
    other = zoo.load(model)
    with torch.no_grad():
        other.get_parameter("text_proj.bias")[0] += 1
    assert weights_hash(other) != weights_hash(zoo.load(model))
    assert weights_hash(zoo.load(model, max_tokens=5)) != weights_hash(zoo.load(model))


def test_how_a_model_is_trained_is_not_of_its_hash(model: Path, tmp_path: Path) -> None:
    for changes in ({"augment": "none"}, {"flip": 0.0}, {"freeze": ["text"]}, {"checkpoint_activations": True}):
        assert weights_hash(zoo.load(model, **changes)) == weights_hash(zoo.load(model))
    zoo.create("syncnet-tiny", image_size=64).save_pretrained(tmp_path / "syncnet")
    for changes in ({"augment": "jitter"}, {"checkpoint_activations": True}):
        assert weights_hash(zoo.load(tmp_path / "syncnet", **changes)) == weights_hash(zoo.load(tmp_path / "syncnet"))
    assert weights_hash(zoo.load(tmp_path / "syncnet", fps=24)) != weights_hash(zoo.load(tmp_path / "syncnet"))


def write_npz(shards: Path, folder: Path, *, short: str = "") -> Path:
    folder.mkdir()
    parent = open_set(shards)
    for split in parent.splits:
        for video in parent.videos(split):
            n = len(video.clips or []) - (video.id == short)
            np.savez(
                folder / f"{video.id}.npz",
                clips=np.ones((n, 2048), "f4"),
                sentences=np.ones((len(video.sentences), 768)),
            )
    return folder


def test_features_of_ones_own(shards: Path, tmp_path: Path) -> None:
    folder = write_npz(shards, tmp_path / "mine")
    manifest = imported(shards, folder, tmp_path / "out")
    assert manifest.origin is not None
    assert manifest.origin.producer.startswith("imported ")
    arrays = read_features(open_set(tmp_path / "out"), "val0000")
    assert {name: array.shape for name, array in arrays.items()} == {"clips": (2, 2048), "sentences": (1, 768)}
    (folder / "val0000.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"val0000.npz: no such file, so 1 of 4 videos have no features"):
        imported(shards, folder, tmp_path / "other")


def test_files_that_do_not_fit_are_named(shards: Path, tmp_path: Path) -> None:
    folder = write_npz(shards, tmp_path / "mine", short="test0000")
    with pytest.raises(ValueError, match=r"test0000.npz: clips should be floats \(3, width\), .* it is \(2, 2048\)"):
        imported(shards, folder, tmp_path / "out")
    np.savez(folder / "test0000.npz", clips=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match=r"test0000.npz: not an .npz of plain arrays"):
        imported(shards, folder, tmp_path / "out")


def test_the_command(shards: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shards, "--model", model, "--out", tmp_path / "out", "--workers", 0, "--json") == 0
    assert json.loads(capsys.readouterr().out)[0] == {"split": "test", "videos": 1, "clips": 3, "sentences": 2}
    assert run(shards, "--out", tmp_path / "other") == 2
    assert "one of --model and --import" in capsys.readouterr().err
    assert run(shards, "--model", "transnet-v2", "--out", tmp_path / "other") == 2
    assert "which does not encode clips and sentences" in capsys.readouterr().err


def test_a_registry_name_has_the_same_random_weights_every_time() -> None:
    assert weights_hash(dual_encoder("cclm-tiny", seed=0)) == weights_hash(dual_encoder("cclm-tiny", seed=0))
    assert weights_hash(dual_encoder("cclm-tiny", seed=1)) != weights_hash(dual_encoder("cclm-tiny", seed=0))


def test_options_that_would_be_ignored_are_refused(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ["--import", tmp_path, "--out", tmp_path / "out"]
    for option, value in (("precision", "float32"), ("workers", 2), ("seed", 1), ("translations", tmp_path)):
        assert run(shards, *own, f"--{option}", value) == 2
        said = " ".join(capsys.readouterr().err.replace("│", "").split())
        assert f"leave out --{option}: features of your own" in said


def test_random_weights_are_those_of_the_seed(tmp_path: Path) -> None:
    make_set(tmp_path / "set", {"train": [2]}, size=(32, 40), frames=3)
    hashes, words = [], ["--model", "cclm-tiny", "--workers", 0]
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert run(tmp_path / "set", *words, "--seed", seed, "--out", tmp_path / name) == 0
        origin = open_set(tmp_path / name).manifest.origin
        hashes.append(origin and origin.producer)
    assert hashes[0] == hashes[1] != hashes[2]

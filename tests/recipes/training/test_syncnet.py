"""The pre-training of SyncNet: a recipe becomes a run, interrupted or not, in one process or in two."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from weaksync import zoo
from weaksync.datamodules.sample_clips import make_clips
from weaksync.recipes.cli import main
from weaksync.recipes.settings import config
from weaksync.recipes.settings.schema import ConfigError
from weaksync.recipes.settings.syncnet import SyncNetRecipe
from weaksync.recipes.training.syncnet import train
from weaksync.zoo.models.syncnet import SyncNet

BIN = Path(sys.executable).parent
SMALL = (
    "model.arguments={image_size: 64, lip_channels: [4, 4, 4, 4, 4], speech_channels: [4, 4, 4, 4, 4], "
    "feature_dim: 8, embed_dim: 8}"
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips") / "set"
    make_clips(folder, {"train": 7, "val": 3, "test": 2}, seconds=1.6, size=64)
    return folder


def overrides(clips: Path, root: Path, *more: str) -> list[str]:
    return [
        f"data.clips={clips}",
        f"root={root}",
        "data.frames=20",
        "data.global_batch=2",
        "data.workers=0",
        "model.name=syncnet-tiny",
        SMALL,
        "optim.lr=0.001",
        "trainer.max_epochs=2",
        "trainer.accelerator=cpu",
        "trainer.precision=32-true",
        *more,
    ]


def recipe(clips: Path, root: Path, *more: str) -> SyncNetRecipe:
    read = config.load("subtitles/syncnet", overrides(clips, root, *more))
    assert isinstance(read, SyncNetRecipe)
    return read


def weights(run: Path) -> dict[str, torch.Tensor]:
    return zoo.load(run / "model").state_dict()


def furthest(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    """The largest difference, relative to the largest value of its tensor where that is above 1, as variances are."""
    assert first.keys() == second.keys()
    pairs = [(first[name].double(), second[name].double()) for name in first]
    return max(float((one - other).abs().max() / one.abs().max().clamp(min=1)) for one, other in pairs)


@pytest.fixture(scope="module")
def run(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(recipe(clips, tmp_path_factory.mktemp("runs")))


def test_a_run_ends_with_a_syncnet_and_its_figures(run: Path) -> None:
    model = zoo.load(run / "model")
    assert isinstance(model, SyncNet) and model.config.image_size == 64
    assert zoo.verify(run / "model") == []
    metrics = json.loads((run / "model" / "config.json").read_text())["metrics"]
    assert metrics["val/chance"] == pytest.approx(1 / 16)  # twenty frames have sixteen features
    names = ("content_accuracy", "identity_accuracy", "in_sync")
    assert {f"{split}/{name}" for split in ("val", "test") for name in names} <= metrics.keys()
    assert "train/content_accuracy" in (run / "metrics.csv").read_text()
    start = zoo.create("syncnet-tiny", **model.arguments).state_dict()
    assert furthest(start, model.state_dict()) > 1e-3


def test_eval_says_where_its_figures_are(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["eval", str(run)])
    assert ended.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "trained a syncnet model, which is scored at the end of its training" in said


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(run: Path, clips: Path, tmp_path: Path) -> None:
    train(recipe(clips, tmp_path, "trainer.max_steps=4", "save_every_n_steps=1"))  # in the second epoch of three steps
    shutil.rmtree(tmp_path / "syncnet" / "model")
    train(recipe(clips, tmp_path, "save_every_n_steps=1"), resume=True)
    newest = [max((folder / "checkpoints").glob("step=*.ckpt")) for folder in (run, tmp_path / "syncnet")]
    states = [torch.load(path, weights_only=True) for path in newest]
    assert states[0]["global_step"] == states[1]["global_step"] == 6
    assert furthest(states[0]["state_dict"], states[1]["state_dict"]) == 0


def test_without_identity_nothing_is_said_of_it(clips: Path, tmp_path: Path) -> None:
    train(recipe(clips, tmp_path, "loss.identity_weight=0", "optim.method=adam", "trainer.max_epochs=1"))
    assert "identity" not in (tmp_path / "syncnet" / "metrics.csv").read_text()


def test_what_cannot_be_trained_is_refused(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for word in overrides(clips, tmp_path) if not word.startswith("model.")]
    with pytest.raises(SystemExit) as ended:
        main(["train", "subtitles/syncnet", *words, "model.name=cclm-tiny"])
    assert ended.value.code == 2
    assert "cclm-tiny is a CCLM; syncnet and syncnet-tiny train on tubes with sound" in capsys.readouterr().err
    with pytest.raises(ValueError, match="takes 24 frames a second"):
        train(recipe(clips, tmp_path, "model.arguments={fps: 24, image_size: 64}"))
    faulty = ["data.frames=3", "data.global_batch=1", "optim.method=lamb", "optim.decay=2", "loss.identity_weight=-1"]
    with pytest.raises(ConfigError) as caught:
        recipe(clips, tmp_path, *faulty)
    faults = "\n".join(map(str, caught.value.faults))
    for said in ("data.frames: should be at least 10", "another voice", "sgd | adam", "decay lies", "weights are 0"):
        assert said in faults


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["torchrun", "lightning"])
def test_two_processes_train_as_one(launcher: str, clips: Path, tmp_path: Path) -> None:
    verb, more = [str(BIN / "weaksync")], ["trainer.devices=2"]
    if launcher == "torchrun":
        verb, more = [str(BIN / "torchrun"), "--nproc-per-node", "2", "--no-python", *verb], []
    # so small a rate that rounding, which a network of four channels doubles in every step, does not grow
    slowly = ["optim.lr=1e-5", *more]
    alone = train(recipe(clips, tmp_path / "alone", "optim.lr=1e-5"))
    words = overrides(clips, tmp_path, *slowly)
    done = subprocess.run([*verb, "train", "subtitles/syncnet", *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    torch.manual_seed(0)
    start = zoo.create("syncnet-tiny", **zoo.load(alone / "model").arguments).state_dict()
    assert furthest(weights(alone), weights(tmp_path / "syncnet")) < 1e-5
    assert furthest(start, weights(alone)) > 1e-4
    metrics = [
        json.loads((folder / "model" / "config.json").read_text())["metrics"]
        for folder in (alone, tmp_path / "syncnet")
    ]
    assert metrics[0] == pytest.approx(metrics[1], abs=1e-6)

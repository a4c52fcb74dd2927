"""Who interrupts long work is told where it was, and by what command it goes on."""

from __future__ import annotations

import signal
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click
import lightning as L
import pytest
from lightning.pytorch.accelerators import CUDAAccelerator

from weaksync import zoo
from weaksync.datamodules.sample_clips import make_clips
from weaksync.recipes import cli
from weaksync.recipes.settings import config
from weaksync.recipes.settings.config import TrainerConfig
from weaksync.recipes.settings.matching import MatchingRecipe
from weaksync.recipes.training import stages as matching_stages
from weaksync.recipes.training.launch import part, resumed_by, signal_exit_codes, trainer
from weaksync.recipes.training.matching import train
from weaksync.zoo.lipsync import LipSync
from weaksync.zoo.subtitles import SubtitleMatching


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips, and a SyncNet that has learnt nothing."""
    folder = tmp_path_factory.mktemp("stopping")
    make_clips(folder / "clips", {"train": 2, "val": 2}, seconds=2.0)
    zoo.create("syncnet-tiny", image_size=64).save_pretrained(folder / "syncnet")
    return folder


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("speak_clips", "stopped in stage speech: {} goes on"),
        ("make_stream", "stopped in stage features of lips: {} goes on"),
        ("train", "stopped in stage alignment: {} goes on"),
        (LipSync, "stopped in stage syncnet at step 0: no checkpoint yet, {} begins it again"),
        (SubtitleMatching, "stopped in stage alignment at step 0: no checkpoint yet, {} begins it again"),
    ],
)
def test_a_matcher_says_its_stage(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    where: str | type,
    said: str,
) -> None:
    pytest.importorskip("espeakng_loader")

    def interrupted(*given: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    if isinstance(where, str):
        monkeypatch.setattr(matching_stages, where, interrupted)
    else:
        monkeypatch.setattr(where, "training_step", interrupted)
    given = [f"data.clips={data / 'clips'}", f"root={tmp_path}", "object=null", "scene=null", "action=null"]
    given += ["syncnet.set.data.global_batch=2", "syncnet.set.data.frames=20", "alignment.set.data.global_batch=2"]
    asked = config.load("subtitles/quickstart", [*given, "alignment.set.trainer.max_epochs=1"])
    assert isinstance(asked, MatchingRecipe)
    if where is not LipSync:
        asked.syncnet.model = str(data / "syncnet")
    listens = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises((KeyboardInterrupt, SystemExit)) as end:
            train(asked)
    finally:
        signal.signal(signal.SIGINT, listens)  # Lightning lets go of it
    assert not isinstance(end.value, SystemExit) or end.value.code == 130
    line = said.format(f"weaksync train {tmp_path / 'matcher' / 'recipe.yaml'} --resume")
    assert [each for each in capfd.readouterr().err.splitlines() if each.startswith("stopped")] == [line]


def test_within_longer_work_the_whole_goes_on(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end, resumed_by("the same command"), part("one"):
        with pytest.raises(ValueError, match="caught"), part("two"):
            raise ValueError("caught")
        with resumed_by("another"), part("three"):
            pass
        raise KeyboardInterrupt
    assert end.value.code == 130
    with pytest.raises(SystemExit), resumed_by("it"):
        raise KeyboardInterrupt
    assert capfd.readouterr().err.splitlines() == ["stopped in one: the same command goes on", "stopped: it goes on"]


@pytest.mark.parametrize("longer", [False, True])
def test_scoring_says_that_it_was_stopped(
    longer: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Interrupted within Lightning, by a Trainer that itself says nothing."""

    class Interrupted(L.LightningModule):
        def test_step(self, batch: Any, batch_idx: int) -> None:
            raise KeyboardInterrupt

    def scoring() -> None:
        listens = signal.getsignal(signal.SIGINT)
        runner = trainer(TrainerConfig(accelerator="cpu"), logger=False, enable_checkpointing=False)
        try:
            with resumed_by("the same command") if longer else nullcontext(), signal_exit_codes():
                runner.test(Interrupted(), [0], verbose=False)
        finally:
            signal.signal(signal.SIGINT, listens)  # Lightning lets go of it

    monkeypatch.setattr(cli, "weaksync", click.command(scoring))
    with pytest.raises(SystemExit) as end:
        cli.main([])
    assert end.value.code == 130
    said = [line for line in capfd.readouterr().err.splitlines() if line]
    assert said == ["stopped: the same command goes on" if longer else "stopped"]


@pytest.mark.parametrize(("option", "by"), [("--resume", "--resume"), ("--force", "--resume instead of --force")])
def test_runs_of_each_language_go_on_by_a_command_that_is_taken(
    option: str, by: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*given: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("weaksync.recipes.training.strategies.train_per_language", interrupted)
    with pytest.raises(SystemExit) as end:
        cli.main(["train", "story/weak", "--each-language", option])
    assert end.value.code == 130
    assert capfd.readouterr().err.splitlines() == [f"stopped: the same command with {by} goes on"]


def test_reproduce_goes_on_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from weaksync.recipes.reproduce import subtitles as reproduce_subtitles

    def interrupted(*given: Any) -> None:
        with part("stage speech"):
            raise KeyboardInterrupt

    monkeypatch.setattr(reproduce_subtitles, "made", interrupted)
    with pytest.raises(SystemExit) as end:
        cli.main(["reproduce", "subtitles", "table2", "--world", str(tmp_path)])
    assert end.value.code == 130
    assert capfd.readouterr().err.splitlines() == ["stopped in stage speech: the same command goes on"]


def test_an_accelerator_that_is_not_there_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CUDAAccelerator, "is_available", staticmethod(lambda: False))
    with pytest.raises(ValueError, match=r"^trainer: .*not available"):
        trainer(TrainerConfig(accelerator="cuda"))

"""Who interrupts long work is told where it was, and by what command it goes on."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from weaksync import zoo
from weaksync.datamodules.sample_clips import make_clips
from weaksync.recipes import config, matching_stages
from weaksync.recipes.launch import goes_on, part
from weaksync.recipes.matching_config import MatchingRecipe
from weaksync.recipes.train_matching import train
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
        ("train_any", "stopped in stage alignment: {} goes on"),
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
    asked = config.load_any("subtitles/quickstart", [*given, "alignment.set.trainer.max_epochs=1"])
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
    with pytest.raises(KeyboardInterrupt), goes_on("the same command"), part("one"):
        with pytest.raises(ValueError, match="caught"), part("two"):
            raise ValueError("caught")
        with goes_on("another"), part("three"):
            pass
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt), goes_on("it"):
        raise KeyboardInterrupt
    assert capfd.readouterr().err.splitlines() == ["stopped in one: the same command goes on", "stopped: it goes on"]


def test_reproduce_goes_on_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from weaksync.recipes import reproduce_subtitles
    from weaksync.recipes.cli import main

    def interrupted(*given: Any) -> None:
        with part("stage speech"):
            raise KeyboardInterrupt

    monkeypatch.setattr(reproduce_subtitles, "made", interrupted)
    with pytest.raises(SystemExit) as end:
        main(["reproduce", "subtitles", "table2", "--world", str(tmp_path)])
    assert end.value.code == 130
    assert capfd.readouterr().err.split("\n")[0] == "stopped in stage speech: the same command goes on"

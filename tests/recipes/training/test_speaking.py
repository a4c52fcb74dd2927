"""Who speaks: face tracks out of videos of which it is known, a model from them, and clips built with it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from weaksync import zoo
from weaksync.datamodules.face_tracks import open_tracks, speaking
from weaksync.datamodules.spoken import sound, spoken_clip, tube
from weaksync.datamodules.waveforms import read_sound
from weaksync.recipes.building.speaking import LearntSpeaking, choose
from weaksync.recipes.building.track_set import build_tracks
from weaksync.recipes.cli import main
from weaksync.recipes.settings import config
from weaksync.recipes.settings.speaking import SpeakingRecipe
from weaksync.recipes.training.speaking import train
from weaksync.zoo.speaking import LipsAndVoice, ScoreSpeaking

from ..talking import FPS, PLACES, film

SECONDS = 4.0
FRAMES = round(SECONDS * FPS)


def boxes(place: str, *, until: int = FRAMES) -> list[list[float] | None]:
    return [list(map(float, PLACES[place])) if number < until else None for number in range(FRAMES)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six films: ann talks on the left, bob is still on the right; in the last bob leaves after two seconds."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "videos").mkdir()
    videos = {}
    for number in range(6):
        name = f"film{number}"
        film(folder / "videos" / f"{name}.mp4", seconds=SECONDS, talks=["left"], still=["right"])
        videos[name] = {
            "fps": FPS,
            "cuts": [0, 50] if number == 4 else [0],
            "faces": {"ann": boxes("left"), "bob": boxes("right", until=50 if number == 5 else FRAMES)},
            "cues": [{"start": 0.4, "end": 3.6, "person": "ann"}, {"start": 3.6, "end": 4.0, "person": "someone else"}],
        }
    (folder / "truth.json").write_text(json.dumps({"videos": videos}))
    (folder / "splits.json").write_text(
        json.dumps({"train": [f"film{n}" for n in range(4)], "val": ["film4"], "test": ["film5"]})
    )
    return folder


@pytest.fixture(scope="module")
def tracks(world: Path) -> Path:
    out = world / "tracks"
    report = build_tracks(world / "videos", world / "truth.json", out, splits=world / "splits.json", size=64, jobs=1)
    assert report.failures == [] and report.built == 6
    assert report.counts == {
        "train": {"tracks": 8, "frames": 8 * FRAMES, "speaking": 4 * 80},
        "val": {"tracks": 4, "frames": 2 * FRAMES, "speaking": 80},  # cut in two
        "test": {"tracks": 2, "frames": FRAMES + 50, "speaking": 80},
    }
    return out


def test_a_track_is_one_face_with_what_is_heard_and_when_it_speaks(tracks: Path, world: Path) -> None:
    shards = open_tracks(tracks)
    assert {entry.id for entry in shards.split("val")} == {
        "film4-ann-00000", "film4-ann-00050", "film4-bob-00000", "film4-bob-00050",
    }  # fmt: skip
    clip = spoken_clip(shards, "film4-bob-00050")
    assert (clip.speaker, clip.start, clip.end, clip.frames, clip.cues) == ("bob", 2.0, 4.0, 50, [])
    heard = read_sound(world / "videos" / "film4.mp4", 16000)
    assert np.array_equal(sound(shards, clip.id).numpy(), heard[32000:64000])
    assert tube(shards, clip.id).shape == (50, 3, 64, 64)
    assert not speaking(shards, "film0-bob-00000").any()
    assert speaking(shards, "film0-ann-00000").nonzero().flatten().tolist() == list(range(10, 90))


def test_a_build_goes_on_and_names_what_it_cannot_use(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"splits": world / "splits.json", "size": 64, "jobs": 1}
    broken = tmp_path / "videos"
    broken.mkdir()
    for path in (world / "videos").iterdir():
        (broken / path.name).write_bytes(path.read_bytes()[: 2000 if path.stem == "film1" else None])
    (broken / "film0.srt").touch()  # no video
    first = build_tracks(broken, world / "truth.json", tmp_path / "out", **files)  # type: ignore[arg-type]
    assert [failure.video for failure in first.failures] == ["film1.mp4"] and first.built == 5
    for path in (tmp_path / "out").glob("*.*"):
        path.unlink() if path.is_file() else None
    again = build_tracks(broken, world / "truth.json", tmp_path / "out", **files)  # type: ignore[arg-type]
    assert (again.resumed, again.built) == (5, 0)
    (tmp_path / "truth.json").write_text(json.dumps({"videos": {"film0": {"fps": 25, "faces": {}}}}))
    words = ["--videos", world / "videos", "--faces", tmp_path / "truth.json", "--splits", world / "splits.json"]
    with pytest.raises(SystemExit) as ended:
        main(["data", "build", "speaking", *map(str, words), "--out", str(tmp_path / "other")])
    assert ended.value.code == 2
    assert "who speaks in 'film0' cannot be read ('cues')" in capsys.readouterr().err


def recipe(tracks: Path, root: Path, *more: str) -> SpeakingRecipe:
    settings = [f"data.tracks={tracks}", f"root={root}", "data.frames=30", "data.global_batch=4", *more]
    read = config.load("subtitles/speaking", settings)
    assert isinstance(read, SpeakingRecipe)
    return read


@pytest.fixture(scope="module")
def run(tracks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(
        recipe(tracks, tmp_path_factory.mktemp("runs"), "trainer.max_epochs=20", "trainer.check_val_every_n_epoch=10")
    )


def test_a_run_ends_with_a_model_and_figures_beside_the_baselines(
    run: Path, tracks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = json.loads((run / "model" / "config.json").read_text())["metrics"]
    assert {f"{split}/{name}" for split in ("val", "test") for name in ("auc", "ap", "baseline_auc")} <= metrics.keys()
    assert metrics["test/auc"] > 0.8  # a face that never moves is easily told from one that does
    scorer = choose(str(run))
    assert isinstance(scorer, LearntSpeaking) and isinstance(scorer, ScoreSpeaking)
    shards = open_tracks(tracks)
    seen = {name: scorer(tube(shards, name), sound(shards, name)) for name in ("film5-ann-00000", "film5-bob-00000")}
    assert seen["film5-ann-00000"].shape == (FRAMES,)
    assert float(seen["film5-ann-00000"][10:90].mean()) > float(seen["film5-bob-00000"].mean())
    larger = torch.nn.functional.interpolate(tube(shards, "film5-ann-00000").float(), 128).to(torch.uint8)
    assert torch.allclose(scorer(larger, sound(shards, "film5-ann-00000")), seen["film5-ann-00000"], atol=0.1)


def test_clips_are_built_with_what_was_chosen(run: Path, tmp_path: Path) -> None:
    assert choose("baseline") == LipsAndVoice()
    zoo.create("speaking-tiny").save_pretrained(tmp_path / "other")
    first, second = choose(str(run)), choose(str(tmp_path / "other"))
    assert first.producer != second.producer and first.producer == choose(str(run)).producer
    zoo.create("gsm-tiny").save_pretrained(tmp_path / "gsm")
    with pytest.raises(ValueError, match="is a GSM, which does not tell who speaks"):
        choose(str(tmp_path / "gsm"))


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(run: Path, tracks: Path, tmp_path: Path) -> None:
    train(recipe(tracks, tmp_path, "trainer.max_steps=7", "save_every_n_steps=1"))
    (tmp_path / "speaking" / "model").rename(tmp_path / "aside")
    train(recipe(tracks, tmp_path, "trainer.max_epochs=20", "trainer.check_val_every_n_epoch=10"), resume=True)
    newest = [max((folder / "checkpoints").glob("step=*.ckpt")) for folder in (run, tmp_path / "speaking")]
    whole, again = (torch.load(path, weights_only=True)["state_dict"] for path in newest)
    assert all(torch.equal(whole[name], again[name]) for name in whole)

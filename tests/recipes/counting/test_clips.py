"""Counts of conversational clips by hand, through the command, and their contact sheet."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from weaksync.datamodules.records import Cue, SpokenClip
from weaksync.datamodules.sample_clips import make_clips
from weaksync.recipes.building.conversation import Decision
from weaksync.recipes.building.conversation_set import Sentences, funnel
from weaksync.recipes.building.parts import Failure
from weaksync.recipes.counting.clips import count_clips, funnel_rows
from weaksync.recipes.data import check as data_check
from weaksync.recipes.data import stats as data_stats


def clip(name: str, video: str, seconds: int, domain: str, *texts: str, **more: float) -> SpokenClip:
    frames = 25 * seconds
    faces = np.full((frames, 4), 7, np.float32)
    faces[: frames // 5] = np.nan
    cues = [Cue(text, 0.0, 1.0) for text in texts]
    whole = SpokenClip(name, video, 3.0, 3.0 + seconds, "en", cues, 25, frames, faces, (64, 64), domain, "ann")
    whole.hidden, whole.offscreen = more.get("hidden"), more.get("offscreen")
    return whole


def test_counts_by_hand() -> None:
    clips = [
        ("test", clip("a", "x.mp4", 18, "movie", "So it is.", "No - never!", hidden=0.5)),
        ("train", clip("b", "x.mp4", 20, "movie", "Well.")),
        ("test", clip("c", "x.mp4", 22, "movie", "Why not?", hidden=0.1)),
        ("test", clip("d", "y.mp4", 30, "youtube", "Hello.", offscreen=0.2)),
    ]
    counts = {name: each.table() for name, each in count_clips(clips).items()}
    assert list(counts) == ["train movie", "test movie", "test youtube", "all"]
    assert counts["test movie"] == {
        "clips": 2,
        "hours": 40 / 3600,
        "seconds of a clip": 20.0,
        "lines": 3,
        "words": 7,  # so it is, no never, why not: a dash is none
        "videos": 1,
        "speakers": 1,
        "face seen": pytest.approx(0.8, abs=0.01),
        "lips hidden": pytest.approx(0.3),
        "speaker not seen": None,
    }
    assert list(counts["all"].values())[:6] == [4, 90 / 3600, 22.5, 5, 9, 2]


def test_the_funnel_adds_up() -> None:
    def one(step: str, reason: str = "") -> Decision:
        return Decision("a", "a.mp4", "en", 0, 20, 4, step, reason)

    decisions = [one("kept"), one("faces", "no face"), one("faces", "no face"), one("sound", "none"), one("kept")]
    failures = [Failure("b.mp4", "/films/b.mp4: not a video"), Failure("c.mp4", "/films/c.mp4: not a video")]
    sentences = Sentences({"a": 60.0, "d": 20.0, "e": 19.0}, 30, 6, 4)
    whole = funnel(decisions, failures, sentences)
    assert whole["seconds"] == 99
    assert whole["failures"] == {"not a video": 2} and whole["fell"]["faces"] == {"no face": 2}
    assert funnel_rows(whole) == [
        ["videos read", 3, 2, "not a video (2)"],
        ["sentences in groups", 20, 10, "of a talk that is too short (6); fit into no group (4)"],
        ["groups", 5, None, ""],
        ["it has sound", 4, 1, "none (1)"],
        ["its pictures can be read", 4, 0, ""],
        ["a face most of the time, and no crowd", 2, 2, "no face (2)"],
        ["a face that speaks", 2, 0, ""],
        ["clips", 2, None, ""],
    ]


def test_stats_check_and_sheet_of_a_set(tmp_path: Path) -> None:
    folder, sheet = str(tmp_path / "clips"), tmp_path / "sheet.png"
    make_clips(tmp_path / "clips", {"train": 4, "test": 2}, seconds=2, domains=["movie", "youtube"])
    run = CliRunner()
    result = run.invoke(data_stats.command, [folder, "--json", "--figure", str(sheet)], catch_exceptions=False)
    counted = json.loads(result.stdout)
    assert {name: column["clips"] for name, column in counted["clips"].items()} == {
        "train movie": 2,
        "train youtube": 2,
        "test movie": 1,
        "test youtube": 1,
        "all": 6,
    }
    assert counted["funnel"] is None and Image.open(sheet).width > 500
    assert "youtube" in run.invoke(data_stats.command, [folder], catch_exceptions=False).output
    checked = run.invoke(data_check.command, [folder], catch_exceptions=False).output
    assert "ok, 2 shards" in " ".join(checked.split()) and "videos" not in checked

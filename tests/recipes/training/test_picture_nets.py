"""Networks that learn drawn things and rooms: better than chance after moments, and taught once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from weaksync import zoo
from weaksync.datamodules.speakers.topics import THINGS, TOPICS
from weaksync.recipes.training import picture_nets as nets


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nets, "PICTURES", 256)
    monkeypatch.setattr(nets, "HELD_OUT", 64)
    monkeypatch.setattr(nets, "EPOCHS", {"object": 1, "scene": 8})


def test_both_cues_get_a_network_that_has_learnt(tmp_path: Path, short: None) -> None:
    steps: list[tuple[int, int]] = []
    found = {seen.cue: seen.right for seen in nets.picture_nets(tmp_path, track=lambda *step: steps.append(step))}
    assert steps == [(done, 72) for done in range(1, 73)]
    assert found["scene"] > 3 / len(TOPICS), "a room should be told better than by chance"
    things, rooms = (zoo.load(tmp_path / cue) for cue in ("object", "scene"))
    assert things.arguments["classes"] == len(TOPICS) * THINGS and rooms.arguments["classes"] == len(TOPICS)


def test_what_is_there_is_taken(tmp_path: Path, short: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nets, "EPOCHS", {"object": 1, "scene": 1})
    nets.picture_nets(tmp_path, seed=1)
    weights = [zoo.load(tmp_path / cue).state_dict() for cue in ("object", "scene")]
    monkeypatch.setattr(nets, "labelled_pictures", lambda *a: pytest.fail("drawn again"))
    assert nets.picture_nets(tmp_path, seed=2) == []
    again = [zoo.load(tmp_path / cue).state_dict() for cue in ("object", "scene")]
    assert all(torch.equal(one[name], two[name]) for one, two in zip(weights, again, strict=True) for name in one)

"""Rows of Table 5 from runs of NeuMATCH: trained on features where they are missing, taken where they are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from weaksync.datamodules.sample_set import make_set
from weaksync.recipes.reproduce import neumatch as reproduce_neumatch
from weaksync.recipes.reproduce import story as reproduce_story
from weaksync.recipes.reproduce.neumatch import rows
from weaksync.recipes.reproduce.story_runs import Runs

from .training.test_features import features_of

CLIPS = {"train": [8, 6, 9, 7], "val": [4, 6], "test": [5, 6]}
SMALL = ["model.arguments={width: 16}", "data.window=6", "trainer.max_epochs=2", "trainer.accelerator=cpu"]


@pytest.fixture(scope="module")
def yms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("yms")
    make_set(folder / "shards", CLIPS, size=(16, 16), frames=1)
    features_of(folder / "shards", folder / "features")
    return folder


@pytest.fixture
def own(yms: Path, tmp_path: Path) -> Runs:
    return Runs(yms / "shards", tmp_path / "runs", ("en",), preset=lambda strategy: SMALL)


def test_both_are_trained_once_and_scored(yms: Path, own: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    found, producer = rows(own, yms / "features")
    assert set(found) == {"neumatch", "wang2021"} and producer == "imported"
    assert all(0 <= row.clip_accuracy.value <= 1 and len(row.per_video) == 2 for row in found.values())
    assert {path.name for path in own.root.iterdir()} == {"neumatch", "neumatch-2018"}
    monkeypatch.setattr(reproduce_neumatch, "train", lambda *a, **k: pytest.fail("trained again"))
    said: list[str] = []
    monkeypatch.setattr(reproduce_neumatch, "say", said.append)
    assert rows(own, yms / "features")[0] == found and said == []
    rows(replace(own, overrides=("seed=5",)), yms / "features")
    assert len(said) == 2 and all("seed was 0 and is 5" in line for line in said)


def test_the_first_is_plain_adam_and_takes_what_is_meant_for_every_trainer(own: Runs, tmp_path: Path) -> None:
    asked = replace(own, overrides=("optim.lr=0.1", "data.group_size=4", "trainer.precision=32-true", "seed=3"))
    first, second = (reproduce_neumatch.recipe(row, asked, tmp_path) for row in ("neumatch", "wang2021"))
    assert (first.model.name, first.optim.trust, first.optim.lr, first.optim.smoothing) == ("neumatch", None, 1e-3, 0.0)
    assert (second.model.name, second.optim.trust, second.optim.lr) == ("neumatch-sbn", 1e-3, 7.0)
    assert first.seed == second.seed == 3 and first.data.pairs == "annotated"


def test_features_of_another_set_are_refused_before_anything_is_trained(
    yms: Path, own: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    make_set(other, {"train": [5, 5], "test": [5]}, size=(16, 16), frames=1)
    monkeypatch.setattr(Runs, "train", lambda *a, **k: pytest.fail("trained"))
    with pytest.raises(ValueError, match="features"):
        reproduce_story.reproduce("table5", own, [], yms=other, features=yms / "features")

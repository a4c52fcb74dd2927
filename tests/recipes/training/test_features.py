"""A recipe of NeuMATCH from end to end: trained, resumed, scored, and refused beside what it was not made for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from weaksync import zoo
from weaksync.datamodules.index import open_set
from weaksync.datamodules.sample_set import make_set
from weaksync.recipes.derived.features import imported
from weaksync.recipes.settings import config, story
from weaksync.recipes.settings.features import FeatureRecipe
from weaksync.recipes.settings.schema import ConfigError

from ..verbs import weaksync

CLIPS = {"train": [8, 6, 9, 7], "val": [4, 6], "test": [5, 6]}


def features_of(shards: Path, folder: Path, *, width: int = 6, scale: float = 1.0) -> Path:
    """Features of one's own: chance, but the same for a clip and its sentence."""
    raw = folder.parent / f"{folder.name}-npz"
    raw.mkdir()
    parent = open_set(shards)
    for split in parent.splits:
        for video in parent.videos(split):
            chance = np.random.default_rng(int(video.id[-4:]))
            sentences = scale * chance.normal(size=(len(video.sentences), width)).astype("f4")
            clips = sentences[np.arange(len(video.clips or [])) // 2]
            np.savez(raw / f"{video.id}.npz", clips=clips, sentences=sentences)
    imported(shards, raw, folder)
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("neumatch")
    make_set(folder / "shards", CLIPS, size=(16, 16), frames=1)
    features_of(folder / "shards", folder / "features")
    assert weaksync("train", "story/neumatch", *settings(folder)) == 0
    return folder


def settings(world: Path, *more: str) -> list[str]:
    return [
        f"data.shards={world / 'shards'}",
        f"data.features={world / 'features'}",
        f"root={world / 'runs'}",
        "trainer.accelerator=cpu",
        "trainer.max_epochs=4",
        "trainer.check_val_every_n_epoch=2",
        "data.window=6",
        "model.arguments={width: 16}",
        *more,
    ]


def test_a_run_ends_with_a_model_that_knows_its_features(world: Path) -> None:
    model = zoo.load(world / "runs" / "neumatch" / "model")
    assert model.registry_name == "neumatch-sbn"
    assert (model.arguments["video_dim"], model.arguments["text_dim"], model.arguments["width"]) == (6, 6, 16)
    assert (model.preprocess.producers or {})["text"].startswith("imported ")
    assert model.languages == ["en"]
    assert (world / "runs" / "neumatch" / "metrics.csv").is_file()


def test_eval_prints_it_beside_baselines_and_oracle(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert weaksync("eval", world / "runs" / "neumatch", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in found["rows"]] == ["model", "all-drop", "uniform", "transcript", "oracle"]
    assert found["videos"] == 2
    assert weaksync("eval", world / "runs" / "neumatch", "--against", world / "runs" / "neumatch") == 0
    assert "paired by film: +0.000 (+0.000 to +0.000)" in capsys.readouterr().out
    assert weaksync("eval", world / "runs" / "neumatch", "--policy", "constant") == 2
    assert "nothing is decoded: leave --policy out" in capsys.readouterr().err
    folder = world / "runs" / "neumatch" / "model"
    assert weaksync("eval", folder, "--shards", world / "shards") == 2
    assert "--features" in capsys.readouterr().err


def test_features_of_another_producer_are_refused(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = features_of(world / "shards", tmp_path / "other", scale=2.0)
    assert weaksync("eval", world / "runs" / "neumatch", "--features", other) == 2
    assert "the model was trained on features of imported" in capsys.readouterr().err
    wide = features_of(world / "shards", tmp_path / "wide", width=7)
    words = settings(world, f"data.features={wide}", "name=further", f"model.name={world / 'runs' / 'neumatch'}")
    words = [word for word in words if not word.startswith("model.arguments")]  # a checkpoint's cannot change
    assert weaksync("train", "story/neumatch", *words) == 2
    assert "wants features of (6, 6) dimensions for clips and sentences, these have (7, 7)" in capsys.readouterr().err


def test_a_run_that_was_stopped_goes_on_to_the_same_end(world: Path, tmp_path: Path) -> None:
    root = f"root={tmp_path}"
    assert weaksync("train", "story/neumatch", *settings(world, root, "trainer.max_epochs=2")) == 0
    (tmp_path / "neumatch" / "model").rename(tmp_path / "aside")
    assert weaksync("train", "story/neumatch", *settings(world, root), "--resume") == 0
    whole = zoo.load(world / "runs" / "neumatch" / "model").state_dict()
    again = zoo.load(tmp_path / "neumatch" / "model").state_dict()
    changed = [name for name in whole if not np.array_equal(whole[name].numpy(), again[name].numpy())]
    assert changed == []


def test_models_of_pictures_are_refused(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert weaksync("train", "story/neumatch", *settings(world, "model.name=cclm-tiny", "name=x")) == 2
    assert "cclm-tiny trains on pictures, not on features" in capsys.readouterr().err


def test_a_recipe_of_features_is_checked_as_a_whole() -> None:
    recipe = config.load("story/neumatch")
    assert isinstance(recipe, FeatureRecipe)
    overrides = [
        "data.group_size=4",
        "data.window=0",
        "optim.trust=-1",
        "optim.smothing=1",
        "model.nme=x",
    ]
    with pytest.raises(ConfigError) as caught:
        config.load("story/neumatch", overrides)
    faults = "\n".join(map(str, caught.value.faults))
    for words in ("data.group_size", "data.window", "trust", "'smoothing'", "'name'"):
        assert words in faults
    with pytest.raises(ValueError, match="story/neumatch is a recipe of task features"):
        story.load("story/neumatch")

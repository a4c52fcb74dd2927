"""A world as M-SyMoN has it: films of each language's own, few of them annotated for training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from weaksync import zoo
from weaksync.datamodules.index import open_set, verify
from weaksync.datamodules.world import LANGUAGES, plot
from weaksync.datamodules.world.language import tell
from weaksync.recipes.reproduce import story_world as reproduce_world
from weaksync.recipes.reproduce.story_runs import STRATEGIES
from weaksync.recipes.reproduce.story_world import world_preset, world_runs
from weaksync.recipes.reproduce.world_base import base_model
from weaksync.recipes.reproduce.world_set import WorldSize, in_world, world_set

SIZE = WorldSize(stories=4, languages=("en", "ru"))


def test_a_world_has_the_languages_that_are_asked_for(tmp_path: Path) -> None:
    assert in_world(tmp_path, ["es", "en"]) == ("en", "es") and in_world(tmp_path) == LANGUAGES
    (tmp_path / "world").mkdir()
    (tmp_path / "world" / "world.json").write_text('{"version": 1, "settings": {"languages": ["en", "es", "ru"]}}')
    assert in_world(tmp_path, ["es", "en"]) == ("en", "es", "ru")  # it is taken whole, and two of it are looked at
    with pytest.raises(ValueError, match="without fr, pt: --language en --language es --language ru takes it"):
        in_world(tmp_path, ["pt", "fr", "en"])
    with pytest.raises(ValueError, match="without zh, fr, pt, hi"):
        in_world(tmp_path)


@pytest.mark.slow
def test_the_base_model_finds_a_sentence_in_another_language(tmp_path: Path) -> None:
    model = zoo.load(base_model(tmp_path / "base", steps=250))
    stories = [plot(0, index, sentences=22) for index in range(3)]  # of another seed than it has read
    filmed = [line.event is not None for story in stories for line in story.lines]
    with torch.no_grad():
        english, russian = (
            model.encode_text(*model.tokenize([text for story in stories for text in tell(0, story, code)]))[filmed]
            for code in ("en", "ru")
        )
    right = (english @ russian.T).argmax(dim=1) == torch.arange(len(english))
    assert right.float().mean() > 10 / len(english)  # chance is one in so many
    again = base_model(tmp_path / "again", steps=2), base_model(tmp_path / "too", steps=2)
    assert len({(folder / "model.safetensors").read_bytes() for folder in again}) == 1


@pytest.mark.slow
def test_each_film_is_told_in_one_language_and_few_of_training_are_annotated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(reproduce_world, "say", said.append)
    base_model(tmp_path / "base", steps=1)  # it is taken as it is
    runs = world_runs(tmp_path, SIZE)
    assert [line.partition(":")[0] for line in said] == ["films", "shards", "translations"]
    assert {path.name for path in (tmp_path / "world" / "subtitles").iterdir()} == {"en", "ru"}
    assert runs.root == tmp_path / "runs"
    assert runs.model == str(tmp_path / "base")
    shards = open_set(runs.shards)
    told = {split: shards.videos(split) for split in shards.splits}
    films = [video.url for videos in told.values() for video in videos]
    assert len(films) == 8 == len(set(films))
    assert {video.language for video in told["train"]} == {"en", "ru"}
    annotated = [video.language for video in told["train"] if video.annotated]
    assert sorted(annotated) == ["en", "ru"] and len(told["train"]) > 2
    assert all(video.annotated for split in ("val", "test") for video in told[split])
    assert verify(runs.shards) == []
    assert runs.languages == ("en", "ru") and open_set(runs.translations).manifest.settings["to"] == "en"

    manifest = (runs.shards / "manifest.json").read_bytes()
    assert world_set(tmp_path, SIZE) == runs.shards and (runs.shards / "manifest.json").read_bytes() == manifest
    with pytest.raises(ValueError, match="another world"):
        world_set(tmp_path, WorldSize(stories=5, languages=("en", "ru")))
    for strategy in STRATEGIES:
        recipe = runs.recipe(strategy, "ru")
        assert recipe.trainer.accelerator == "cpu" and f"optim.lr={recipe.optim.lr}" in world_preset(strategy)

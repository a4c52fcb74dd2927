"""What is absent is found before anything heavy starts, and the message says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from huggingface_hub import constants

from weaksync import zoo
from weaksync.datamodules.derived import TRANSLATIONS, origin, write_derived
from weaksync.datamodules.index import open_set
from weaksync.datamodules.sample_set import make_set
from weaksync.recipes.cli import weaksync
from weaksync.recipes.settings import config
from weaksync.recipes.settings.schema import ConfigError
from weaksync.recipes.train import train
from weaksync.recipes.training import preflight

from .test_features import features_of


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


def test_a_vocabulary_that_cannot_be_had_is_found_before_the_weights_are_drawn(
    offline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo, "create", lambda *a, **k: pytest.fail("drew weights"), raising=False)
    given = "nobody/no-such-vocabulary"
    recipe = config.load("story/weak", [f"model.arguments={{tokenizer: {given}}}", f"root={tmp_path}"])
    # and so are the shards, which are absent too
    said = r"(?s)HF_HUB_OFFLINE is set.*model\.arguments=\{tokenizer: FOLDER\}.*no shard set in shards"
    with pytest.raises(ConfigError, match=said):
        train(recipe)
    preflight.check_vocabulary("cclm-tiny", {})


def test_a_folder_of_published_weights_that_is_absent_is_named_with_the_command_that_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"convert FILE --from cclm --out \./cclm-base\. model\.name=cclm-base"):
        preflight.check_model(config.load("story/multilingual"))
    with pytest.raises(FileNotFoundError, match=r"no run or checkpoint at runs/translate.*first stage is trained"):
        preflight.check_model(config.load("story/translate_supervision"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the recipes name, below one folder: shards, translations and features."""
    folder = tmp_path_factory.mktemp("data")
    make_set(folder / "shards", {"train": [6, 6], "val": [5]}, size=(16, 16), frames=3, languages=("en", "ru"))
    parent = open_set(folder / "shards")
    records = [(split, {**video.to_dict(), "clips": None}) for split in parent.splits for video in parent.videos(split)]
    write_derived(folder / "translations/en", records, {"to": "en"}, origin(parent, TRANSLATIONS, "a test"))
    features_of(folder / "shards", folder / "features")
    return folder


#: recipe -> what must be given beside the data: what it starts from is made by another, or is on a hub
GIVEN = {
    name: ["model.name=cclm-tiny"] for name in config.names() if name.startswith("story/") and name != "story/neumatch"
} | {
    "story/neumatch": ["data.pairs=weak"],
    "story/quickstart": ["data.shards=shards"],
    "story/self_training": ["model.name=cclm-tiny", "data.pairs=weak", "data.alignments=null"],
}


@pytest.mark.parametrize("name", GIVEN)
def test_every_shipped_recipe_is_whole_given_what_it_names(name: str, data: Path, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(data)
    given = [*GIVEN[name], f"root={tmp_path}"]
    if config.load(name, given).data.languages:
        given.append("data.languages=[ru]")
    assert preflight.faults(config.load(name, given)) == []


def test_training_is_refused_with_the_faults_of_model_and_data_at_once(tmp_path: Path) -> None:
    wrong = [f"root={tmp_path}", f"data.shards={tmp_path / 'absent'}", "model.name=cclm-tinny"]
    with pytest.raises(ValueError, match=r"(?s)^weak: 2 faults.*did you mean 'cclm-tiny'.*no shard set in") as found:
        preflight.check(config.load("story/weak", wrong))
    assert len(found.value.faults) == 2
    with pytest.raises(FileNotFoundError, match=r"^no shard set in"):
        preflight.check(config.load("story/weak", [*wrong[:2], "model.name=cclm-tiny"]))


def test_validate_names_every_fault_of_files_at_once(data: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/weak").mkdir(parents=True)
    (tmp_path / "runs/weak/recipe.yaml").touch()

    def validate(*words: str) -> str:
        done = CliRunner().invoke(weaksync, ["validate", *words])
        return f"{done.output}{done.exception or ''}"

    found = validate("story/weak", "model.name=cclm-tinny", "--files")
    for words in ("3 faults", "runs/weak holds a run", "did you mean 'cclm-tiny'", "no shard set in shards"):
        assert words in found
    wrong = [f"data.shards={data / 'shards'}", "model.name=cclm-tiny", "model.arguments={fames: 2}", "name=other"]
    assert "1 fault\n  - cclm-tiny takes no 'fames' (did you mean 'frames'?)" in validate(
        "story/weak", *wrong, "--files"
    )
    assert validate("story/weak", *wrong).startswith("task: story\nname: other")  # the files are not asked for
    assert "no shard set" in validate("story/neumatch", "--files")
    few = [*wrong[:2], "model.arguments={frames: 5}", "name=other", f"root={tmp_path}"]
    assert "looks at 5 frames of a clip" in validate("story/weak", *few, "--files")  # the model is made to know that

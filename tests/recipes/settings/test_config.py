"""Recipes: every one that is shipped loads, and a faulty one is refused with all its faults."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path

import pytest

from weaksync.recipes.settings import config
from weaksync.recipes.settings.schema import ConfigError


@pytest.mark.parametrize("name", config.names())
def test_every_recipe_loads_and_says_how_to_run_it(name: str) -> None:
    recipe = config.load(name)
    assert recipe.folder == Path("runs") / recipe.name
    usage = "\n".join(config.header(config.locate(name)))
    assert f"weaksync train {name}" in usage


def test_a_resolved_recipe_reads_back_the_same(tmp_path: Path) -> None:
    recipe = config.load("story/quickstart", ["optim.lr=2e-4", "data.languages=[en,ch]"])
    path = tmp_path / "again.yaml"
    path.write_text(config.dump(recipe))
    assert config.load(str(path)) == recipe
    assert recipe.optim.lr == 2e-4


def test_all_faults_come_at_once_with_the_nearest_key() -> None:
    overrides = ["optim.lrr=3", "optim.lr=abc", "data.mode=exat", "trainer.devices=[2]", "modle.name=x", "seed=1.5"]
    with pytest.raises(ConfigError) as caught:
        config.load("story/quickstart", overrides)
    faults = "\n".join(map(str, caught.value.faults))
    assert len(caught.value.faults) == 6
    assert "optim.lrr: unknown key (did you mean 'lr'?)" in faults
    assert "optim.lr: should be a number, not 'abc'" in faults
    assert "did you mean 'exact'?" in faults
    assert "modle: unknown key (did you mean 'model'?)" in faults
    assert "seed: should be a whole number" in faults


def test_impossible_settings_are_refused_by_name() -> None:
    overrides = ["data.group_size=1", "data.mode=resampled", "optim.betas=[0.9]", "data.max_bad=2", "optim.warmup=2"]
    with pytest.raises(ConfigError) as caught:
        config.load("story/quickstart", overrides)
    faults = "\n".join(map(str, caught.value.faults))
    for key in ("data.group_size", "data.max_bad", "data.steps_per_epoch", "optim.betas", "optim: warmup"):
        assert key in faults


def test_a_list_of_one_is_written_for_the_reader() -> None:
    with pytest.raises(ConfigError, match=r"data\.languages: should be a list, not 'es': write \[es\]"):
        config.load("story/quickstart", ["data.languages=es"])


@pytest.mark.parametrize("value", ["${oc.env:HOME}", "${name}"])
def test_a_recipe_is_data_and_looks_nothing_up(value: str) -> None:
    with pytest.raises(ConfigError, match="plain data"):
        config.load("story/quickstart", [f"model.name={value}"])


def test_a_recipe_names_no_code() -> None:
    with pytest.raises(ConfigError, match=r"model\._target_: unknown key"):
        config.load("story/quickstart", ["model._target_=os.system"])


def test_what_is_not_a_recipe_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="did you mean 'story/quickstart'"):
        config.load("story/quickstrat")
    with pytest.raises(FileNotFoundError, match="no recipe at"):
        config.load(str(tmp_path / "absent.yaml"))
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [unclosed")
    with pytest.raises(ConfigError, match="is not YAML"):
        config.load(str(broken))
    broken.write_text("- a\n- list\n")
    with pytest.raises(ConfigError):
        config.load(str(broken))
    broken.write_text("name: x\n")
    with pytest.raises(ConfigError, match=r"data\.shards: missing key"):
        config.load(str(broken))
    with pytest.raises(ConfigError, match="key=value"):
        config.load("story/quickstart", ["optim.lr"])


@pytest.mark.parametrize("task", config.TASKS)
def test_every_task_has_a_recipe_and_something_that_trains_it(task: str) -> None:
    its = getattr(importlib.import_module(f"weaksync.recipes.settings.{task}"), config.TASKS[task])
    assert dataclasses.is_dataclass(its) and its.task == task
    trains = importlib.import_module(f"weaksync.recipes.training.{task}")
    assert callable(trains.train) and (task == "matching" or callable(trains.build))


def test_a_task_that_there_is_not_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"task: should be story.*, not 'featurs' \(did you mean 'features'\?\)"):
        config.load("story/neumatch", ["task=featurs"])

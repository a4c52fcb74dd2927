"""The ordinary recipe of each stage of a matcher, and what is wrong with it, by the keys that are typed.

Free of torch, like `config`, so that a faulty recipe is refused at once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...zoo.registry import list_models
from . import config as recipes
from .config import Recipe
from .matching import CueConfig, MatchingRecipe, StageConfig
from .schema import ConfigError, Fault

SYNCNET, ALIGNMENT = "syncnet", "alignment"


@dataclass(frozen=True)
class StageKind:
    """What a stage trains.

    Attributes:
        task: of its recipe.
        model: class of its model, as the registry has it.
        given: settings that name what other stages made.
    """

    task: str
    model: str
    given: tuple[str, ...]


def stage_kind(stage: str) -> StageKind:
    """The kind of a stage, by its name."""
    if stage == SYNCNET:
        return StageKind("syncnet", "SyncNet", ("data.clips",))
    streams = ("data.clips", "data.speech", "data.video", "data.text")
    return StageKind("subtitles", "LipSpeech" if stage == ALIGNMENT else "GSM", streams)


def stage_recipe(
    recipe: MatchingRecipe,
    name: str,
    stage: StageConfig | CueConfig,
    given: dict[str, Any],
    usual: dict[str, Any] | None = None,
) -> Recipe:
    """The ordinary recipe of a stage.

    Args:
        name: of its folder below the run's.
        given: what other stages made.
        usual: what the stage's ``set`` may change.

    Raises:
        ConfigError: with its faults, by the keys of the matcher's recipe where they were typed there.
        FileNotFoundError, ValueError: there is no such recipe.
    """
    machine = {f"trainer.{key}": value for key, value in vars(recipe.trainer).items()}
    asked = {**machine, **(usual or {}), **dotted(stage.set), **given, **_own(recipe, name)}
    try:
        made = recipes.load(stage.recipe, [f"{key}={_written(value)}" for key, value in asked.items()])
    except ConfigError as found:
        raise ConfigError([_as_typed(fault, name, stage) for fault in found.faults], recipe.name) from found
    assert isinstance(made, Recipe)  # another task is a fault of the stage
    return made


def setting_faults(recipe: MatchingRecipe) -> list[Fault]:
    """What is wrong with the settings of the stages that are to be trained, whatever files are there."""
    if recipe.name is None:
        return []  # that fault is known
    return [
        fault
        for name, stage in recipe.stages.items()
        if stage.model is None
        for fault in stage_faults(recipe, name, stage)
    ]


def stage_faults(recipe: MatchingRecipe, name: str, stage: StageConfig | CueConfig) -> list[Fault]:
    """What is wrong with the settings of one stage."""
    kind, settings = stage_kind(name), dotted(stage.set)
    faults = []
    for key in [*kind.given, *_own(recipe, name), "task"]:
        if key in settings:
            shared = f"; {key} is that of all stages" if key in ("data.clips", "data.speech", "seed", "root") else ""
            faults.append(Fault(f"{name}.set.{key}", f"the matcher sets it: leave it out{shared}"))
    try:
        task = recipes.plain(stage.recipe).get("task")
    except ConfigError as unread:
        return [*faults, *(_as_typed(fault, name, stage) for fault in unread.faults)]
    except (ValueError, OSError) as absent:
        return [*faults, Fault(f"{name}.recipe", str(absent))]
    if task != kind.task:
        its = f"task {task}" if task else "story alignment"
        wrong_task = f"{stage.recipe} is a recipe of {its}; this stage has task {kind.task}"
        return [*faults, Fault(f"{name}.recipe", wrong_task)]
    try:
        made: Any = stage_recipe(recipe, name, stage, dict.fromkeys(kind.given, "made"))
    except ConfigError as found:
        return [*faults, *found.faults]
    row = next((row for row in list_models() if row.name == made.model.name), None)
    if row is not None and row.model != kind.model:
        wrong_model = f"{row.name} is a {row.model}; this stage trains a {kind.model}"
        faults.append(Fault(f"{name}.set.model.name", wrong_model))
    return faults


def dotted(settings: dict[str, Any], where: str = "") -> dict[str, Any]:
    """Nested settings by their dotted keys."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            found |= dotted(value, f"{where}{key}.")
        else:
            found[f"{where}{key}"] = value
    return found


def _own(recipe: MatchingRecipe, name: str) -> dict[str, Any]:
    """What the matcher says of every stage."""
    return {"name": name, "root": recipe.folder, "seed": recipe.seed, "trainer.devices": 1}


def _written(value: Any) -> str:
    """A value as an override has it."""
    return json.dumps(str(value) if isinstance(value, Path) else value)


def _as_typed(fault: Fault, name: str, stage: StageConfig | CueConfig) -> Fault:
    """A fault of a stage's recipe, by the matcher's key where its `set` wrote the setting, else as one of its file."""
    if any(f"{key}.".startswith(f"{fault.path}.") for key in dotted(stage.set)):
        return Fault(f"{name}.set.{fault.path}", fault.message)
    return Fault(f"{name}.recipe", f"{stage.recipe}: {fault}")

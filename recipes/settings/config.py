"""What a recipe may say: one dataclass for each part, read from YAML and `key=value` overrides, checked as a whole.

No part of this file imports torch, so that a faulty recipe is refused at once.
"""

from __future__ import annotations

import dataclasses
import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ...zoo.registry import did_you_mean
from .schema import ConfigError, Fault, read

RECIPES = Path(__file__).parent.parent / "configs"
#: whether a setting is wrong, its dotted key, and what to say then
Check = tuple[bool, str, str]


#: what is trained: its recipe is a dataclass of `settings/<task>.py`, and `training/<task>.py` trains it; both are
#: imported when a recipe of the task is read
TASKS = {
    "story": "StoryRecipe",
    "features": "FeatureRecipe",
    "matching": "MatchingRecipe",
    "subtitles": "SubtitleRecipe",
    "syncnet": "SyncNetRecipe",
    "speaking": "SpeakingRecipe",
}


@dataclass
class ModelConfig:
    """Which model, and from where.

    Attributes:
        name: a registry name (random weights), a checkpoint folder, or ``hf://org/repo``; folders and repositories
            of SigLIP 2, of CLIP and of CLIP with XLM-R are read as transformers and open_clip write them.
        arguments: of the model that shall differ, such as ``freeze: [text]``, ``checkpoint_activations: true``
            or ``augment: none``; `zoo.create(name)` lists them. A checkpoint's sizes cannot change.
    """

    name: str = "cclm-tiny"
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass
class TrainerConfig:
    """Lightning's own settings, under their own names."""

    max_epochs: int = 20
    max_steps: int = -1
    accelerator: str = "auto"
    devices: int | str = "auto"
    num_nodes: int = 1
    strategy: str = "auto"
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    accumulate_grad_batches: int = 1
    gradient_clip_val: float | None = None
    check_val_every_n_epoch: int = 1
    log_every_n_steps: int = 10
    limit_train_batches: int | float = 1.0
    limit_val_batches: int | float = 1.0
    deterministic: bool = False


@dataclass(kw_only=True)
class Settings:
    """What every recipe says, whatever its task.

    Attributes:
        task: what it trains, a name of `TASKS`; a recipe that says none is of story alignment.
        name: of the run; it writes to ``<root>/<name>/``.
        data: what it reads, as its task has it.
        root: folder of all runs.
        seed: of all chance: of weights, order, windows and augmentation.
    """

    task: ClassVar[str]
    name: str
    data: Any
    root: str = "runs"
    seed: int = 0

    @property
    def folder(self) -> Path:
        """Where the run writes."""
        return Path(self.root) / self.name

    def checks(self) -> list[Check]:
        """Settings that are well typed and may yet not work."""
        plain = self.name is None or (self.name.strip("./") and ".." not in Path(self.name).parts)
        return [(not plain, "name", f"should be a folder's name below root, not {self.name!r}")]


@dataclass(kw_only=True)
class Recipe(Settings):
    """What a recipe of one model says, whatever its task.

    Attributes:
        model: that is trained.
        optim: how it is optimised, as its task has it.
        trainer: of Lightning.
        save_every_n_steps: keep a checkpoint every so many steps instead of at the end of each epoch.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    optim: Any
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    save_every_n_steps: int | None = None

    def checks(self) -> list[Check]:
        epochs = self.trainer.max_epochs
        return [*super().checks(), (epochs < 1, "trainer.max_epochs", f"should be at least 1, not {epochs}")]


def names() -> list[str]:
    """Recipes that come with the package, such as ``story/quickstart``."""
    return sorted(str(path.relative_to(RECIPES).with_suffix("")) for path in RECIPES.rglob("*.yaml"))


def locate(recipe: str) -> Path:
    """The file of a packaged recipe's name, or of a path.  Raises ValueError with the nearest name."""
    path = Path(recipe)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise FileNotFoundError(f"no recipe at {path}; `weaksync cp` makes one from those that `weaksync ls` lists")
        return path
    if recipe not in names():
        raise ValueError(f"no recipe {recipe!r}{did_you_mean(recipe, names())}; `weaksync ls` lists them")
    return RECIPES / f"{recipe}.yaml"


def plain(recipe: str, overrides: list[str] | None = None) -> Any:
    """What a recipe holds, with overrides on top, before anything is checked.

    Raises:
        ConfigError: the file cannot be read, or an override is none.
        FileNotFoundError, ValueError: as `locate`.
    """
    path = locate(recipe)
    try:
        text = OmegaConf.load(path)
        for override in overrides or []:
            if "=" not in override:
                raise ConfigError([Fault("", f"override {override!r} should be key=value, such as optim.lr=1e-4")])
        if not OmegaConf.is_dict(text):
            raise ConfigError([Fault("", "should hold keys and values at the top")], str(path))
        merged = OmegaConf.merge(text, OmegaConf.from_dotlist(overrides or []))
        return OmegaConf.to_container(merged, resolve=False)
    except (OmegaConfBaseException, UnicodeDecodeError) as fault:
        raise ConfigError([Fault("", f"cannot be read: {fault}")], str(path)) from fault
    except Exception as fault:
        # the YAML parser's errors share no public base with OmegaConf's
        if type(fault).__module__.startswith("yaml"):
            raise ConfigError([Fault("", f"is not YAML: {fault}")], str(path)) from fault
        raise


def load(recipe: str, overrides: list[str] | None = None) -> Settings:
    """Read a recipe by name or path, with ``key=value`` overrides (``optim.lr=1e-4``) on top.

    Raises:
        ConfigError: listing every unknown key, ill-typed value and impossible setting.
    """
    data = plain(recipe, overrides)
    task = data.pop("task", "story") if isinstance(data, dict) else "story"
    if task not in TASKS:
        near = did_you_mean(str(task), TASKS)
        raise ConfigError([Fault("task", f"should be {' | '.join(TASKS)}, not {task!r}{near}")], recipe)
    kind: type[Settings] = getattr(importlib.import_module(f".{task}", __package__), TASKS[task])
    faults: list[Fault] = []
    config = read(kind, data, faults)
    faults += [Fault(path, message) for wrong, path, message in config.checks() if wrong]
    if faults:
        raise ConfigError(faults, recipe)
    return config


def dump(config: Settings) -> str:
    """The resolved recipe as YAML, which `load` reads back."""
    return OmegaConf.to_yaml(OmegaConf.create({"task": config.task, **dataclasses.asdict(config)}))


def flat(config: Settings) -> list[tuple[str, Any]]:
    """Every setting as ``(dotted key, value)``; free-form parts, such as ``model.arguments``, are one value."""
    pairs: list[tuple[str, Any]] = [("task", config.task)]
    for part in dataclasses.fields(config):
        value = getattr(config, part.name)
        if dataclasses.is_dataclass(value):
            pairs += [(f"{part.name}.{key}", inner) for key, inner in vars(value).items()]
        else:
            pairs.append((part.name, value))
    return pairs


def header(path: Path) -> list[str]:
    """The comment at the top of a recipe: its first line says what it is, the rest how to run it."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").rstrip())
    return lines

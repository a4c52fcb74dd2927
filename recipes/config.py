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

from ..zoo.optim import OptimConfig
from ..zoo.registry import did_you_mean
from .schema import ConfigError, read

RECIPES = Path(__file__).parent / "configs"
#: whether something is wrong, and what to say then
Check = tuple[bool, str]


@dataclass(frozen=True)
class Task:
    """What a recipe's ``task`` stands for, by modules of this package that are imported when one is read.

    Attributes:
        config: has the recipe's dataclass.
        recipe: the dataclass.
        trains: has `train`, which runs one.
    """

    config: str
    recipe: str
    trains: str


#: what is trained; a recipe that says no task is a `StoryRecipe`
TASKS = {
    "features": Task("feature_config", "FeatureRecipe", "train_features"),
    "matching": Task("matching_config", "MatchingRecipe", "train_matching"),
    "subtitles": Task("subtitle_config", "SubtitleRecipe", "train_subtitles"),
    "syncnet": Task("syncnet_config", "SyncNetRecipe", "train_syncnet"),
    "speaking": Task("speaking_config", "SpeakingRecipe", "train_speaking"),
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
class DataConfig:
    """Which shards, and how they are read.

    Attributes:
        shards: folder of a shard set (`weaksync data build story`).
        languages: codes to train and evaluate on; none: all that the set has.
        translations: folder of `weaksync data translate`, made of `shards`: its texts replace those of the sentences,
            in training and in evaluation; none: the texts are as they were told.
        pairs: what pairs clips with sentences for training: ``weak``, the times of narration; ``annotated``, people,
            on the videos that they annotated alone; or ``aligned``, an earlier model, with `alignments`.
        alignments: folder of `weaksync data align`, made of `shards`.
        mode: ``exact`` (every pair once per epoch, resumable, the same for any number of processes) or
            ``resampled`` (streams from object stores, `steps_per_epoch` steps an epoch).
        global_batch: groups per step over all processes.
        group_size: pairs per group: a positive and its K = group_size - 1 negatives, all of one video.
        grouping: a group holds any pairs of its video (``mixed``), or those of neighbouring clips in their order
            (``consecutive``), for `loss.alignment`.
        steps_per_epoch: length of an epoch in ``resampled`` mode.
        workers: reading processes for each rank.
        max_bad: share of training samples that may be unreadable before the run fails.
    """

    shards: str
    languages: list[str] | None = None
    translations: str | None = None
    pairs: Literal["weak", "annotated", "aligned"] = "weak"
    alignments: str | None = None
    mode: Literal["exact", "resampled"] = "exact"
    global_batch: int = 16
    group_size: int = 8
    grouping: Literal["mixed", "consecutive"] = "mixed"
    steps_per_epoch: int | None = None
    workers: int = 2
    max_bad: float = 0.0


@dataclass
class LossConfig:
    """Symmetric InfoNCE (M-SyMoN, Eq. 2).

    Attributes:
        negatives: the other pairs of the same ``video``, or of the whole ``batch`` over all processes.
        false_negatives: pairs that share their sentence: ``exclude`` them, or count them as ``multi_positive``.
        alignment: believe every pair (``none``), or align each group's clips with its sentences, by ``soft_dtw`` or
            ``soft_drop_dtw``, against the sentences of the other groups; goes with `data.grouping` ``consecutive``.
    """

    negatives: Literal["video", "batch"] = "video"
    false_negatives: Literal["exclude", "multi_positive"] = "exclude"
    alignment: Literal["none", "soft_dtw", "soft_drop_dtw"] = "none"


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
        task: what it trains, a name of `TASKS`; None for story alignment.
        name: of the run; it writes to ``<root>/<name>/``.
        data: what it reads, as its task has it.
        root: folder of all runs.
        seed: of all chance: of weights, order, windows and augmentation.
    """

    task: ClassVar[str | None] = None
    name: str
    data: Any
    root: str = "runs"
    seed: int = 0

    @property
    def folder(self) -> Path:
        """Where the run writes."""
        return Path(self.root) / self.name

    def checks(self) -> list[Check]:
        """Settings that are well-typed and cannot work: whether one is such, and what to say then."""
        return [(self.name is not None and not self.name.strip("./"), "name should be a folder's name below root")]


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
        return [*super().checks(), (epochs < 1, f"trainer.max_epochs should be at least 1, not {epochs}")]


@dataclass(kw_only=True)
class StoryRecipe(Recipe):
    """A story-alignment run: everything that decides its outcome."""

    data: DataConfig
    optim: OptimConfig = field(default_factory=OptimConfig)
    loss: LossConfig = field(default_factory=LossConfig)

    def checks(self) -> list[Check]:
        data, loss = self.data, self.loss
        return [
            *super().checks(),
            (data.global_batch < 1, f"data.global_batch should be at least 1, not {data.global_batch}"),
            (data.group_size < 2, f"data.group_size should be at least 2 (one negative), not {data.group_size}"),
            (data.workers < 0, f"data.workers should be 0 or more, not {data.workers}"),
            (not 0 <= data.max_bad < 1, f"data.max_bad is a share in [0, 1), not {data.max_bad}"),
            (
                (data.mode == "resampled") != (data.steps_per_epoch is not None),
                "data.steps_per_epoch goes with data.mode: resampled, and is needed there",
            ),
            (
                (data.pairs == "aligned") != (data.alignments is not None),
                "data.alignments goes with data.pairs: aligned, and is needed there: weaksync data align makes a "
                "folder",
            ),
            (
                data.mode == "resampled" and (data.translations is not None or data.alignments is not None),
                "data.translations and data.alignments go with data.mode: exact; streamed shards come without them",
            ),
            (
                data.mode == "resampled" and data.grouping == "consecutive",
                "data.grouping: consecutive goes with data.mode: exact",
            ),
            (
                (loss.alignment != "none") != (data.grouping == "consecutive"),
                "loss.alignment goes with data.grouping: consecutive, and needs it",
            ),
            (
                loss.alignment != "none" and loss.negatives != "batch",
                "loss.alignment sets groups against each other: loss.negatives should be batch",
            ),
        ]


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


def load(recipe: str, overrides: list[str] | None = None) -> StoryRecipe:
    """Read a recipe of story alignment, as `load_any`.  Raises ValueError for one of another task too."""
    found = load_any(recipe, overrides)
    if not isinstance(found, StoryRecipe):
        raise ValueError(f"{recipe} is a recipe of task {found.task}: it trains no dual encoder, which this needs")
    return found


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
                raise ConfigError([f"override {override!r} should be key=value, such as optim.lr=1e-4"])
        if not OmegaConf.is_dict(text):
            raise ConfigError(["should hold keys and values at the top"], str(path))
        merged = OmegaConf.merge(text, OmegaConf.from_dotlist(overrides or []))
        return OmegaConf.to_container(merged, resolve=False)
    except (OmegaConfBaseException, UnicodeDecodeError) as fault:
        raise ConfigError([f"cannot be read: {fault}"], str(path)) from fault
    except Exception as fault:
        # the YAML parser's errors share no public base with OmegaConf's
        if type(fault).__module__.startswith("yaml"):
            raise ConfigError([f"is not YAML: {fault}"], str(path)) from fault
        raise


def load_any(recipe: str, overrides: list[str] | None = None) -> Settings:
    """Read a recipe by name or path, with ``key=value`` overrides (``optim.lr=1e-4``) on top.

    Raises:
        ConfigError: listing every unknown key, ill-typed value and impossible setting.
    """
    data = plain(recipe, overrides)
    kind: type[Settings] = StoryRecipe
    if isinstance(data, dict) and "task" in data:
        name = data.pop("task")
        if name not in TASKS:
            near = did_you_mean(str(name), TASKS)
            raise ConfigError([f"task should be {' | '.join(TASKS)}, not {name!r}{near}"], recipe)
        kind = getattr(importlib.import_module(f".{TASKS[name].config}", __package__), TASKS[name].recipe)
    faults: list[str] = []
    config = read(kind, data, faults)
    faults += [fault for wrong, fault in config.checks() if wrong]
    if faults:
        raise ConfigError(faults, recipe)
    return config


def dump(config: Settings) -> str:
    """The resolved recipe as YAML, which `load_any` reads back."""
    task = {"task": config.task} if config.task else {}
    return OmegaConf.to_yaml(OmegaConf.create({**task, **dataclasses.asdict(config)}))


def flat(config: Settings) -> list[tuple[str, Any]]:
    """Every setting as ``(dotted key, value)``; free-form parts, such as ``model.arguments``, are one value."""
    pairs: list[tuple[str, Any]] = [("task", config.task)] if config.task else []
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

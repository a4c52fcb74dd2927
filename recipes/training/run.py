"""How any recipe of a model becomes a run: begun, or gone on with; fitted; scored with its best weights, and saved."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import lightning as L
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from ... import zoo
from ...datamodules.files import write_whole
from ...zoo.checkpoint import Pretrained
from ...zoo.registry import did_you_mean
from ..report.training import training_figure
from ..runs import CHECKPOINTS, METRICS, MODEL, RECIPE, model_folder
from ..settings import config as recipes
from ..settings.config import ModelConfig, Recipe, Settings
from .checkpointing import DurableCheckpointIO, NewestCheckpoints, latest_good
from .launch import SayWhere, answering_signals, progress_bar, say, trainer

Task = TypeVar("Task", bound=L.LightningModule)
Data = TypeVar("Data", bound=L.LightningDataModule)


@dataclass
class Training(Generic[Task, Data]):
    """What a recipe names, made: all but the trainer.

    Attributes:
        task: that is trained.
        data: that it sees.
        validates: whether there is something to validate on.
        monitor: what validation chooses the weights by, the highest.
    """

    task: Task
    data: Data
    validates: bool
    monitor: str = "val/f1"

    def scores(self, runner: L.Trainer, *, tests: bool = False) -> dict[str, float]:
        """What the task scores as it is: on validation where there is some, and on test if `tests` says so."""
        found = runner.validate(self.task, datamodule=self.data, verbose=False) if self.validates else []
        found += runner.test(self.task, datamodule=self.data, verbose=False) if tests else []
        return {name: value for figures in found for name, value in figures.items()}


def run(
    recipe: Recipe,
    build: Callable[[Any], Training[Task, Data]],
    finish: Callable[[L.Trainer, Training[Task, Data]], None],
    *,
    resume: bool,
    force: bool,
) -> Path:
    """Run a recipe in its folder: fit what `build` makes of it, and `finish` that with its best weights.

    A recipe without an epoch is finished as it is.  Arguments, the run's folder and errors as `recipes.train.train`.
    """
    folder = recipe.folder
    if resume and has_ended(recipe):
        return folder
    start = latest_good(folder / CHECKPOINTS) if resume else None
    L.seed_everything(recipe.seed, verbose=False)
    training = build(recipe)
    best, callbacks = watch(recipe, validates=training.validates, monitor=training.monitor)
    settings = recipe.trainer if training.validates else dataclasses.replace(recipe.trainer, limit_val_batches=0)
    runner = trainer(
        settings,
        default_root_dir=folder,
        callbacks=callbacks,
        logger=[CSVLogger(folder, name="", version=""), TensorBoardLogger(folder, name="tensorboard", version="")],
        plugins=[DurableCheckpointIO()],
    )
    if runner.is_global_zero:
        prepare(folder, recipe, resume=resume, force=force)
    runner.strategy.barrier("the folder of the run")
    with answering_signals(told=True):
        if recipe.trainer.max_epochs:
            runner.fit(training.task, datamodule=training.data, ckpt_path=start, weights_only=True)
        if best.best_model_path:  # a run of a few steps has none
            kept = DurableCheckpointIO().load_checkpoint(best.best_model_path)
            training.task.load_state_dict(kept["state_dict"])
            if training.validates:
                say(f"the weights of epoch {kept['epoch'] + 1} are the best on validation")
        finish(runner, training)
        runner.strategy.barrier("the model's folder")
    return folder


def save(runner: L.Trainer, model: Pretrained, metrics: dict[str, float], *, then: str) -> None:
    """Save the model of a run as a checkpoint folder, and draw its curves; say so, and what comes `then`."""
    if not runner.is_global_zero:
        return
    folder = Path(runner.default_root_dir)
    if (folder / METRICS).is_file():  # a run may be shorter than one logging interval
        training_figure(folder / METRICS, folder / "training.png")
    say(f"saved {model.save_pretrained(folder / MODEL, metrics=metrics)}: {then}")


def chosen_model(chosen: ModelConfig) -> Pretrained:
    """The model that a recipe starts from: a new one of a registry name, or that of a run, a folder or a hub id.

    Raises FileNotFoundError and ValueError where it cannot be had.
    """
    name, arguments = chosen.name, chosen.arguments
    if name not in {row.name for row in zoo.list_models()}:
        return zoo.load(source_of(name), **arguments)
    for row in zoo.list_weights(name):
        say(f"{name} starts from random weights here; published ones: {row.source}: {row.how}")
    return zoo.create(name, **arguments)


def source_of(name: str) -> str | Path:
    """A hub id as it is; of a run's folder, the model in it."""
    return name if name.startswith("hf://") else model_folder(name)


def prepare(folder: Path, recipe: Recipe, *, resume: bool, force: bool) -> None:
    """Make the run's folder and note the recipe in it; never write over another run unasked."""
    if (folder / RECIPE).exists() and force:
        shutil.rmtree(folder)
    if (folder / RECIPE).exists() and not resume:
        raise ValueError(
            f"{folder} holds a run: --resume goes on with it, --force replaces it, name=OTHER starts another"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / RECIPE, recipes.dump(recipe).encode())


def watch(recipe: Recipe, *, validates: bool, monitor: str = "val/f1") -> tuple[ModelCheckpoint, list[Callback]]:
    """The callback that keeps the best model (the newest where nothing is validated), and all callbacks."""
    folder = recipe.folder / CHECKPOINTS
    # two of them: if the newest is damaged, the run goes on from the one before
    newest = NewestCheckpoints(
        folder,
        "{step:08d}",
        monitor="step",
        mode="max",
        save_top_k=2,
        every_n_train_steps=recipe.save_every_n_steps,
        every_n_epochs=None if recipe.save_every_n_steps else 1,
        save_on_train_epoch_end=True,
    )
    callbacks = [newest, LearningRateMonitor("step"), SayWhere(folder), *progress_bar()]
    best: ModelCheckpoint = newest
    if validates:
        best = ModelCheckpoint(folder, "best", monitor=monitor, mode="max", enable_version_counter=False)
        callbacks.append(best)
    return best, callbacks


def has_ended(recipe: Recipe) -> bool:
    """Whether the run that is to be resumed is trained already, which is said.

    Raises:
        FileNotFoundError: there is no such run.
        ValueError: it has ended with other settings.
    """
    known_run(recipe)
    if not (recipe.folder / MODEL).is_dir():
        return False
    refuse_changes(recipe.folder, recipe)
    say(f"{recipe.folder} is trained already (--force trains it anew)")
    return True


def known_run(recipe: Settings) -> None:
    """Raises FileNotFoundError, with the nearest name, where there is no such run to go on with."""
    if (recipe.folder / RECIPE).is_file():
        return
    runs = sorted(path.parent.name for path in Path(recipe.root).glob(f"*/{RECIPE}"))
    near = did_you_mean(recipe.name, runs)
    raise FileNotFoundError(
        f"no run {recipe.folder} to go on with{near}; there are: {', '.join(runs) or 'none'}. "
        "Leave --resume out to start it"
    )


def changes(folder: Path, recipe: Settings) -> list[str]:
    """Which settings of a run are others than the recipe's: ``key was a and is b``."""
    before, now = _settings(recipes.load(str(folder / RECIPE))), _settings(recipe)
    return [
        f"{key} was {before.get(key)} and is {now.get(key)}"
        for key in {**now, **before}
        if before.get(key) != now.get(key)
    ]


def _settings(recipe: Settings) -> dict[str, Any]:
    """Every setting by its dotted key, those of free-form parts too."""

    def spread(key: str, value: Any) -> Iterator[tuple[str, Any]]:
        if isinstance(value, dict) and value:
            for name, inner in value.items():
                yield from spread(f"{key}.{name}", inner)
        else:
            yield key, value

    return {name: value for key, whole in recipes.flat(recipe) for name, value in spread(key, whole)}


def refuse_changes(folder: Path, recipe: Recipe) -> None:
    """Raises ValueError, naming what, where a run that has ended was made with other settings."""
    if changed := changes(folder, recipe):
        raise ValueError(
            f"{folder} has ended, with other settings: {'; '.join(changed)}. To train it further, start another run "
            f"from it: name=OTHER model.name={folder}"
        )

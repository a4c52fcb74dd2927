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
from ..runs import CHECKPOINTS, METRICS, MODEL, RECIPE, source_of
from ..settings import config as recipes
from ..settings.config import ModelConfig, Recipe, Settings
from .checkpointing import DurableCheckpointIO, NewestCheckpoints, damage, latest_good
from .launch import ReportInterruption, is_rank_zero, progress_bar, say, signal_exit_codes, trainer

#: settings with which a run may go on changed: no checkpoint holds them.  The schedule is that of the new length
MAY_CHANGE = (
    "trainer.max_epochs",
    "trainer.max_steps",
    "trainer.check_val_every_n_epoch",
    "trainer.log_every_n_steps",
    "save_every_n_steps",
)
#: settings that say where a run runs and lies, and change nothing of its outcome
_WHERE = ("root", "trainer.accelerator", "trainer.devices", "trainer.num_nodes", "data.workers")

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
    if not (resume or force) and is_rank_zero():  # the others begin later, when the first has made the folder
        refuse_run(folder)
    if resume and has_ended(recipe):
        return folder
    start = latest_good(folder / CHECKPOINTS, say=say) if resume else None
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
        prepare(folder, recipe, force=force)
    runner.strategy.barrier("the folder of the run")
    with signal_exit_codes(reported=True):
        if recipe.trainer.max_epochs:
            runner.fit(training.task, datamodule=training.data, ckpt_path=start, weights_only=True)
        if best.best_model_path:  # a run of a few steps has none
            load_best(training, Path(best.best_model_path))
        finish(runner, training)
        runner.strategy.barrier("the model's folder")
    return folder


def load_best(training: Training[Task, Data], path: Path) -> None:
    """Give the task the weights of the checkpoint at `path`, or of the newest that is whole, which is said.

    Raises ValueError where none is.
    """
    fault = damage(path)
    whole = latest_good(path.parent, say=say) if fault else path
    if whole is None:
        raise ValueError(f"checkpoint {path} {fault}, and no other of the run is whole: --force begins it anew")
    kept = DurableCheckpointIO().load_checkpoint(whole)
    training.task.load_state_dict(kept["state_dict"])
    if fault:
        say(f"checkpoint {path} {fault}: the newest weights, of step {kept['global_step']}, are kept instead")
    elif training.validates:
        say(f"the weights of epoch {kept['epoch'] + 1} are the best on validation")


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


def refuse_run(folder: Path) -> None:
    """Raises ValueError where a folder holds a run."""
    if (folder / RECIPE).exists():
        raise ValueError(
            f"{folder} holds a run: --resume goes on with it, --force replaces it, name=OTHER starts another"
        )


def prepare(folder: Path, recipe: Settings, *, force: bool) -> None:
    """Make the run's folder, anew with `force`, and note the recipe in it."""
    if (folder / RECIPE).exists() and force:
        shutil.rmtree(folder)
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
        enable_version_counter=False,  # one that is damaged is written over
    )
    callbacks = [newest, LearningRateMonitor("step"), ReportInterruption(folder), *progress_bar()]
    if not validates:
        return newest, callbacks
    best = ModelCheckpoint(folder, "best", monitor=monitor, mode="max", enable_version_counter=False)
    return best, [best, *callbacks]  # before the newest, which notes what is the best so far


def has_ended(recipe: Recipe) -> bool:
    """Whether the run that is to be resumed is trained already, which is said.

    Raises:
        FileNotFoundError: there is no such run.
        ValueError: as `refuse_changes`.
    """
    known_run(recipe)
    refuse_changes(recipe)
    if not (recipe.folder / MODEL).is_dir():
        return False
    say(f"{recipe.folder} is trained already (--force trains it anew)")
    return True


def refuse_changes(recipe: Recipe) -> None:
    """Refuse to resume a run with other settings; those that may change before its end are said.

    Raises:
        ValueError: naming what has changed.
    """
    folder, changed = recipe.folder, changes(recipe.folder, recipe)
    if changed and (folder / MODEL).is_dir():
        raise ValueError(
            f"{folder} has ended, with other settings: {'; '.join(changed.values())}. To train it further, start "
            f"another run from it: name=OTHER model.name={folder}"
        )
    if fixed := [words for key, words in changed.items() if key not in MAY_CHANGE]:
        raise ValueError(
            f"{folder} was begun with other settings: {'; '.join(fixed)}. Take them back, or start another run: "
            f"name=OTHER; what may change in a run is {', '.join(MAY_CHANGE)}, and where it runs"
        )
    if changed:
        say(f"{folder} goes on with other settings: {'; '.join(changed.values())}")


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


def changes(folder: Path, recipe: Settings) -> dict[str, str]:
    """Which settings of a run are others than the recipe's: key -> ``key was a and is b``; not where it runs."""
    before, now = _settings(recipes.load(str(folder / RECIPE))), _settings(recipe)
    return {
        key: f"{key} was {before.get(key)} and is {now.get(key)}"
        for key in {**now, **before}
        if key not in _WHERE and before.get(key) != now.get(key)
    }


def _settings(recipe: Settings) -> dict[str, Any]:
    """Every setting by its dotted key, those of free-form parts too."""

    def spread(key: str, value: Any) -> Iterator[tuple[str, Any]]:
        if isinstance(value, dict) and value:
            for name, inner in value.items():
                yield from spread(f"{key}.{name}", inner)
        else:
            yield key, value

    return {name: value for key, whole in recipes.flat(recipe) for name, value in spread(key, whole)}

"""`weaksync train`: a recipe to a run: checkpoints, metrics, and a model folder that `zoo.load` takes."""

from __future__ import annotations

import dataclasses
import importlib
import shutil
from collections.abc import Callable, Iterator
from math import isnan
from pathlib import Path
from statistics import fmean
from typing import Any

import click
import lightning as L
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from .. import zoo
from ..datamodules.story import StoryDataModule
from ..zoo.models.dual_encoder import DualEncoder
from ..zoo.registry import did_you_mean, model_class
from ..zoo.story import StoryAlignment
from ..zoo.tuning import cross_validated
from . import config as recipes
from . import preflight
from .checkpointing import DurableCheckpointIO, NewestCheckpoints, latest_good, replace
from .clips import Pictures
from .config import Recipe, Settings, StoryRecipe
from .launch import SayWhere, answering_sigterm, goes_on, leads, progress_bar, say, trainer
from .report.training import training_figure
from .runs import CHECKPOINTS, METRICS, MODEL, RECIPE, model_folder
from .texts import own_translations


def train(recipe: StoryRecipe, *, resume: bool = False, force: bool = False) -> Path:
    """Run a recipe.

    Args:
        recipe: of `config.load`.
        resume: go on from the newest good checkpoint of the run; a run that has ended is left as it is.
        force: replace a run of that name.

    Returns:
        The run's folder, with ``recipe.yaml``, ``checkpoints/``, ``metrics.csv``, ``training.png``, ``tensorboard/``
        and ``model/``.

    Raises:
        FileNotFoundError: there is no run to resume.
        ValueError: a run of that name is there, and neither `resume` nor `force` is set; or the recipe, the shards
            and the model do not fit each other.
    """
    folder = recipe.folder
    if resume and has_ended(recipe):
        return folder
    preflight.check(recipe)
    start = latest_good(folder / CHECKPOINTS) if resume else None
    L.seed_everything(recipe.seed, verbose=False)
    model = build_model(recipe)
    data = build_data(recipe, model)
    preflight.check_words(model.tokenize, data)
    model.languages = sorted({*model.languages, *data.text_languages})
    if note := changed_texts(recipe, model, data):
        say(note)
    model.translated = translations_of(data)
    stored = Pictures.of_settings(data.manifest.settings)
    model.pictures = dataclasses.asdict(stored) if stored else None  # so that `align` makes them alike
    task = StoryAlignment(model, optim=recipe.optim, **vars(recipe.loss))
    # whole videos are read by offset: a set in an object store has no validation, nor one that nobody annotated
    local = "val" in data.manifest.counts and Path(recipe.data.shards).is_dir()
    validates = local and any(video.annotated for video in data.records("val"))
    carry_out(recipe, task, data, finish, validates=validates, start=start, resume=resume, force=force)
    return folder


def carry_out(
    recipe: Recipe,
    task: L.LightningModule,
    data: L.LightningDataModule,
    finish: Callable[..., None],
    *,
    validates: bool,
    start: Path | None,
    resume: bool,
    force: bool,
    monitor: str = "val/f1",
) -> None:
    """Fit a task in the folder of its run, from the checkpoint `start` if there is one, and `finish` it.

    A recipe without an epoch is finished as it is.
    The weights that `finish` gets are those for which validation logged the highest `monitor`.
    """
    folder = recipe.folder
    best, callbacks = watch(recipe, validates=validates, monitor=monitor)
    settings = recipe.trainer if validates else dataclasses.replace(recipe.trainer, limit_val_batches=0)
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
    with answering_sigterm():
        if recipe.trainer.max_epochs:
            runner.fit(task, datamodule=data, ckpt_path=start, weights_only=True)
        finish(runner, task, data, best.best_model_path, validates=validates)


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
    before, now = _settings(recipes.load_any(str(folder / RECIPE))), _settings(recipe)
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


def build_model(recipe: StoryRecipe) -> DualEncoder:
    """The recipe's model.  Raises ValueError where it cannot be had."""
    name, arguments = recipe.model.name, recipe.model.arguments
    if name not in {row.name for row in zoo.list_models()}:
        return DualEncoder.from_pretrained(_source(name), **arguments)
    if not issubclass(model_class(name), DualEncoder):
        raise ValueError(
            f"{name} does not align stories by encoding clips and sentences; `weaksync ls models` lists what does, "
            "and story/neumatch is the recipe of models that learn from features"
        )
    for row in zoo.list_weights(name):
        say(f"{name} starts from random weights here; published ones: {row.source}: {row.how}")
    model: DualEncoder = zoo.create(name, **arguments)  # type: ignore[assignment]
    model.languages = []  # it knows those that it is trained on
    return model


def _source(name: str) -> str | Path:
    """A hub id as it is; of a run's folder, the model in it."""
    return name if name.startswith("hf://") else model_folder(name)


def build_data(recipe: StoryRecipe, model: DualEncoder) -> StoryDataModule:
    """The recipe's shards, read as the model wants them."""
    data = recipe.data
    return StoryDataModule(
        data.shards,
        model.preprocess,
        model.tokenize,
        languages=data.languages,
        translations=data.translations,
        alignments=data.alignments,
        grouping=data.grouping,
        pairs=data.pairs,
        mode=data.mode,
        global_batch=data.global_batch,
        group_size=data.group_size,
        steps_per_epoch=data.steps_per_epoch,
        workers=data.workers,
        max_bad=data.max_bad,
        seed=recipe.seed,
    )


def translations_of(data: StoryDataModule) -> dict[str, Any] | None:
    """What a model is to remember of the translations that it is trained on, for its card and for `align`."""
    made = data.translation_set
    if made is None or made.manifest.origin is None:
        return None
    (to,) = data.text_languages
    sources = [code for code in data.languages or made.manifest.languages if code != to]
    return {"to": to, "from": sources, "by": made.manifest.origin.producer}


def changed_texts(recipe: StoryRecipe, model: DualEncoder, data: StoryDataModule) -> str:
    """What to say where the start model read translations and the run does not; empty where nothing changes."""
    if model.translated is None or data.translations is not None or data.text_languages == [model.translated["to"]]:
        return ""
    name, to = recipe.model.name, model.translated["to"]
    return (
        f"{name} read translations to {to}; {recipe.name} trains it on the texts as they were told, which is what "
        f"two_stage wants: data.translations={own_translations(name) or 'FOLDER'} keeps it on translations"
    )


def prepare(folder: Path, recipe: Recipe, *, resume: bool, force: bool) -> None:
    """Make the run's folder and note the recipe in it; never write over another run unasked."""
    if (folder / RECIPE).exists() and force:
        shutil.rmtree(folder)
    if (folder / RECIPE).exists() and not resume:
        raise ValueError(
            f"{folder} holds a run: --resume goes on with it, --force replaces it, name=OTHER starts another"
        )
    folder.mkdir(parents=True, exist_ok=True)
    replace(folder / RECIPE, recipes.dump(recipe).encode())


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


def finish(runner: L.Trainer, task: StoryAlignment, data: StoryDataModule, best: str, *, validates: bool) -> None:
    """Tune the decoder of the best weights, and save them as a checkpoint folder.

    The decoder is tuned on validation; where that holds nothing annotated, by cross-validation over the annotated
    training videos, of which there must be two.
    """
    if best:  # a run of a few steps has none
        task.load_state_dict(DurableCheckpointIO().load_checkpoint(best)["state_dict"])
    found = runner.validate(task, datamodule=data, verbose=False) if validates else []
    metrics = dict(found[0]) if found else {}
    if not any(video.annotated for video in task.videos):
        metrics |= tune_on_training(runner, task, data)
    if runner.is_global_zero:
        draw(Path(runner.default_root_dir))
        folder = task.model.save_pretrained(Path(runner.default_root_dir) / MODEL, metrics=metrics)
        say(f"saved {folder}: weaksync eval {folder.parent}, or weaksync align --model {folder.parent} VIDEO TEXT")
    runner.strategy.barrier("the model's folder")


def tune_on_training(runner: L.Trainer, task: StoryAlignment, data: StoryDataModule) -> dict[str, float]:
    """Choose drop costs by cross-validation over annotated training videos; the figures of the held-out folds.

    The model has seen these videos, though not what people said of them.  With fewer than two there is nothing to
    choose by: the decoder stays as it was.
    """
    if not Path(data.folder).is_dir():
        return {}
    count = sum(video.annotated for video in data.shards.videos("train", data.languages))
    if count < 2:
        say("no annotated videos to choose drop costs by: a stated default will decode")
        return {}
    runner.test(task, dataloaders=data.videos("train", annotated=True), verbose=False)
    chosen = cross_validated(task.videos)
    task.model.decoder = chosen.decoder.to_dict()
    f1 = fmean(scores[2] for scores in chosen.scores.values() if not isnan(scores[2]))
    say(f"no annotated validation videos: drop costs chosen by cross-validation over {count} of training, F1 {f1:.3f}")
    return {"train/cross_validated_f1": f1}


def draw(folder: Path) -> None:
    """The training curves, unless the run was shorter than one logging interval."""
    if (folder / METRICS).is_file():
        training_figure(folder / METRICS, folder / "training.png")


@click.command()
@click.argument("recipe")
@click.argument("overrides", nargs=-1)
@click.option("--resume", is_flag=True, help="Go on from the newest good checkpoint; a run that has ended stays.")
@click.option("--force", is_flag=True, help="Replace a run of that name.")
@click.option("--each-language", is_flag=True, help="A run for each language, NAME-LANGUAGE; prints what they score.")
def command(recipe: str, overrides: tuple[str, ...], resume: bool, force: bool, each_language: bool) -> None:
    """Train RECIPE (a name of `weaksync ls` or a YAML file), with OVERRIDES such as optim.lr=1e-4."""
    if resume and force:
        raise click.UsageError("--resume and --force exclude each other")
    read = recipes.load_any(recipe, list(overrides))
    if not isinstance(read, StoryRecipe):
        if each_language:
            raise click.UsageError(f"--each-language is for dual encoders; data.languages chooses those of {recipe}")
        task = recipes.TASKS[str(read.task)]
        importlib.import_module(f".{task.trains}", __package__).train(read, resume=resume, force=force)
        return
    if not each_language:
        train(read, resume=resume, force=force)
        return
    from .strategies import show, train_each  # they train through this file

    with goes_on("the same command with --resume"):
        scores = train_each(read, resume=resume, force=force)
    if leads():
        show(read, scores)

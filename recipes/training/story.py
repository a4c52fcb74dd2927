"""Training dual encoders on stories: a recipe of story alignment to a run."""

from __future__ import annotations

import dataclasses
from math import isnan
from pathlib import Path
from statistics import fmean
from typing import Any

import lightning as L

from ... import zoo
from ...datamodules.story import StoryDataModule
from ...zoo.models.dual_encoder import DualEncoder
from ...zoo.registry import model_class
from ...zoo.story import StoryAlignment
from ...zoo.tuning import cross_validate
from ..building.story_clips import Pictures
from ..runs import source_of
from ..settings.story import StoryRecipe
from ..texts import own_translations
from . import preflight
from .launch import say
from .run import Training, run, save


def train(recipe: StoryRecipe, *, resume: bool = False, force: bool = False) -> Path:
    """Run a recipe; arguments, the run's folder and errors as `recipes.train.train`."""
    return run(recipe, build, finish, resume=resume, force=force)


def build(recipe: StoryRecipe) -> Training[StoryAlignment, StoryDataModule]:
    """What a recipe names.  Raises FileNotFoundError and ValueError where it is absent, or does not fit together."""
    preflight.check(recipe)
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
    return Training(task, data, validates)


def build_model(recipe: StoryRecipe) -> DualEncoder:
    """The recipe's model.  Raises ValueError where it cannot be had."""
    name, arguments = recipe.model.name, recipe.model.arguments
    if name not in {row.name for row in zoo.list_models()}:
        return DualEncoder.from_pretrained(source_of(name), **arguments)
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


def finish(runner: L.Trainer, training: Training[StoryAlignment, StoryDataModule]) -> None:
    """Tune the decoder of the best weights, and save them as a checkpoint folder.

    The decoder is tuned on validation; where that holds nothing annotated, by cross-validation over the annotated
    training videos, of which there must be two.
    """
    task, metrics = training.task, training.scores(runner)
    if not any(video.annotated for video in task.videos):
        metrics |= tune_on_training(runner, task, training.data)
    folder = runner.default_root_dir
    save(runner, task.model, metrics, then=f"weaksync eval {folder}, or weaksync align --model {folder} VIDEO TEXT")


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
    chosen = cross_validate(task.videos)
    task.model.decoder = chosen.decoder.to_dict()
    f1 = fmean(scores[2] for scores in chosen.scores.values() if not isnan(scores[2]))
    say(f"no annotated validation videos: drop costs chosen by cross-validation over {count} of training, F1 {f1:.3f}")
    return {"train/cross_validated_f1": f1}

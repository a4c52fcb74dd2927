"""Training on face tracks whose speech is known: a recipe to a run, as `train` does for dual encoders."""

from __future__ import annotations

from pathlib import Path

import lightning as L

from ...datamodules.face_tracks import SpeakingDataModule
from ...zoo.active_speaker import ActiveSpeakerDetection
from ...zoo.models.speaking import Speaking
from ..settings.speaking import SpeakingRecipe
from .launch import say
from .run import Training, chosen_model, run, save

#: what validation chooses the weights by
MONITOR = "val/auc"


def train(recipe: SpeakingRecipe, *, resume: bool = False, force: bool = False) -> Path:
    """Run a recipe; arguments, the run's folder and errors as `recipes.train.train`.

    Raises:
        ValueError: also where the model does not tell who speaks.
    """
    return run(recipe, build, finish, resume=resume, force=force)


def build(recipe: SpeakingRecipe) -> Training[ActiveSpeakerDetection, SpeakingDataModule]:
    """What a recipe names.  Raises FileNotFoundError and ValueError where it is absent, or does not fit together."""
    model = build_model(recipe)
    data = build_data(recipe, model)
    task = ActiveSpeakerDetection(model, **vars(recipe.optim))
    return Training(task, data, "val" in data.clips.splits, MONITOR)


def build_model(recipe: SpeakingRecipe) -> Speaking:
    """The recipe's model.  Raises ValueError where it cannot be had, or does something else."""
    model = chosen_model(recipe.model)
    if not isinstance(model, Speaking):
        raise ValueError(f"{recipe.model.name} is a {type(model).__name__}; speaking-tiny tells who speaks")
    return model


def build_data(recipe: SpeakingRecipe, model: Speaking) -> SpeakingDataModule:
    """The recipe's tracks, their faces as the model sees them."""
    return SpeakingDataModule(
        recipe.data.tracks,
        model.preprocess,
        global_batch=recipe.data.global_batch,
        frames=recipe.data.frames,
        workers=recipe.data.workers,
        seed=recipe.seed,
    )


def finish(runner: L.Trainer, training: Training[ActiveSpeakerDetection, SpeakingDataModule]) -> None:
    """Score the best weights on validation and on test, and save them as a checkpoint folder."""
    found = training.scores(runner, tests="test" in training.data.clips.splits)
    for split in ("val", "test"):
        if f"{split}/auc" in found:
            auc, ap, plain_auc, plain_ap = (
                f"{found[f'{split}/{name}']:.3f}" for name in ("auc", "ap", "baseline_auc", "baseline_ap")
            )
            say(f"{split}: AUC {auc}, average precision {ap}; lips times voice: {plain_auc}, {plain_ap}")
    then = f"weaksync data build subtitles --speaking {runner.default_root_dir} ..."
    save(runner, training.task.model, found, then=then)

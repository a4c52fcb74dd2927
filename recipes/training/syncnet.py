"""The pre-training of SyncNet on face tubes with their own sound: a recipe to a run, as `train` does."""

from __future__ import annotations

from pathlib import Path

import lightning as L

from ...datamodules.tubes import TubeDataModule
from ...zoo.lipsync import LipSync
from ...zoo.models.syncnet import SyncNet
from ..settings.config import ModelConfig
from ..settings.syncnet import SyncNetRecipe
from .launch import say
from .run import Training, chosen_model, run, save

#: what validation chooses the weights by
MONITOR = "val/content_accuracy"


def train(recipe: SyncNetRecipe, *, resume: bool = False, force: bool = False) -> Path:
    """Run a recipe; arguments, the run's folder and errors as `recipes.train.train`.

    Raises:
        ValueError: also where the model is no SyncNet, or takes another frame rate than tubes have.
    """
    return run(recipe, build, finish, resume=resume, force=force)


def build(recipe: SyncNetRecipe) -> Training[LipSync, TubeDataModule]:
    """What a recipe names.  Raises FileNotFoundError and ValueError where it is absent, or does not fit together."""
    model = build_model(recipe.model)
    data = build_data(recipe, model)
    task = LipSync(
        model,
        content_weight=recipe.loss.content_weight,
        identity_weight=recipe.loss.identity_weight,
        **vars(recipe.optim),
        window=recipe.data.frames,
        seed=recipe.seed,
    )
    return Training(task, data, "val" in data.clips.splits, MONITOR)


def build_model(chosen: ModelConfig) -> SyncNet:
    """The model of a recipe.  Raises ValueError where it cannot be had, or is no SyncNet."""
    model = chosen_model(chosen)
    if not isinstance(model, SyncNet):
        raise ValueError(
            f"{chosen.name} is a {type(model).__name__}; syncnet and syncnet-tiny train on tubes with sound"
        )
    return model


def build_data(recipe: SyncNetRecipe, model: SyncNet) -> TubeDataModule:
    """The recipe's clips, their faces as the model sees them."""
    data = recipe.data
    return TubeDataModule(
        data.clips,
        model.preprocess,
        global_batch=data.global_batch,
        frames=data.frames,
        domain=data.domain,
        languages=data.languages,
        workers=data.workers,
        seed=recipe.seed,
    )


def finish(runner: L.Trainer, training: Training[LipSync, TubeDataModule]) -> None:
    """Score the best weights on validation and on test, and save them as a checkpoint folder."""
    clips = training.data.clips
    found = training.scores(runner, tests="test" in clips.splits)
    for split in ("val", "test"):
        if f"{split}/in_sync" in found:
            accuracy, chance, in_sync = (found[f"{split}/{name}"] for name in ("content_accuracy", "chance", "in_sync"))
            say(
                f"{split}: lips find their speech {accuracy:.1%} of the time (chance {chance:.1%}), and {in_sync:.0%} "
                "of the clips are found to be in sync"
            )
    then = f"weaksync data features {clips.folder} --stream lips --model {runner.default_root_dir} --out features/lips"
    save(runner, training.task.model, found, then=then)

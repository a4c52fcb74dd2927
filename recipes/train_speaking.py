"""Training on face tracks whose speech is known: a recipe to a run, as `train` does for dual encoders."""

from __future__ import annotations

from pathlib import Path

import lightning as L

from .. import zoo
from ..datamodules.face_tracks import SpeakingDataModule
from ..zoo.models.speaking import Speaking
from ..zoo.whospeaks import WhoSpeaks
from .checkpointing import DurableCheckpointIO, latest_good
from .launch import say
from .runs import CHECKPOINTS, MODEL, model_folder
from .speaking_config import SpeakingRecipe
from .train import carry_out, draw, has_ended

#: what validation chooses the weights by
MONITOR = "val/auc"


def train(recipe: SpeakingRecipe, *, resume: bool = False, force: bool = False) -> Path:
    """Run a recipe; arguments, the run's folder and errors as `recipes.train.train`.

    Raises:
        ValueError: also where the model does not tell who speaks.
    """
    folder = recipe.folder
    if resume and has_ended(recipe):
        return folder
    start = latest_good(folder / CHECKPOINTS) if resume else None
    L.seed_everything(recipe.seed, verbose=False)
    model = build_model(recipe)
    data = build_data(recipe, model)
    task = WhoSpeaks(model, **vars(recipe.optim))
    validates = "val" in data.clips.splits
    carry_out(recipe, task, data, finish, validates=validates, start=start, resume=resume, force=force, monitor=MONITOR)
    return folder


def build_model(recipe: SpeakingRecipe) -> Speaking:
    """The recipe's model.  Raises ValueError where it cannot be had, or does something else."""
    name, arguments = recipe.model.name, recipe.model.arguments
    if name in {row.name for row in zoo.list_models()}:
        model = zoo.create(name, **arguments)
    else:
        model = zoo.load(name if name.startswith("hf://") else model_folder(name), **arguments)
    if not isinstance(model, Speaking):
        raise ValueError(f"{name} is a {type(model).__name__}; speaking-tiny tells who speaks")
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


def finish(runner: L.Trainer, task: WhoSpeaks, data: SpeakingDataModule, best: str, *, validates: bool) -> None:
    """Score the best weights on validation and on test, and save them as a checkpoint folder."""
    if best:  # a run of a few steps has none
        task.load_state_dict(DurableCheckpointIO().load_checkpoint(best)["state_dict"])
    found = dict(runner.validate(task, datamodule=data, verbose=False)[0]) if validates else {}
    if "test" in data.clips.splits:
        found |= runner.test(task, datamodule=data, verbose=False)[0]
    if runner.is_global_zero:
        draw(Path(runner.default_root_dir))
        folder = task.model.save_pretrained(Path(runner.default_root_dir) / MODEL, metrics=found)
        for split in ("val", "test"):
            if f"{split}/auc" in found:
                auc, ap, plain_auc, plain_ap = (
                    f"{found[f'{split}/{name}']:.3f}" for name in ("auc", "ap", "baseline_auc", "baseline_ap")
                )
                say(f"{split}: AUC {auc}, average precision {ap}; lips times voice: {plain_auc}, {plain_ap}")
        say(f"saved {folder}: weaksync data build subtitles --speaking {folder.parent} ...")
    runner.strategy.barrier("the model's folder")

"""The pre-training of SyncNet on face tubes with their own sound: a recipe to a run, as `train` does."""

from __future__ import annotations

from pathlib import Path

import lightning as L

from .. import zoo
from ..datamodules.tubes import TubeDataModule
from ..zoo.lipsync import LipSync
from ..zoo.models.syncnet import SyncNet
from .checkpointing import DurableCheckpointIO, latest_good
from .config import ModelConfig
from .launch import say
from .runs import CHECKPOINTS, MODEL, model_folder
from .syncnet_config import SyncNetRecipe
from .train import carry_out, draw, has_ended

#: what validation chooses the weights by
MONITOR = "val/content_accuracy"


def train(recipe: SyncNetRecipe, *, resume: bool = False, force: bool = False) -> Path:
    """Run a recipe; arguments, the run's folder and errors as `recipes.train.train`.

    Raises:
        ValueError: also where the model is no SyncNet, or takes another frame rate than tubes have.
    """
    folder = recipe.folder
    if resume and has_ended(recipe):
        return folder
    start = latest_good(folder / CHECKPOINTS) if resume else None
    L.seed_everything(recipe.seed, verbose=False)
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
    validates = "val" in data.clips.splits
    carry_out(recipe, task, data, finish, validates=validates, start=start, resume=resume, force=force, monitor=MONITOR)
    return folder


def build_model(chosen: ModelConfig) -> SyncNet:
    """The model of a recipe.  Raises ValueError where it cannot be had, or is no SyncNet."""
    name, arguments = chosen.name, chosen.arguments
    if name in {row.name for row in zoo.list_models()}:
        for row in zoo.list_weights(name):
            say(f"{name} starts from random weights here; published ones: {row.source}: {row.how}")
        model = zoo.create(name, **arguments)
    else:
        model = zoo.load(name if name.startswith("hf://") else model_folder(name), **arguments)
    if not isinstance(model, SyncNet):
        raise ValueError(f"{name} is a {type(model).__name__}; syncnet and syncnet-tiny train on tubes with sound")
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


def finish(runner: L.Trainer, task: LipSync, data: TubeDataModule, best: str, *, validates: bool) -> None:
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
            if f"{split}/in_sync" in found:
                accuracy, chance, in_sync = (
                    found[f"{split}/{name}"] for name in ("content_accuracy", "chance", "in_sync")
                )
                say(
                    f"{split}: lips find their speech {accuracy:.1%} of the time (chance {chance:.1%}), and "
                    f"{in_sync:.0%} of the clips are found to be in sync"
                )
        say(
            f"saved {folder}: weaksync data features {data.clips.folder} --stream lips --model {folder.parent} "
            "--out features/lips"
        )
    runner.strategy.barrier("the model's folder")

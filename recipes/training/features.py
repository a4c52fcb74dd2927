"""Training on cached features: a recipe of NeuMATCH to a run, as `train` does for dual encoders."""

from __future__ import annotations

from pathlib import Path

import lightning as L

from ... import zoo
from ...datamodules.features import FeatureDataModule
from ...zoo.inputs import FeatureInput
from ...zoo.models.neumatch import NeuMATCH
from ...zoo.neumatch import AS_LABELLED, ActionAlignment
from ..runs import source_of
from ..settings.features import FeatureRecipe
from .run import Training, run, save


def train(recipe: FeatureRecipe, *, resume: bool = False, force: bool = False) -> Path:
    """Run a recipe; arguments, the run's folder and errors as `recipes.train.train`.

    Raises:
        ValueError: also where the features are of other shards, or of another width or producer than the model's.
    """
    return run(recipe, build, finish, resume=resume, force=force)


def build(recipe: FeatureRecipe) -> Training[ActionAlignment, FeatureDataModule]:
    """What a recipe names.  Raises FileNotFoundError and ValueError where it is absent, or does not fit together."""
    data = build_data(recipe)
    model = build_model(recipe, data)
    return Training(ActionAlignment(model, **vars(recipe.optim)), data, "val" in data.shards.splits)


def build_data(recipe: FeatureRecipe) -> FeatureDataModule:
    """The recipe's shards and features."""
    data = recipe.data
    return FeatureDataModule(
        data.shards,
        data.features,
        global_batch=data.global_batch,
        window=data.window,
        pairs=data.pairs,
        languages=data.languages,
        seed=recipe.seed,
    )


def build_model(recipe: FeatureRecipe, data: FeatureDataModule) -> NeuMATCH:
    """The recipe's model, as wide as the features.  Raises ValueError where it cannot be had, or does not fit them."""
    name, arguments = recipe.model.name, recipe.model.arguments
    rows = {row.name: row.model for row in zoo.list_models()}
    if name in rows and rows[name] == NeuMATCH.__name__:
        video, text = data.widths()
        model = zoo.create(name, **{"video_dim": video, "text_dim": text, **arguments})
    elif name in rows:
        raise ValueError(f"{name} trains on pictures, not on features; `weaksync ls models` lists what does: neumatch")
    else:
        model = zoo.load(source_of(name), **arguments)
    if not isinstance(model, NeuMATCH):
        raise ValueError(f"{name} is a {type(model).__name__}, which does not train on features")
    check_features(model, data)
    model.preprocess = FeatureInput(*data.widths(), producers=dict.fromkeys(("video", "text"), data.producer))
    model.languages = sorted({*model.languages, *(data.languages or data.shards.manifest.languages)})
    model.decoder = AS_LABELLED.to_dict()
    return model


def check_features(model: NeuMATCH, data: FeatureDataModule) -> None:
    """Raises ValueError where a model was made for features of another width, or of another producer."""
    wants, has = (model.config.video_dim, model.config.text_dim), data.widths()
    if wants != has:
        raise ValueError(f"the model wants features of {wants} dimensions for clips and sentences, these have {has}")
    made = (model.preprocess.producers or {}).get("video")
    if made and made.rpartition(" ")[2] != data.producer.rpartition(" ")[2]:  # hashes: a model may have moved
        raise ValueError(
            f"the model was trained on features of {made}; {data.features.folder} has those of {data.producer}"
        )


def finish(runner: L.Trainer, training: Training[ActionAlignment, FeatureDataModule]) -> None:
    """Score the best weights on validation, and save them as a checkpoint folder."""
    save(runner, training.task.model, training.scores(runner), then=f"weaksync eval {runner.default_root_dir}")

"""Evaluation of a model that labels clips from cached features, as `evaluate` does for dual encoders."""

from __future__ import annotations

from pathlib import Path

from ...datamodules.features import FeatureDataModule
from ...zoo.evaluation import Evaluation
from ...zoo.evaluation import evaluate as score
from ...zoo.models.neumatch import NeuMATCH
from ...zoo.neumatch import AS_LABELLED, ActionAlignment
from ..settings.config import TrainerConfig
from ..training.features import check_features
from ..training.launch import progress_bar, signal_exit_codes, trainer


def evaluate(
    model: NeuMATCH,
    shards: str | Path,
    features: str | Path,
    *,
    split: str = "test",
    languages: list[str] | None = None,
    settings: TrainerConfig | None = None,
) -> Evaluation:
    """Score a model on the annotated videos of a split; under several processes each takes its share of them.

    Args:
        model: of `zoo.load`.
        shards: folder of a shard set.
        features: folder of the features that were made of it, by whom the model's were made.

    Returns:
        The figures of all videos, the same in every process.

    Raises:
        ValueError: no such split or language, no annotated video in it, or features of other shards or by another.
    """
    data = FeatureDataModule(shards, features, languages=languages, test_split=split)
    check_features(model, data)
    runner = trainer(settings or TrainerConfig(), logger=False, enable_checkpointing=False, callbacks=progress_bar())
    task = ActionAlignment(model)
    with signal_exit_codes():
        runner.test(task, datamodule=data, verbose=False)
    return score(task.videos, AS_LABELLED)

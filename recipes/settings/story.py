"""What a recipe of story alignment may say; free of torch, like `config`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ...zoo.optim import OptimConfig
from . import config
from .config import Check, Recipe


@dataclass
class DataConfig:
    """Which shards, and how they are read.

    Attributes:
        shards: folder of a shard set (`weaksync data build story`).
        languages: codes to train and evaluate on; none: all that the set has.
        translations: folder of `weaksync data translate`, made of `shards`: its texts replace those of the sentences,
            in training and in evaluation; none: the texts are as they were told.
        pairs: what pairs clips with sentences for training: ``weak``, the times of narration; ``annotated``, people,
            on the videos that they annotated alone; or ``aligned``, an earlier model, with `alignments`.
        alignments: folder of `weaksync data align`, made of `shards`.
        mode: ``exact`` (every pair once per epoch, resumable, the same for any number of processes) or
            ``resampled`` (streams from object stores, `steps_per_epoch` steps an epoch).
        global_batch: groups per step over all processes.
        group_size: pairs per group: a positive and its K = group_size - 1 negatives, all of one video.
        grouping: a group holds any pairs of its video (``mixed``), or those of neighbouring clips in their order
            (``consecutive``), for `loss.alignment`.
        steps_per_epoch: length of an epoch in ``resampled`` mode.
        workers: reading processes for each rank.
        max_bad: share of training samples that may be unreadable before the run fails.
    """

    shards: str
    languages: list[str] | None = None
    translations: str | None = None
    pairs: Literal["weak", "annotated", "aligned"] = "weak"
    alignments: str | None = None
    mode: Literal["exact", "resampled"] = "exact"
    global_batch: int = 16
    group_size: int = 8
    grouping: Literal["mixed", "consecutive"] = "mixed"
    steps_per_epoch: int | None = None
    workers: int = 2
    max_bad: float = 0.0


@dataclass
class LossConfig:
    """Symmetric InfoNCE (M-SyMoN, Eq. 2).

    Attributes:
        negatives: the other pairs of the same ``video``, or of the whole ``batch`` over all processes.
        false_negatives: pairs that share their sentence: ``exclude`` them, or count them as ``multi_positive``.
        alignment: believe every pair (``none``), or align each group's clips with its sentences, by ``soft_dtw`` or
            ``soft_drop_dtw``, against the sentences of the other groups; goes with `data.grouping` ``consecutive``.
    """

    negatives: Literal["video", "batch"] = "video"
    false_negatives: Literal["exclude", "multi_positive"] = "exclude"
    alignment: Literal["none", "soft_dtw", "soft_drop_dtw"] = "none"


@dataclass(kw_only=True)
class StoryRecipe(Recipe):
    """A story-alignment run: everything that decides its outcome."""

    task: ClassVar[str] = "story"
    data: DataConfig
    optim: OptimConfig = field(default_factory=OptimConfig)
    loss: LossConfig = field(default_factory=LossConfig)

    def checks(self) -> list[Check]:
        data, loss = self.data, self.loss
        return [
            *super().checks(),
            (data.global_batch < 1, "data.global_batch", f"should be at least 1, not {data.global_batch}"),
            (data.group_size < 2, "data.group_size", f"should be at least 2 (one negative), not {data.group_size}"),
            (data.workers < 0, "data.workers", f"should be 0 or more, not {data.workers}"),
            (not 0 <= data.max_bad < 1, "data.max_bad", f"is a share in [0, 1), not {data.max_bad}"),
            (
                (data.mode == "resampled") != (data.steps_per_epoch is not None),
                "data.steps_per_epoch",
                "goes with data.mode: resampled, and is needed there",
            ),
            (
                (data.pairs == "aligned") != (data.alignments is not None),
                "data.alignments",
                "goes with data.pairs: aligned, and is needed there: weaksync data align makes a folder",
            ),
            (
                data.mode == "resampled" and (data.translations is not None or data.alignments is not None),
                "data.mode",
                "should be exact for data.translations and data.alignments: streamed shards come without them",
            ),
            (
                data.mode == "resampled" and data.grouping == "consecutive",
                "data.grouping",
                "consecutive goes with data.mode: exact",
            ),
            (
                (loss.alignment != "none") != (data.grouping == "consecutive"),
                "loss.alignment",
                "goes with data.grouping: consecutive, and needs it",
            ),
            (
                loss.alignment != "none" and loss.negatives != "batch",
                "loss.alignment",
                "sets groups against each other: loss.negatives should be batch",
            ),
        ]


def load(recipe: str, overrides: list[str] | None = None) -> StoryRecipe:
    """Read a recipe of story alignment, as `config.load`.  Raises ValueError for one of another task too."""
    found = config.load(recipe, overrides)
    if not isinstance(found, StoryRecipe):
        raise ValueError(f"{recipe} is a recipe of task {found.task}: it trains no dual encoder, which this needs")
    return found

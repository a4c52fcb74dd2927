"""What a recipe of the model of who speaks may say; free of torch, like `config`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from .config import Check, ModelConfig, Recipe


@dataclass
class SpeakingDataConfig:
    """Which face tracks, and how much of each is seen.

    Attributes:
        tracks: folder of `weaksync data build speaking`.
        frames: of the window that a step sees of a track, 25 a second, drawn anew every epoch; shorter tracks are for
            evaluation alone.
        global_batch: tracks per step over all processes.
        workers: processes for each rank that decode; 0: the one that trains.
    """

    tracks: str
    frames: int = 40
    global_batch: int = 16
    workers: int = 2


@dataclass
class SpeakingOptimConfig:
    """Adam, with a rate that falls every epoch.

    Attributes:
        lr: in the first epoch.
        decay: factor of the rate after each epoch.
        weight_decay: added to gradients.
    """

    lr: float = 3e-3
    decay: float = 0.8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        if self.lr < 0 or self.weight_decay < 0 or not 0 < self.decay <= 1:
            raise ValueError(
                f"lr and weight_decay are not below 0, decay lies between 0 and 1: {self.lr}, {self.weight_decay}, "
                f"{self.decay}"
            )


@dataclass(kw_only=True)
class SpeakingRecipe(Recipe):
    """A run of the model of who speaks: everything that decides its outcome."""

    task: ClassVar[str] = "speaking"
    data: SpeakingDataConfig
    model: ModelConfig = field(default_factory=lambda: ModelConfig("speaking-tiny"))
    optim: SpeakingOptimConfig = field(default_factory=SpeakingOptimConfig)

    def checks(self) -> list[Check]:
        data = self.data
        return [
            *super().checks(),
            (data.frames < 2, "data.frames", f"should be at least 2, not {data.frames}"),
            (data.global_batch < 1, "data.global_batch", f"should be at least 1, not {data.global_batch}"),
            (data.workers < 0, "data.workers", f"should be 0 or more, not {data.workers}"),
        ]

"""What a recipe of the model of who speaks may say; free of torch, like `config`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .config import ModelConfig, TrainerConfig


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


@dataclass
class SpeakingRecipe:
    """A run of the model of who speaks: everything that decides its outcome.

    Attributes:
        task: says that this is one.
        name: of the run; it writes to ``<root>/<name>/``.
        root: folder of all runs.
        seed: of weights, order and windows.
        save_every_n_steps: also save ``last.ckpt`` in mid-epoch; none: at the end of each epoch alone.
    """

    task: Literal["speaking"]
    name: str
    data: SpeakingDataConfig
    root: str = "runs"
    seed: int = 0
    model: ModelConfig = field(default_factory=lambda: ModelConfig("speaking-tiny"))
    optim: SpeakingOptimConfig = field(default_factory=SpeakingOptimConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    save_every_n_steps: int | None = None

    @property
    def folder(self) -> Path:
        """Where the run writes."""
        return Path(self.root) / self.name


def impossible(config: SpeakingRecipe) -> list[str]:
    """Settings that are well-typed and cannot work."""
    data = config.data
    checks = [
        (config.name is not None and not config.name.strip("./"), "name should be a folder's name below root"),
        (data.frames < 2, f"data.frames should be at least 2, not {data.frames}"),
        (data.global_batch < 1, f"data.global_batch should be at least 1, not {data.global_batch}"),
        (data.workers < 0, f"data.workers should be 0 or more, not {data.workers}"),
        (config.trainer.max_epochs < 1, f"trainer.max_epochs should be at least 1, not {config.trainer.max_epochs}"),
    ]
    return [fault for wrong, fault in checks if wrong]

"""What a recipe of SyncNet's pre-training may say; free of torch, like `config`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from .config import Check, ModelConfig, Recipe

#: frames of the shortest window: a feature sees five, and speech needs about 0.4 s
LEAST_FRAMES = 10


@dataclass
class SyncNetDataConfig:
    """Which clips, and how much of each is seen.

    Attributes:
        clips: folder of conversational clips (`weaksync data build subtitles`).
        frames: of the window that a step sees of a clip, 25 a second, drawn anew every epoch.
        domain: train and evaluate on clips of this alone, such as ``movie``; none: on all.
        languages: codes to train and evaluate on; none: all that the set has.
        global_batch: clips per step over all processes.
        workers: processes for each rank that decode; 0: the one that trains.
    """

    clips: str
    frames: int = 50
    domain: str | None = None
    languages: list[str] | None = None
    global_batch: int = 32
    workers: int = 4


@dataclass
class SyncNetLossConfig:
    """What is said, and who says it (Nagrani et al., 2020).

    Attributes:
        content_weight: of the loss that finds the time of a clip's lips among all times of its own speech.
        identity_weight: of the loss that finds a face's voice among those of the batch; 0 leaves it out.
    """

    content_weight: float = 1.0
    identity_weight: float = 1.0

    def __post_init__(self) -> None:
        if self.content_weight < 0 or self.identity_weight < 0 or not self.content_weight + self.identity_weight:
            raise ValueError(
                f"weights are 0 or more, and one of them above: {self.content_weight}, {self.identity_weight}"
            )


@dataclass
class SyncNetOptimConfig:
    """How it is optimised; the defaults are the paper's.

    Attributes:
        method: ``sgd`` or ``adam``.
        lr: in the first epoch.
        momentum: of SGD.
        weight_decay: added to gradients.
        decay: factor of the rate after each epoch.
    """

    method: Literal["sgd", "adam"] = "sgd"
    lr: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    decay: float = 0.95

    def __post_init__(self) -> None:
        checks = [
            (self.lr < 0 or self.weight_decay < 0, "lr and weight_decay cannot be negative"),
            (not 0 <= self.momentum < 1, f"momentum lies between 0 and 1, not {self.momentum}"),
            (not 0 < self.decay <= 1, f"decay lies between 0 and 1, not {self.decay}"),
        ]
        if faults := [fault for wrong, fault in checks if wrong]:
            raise ValueError("; ".join(faults))


@dataclass(kw_only=True)
class SyncNetRecipe(Recipe):
    """A run of SyncNet's pre-training: everything that decides its outcome."""

    task: ClassVar[str] = "syncnet"
    data: SyncNetDataConfig
    model: ModelConfig = field(default_factory=lambda: ModelConfig("syncnet"))
    optim: SyncNetOptimConfig = field(default_factory=SyncNetOptimConfig)
    loss: SyncNetLossConfig = field(default_factory=SyncNetLossConfig)

    def checks(self) -> list[Check]:
        data = self.data
        least, why = (
            (2, ": another voice is what identity is told apart from") if self.loss.identity_weight else (1, "")
        )
        return [
            *super().checks(),
            (
                data.global_batch < least,
                "data.global_batch",
                f"should be at least {least}, not {data.global_batch}{why}",
            ),
            (data.frames < LEAST_FRAMES, "data.frames", f"should be at least {LEAST_FRAMES}, not {data.frames}"),
            (data.workers < 0, "data.workers", f"should be 0 or more, not {data.workers}"),
        ]

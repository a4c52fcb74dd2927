"""What a recipe of a model that trains on cached features may say; free of torch, like `config`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from .config import Check, ModelConfig, Recipe


@dataclass
class FeatureDataConfig:
    """Which shards, and which features were made of them.

    Attributes:
        shards: folder of a shard set (`weaksync data build story`).
        features: folder of `weaksync data features`, made of `shards`.
        pairs: what labels the clips of training: ``annotated``, people, on the videos that they annotated alone, or
            ``weak``, the times of narration.
        languages: codes to train and evaluate on; none: all that the set has.
        global_batch: videos per step over all processes.
        window: clips of a video that a step sees at most, drawn anew every epoch; none: whole videos.
    """

    shards: str
    features: str
    pairs: Literal["weak", "annotated"] = "annotated"
    languages: list[str] | None = None
    global_batch: int = 32
    window: int | None = 94


@dataclass
class ActionOptimConfig:
    """Adam, by itself or under LARS, with a rate that falls where the loss does.

    Attributes:
        lr: of Adam, or the factor of its steps under LARS.
        trust: the trust coefficient of LARS: a step moves a tensor by lr * trust of its norm; none: plain Adam.
        weight_decay: added to gradients.
        smoothing: share of each target that is spread over all actions.
        patience: epochs without a lower training loss after which the rate is multiplied by `factor`.
    """

    lr: float = 7.0
    trust: float | None = 1e-3
    weight_decay: float = 0.0
    smoothing: float = 0.03
    patience: int = 10
    factor: float = 0.5

    def __post_init__(self) -> None:
        checks = [
            (self.lr < 0 or self.weight_decay < 0, "lr and weight_decay cannot be negative"),
            (self.trust is not None and self.trust <= 0, f"trust is above 0, or none for plain Adam, not {self.trust}"),
            (not 0 <= self.smoothing < 1, f"smoothing is a share in [0, 1), not {self.smoothing}"),
            (self.patience < 0, f"patience is a number of epochs, not {self.patience}"),
            (not 0 < self.factor < 1, f"factor lies between 0 and 1, not {self.factor}"),
        ]
        if faults := [fault for wrong, fault in checks if wrong]:
            raise ValueError("; ".join(faults))


@dataclass(kw_only=True)
class FeatureRecipe(Recipe):
    """A run on cached features: everything that decides its outcome."""

    task: ClassVar[str] = "features"
    data: FeatureDataConfig
    model: ModelConfig = field(default_factory=lambda: ModelConfig("neumatch-sbn"))
    optim: ActionOptimConfig = field(default_factory=ActionOptimConfig)

    def checks(self) -> list[Check]:
        data = self.data
        return [
            *super().checks(),
            (data.global_batch < 1, "data.global_batch", f"should be at least 1, not {data.global_batch}"),
            (data.window is not None and data.window < 1, "data.window", f"should be at least 1, not {data.window}"),
        ]

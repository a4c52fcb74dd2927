"""AdamW, its parameter groups and the schedule of CCLM's fine-tuning.  Importing the configuration needs no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from .registry import did_you_mean

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import AdamW
    from torch.optim.lr_scheduler import LambdaLR

Schedule = Literal["linear", "cosine", "constant"]

#: a parameter whose name holds one of these is not decayed: CCLM's rule, by substring.  It spares the relative
#: position tables of Swin (``relative_position_bias_table``), and decays embeddings, projections and the temperature.
NOT_DECAYED = ("bias", "LayerNorm.weight", "norm.weight", "norm1.weight", "norm2.weight")


@dataclass
class OptimConfig:
    """How a model is optimised; the defaults are CCLM's retrieval fine-tuning, M-SyMoN differs as noted.

    Attributes:
        lr: at its highest; M-SyMoN has 4e-5, or 4e-6 for the second of two stages.
        weight_decay: decoupled; M-SyMoN has 0.2.
        betas, eps: of AdamW.
        warmup: share of all steps in which the rate rises from 0.
        schedule: ``linear`` to 0, ``cosine`` to 0 (M-SyMoN) or ``constant`` after the warm-up; changes every step.
        vision_lr, text_lr: factors of the rate of each tower.
        head_lr: factor of the rate of everything else (projections and temperature).
    """

    lr: float = 3e-5
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-8
    warmup: float = 0.1
    schedule: Schedule = "linear"
    vision_lr: float = 1.0
    text_lr: float = 1.0
    head_lr: float = 1.0

    def __post_init__(self) -> None:
        known = get_args(Schedule)
        if self.schedule not in known:
            raise ValueError(
                f"no schedule {self.schedule!r}{did_you_mean(self.schedule, known)}; known: {', '.join(known)}"
            )
        if not 0.0 <= self.warmup <= 1.0:
            raise ValueError(f"warmup is a share of all steps in [0, 1], not {self.warmup}")
        if self.lr < 0 or self.weight_decay < 0:
            raise ValueError(f"lr and weight_decay cannot be negative: {self.lr}, {self.weight_decay}")


@dataclass
class StepOptimConfig:
    """Adam with a rate that falls in steps; the defaults are Video2Subtitle's (section 5.2).

    Attributes:
        lr: at first.
        decay: what the rate is multiplied by after every `decay_epochs` epochs.
        weight_decay: added to gradients.
    """

    lr: float = 1e-3
    decay: float = 0.1
    decay_epochs: int = 15
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        checks = [
            (self.lr < 0 or self.weight_decay < 0, "lr and weight_decay cannot be negative"),
            (not 0 < self.decay <= 1, f"decay lies between 0 and 1, not {self.decay}"),
            (self.decay_epochs < 1, f"decay_epochs is 1 or more, not {self.decay_epochs}"),
        ]
        if faults := [fault for wrong, fault in checks if wrong]:
            raise ValueError("; ".join(faults))


def is_decayed(name: str) -> bool:
    """Whether weight decay applies to a parameter of this name."""
    return not any(part in name for part in NOT_DECAYED)


def parameter_groups(model: nn.Module, config: OptimConfig) -> list[dict[str, Any]]:
    """The parameters that learn, grouped by rate and decay, ready for AdamW; each group has a `name`."""
    factors = {"vision": config.vision_lr, "text": config.text_lr}
    groups: dict[str, dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        tower = name.partition(".")[0]
        tower = tower if tower in factors else "head"
        decayed = is_decayed(name)
        group = groups.setdefault(
            f"{tower}{'' if decayed else ', no decay'}",
            {
                "params": [],
                "lr": config.lr * factors.get(tower, config.head_lr),
                "weight_decay": config.weight_decay if decayed else 0.0,
            },
        )
        group["params"].append(parameter)
    if not groups:
        raise ValueError("no parameter is left to learn: every one is frozen")
    return [{"name": name, **group} for name, group in groups.items()]


def optimizer(model: nn.Module, config: OptimConfig) -> AdamW:
    """AdamW over `parameter_groups`."""
    from torch.optim import AdamW

    # one kernel for all parameters; on GPUs Lightning's gradient clipping under float16 does not go with it
    fused = all(parameter.device.type == "cpu" for parameter in model.parameters())
    return AdamW(
        parameter_groups(model, config), betas=(config.betas[0], config.betas[1]), eps=config.eps, fused=fused or None
    )


def schedule(optimizer: AdamW, config: OptimConfig, steps: int) -> LambdaLR:
    """The schedule of the rate over a run of `steps` steps."""
    from torch.optim.lr_scheduler import LambdaLR

    return LambdaLR(optimizer, lambda step: rate_factor(config, step, steps))


def rate_factor(config: OptimConfig, step: int, steps: int) -> float:
    """The factor of the rate at a step (from 0) of so many."""
    warm = int(config.warmup * steps)
    if step < warm:
        return step / warm
    left = max(0.0, (steps - step) / max(1, steps - warm))
    if config.schedule == "linear":
        return left
    if config.schedule == "cosine":
        return 0.5 * (1.0 - math.cos(math.pi * left))
    return 1.0

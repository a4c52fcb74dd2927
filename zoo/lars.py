"""Adam under LARS: the step on each tensor is proportional to the tensor's norm."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class AdamLARS(Optimizer):
    """Adam under layer-wise adaptive rates (You et al., 2017), as Wang et al. (WACV 2021) align gradient updates.

    Adam's update of a tensor is scaled to `trust` times the tensor's norm, or by `trust` where the tensor or its
    gradient is zero.

    Args:
        parameters: what learns, or groups of it.
        lr: factor of all steps; 7 with the default `trust` moves each tensor by 0.7 % of its norm.
        trust: the trust coefficient.
        betas, eps: of Adam.
        weight_decay: added to the gradient, as in Adam.
    """

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float = 7.0,
        *,
        trust: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        if lr < 0 or trust <= 0 or weight_decay < 0:
            raise ValueError(f"lr={lr} and weight_decay={weight_decay} cannot be negative, trust={trust} is above 0")
        defaults = {"lr": lr, "trust": trust, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; `closure` computes the loss anew."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    direction = self._direction(parameter, group)
                    size = parameter.norm() / direction.norm()
                    # nothing to be in proportion to: 0, or 0 / 0
                    size = torch.where(size.isfinite() & (size > 0), size, 1.0)
                    parameter.add_(direction * size, alpha=-group["lr"] * group["trust"])
        return loss

    def _direction(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        """Adam's, before it is multiplied by a rate."""
        state, (first, second) = self.state[parameter], group["betas"]
        if not state:
            state["step"] = 0
            state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        gradient = parameter.grad
        if group["weight_decay"]:
            gradient = gradient + group["weight_decay"] * parameter
        state["step"] += 1
        state["mean"].lerp_(gradient, 1 - first)
        state["square"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
        mean = state["mean"] / (1 - first ** state["step"])
        root = (state["square"] / (1 - second ** state["step"])).sqrt()
        direction: Tensor = mean / (root + group["eps"])
        return direction

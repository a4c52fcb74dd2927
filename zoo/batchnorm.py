"""Batch normalisation over the batch of all ranks, so that several processes train as one does."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .losses.gather import world_size

Module = TypeVar("Module", bound=nn.Module)
_PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def over_all_ranks(model: Module, device: torch.device) -> Module:
    """Make every batch normalisation of a model see the batch of all ranks; names and weights stay.

    Args:
        device: on which it will train.

    Returns:
        The model, changed in place.

    Raises:
        ValueError: a subclass of PyTorch's batch normalisation, whose own `forward` would be lost.
    """
    plain = {name: module for name, module in model.named_modules() if type(module) in _PLAIN}
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and not (
            name in plain or isinstance(module, RankBatchNorm | nn.SyncBatchNorm)
        ):
            raise ValueError(
                f"{name} is a {type(module).__name__}, which normalises over one rank alone: train on one device, or "
                "derive it from weaksync.zoo.batchnorm.RankBatchNorm"
            )
    for name, module in plain.items():
        if device.type == "cpu":
            module.__class__ = RankBatchNorm
        else:
            model.set_submodule(name, nn.SyncBatchNorm.convert_sync_batchnorm(module))
    return model


class RankBatchNorm(_BatchNorm):
    """Batch normalisation over all ranks in plain operations: `nn.SyncBatchNorm` runs on accelerators alone."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or world_size() == 1:
            return super().forward(input)
        axes = [0, *range(2, input.ndim)]
        x = input.float()
        count = torch.tensor([x.numel() / x.shape[1]], device=x.device)
        dist.all_reduce(count)
        mean = _summed(x.sum(axes)) / count
        centred = x - _channels(mean, x)
        variance = _summed(centred.square().sum(axes)) / count
        with torch.no_grad():
            self._remember(mean, variance * count / (count - 1))
        scale = (variance + self.eps).rsqrt() * self.weight
        return (centred * _channels(scale, x) + _channels(self.bias, x)).to(input.dtype)

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        running_mean, running_variance, seen = self.running_mean, self.running_var, self.num_batches_tracked
        if running_mean is None or running_variance is None or seen is None:
            return
        seen += 1
        momentum = self.momentum if self.momentum is not None else 1.0 / float(seen)
        running_mean.lerp_(mean, momentum)
        running_variance.lerp_(variance, momentum)


def _channels(values: Tensor, like: Tensor) -> Tensor:
    return values.view(1, -1, *[1] * (like.ndim - 2))


def _summed(x: Tensor) -> Tensor:
    total: Tensor = _AllReduceSum.apply(x)
    return total


class _AllReduceSum(torch.autograd.Function):
    """The sum over all ranks; a rank's gradient is the sum of those of every rank's loss."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _AllReduceSum.forward(ctx, gradient)

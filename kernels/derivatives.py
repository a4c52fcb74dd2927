"""Derivatives of the soft recurrences: the alignment that the forward pass saved, times the upstream gradient.

They are defined three times: for the registered operators, which torch.compile traces; for eager code, as an autograd
function that costs half of what torch's dispatcher does; and for the transforms of torch.func.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.compiler import is_compiling
from torch.library import CustomOpDef

from . import cpu, internals
from .dispatch import call, operator

#: takes costs, drop costs if it has any, and settings; returns a value, then its derivative in each of the costs
Operator = Callable[..., tuple[Tensor, ...]]


def differentiable(registered: CustomOpDef, costs: tuple[Tensor | None, ...], settings: tuple[Any, ...]) -> Tensor:
    """The operator's value, differentiable in its costs."""
    if is_compiling():
        return registered(*costs, *settings)[0]
    if internals.transforms_active():
        return _Transformed.apply(*costs, *settings, registered)[0]
    return _Eager.apply(registered, settings, *costs)


def alignment(registered: CustomOpDef, costs: tuple[Tensor | None, ...], settings: tuple[Any, ...]) -> Tensor:
    """The derivative of the operator's value in the costs, to which no gradient flows."""
    if not is_compiling() and internals.transforms_active():
        return _Transformed.apply(*costs, *settings, registered)[1]
    return call(registered, *costs, *settings)[1]


def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)
    ctx.others = len(inputs) + 1 - len(output)
    ctx.save_for_backward(*output)


def backward(ctx: Any, grad: Tensor | None, *nothing: None) -> tuple[Tensor | None, ...]:
    value, *shares = ctx.saved_tensors
    grad = _dense(grad)
    asked = zip(shares, ctx.needs_input_grad, strict=False)
    grads = [None if grad is None or not need else _product(value, share, grad) for share, need in asked]
    return *grads, *[None] * ctx.others


def _dense(grad: Tensor | None) -> Tensor | None:
    """An upstream gradient as a strided tensor; that of `torch.gather(..., sparse_grad=True)` is none."""
    return grad if grad is None or grad.layout is torch.strided else grad.to_dense()


def _forward_mode(ctx: Any, *tangents: Any) -> None:
    raise NotImplementedError(
        "the alignment kernels have no forward-mode derivative (jvp, jacfwd, dual numbers); "
        "take the reverse mode: backward, torch.func.vjp or torch.func.jacrev"
    )


class _Eager(Function):
    """Takes the settings as one argument: autograd spends time on each."""

    @staticmethod
    def forward(ctx: Any, registered: CustomOpDef, settings: tuple[Any, ...], *costs: Tensor | None) -> Tensor:
        output = call(registered, *costs, *settings)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*output)
        return output[0]

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, ...]:
        value, *shares = ctx.saved_tensors
        grads: list[Tensor | None] = [None] * (2 + len(shares))
        if (grad := _dense(grad)) is None:
            return tuple(grads)
        alone = not torch.is_grad_enabled() and _last_time(grad)
        for k, share in enumerate(shares, 2):
            if ctx.needs_input_grad[k]:
                grads[k] = _scaled_in_place(share, grad) if alone else _product(value, share, grad)
        return tuple(grads)

    jvp = staticmethod(_forward_mode)


def _last_time(grad: Tensor) -> bool:
    """Whether the graph is freed after this backward pass, so that what it saved may be scaled where it lies.

    Scaling in place saves a second large tensor, whose page faults cost a quarter of the recurrence.
    """
    return not (
        is_compiling()
        or type(grad) is not Tensor
        or internals.is_batched(grad)
        or internals.is_legacy_batched(grad)
        or internals.keeps_graph()
    )


class _Transformed(Function):
    """The same for torch.func, which needs `forward` and `setup_context` apart."""

    @staticmethod
    def forward(*inputs: Any) -> tuple[Tensor, ...]:
        *given, registered = inputs
        return registered(*given)

    setup_context = staticmethod(setup_context)
    backward = staticmethod(backward)
    jvp = staticmethod(_forward_mode)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        return mapped(_Transformed.apply, info, in_dims, *inputs)


def mapped(
    operator: Operator, info: Any, in_dims: tuple[int | None, ...], *inputs: Any
) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    """The operator under vmap.  All tensors are batches of pairs: the mapped dimension joins the batch."""

    def joined(given: Any, dim: int | None) -> Any:
        if not isinstance(given, Tensor):
            return given
        spread = given.expand(info.batch_size, *given.shape) if dim is None else given.movedim(dim, 0)
        return spread.flatten(0, 1)

    output = operator(*map(joined, inputs, in_dims))
    parted = tuple(found.reshape(info.batch_size, len(found) // info.batch_size, *found.shape[1:]) for found in output)
    return parted, (0,) * len(parted)


def _scaled_in_place(share: Tensor, grad: Tensor) -> Tensor:
    if share.is_cpu and share.dtype == torch.float32 and share.is_contiguous() and cpu.available():
        return cpu.scale(share, grad)
    return share.mul_(_spread(grad, share))


def _product(value: Tensor, share: Tensor, grad: Tensor) -> Tensor:
    """`share` (B, …) times the upstream gradient (B,)."""
    return _Product.apply(value, share, grad) if torch.is_grad_enabled() else scaled(share, grad)


class _Product(Function):
    """The product where a derivative of it may be asked for; `value` ties it to the graph, so that a second derivative
    of the recurrence, which is not implemented, is an error and not a silent zero."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, share: Tensor, grad: Tensor) -> Tensor:
        return share * _spread(grad, share)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> None:
        raise NotImplementedError("the alignment kernels have no second derivative; detach the gradient first")

    jvp = backward


@operator("scaled")
def scaled(share: Tensor, grad: Tensor) -> Tensor:
    """The product as an operator, whose output lies in huge pages on the CPU where it is large."""
    product = cpu.empty(share, *share.shape) if share.device.type == "cpu" else torch.empty_like(share)
    return torch.mul(share, _spread(grad, share), out=product)


@scaled.register_fake
def _(share: Tensor, grad: Tensor) -> Tensor:
    return torch.empty_like(share)


def _spread(grad: Tensor, share: Tensor) -> Tensor:
    if grad.numel() == 1:
        return grad
    return grad.view(-1, 1, 1) if share.dim() == 3 else grad[:, None]

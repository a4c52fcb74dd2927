"""Operators of torch, and calls of them that leave torch's dispatcher out where nothing listens there.

The dispatcher takes about 10 µs a call, as much as a small recurrence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.library import CustomOpDef, custom_op
from torch.nn import Parameter

_bodies: dict[CustomOpDef, Callable[..., Any]] = {}


def operator(name: str) -> Callable[[Callable[..., Any]], CustomOpDef]:
    """Registers the decorated function as `weaksync::name`; it changes none of its arguments."""

    def register(body: Callable[..., Any]) -> CustomOpDef:
        registered = custom_op(f"weaksync::{name}", mutates_args=())(body)
        _bodies[registered] = body
        return registered

    return register


def call(registered: CustomOpDef, *inputs: Any) -> Any:
    """What the operator gives, without a derivative."""
    return (
        registered(*inputs)
        if torch.compiler.is_compiling() or _needs_dispatcher(inputs)
        else _bodies[registered](*inputs)
    )


def _needs_dispatcher(inputs: tuple[Any, ...]) -> bool:
    """Whether anything would see, change or replace the call on its way to plain tensors on the CPU."""
    for given in inputs:
        if isinstance(given, Tensor) and not (type(given) in (Tensor, Parameter) and given.is_cpu):
            return True
    return (
        torch._C._len_torch_dispatch_stack() > 0
        or torch._C._are_functorch_transforms_active()
        or torch._C._get_tracing_state() is not None
        or torch.is_autocast_enabled("cpu")
        or torch.autograd._profiler_enabled()
    )

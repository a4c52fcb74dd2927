"""Registers functions as operators of torch, and calls them directly where torch need not see the call.

Torch's dispatcher takes about 10 µs a call, as much as a small recurrence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.compiler import is_compiling
from torch.library import CustomOpDef, custom_op
from torch.nn import Parameter

from . import internals

_PLAIN = (Tensor, Parameter)  # and no subclass, which may do as it likes

_bodies: dict[CustomOpDef, Callable[..., Any]] = {}


def operator(name: str) -> Callable[[Callable[..., Any]], CustomOpDef]:
    """Registers the decorated function as `weaksync::name`; it changes none of its arguments."""

    def register(body: Callable[..., Any]) -> CustomOpDef:
        registered = custom_op(f"weaksync::{name}", mutates_args=())(body)
        _bodies[registered] = body
        return registered

    return register


def call(registered: CustomOpDef, *inputs: Any) -> Any:
    """What the operator returns, without a derivative."""
    if is_compiling() or _needs_dispatcher(inputs):
        return registered(*inputs)
    return _bodies[registered](*inputs)


def _needs_dispatcher(inputs: tuple[Any, ...]) -> bool:
    """Whether torch must see the call: not all tensors are plain ones on the CPU, or a transform, a dispatch mode, a
    trace, autocast or a profiler is active."""
    for given in inputs:
        if given is not None and isinstance(given, Tensor) and not (type(given) in _PLAIN and given.is_cpu):
            return True
    return (
        internals.dispatch_modes() > 0
        or internals.transforms_active()
        or internals.tracing_state() is not None
        or internals.autocasts()
        or internals.profiling()
    )

"""The operators called through torch, and held to the outputs that they declare for tracing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode

#: for a shape (B, n, m): drop costs, then the settings up to the one that asks for more than the value
_CALLS: dict[str, Callable[[int, int, int], tuple[Any, ...]]] = {
    "soft_dtw": lambda b, n, m: (None, None, 0.1, None, True, False),
    "soft_dsta": lambda b, n, m: (None, None, None, 0.1, 1.0, 1, None, True, False),
    "soft_drop_dtw": lambda b, n, m: (
        torch.full((b, n), 0.4),
        torch.full((b, m), 0.6),
        None,
        None,
        0.1,
        True,
        None,
        False,
    ),
    "dtw_path": lambda b, n, m: (None, None, None, True, False),
    "dsta_path": lambda b, n, m: (None, None, None, 1.0, 1, None, True, False),
    "drop_dtw": lambda b, n, m: (torch.full((b, n), 0.4), torch.full((b, m), 0.6), None, None, True, None, False),
}
OPERATORS = list(_CALLS)


def called(name: str, cost: Tensor, *, with_rest: bool) -> tuple[Tensor, ...]:
    """What the operator returns through torch's dispatcher, which refuses outputs that share memory."""
    found: tuple[Tensor, ...] = getattr(torch.ops.weaksync, name)(cost, *_CALLS[name](*cost.shape), with_rest)
    return found


def assert_as_declared(name: str, shape: tuple[int, int, int]) -> None:
    """Shapes and types are those of the fake kernel, and no two outputs share memory."""
    cost = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    for with_rest in (True, False):
        found = called(name, cost, with_rest=with_rest)
        with FakeTensorMode(allow_non_fake_inputs=True):
            declared = called(name, cost, with_rest=with_rest)
        assert [(one.shape, one.dtype) for one in found] == [(one.shape, one.dtype) for one in declared]
        assert len({one.untyped_storage()._cdata for one in found}) == len(found)

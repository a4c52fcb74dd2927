"""Settings that losses share, checked when they are made."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ..registry import did_you_mean

REDUCTIONS = ("mean", "sum", "none")


def one_of(name: str, value: str, known: Sequence[str]) -> str:
    """`value`; raises ValueError, with the known choices, where it is none of them."""
    if value not in known:
        raise ValueError(f"{name} is one of {', '.join(known)}, not {value!r}{did_you_mean(value, known)}")
    return value


def settings_of(loss: nn.Module) -> str:
    """A loss's arguments, as its repr shows them."""
    own = {name: value for name, value in vars(loss).items() if name != "training" and not name.startswith("_")}
    return ", ".join(f"{name}={value!r}" for name, value in own.items())


def reduced(each: Tensor, reduction: str) -> Tensor:
    """The mean or the sum of `each`, or `each` itself; the mean of an empty tensor is 0, not NaN."""
    if reduction == "none":
        return each
    return each.mean() if reduction == "mean" and len(each) else each.sum()

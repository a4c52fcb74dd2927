"""Arguments as the recurrences take them, checked where they can be looked at without waiting for a device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real

import torch
from torch import Tensor

INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)

#: the largest price of dropping a text: a sum over 4096 of them is still exact to 1e-6
LARGEST_TEXT_DROP = 1e6


def costs_of(cost: Tensor, video_lengths: Tensor | None, text_lengths: Tensor | None) -> Tensor:
    """The costs, in float32 at least.

    Raises ValueError unless `cost` is a floating tensor (B, n, m), and the lengths are None or tensors beside it.
    """
    if not isinstance(cost, Tensor):
        raise _no_tensor("cost", cost)
    if cost.dim() != 3:
        raise ValueError(f"cost must have shape (B, n, m), video first, not {tuple(cost.shape)}; add a batch axis")
    if not cost.is_floating_point():
        raise ValueError(f"cost must be floating, not {cost.dtype}; convert it with .float()")
    for name, lengths in (("video_lengths", video_lengths), ("text_lengths", text_lengths)):
        if lengths is not None:
            if not isinstance(lengths, Tensor):
                raise _no_tensor(name, lengths)
            check_device(name, lengths, cost)
    return at_least_float32(cost)


def _no_tensor(name: str, given: object) -> ValueError:
    return ValueError(f"{name} must be a tensor, not {type(given).__name__}; torch.as_tensor makes one")


def check_device(name: str, given: Tensor | int | None, beside: Tensor) -> None:
    """Raises ValueError for a tensor that lies neither on the CPU nor on the device of the costs."""
    if isinstance(given, Tensor) and given.device.type != "cpu" and given.device != beside.device:
        raise ValueError(
            f"{name} lies on {given.device} and the costs on {beside.device}: move it to that device or to the CPU"
        )


def check_positive(name: str, number: float) -> None:
    """Raises ValueError unless `number` is positive and finite, and no tensor, to which no gradient would flow."""
    if isinstance(number, (float, Real)) and 0 < number < math.inf:
        return
    if isinstance(number, Tensor):
        raise ValueError(f"{name} must be a number, not a tensor: no gradient flows to it; give {name}.item()")
    raise ValueError(f"{name} must be positive and finite, not {number!r}")


def check_not_negative(name: str, number: float) -> None:
    """Raises ValueError unless `number` is zero or positive, and finite."""
    if not isinstance(number, (float, Real)) or not 0 <= number < math.inf:
        raise ValueError(f"{name} must be at least 0 and finite, not {number!r}")


def check_whole(name: str, number: int | None) -> None:
    """Raises ValueError unless `number` is None or a whole number >= 0."""
    if number is not None and (isinstance(number, bool) or not isinstance(number, Integral) or number < 0):
        raise ValueError(f"{name} must be None or a whole number >= 0, not {number!r}")


def lengths_of(
    name: str, given: Tensor | None, batch: int, longest: int, wait: bool
) -> tuple[Tensor, Sequence[int] | None]:
    """Lengths as a (B,) tensor of integers, and as numbers, where they are known; None means that every row is whole.

    Lengths on another device than the CPU are not known, and taken as they are, unless one is to wait for them.

    Raises:
        ValueError: for another shape or type, or, naming the pair, for a length outside [0, longest].
    """
    if given is None:
        return torch.full((batch,), longest, dtype=torch.int64, device="cpu"), [longest] * batch
    if given.shape != (batch,) or given.dtype not in INTEGERS:
        raise ValueError(f"{name} must be (B,) = ({batch},) integers, not {tuple(given.shape)} {given.dtype}")
    if not given.is_cpu and not wait:
        return given, None
    known = given.tolist()
    for pair, length in enumerate(known):
        if not 0 <= length <= longest:
            raise ValueError(f"{name}[{pair}] is {length}, outside 0..{longest}")
    return given.long(), known


def check_text_drops(drops: Tensor, texts: Tensor) -> None:
    """Raises ValueError, naming the pair, where dropping a real text costs more than the sums can hold.

    Runs of dropped texts are priced by differences of sums (B, m), in which a huge price hides all others.
    """
    if drops.numel():
        least, largest = drops.aminmax()
        if least.item() >= -LARGEST_TEXT_DROP and largest.item() <= LARGEST_TEXT_DROP:
            return  # the usual case, which saves five operators
    huge = (drops.abs() > LARGEST_TEXT_DROP) & (drops != -torch.inf)
    if huge.any() and (huge := huge & (torch.arange(drops.shape[1], device="cpu") < texts[:, None])).any():
        pair, text = huge.nonzero()[0].tolist()
        raise ValueError(
            f"drop_text[{pair}, {text}] is {drops[pair, text]:g}, beyond {LARGEST_TEXT_DROP:g}: leave drop_text None "
            f"to have every text matched, or keep a text with a price of up to {LARGEST_TEXT_DROP:g}"
        )


def check_ordered(name: str, drops: Tensor, lengths: Tensor) -> None:
    """Raises ValueError, naming the place, where dropping a real step costs NaN or -inf; all lie on the CPU."""
    real = torch.arange(drops.shape[1], device="cpu") < lengths[:, None]
    wrong = ~(drops > -torch.inf) & real
    if wrong.any():
        pair, step = wrong.nonzero()[0].tolist()
        raise ValueError(f"{name}[{pair}, {step}] is {drops[pair, step]:g}; a price is a number, or +inf to forbid it")


def check_windows(windows: Tensor | None, batch: int, validate: bool) -> None:
    """Raises ValueError unless `windows` is None or (B,) whole numbers >= 0, naming the pair."""
    if windows is None:
        return
    if windows.shape != (batch,) or windows.dtype not in INTEGERS:
        raise ValueError(
            f"window must be a number or (B,) = ({batch},) integers, not {tuple(windows.shape)} {windows.dtype}"
        )
    if windows.device.type == "cpu" or validate:
        for pair, window in enumerate(windows.tolist()):
            if window < 0:
                raise ValueError(f"window of pair {pair} is {window}; it must be at least 0")


def check_dsta_settings(order_weight: float, order_margin: int, band: int | None) -> None:
    """Raises ValueError unless the weight is at least 0 and margin and band are whole numbers."""
    check_not_negative("order_weight", order_weight)
    if order_margin is None:
        raise ValueError("order_margin must be a whole number >= 0, not None")
    check_whole("order_margin", order_margin)
    check_whole("band", band)


def check_window(window: int | Tensor | None, shape: str = "(B,)") -> None:
    """Raises ValueError unless `window` is None, a whole number >= 0, or a tensor, whose shape is looked at later."""
    if window is None or isinstance(window, Tensor):
        return
    if isinstance(window, bool) or not isinstance(window, Integral) or window < 0:
        raise ValueError(f"window must be None, a whole number >= 0 or a {shape} tensor of integers, not {window!r}")


def windows_of(window: int | Tensor | None, batch: int) -> Tensor | None:
    """One window for each pair, (B,) int64; None stays None."""
    check_window(window)
    if window is None or isinstance(window, Tensor):
        return window
    return torch.full((batch,), window, dtype=torch.int64, device="cpu")


def broadcast_drop(name: str, drop: Tensor | float, batch: int, steps: int, like: Tensor) -> Tensor:
    """Drop costs as (B, steps) of the type and on the device of the costs.  Raises ValueError where they do not fit."""
    if (
        isinstance(drop, float) and abs(drop) <= torch.finfo(like.dtype).max
    ):  # the usual case, which saves two operators
        return like.new_full((batch, steps), drop)
    try:
        drop = torch.as_tensor(drop, dtype=like.dtype, device=like.device)
    except (TypeError, ValueError) as fault:
        raise ValueError(f"{name} must be a number or a tensor, not {drop!r}") from fault
    try:
        return drop.broadcast_to(batch, steps)
    except RuntimeError as fault:
        raise ValueError(f"{name} of shape {tuple(drop.shape)} does not broadcast to ({batch}, {steps})") from fault


def at_least_float32(cost: Tensor) -> Tensor:
    return cost if cost.dtype in (torch.float32, torch.float64) else cost.float()

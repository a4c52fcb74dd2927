"""The recurrences as operators of torch: validated, dispatched to a backend, differentiable, visible to torch.compile.

The forward pass computes the value and, where a gradient will be asked for, the alignment with it: the derivative of
the value with respect to the cost.  The backward pass is then one product, and needs no table of its own.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import cache, partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.library import register_autocast

from . import cpu, derivatives, reference
from .arguments import check_ordered, check_text_drops, check_windows, lengths_of
from .dispatch import operator
from .geometry import check_dsta, check_dtw, check_every_text_fits


def backend_of(cost: Tensor, *, soft: bool = True) -> ModuleType:
    """The module whose functions take this tensor.

    Triton on CUDA and C++ on the CPU.  float64 goes to the reference, on CUDA with a warning, but for the hard
    recurrences on the CPU, which C++ has in float64 too.
    """
    if not cost.is_cpu and not cost.is_cuda:
        raise ValueError(f"the kernels run on CPU and CUDA, not on {cost.device}; move the cost with .cpu()")
    if cost.dtype == torch.float64 and (soft or cost.is_cuda):
        if cost.is_cuda:
            _warn_of_float64_on_cuda()
        return reference
    if cost.is_cuda:
        from . import triton

        return triton
    return cpu if _compiled() else reference


def describe(device: str = "cpu") -> str:
    """What the recurrences run on for costs on this device, in words."""
    if device.startswith("cuda"):
        return "Triton; float64 on the reference in torch"
    return f"C++, {cpu.describe()}" if cpu.available() else f"reference in torch: {cpu.describe()}"


@cache
def _warn_of_float64_on_cuda() -> None:
    warnings.warn(
        "float64 costs on CUDA are computed by the reference in torch, row by row and many times slower than float32; "
        "convert them with .float() where 2e-7 is accurate enough",
        RuntimeWarning,
        stacklevel=2,
    )


@cache
def _compiled() -> bool:
    if not cpu.available():
        warnings.warn(cpu.describe(), RuntimeWarning, stacklevel=2)
    return cpu.available()


@operator("soft_dtw")
def soft_dtw(
    cost: Tensor,
    video_lengths: Tensor | None,
    text_lengths: Tensor | None,
    gamma: float,
    band: int | None,
    allow_infeasible: bool,
    validate: bool,
    with_alignment: bool,
) -> tuple[Tensor, Tensor]:
    steps, texts = _sizes(
        cost, video_lengths, text_lengths, allow_infeasible, validate, lambda n, m: check_dtw(n, m, band)
    )
    value, alignment = backend_of(cost).soft_dtw(
        cost, steps, texts, gamma=gamma, band=_narrowed(band, cost), with_alignment=with_alignment
    )
    return _checked_values(value, validate), alignment


@operator("soft_dsta")
def soft_dsta(
    cost: Tensor,
    video_lengths: Tensor | None,
    text_lengths: Tensor | None,
    windows: Tensor | None,
    gamma: float,
    order_weight: float,
    order_margin: int,
    band: int | None,
    allow_infeasible: bool,
    validate: bool,
    with_alignment: bool,
) -> tuple[Tensor, Tensor]:
    windows, check = _windows(cost, windows, band, validate)
    steps, texts = _sizes(cost, video_lengths, text_lengths, allow_infeasible, validate, check)
    value, alignment = backend_of(cost).soft_dsta(
        cost,
        steps,
        texts,
        windows=windows,
        gamma=gamma,
        order_weight=order_weight,
        order_margin=min(order_margin, cost.shape[2]),
        band=_narrowed(band, cost),
        with_alignment=with_alignment,
    )
    return _checked_values(value, validate), alignment


@operator("soft_drop_dtw")
def soft_drop_dtw(
    cost: Tensor,
    drop_video: Tensor,
    drop_text: Tensor | None,
    video_lengths: Tensor | None,
    text_lengths: Tensor | None,
    gamma: float,
    contiguous: bool,
    band: int | None,
    validate: bool,
    with_alignment: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    steps, texts = _sizes(
        cost, video_lengths, text_lengths, False, validate, _drop_check(drop_video, drop_text, band, validate)
    )
    value, *shares = backend_of(cost).soft_drop_dtw(
        cost,
        drop_video,
        drop_text,
        steps,
        texts,
        gamma=gamma,
        contiguous=contiguous,
        band=_narrowed(band, cost),
        with_alignment=with_alignment,
    )
    return _checked_values(value, validate), *shares


@operator("dtw_path")
def dtw_path(
    cost: Tensor,
    video_lengths: Tensor | None,
    text_lengths: Tensor | None,
    band: int | None,
    allow_infeasible: bool,
    validate: bool,
    with_path: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    steps, texts = _sizes(
        cost, video_lengths, text_lengths, allow_infeasible, validate, lambda n, m: check_dtw(n, m, band)
    )
    value, path, path_lengths = backend_of(cost, soft=False).dtw_path(
        cost, steps, texts, band=_narrowed(band, cost), with_path=with_path
    )
    return _checked_values(value, validate), path, path_lengths


@operator("dsta_path")
def dsta_path(
    cost: Tensor,
    video_lengths: Tensor | None,
    text_lengths: Tensor | None,
    windows: Tensor | None,
    order_weight: float,
    order_margin: int,
    band: int | None,
    allow_infeasible: bool,
    validate: bool,
    with_path: bool,
) -> tuple[Tensor, Tensor]:
    windows, check = _windows(cost, windows, band, validate)
    steps, texts = _sizes(cost, video_lengths, text_lengths, allow_infeasible, validate, check)
    value, labels = backend_of(cost, soft=False).dsta_path(
        cost,
        steps,
        texts,
        windows=windows,
        order_weight=order_weight,
        order_margin=min(order_margin, cost.shape[2]),
        band=_narrowed(band, cost),
        with_path=with_path,
    )
    return _checked_values(value, validate), labels


@operator("drop_dtw")
def drop_dtw(
    cost: Tensor,
    drop_video: Tensor,
    drop_text: Tensor | None,
    video_lengths: Tensor | None,
    text_lengths: Tensor | None,
    contiguous: bool,
    band: int | None,
    validate: bool,
    with_path: bool,
) -> tuple[Tensor, Tensor]:
    steps, texts = _sizes(
        cost, video_lengths, text_lengths, False, validate, _drop_check(drop_video, drop_text, band, validate)
    )
    value, labels = backend_of(cost, soft=False).drop_dtw(
        cost,
        drop_video,
        drop_text,
        steps,
        texts,
        contiguous=contiguous,
        band=_narrowed(band, cost),
        with_path=with_path,
    )
    return _checked_values(value, validate), labels


# ---- what is known before launch is checked before launch

Check = Callable[[Tensor, Tensor], None]


def _sizes(
    cost: Tensor, video: Tensor | None, text: Tensor | None, allow_infeasible: bool, validate: bool, check: Check
) -> tuple[Tensor, Tensor]:
    """Lengths on the device of the cost.  Those that lie on a GPU with it are checked only if `validate` waits.

    With `allow_infeasible`, pairs whose lengths fit no alignment are no error: the recurrence returns +inf for them.
    """
    batch, n, m = cost.shape
    wait = validate or cost.is_cpu  # C++ reads as far as the lengths say
    steps = lengths_of("video_lengths", video, batch, n, wait)
    texts = lengths_of("text_lengths", text, batch, m, wait)
    if validate or (not allow_infeasible and (wait or (steps.is_cpu and texts.is_cpu))):
        check(steps.cpu(), texts.cpu())
    if cost.is_cpu:
        return steps.long(), texts.long()
    return steps.to(cost.device, torch.int64), texts.to(cost.device, torch.int64)


def _windows(cost: Tensor, windows: Tensor | None, band: int | None, validate: bool) -> tuple[Tensor | None, Check]:
    """Windows on the device of the cost, no wider than the table, and the check of those that are known."""
    if windows is None:
        return None, lambda steps, texts: check_dsta(steps, texts, None, band)
    wait = validate or "cpu" in (cost.device.type, windows.device.type)
    check_windows(windows, len(cost), wait)
    known = windows.cpu() if wait else None
    return windows.to(cost.device, torch.int64).clamp(max=cost.shape[2]), lambda steps, texts: check_dsta(
        steps, texts, known, band
    )


def _narrowed(band: int | None, cost: Tensor) -> int | None:
    """The same band, no wider than the table, so that no product with it overflows."""
    return None if band is None else min(band, cost.shape[2])


def _drop_check(drop_video: Tensor, drop_text: Tensor | None, band: int | None, validate: bool) -> Check:
    def check(steps: Tensor, texts: Tensor) -> None:
        if validate:
            check_ordered("drop_video", drop_video.cpu(), steps)
        if drop_text is None:
            check_every_text_fits(steps, texts, band)
        elif validate or drop_text.device.type == "cpu":
            prices = drop_text.cpu()
            check_text_drops(prices, texts)
            if validate:
                check_ordered("drop_text", prices, texts)

    return check


def _checked_values(value: Tensor, validate: bool) -> Tensor:
    """`value`; with `validate`, a ValueError that names the first pair whose value is NaN or infinite."""
    if validate:
        for pair, found in enumerate(value.tolist()):
            if math.isnan(found):
                raise ValueError(f"pair {pair} holds NaN or -inf among its costs")
            if math.isinf(found):
                raise ValueError(f"pair {pair} has no alignment: its masks (+inf) leave no path; loosen them")
    return value


# ---- shapes for tracing


def _results(cost: Tensor, with_rest: bool, *shapes: tuple[int, ...]) -> tuple[Tensor, ...]:
    """A value (B,), then one tensor of the same type for each shape; those are empty unless `with_rest`."""
    dtype = torch.float64 if cost.dtype == torch.float64 else torch.float32
    rest = (cost.new_empty(shape if with_rest else (0,), dtype=dtype) for shape in shapes)
    return cost.new_empty(cost.shape[0], dtype=dtype), *rest


def _indices(cost: Tensor, with_rest: bool, *shapes: tuple[int | torch.SymInt, ...]) -> tuple[Tensor, ...]:
    """The same, but the tensors for the shapes are int64."""
    rest = (cost.new_empty(shape if with_rest else (0,), dtype=torch.int64) for shape in shapes)
    return *_results(cost, False), *rest


@soft_dtw.register_fake
@soft_dsta.register_fake
def _(cost: Tensor, *settings: Any) -> tuple[Tensor, ...]:
    return _results(cost, settings[-1], cost.shape)


@soft_drop_dtw.register_fake
def _(cost: Tensor, *settings: Any) -> tuple[Tensor, ...]:
    batch, n, m = cost.shape
    return _results(cost, settings[-1], (batch, n, m), (batch, n), (batch, m))


@dtw_path.register_fake
def _(cost: Tensor, *settings: Any) -> tuple[Tensor, ...]:
    batch, n, m = cost.shape
    return _indices(cost, settings[-1], (batch, torch.sym_max(n + m - 1, 0), 2), (batch,))


@dsta_path.register_fake
@drop_dtw.register_fake
def _(cost: Tensor, *settings: Any) -> tuple[Tensor, ...]:
    return _indices(cost, settings[-1], cost.shape[:2])


for _op in (soft_dtw, soft_dsta, soft_drop_dtw):
    _op.register_autograd(derivatives.backward, setup_context=derivatives.remember)

for _op in (dtw_path, dsta_path, drop_dtw):
    _op.register_vmap(partial(derivatives.mapped, _op))

# bfloat16 and float16 costs are summed in float32, also where autocast made them
for _op in (soft_dtw, soft_dsta, soft_drop_dtw, dtw_path, dsta_path, drop_dtw):
    for _device in ("cpu", "cuda"):
        register_autocast(_op, _device, torch.float32)

"""The recurrences as operators of torch: validated, dispatched to a backend, differentiable, visible to torch.compile.

The forward pass computes the value and, where a gradient will be asked for, the alignment with it: the derivative of
the value with respect to the cost.  The backward pass is then one product, and needs no table of its own.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Hashable
from functools import cache, lru_cache, partial
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
    if cost.is_cpu:
        return cpu if _compiled() and not (soft and cost.dtype == torch.float64) else reference
    if not cost.is_cuda:
        raise ValueError(f"the kernels run on CPU and CUDA, not on {cost.device}; move the cost with .cpu()")
    if cost.dtype == torch.float64:
        _warn_of_float64_on_cuda()
        return reference
    from . import triton

    return triton


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
    steps, texts = _sizes(cost, video_lengths, text_lengths, allow_infeasible, validate, check_dtw, band)
    value, alignment = backend_of(cost).soft_dtw(
        cost, steps, texts, gamma=gamma, band=_narrowed(band, cost), with_alignment=with_alignment
    )
    if validate:
        _check_values(value)
    return value, alignment


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
    windows, known = _windows(cost, windows, validate)
    steps, texts = _sizes(cost, video_lengths, text_lengths, allow_infeasible, validate, check_dsta, known, band)
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
    if validate:
        _check_values(value)
    return value, alignment


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
    steps, texts = _drop_sizes(cost, drop_video, drop_text, video_lengths, text_lengths, band, validate)
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
    if validate:
        _check_values(value)
    return value, *shares


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
    steps, texts = _sizes(cost, video_lengths, text_lengths, allow_infeasible, validate, check_dtw, band)
    value, path, path_lengths = backend_of(cost, soft=False).dtw_path(
        cost, steps, texts, band=_narrowed(band, cost), with_path=with_path
    )
    if validate:
        _check_values(value)
    return value, path, path_lengths


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
    windows, known = _windows(cost, windows, validate)
    steps, texts = _sizes(cost, video_lengths, text_lengths, allow_infeasible, validate, check_dsta, known, band)
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
    if validate:
        _check_values(value)
    return value, labels


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
    steps, texts = _drop_sizes(cost, drop_video, drop_text, video_lengths, text_lengths, band, validate)
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
    if validate:
        _check_values(value)
    return value, labels


# ---- what is known before launch is checked before launch

#: of `geometry`: raises ValueError for lengths, of video and of text, that fit no alignment within the bounds
Check = Callable[..., None]


def _sizes(
    cost: Tensor,
    video: Tensor | None,
    text: Tensor | None,
    allow_infeasible: bool,
    validate: bool,
    check: Check,
    *bounds: Hashable,
) -> tuple[Tensor, Tensor]:
    """Lengths on the device of the cost.  Those that lie on a GPU with it are checked only if `validate` waits.

    With `allow_infeasible`, pairs whose lengths fit no alignment are no error: the recurrence returns +inf for them.
    """
    batch, n, m = cost.shape
    if allow_infeasible and not validate:
        check = _nothing
    if video is None and text is None:
        steps, texts = _whole(batch, n, m, check, *bounds)
    else:
        wait = validate or cost.is_cpu  # C++ reads as far as the lengths say
        steps, known_steps = lengths_of("video_lengths", video, batch, n, wait)
        texts, known_texts = lengths_of("text_lengths", text, batch, m, wait)
        if known_steps is not None and known_texts is not None:
            check(known_steps, known_texts, *bounds)
    if cost.is_cpu:
        return steps, texts
    return steps.to(cost.device, torch.int64), texts.to(cost.device, torch.int64)


@lru_cache(maxsize=16)
def _whole(batch: int, n: int, m: int, check: Check, *bounds: Hashable) -> tuple[Tensor, Tensor]:
    """The lengths of pairs without padding, checked.  Cached: callers must not write to them."""
    check((n,) * batch, (m,) * batch, *bounds)
    steps, texts = (torch.full((batch,), length, dtype=torch.int64, device="cpu") for length in (n, m))
    return steps, texts


def _nothing(*lengths_and_bounds: Hashable) -> None:
    """The check where every length will do."""


def _windows(cost: Tensor, windows: Tensor | None, validate: bool) -> tuple[Tensor | None, tuple[int, ...] | None]:
    """Windows on the device of the cost, no wider than the table, and as numbers, where they are known."""
    if windows is None:
        return None, None
    wait = validate or cost.is_cpu or windows.is_cpu
    check_windows(windows, len(cost), wait)
    known = tuple(windows.tolist()) if wait else None
    return windows.to(cost.device, torch.int64).clamp(max=cost.shape[2]), known


def _narrowed(band: int | None, cost: Tensor) -> int | None:
    """The same band, no wider than the table, so that no product with it overflows."""
    return None if band is None else min(band, cost.shape[2])


def _drop_sizes(
    cost: Tensor,
    drop_video: Tensor,
    drop_text: Tensor | None,
    video: Tensor | None,
    text: Tensor | None,
    band: int | None,
    validate: bool,
) -> tuple[Tensor, Tensor]:
    """The same for Drop-DTW, with prices that can be summed; those on a GPU are checked only if `validate` waits."""
    check = check_every_text_fits if drop_text is None else _nothing
    steps, texts = _sizes(cost, video, text, False, validate, check, band)
    if drop_text is not None and (validate or drop_text.is_cpu):
        check_text_drops(drop_text.cpu(), texts.cpu())
    if validate:
        check_ordered("drop_video", drop_video.cpu(), steps.cpu())
        if drop_text is not None:
            check_ordered("drop_text", drop_text.cpu(), texts.cpu())
    return steps, texts


def _check_values(value: Tensor) -> None:
    """Raises ValueError, naming the pair, where a value is NaN or infinite."""
    for pair, found in enumerate(value.tolist()):
        if math.isnan(found):
            raise ValueError(f"pair {pair} holds NaN or -inf among its costs")
        if math.isinf(found):
            raise ValueError(f"pair {pair} has no alignment: its masks (+inf) leave no path; loosen them")


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
    _op.register_autograd(derivatives.backward, setup_context=derivatives.setup_context)

for _op in (dtw_path, dsta_path, drop_dtw):
    _op.register_vmap(partial(derivatives.mapped, _op))

# bfloat16 and float16 costs are summed in float32, also where autocast made them
for _op in (soft_dtw, soft_dsta, soft_drop_dtw, dtw_path, dsta_path, drop_dtw):
    for _device in ("cpu", "cuda"):
        register_autocast(_op, _device, torch.float32)

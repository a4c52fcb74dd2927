"""`weaksync doctor --gpu`: the first things to know of the kernels on hardware they have not run on."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from .. import kernels

#: largest error of a gradient, max |g - g64| / max |g64|, and of a value, that passes
GRADIENT, VALUE = 1e-5, 1e-5
#: where gamma is 0.001, rounding cost / gamma to float32 alone is 1e-4 of a weight
SHARP_GRADIENT = 3e-4
#: B, n, m: one warp, a row of one block, rows of several warps, and of several blocks
SIZES = ((4, 33, 61), (2, 200, 256), (1, 500, 1500), (1, 64, 3000))
#: bands in columns: one that programs move along in the last two sizes, and one that takes several blocks in the last
BAND, WIDE_BAND = 150, 1200


def findings(device: str, *, sizes: tuple[tuple[int, int, int], ...] = SIZES) -> list[tuple[str, str, str]]:
    """For each kernel and size: what was compared, the figure, and "ok" or "WRONG".

    Rows are scans whose steps do not commute, so a scan in the wrong order shows in every value; fast exponentials show
    in the gradients; a race shows as runs that differ.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="float64 costs on CUDA")  # as the truth is to be
        return [*_of_pairs(device), *(row for size in sizes for row in _of_size(size, device))]


def _reported(rows: Iterator[tuple[str, str, str]], what: str) -> Iterator[tuple[str, str, str]]:
    """The rows; a kernel that does not compile or launch is a row too, and hides no other kernel."""
    try:
        yield from rows
    except Exception as error:
        yield what, f"{type(error).__name__}: {error}".splitlines()[0][:200], _verdict(False)


#: a soft recurrence by its name in `kernels`, and the settings that it is checked with
SOFT: dict[str, tuple[str, dict[str, Any]]] = {
    "soft-DTW": ("soft_dtw", {"gamma": 0.1}),
    "soft-DTW, gamma 0.001": ("soft_dtw", {"gamma": 0.001}),
    "soft-DTW, band": ("soft_dtw", {"gamma": 0.1, "band": BAND}),
    "soft-DTW, wide band": ("soft_dtw", {"gamma": 0.1, "band": WIDE_BAND}),
    "soft-DSTA": ("soft_dsta", {"gamma": 0.1}),
    "soft-DSTA, window 50": ("soft_dsta", {"gamma": 0.1, "window": 50}),
    "soft-DSTA, band": ("soft_dsta", {"gamma": 0.1, "band": BAND}),
    "soft Drop-DTW": ("soft_drop_dtw", {"drop_video": 0.4, "drop_text": 0.6, "gamma": 0.1}),
    "soft Drop-DTW, band": ("soft_drop_dtw", {"drop_video": 0.4, "drop_text": 0.6, "gamma": 0.1, "band": BAND}),
    "soft Drop-DTW, every text matched": ("soft_drop_dtw", {"drop_video": 0.4, "gamma": 0.1}),
    "soft Drop-DTW, gaps": (
        "soft_drop_dtw",
        {"drop_video": 0.4, "drop_text": 0.6, "gamma": 0.1, "contiguous": False},
    ),
}


def _hard() -> dict[str, Callable[[Tensor], tuple[Tensor, ...]]]:
    return {
        "DTW": kernels.dtw_path,
        "DTW, band": partial(kernels.dtw_path, band=BAND),
        "DTW, wide band": partial(kernels.dtw_path, band=WIDE_BAND),
        "DSTA": kernels.dsta_path,
        "DSTA, window 50": partial(kernels.dsta_path, window=50),
        "Drop-DTW": partial(kernels.drop_dtw, drop_video=0.4, drop_text=0.6),
        "Drop-DTW, band": partial(kernels.drop_dtw, drop_video=0.4, drop_text=0.6, band=BAND),
    }


def _of_size(size: tuple[int, int, int], device: str) -> Iterator[tuple[str, str, str]]:
    cost = 2 * torch.rand(size, generator=torch.Generator().manual_seed(0)).to(device)
    label = " x ".join(map(str, size))
    for name, (form, settings) in SOFT.items():
        value = partial(getattr(kernels, form), **settings)
        alignment = partial(getattr(kernels, f"{form}_alignment"), **settings)
        steep = "every text matched" in name and size[2] > size[1]  # which takes as many steps as texts
        given = cost.mT if steep else cost
        yield from _reported(_of_soft(f"{name}, {label}", value, alignment, given), f"{name}, {label}")
    for name, path in _hard().items():
        yield from _reported(_of_hard(f"{name}, {label}", path, cost), f"{name}, {label}")


def _of_soft(
    what: str, value: Callable[[Tensor], Tensor], alignment: Callable[[Tensor], Tensor], cost: Tensor
) -> Iterator[tuple[str, str, str]]:
    found, gradient = _differentiated(value, cost)
    truth, exact = _differentiated(value, cost.double())
    again, gradient_again = _differentiated(value, cost)
    error = float((found.double() - truth).abs().max() / truth.abs().max())
    yield f"{what}: value", f"{error:.1e}", _verdict(error <= VALUE)
    error = float((gradient.double() - exact).abs().max() / exact.abs().max())
    passing = SHARP_GRADIENT if "gamma 0.001" in what else GRADIENT
    yield f"{what}: gradient", f"{error:.1e}", _verdict(error <= passing)
    same = torch.equal(found, again) and torch.equal(gradient, gradient_again)
    yield f"{what}: two runs", "equal" if same else "differ", _verdict(same)
    with torch.no_grad():
        error = float((value(cost).double() - truth).abs().max() / truth.abs().max())
    yield f"{what}: value without a gradient", f"{error:.1e}", _verdict(error <= VALUE)
    same = torch.equal(alignment(cost), gradient)
    yield f"{what}: alignment and gradient", "equal" if same else "differ", _verdict(same)


def _of_hard(what: str, path: Callable[[Tensor], tuple[Tensor, ...]], cost: Tensor) -> Iterator[tuple[str, str, str]]:
    found, *rest = path(cost)
    truth, *_ = path(cost.double())
    error = float((found.double() - truth).abs().max() / truth.abs().max())
    yield f"{what}: value", f"{error:.1e}", _verdict(error <= VALUE)
    same = all(torch.equal(one, two) for one, two in zip(rest, path(cost)[1:], strict=True))
    yield f"{what}: two runs", "equal" if same else "differ", _verdict(same)


def _of_pairs(device: str) -> Iterator[tuple[str, str, str]]:
    """Every video with every text: costs from features, with autocast on, and values of the hard forms alone."""
    draw = torch.Generator().manual_seed(0)
    video, text = (torch.randn(count, steps, 64, generator=draw).to(device) for count, steps in ((3, 40), (5, 61)))
    for name in ("pairwise_soft_dtw", "pairwise_soft_dsta", "pairwise_dtw", "pairwise_dsta"):
        yield from _reported(_of_pairs_by(name, video, text), name)


def _of_pairs_by(name: str, video: Tensor, text: Tensor) -> Iterator[tuple[str, str, str]]:
    values = getattr(kernels, name)
    truth = values(video.double(), text.double())
    for setting, autocast in (("", False), (", autocast", True)):
        with torch.autocast(video.device.type, dtype=torch.bfloat16, enabled=autocast):
            error = float((values(video, text).double() - truth).abs().max() / truth.abs().max())
        yield f"{name}{setting}: value", f"{error:.1e}", _verdict(error <= VALUE)


def _differentiated(value: Callable[[Tensor], Tensor], cost: Tensor) -> tuple[Tensor, Tensor]:
    leaf = cost.clone().requires_grad_()
    found = value(leaf)
    (gradient,) = torch.autograd.grad(found.sum(), leaf)
    return found.detach(), gradient


def _verdict(passed: bool) -> str:
    return "ok" if passed else "WRONG"

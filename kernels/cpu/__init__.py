"""The alignment recurrences in C++: the backend for float32 costs on CPU, and hard forms in either precision; and the
product that makes such costs.

The library beside this file is built when weaksync is installed, if there is a compiler, and is called through ctypes.
It holds one set of functions for each vector width and takes the widest that the processor has; the environment
variable WEAKSYNC_CPU (avx512, avx2 or plain) forces one.  Threads follow torch.set_num_threads.

Every recurrence takes what every backend takes (see `reference`).  Soft values are accurate to 1e-7, gradients to 2e-6.
Pairs whose costs leave the range of the arithmetic (|cost| / gamma of 7e5 in a cell, 2.3e7 along a path) are handed to
the reference.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "available",
    "describe",
    "drop_dtw",
    "dsta_path",
    "dtw_path",
    "soft_drop_dtw",
    "soft_dsta",
    "soft_dtw",
    "unit_cost",
    "use",
]

INSTRUCTION_SETS = ("avx512", "avx2", "plain")
ENVIRONMENT = "WEAKSYNC_CPU"
#: fewer cells than this are not worth a second thread
CELLS_PER_THREAD = 20_000
#: and fewer multiplications
PRODUCTS_PER_THREAD = 10_000_000
#: smaller tensors are not worth huge pages, or the question
LARGE = 4 << 20


class _Batch(ctypes.Structure):
    """`Batch` of interface.cpp."""

    _fields_ = (
        ("cost", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("pairs", "n", "m", "pair_stride", "row_stride")),
        ("steps", ctypes.c_void_p),
        ("texts", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("band", "doubles", "threads")),
        ("value", ctypes.c_void_p),
        ("beyond_range", ctypes.c_void_p),
    )


class _Sequences(ctypes.Structure):
    """`Sequences` of interface.cpp."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("count", "length", "stride", "row_stride")),
    )


_POINTER, _INT, _DOUBLE = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
#: what follows the batch
_ARGUMENTS: dict[str, tuple[type, ...]] = {
    "soft_dtw": (_DOUBLE, _POINTER),
    "soft_dsta": (_POINTER, _INT, _DOUBLE, _DOUBLE, _POINTER),
    "soft_drop_dtw": (_POINTER, _POINTER, _INT, _DOUBLE, _POINTER, _POINTER, _POINTER),
    "dtw_path": (_POINTER, _POINTER),
    "dsta_path": (_POINTER, _INT, _DOUBLE, _POINTER),
    "drop_dtw": (_POINTER, _POINTER, _INT, _POINTER),
}


def _load() -> tuple[ctypes.CDLL | None, str]:
    """The library, or None and why it is not there."""
    folder = Path(__file__).parent
    found = [path for suffix in EXTENSION_SUFFIXES if (path := folder / f"_recurrences{suffix}").is_file()]
    if not found:
        return None, "it was not built"
    try:
        library = ctypes.CDLL(str(found[0]))
        library.weaksync_choose.argtypes = (ctypes.c_char_p,)
        library.weaksync_choose.restype = ctypes.c_char_p
        library.weaksync_lanes.restype = _INT
        library.weaksync_expect_large.argtypes = (_POINTER, _INT)
        library.weaksync_expect_large.restype = None
        sequences = ctypes.POINTER(_Sequences)
        library.weaksync_unit_cost.argtypes = (sequences, sequences, _POINTER, _INT, _INT, _INT, _POINTER)
        library.weaksync_unit_cost.restype = _INT
        for name, arguments in _ARGUMENTS.items():
            function = getattr(library, f"weaksync_{name}")
            function.argtypes = (ctypes.POINTER(_Batch), *arguments)
            function.restype = _INT
    except (OSError, AttributeError) as fault:
        return None, f"{found[0].name} does not load ({fault})"
    return library, ""


_library, _fault = _load()
_chosen = ""


def available() -> bool:
    """Whether the library was built and loads.

    Raises ValueError where WEAKSYNC_CPU names an instruction set that is unknown, or that this processor lacks.
    """
    if _library is not None and not _chosen:
        use(os.environ.get(ENVIRONMENT) or None)
    return _library is not None


def describe() -> str:
    """The instruction set in use, "avx512, 16 lanes"; or why there is none, and how to have one."""
    if not available():
        return (
            f"the compiled CPU kernels are missing: {_fault}; the reference in torch serves instead, about a hundred "
            "times slower. With GCC 9 or newer, `pip install --force-reinstall --no-deps weaksync` (in a checkout: "
            "`pip install -e .`) builds them"
        )
    assert _library is not None
    return f"{_chosen}, {_library.weaksync_lanes()} lanes"


def use(name: str | None) -> str:
    """Take the named instruction set from now on, or the widest for None, and return its name.

    Raises ValueError for a name that is unknown, or that this processor or build does not have; ImportError where the
    library is missing.
    """
    global _chosen
    if _library is None:
        raise ImportError(describe())
    if name is not None and name not in INSTRUCTION_SETS:
        raise ValueError(f"{ENVIRONMENT} is {name!r}; it must be one of {', '.join(INSTRUCTION_SETS)}")
    chosen = _library.weaksync_choose(None if name is None else name.encode())
    if chosen is None:
        raise ValueError(f"{ENVIRONMENT} is {name!r}, which this processor does not have; unset it to take the widest")
    _chosen = chosen.decode()
    return _chosen


def empty(like: Tensor, *shape: int) -> Tensor:
    """An uninitialised tensor of the same type on the CPU, of huge pages where it is large: faults of small ones cost
    as much as a recurrence."""
    tensor = like.new_empty(shape)
    if _library is not None and tensor.nbytes >= LARGE:
        _library.weaksync_expect_large(tensor.data_ptr(), tensor.nbytes)
    return tensor


def unit_cost(video: Tensor, text: Tensor, extra: Tensor | None = None) -> Tensor:
    """1 - the products of all videos (V, n, d) with all texts (S, m, d), plus `extra`, float32: (V, S, n, m).

    Args:
        extra: (S, n, m), or (1, n, m) for all texts.

    Raises:
        ValueError: for another type or device, where d differs, or for the shape of `extra`.
        ImportError: where the library is missing.
        MemoryError: where there is not enough for a tile of texts.
    """
    if not available():
        raise ImportError(describe())
    assert _library is not None
    for x in (video, text, *([] if extra is None else [extra])):  # the library reads their memory as it is
        if not x.is_cpu or x.dtype != torch.float32:
            raise ValueError(f"video, text and extra must be float32 on the CPU, not {x.dtype} on {x.device}")
    (videos, n, depth), (texts, m, other) = video.shape, text.shape
    if depth != other:
        raise ValueError(f"steps of {depth} dimensions for videos and {other} for texts have no product")
    if extra is not None and extra.shape not in ((texts, n, m), (1, n, m)):
        raise ValueError(f"extra must be (S, n, m) = {(texts, n, m)} or (1, n, m), not {tuple(extra.shape)}")
    cost = empty(video, videos, texts, n, m)
    threads = min(torch.get_num_threads(), 1 + cost.numel() * depth // PRODUCTS_PER_THREAD)
    parts = [x if x.stride(2) == 1 else x.contiguous() for x in (video, text)]
    sequences = [_Sequences(x.data_ptr(), *x.shape[:2], *x.stride()[:2]) for x in parts]
    more = None if extra is None else extra.contiguous()
    stride = n * m if more is not None and len(more) > 1 else 0
    if _library.weaksync_unit_cost(*sequences, _address(more), stride, depth, threads, cost.data_ptr()) < 0:
        raise MemoryError(f"products of {depth} dimensions need more memory than there is")
    return cost


# ---- the six recurrences


def soft_dtw(
    cost: Tensor, steps: Tensor, texts: Tensor, *, gamma: float, band: int | None, with_alignment: bool
) -> tuple[Tensor, Tensor]:
    call = _Call("soft_dtw", cost, steps, texts, band)
    alignment = call.output(with_alignment, cost.shape)
    call.run(gamma, _address(alignment, with_alignment))
    settings = {"gamma": gamma, "band": band, "with_alignment": with_alignment}
    call.hand_over([alignment], lambda pairs: _reference().soft_dtw(*call.part(pairs), **settings))
    return call.value, alignment


def soft_dsta(
    cost: Tensor,
    steps: Tensor,
    texts: Tensor,
    *,
    windows: Tensor | None,
    gamma: float,
    order_weight: float,
    order_margin: int,
    band: int | None,
    with_alignment: bool,
) -> tuple[Tensor, Tensor]:
    call = _Call("soft_dsta", cost, steps, texts, band)
    alignment = call.output(with_alignment, cost.shape)
    windows = None if windows is None else windows.contiguous()
    call.run(
        _address(windows), min(order_margin, call.longest), order_weight, gamma, _address(alignment, with_alignment)
    )

    def reference(pairs: Tensor) -> tuple[Tensor, ...]:
        return _reference().soft_dsta(
            *call.part(pairs),
            windows=None if windows is None else windows[pairs],
            gamma=gamma,
            order_weight=order_weight,
            order_margin=order_margin,
            band=band,
            with_alignment=with_alignment,
        )

    call.hand_over([alignment], reference)
    return call.value, alignment


def soft_drop_dtw(
    cost: Tensor,
    drop_video: Tensor,
    drop_text: Tensor | None,
    steps: Tensor,
    texts: Tensor,
    *,
    gamma: float,
    contiguous: bool,
    band: int | None,
    with_alignment: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    call = _Call("soft_drop_dtw", cost, steps, texts, band)
    batch, n, m = cost.shape
    video, text = drop_video.double().contiguous(), None if drop_text is None else drop_text.double().contiguous()
    alignment = call.output(with_alignment, cost.shape)
    video_drops = call.output(with_alignment, (batch, n))
    text_drops = call.output(with_alignment and text is not None, (batch, m))
    call.run(
        _address(video),
        _address(text),
        contiguous,
        gamma,
        _address(alignment, with_alignment),
        _address(video_drops, with_alignment),
        _address(text_drops, with_alignment and text is not None),
    )
    if with_alignment and text is None:
        text_drops = cost.new_zeros(batch, m, dtype=torch.float32)

    def reference(pairs: Tensor) -> tuple[Tensor, ...]:
        part, *lengths = call.part(pairs)
        return _reference().soft_drop_dtw(
            part,
            video[pairs],
            None if text is None else text[pairs],
            *lengths,
            gamma=gamma,
            contiguous=contiguous,
            band=band,
            with_alignment=with_alignment,
        )

    call.hand_over([alignment, video_drops, text_drops], reference)
    return call.value, alignment, video_drops, text_drops


def dtw_path(
    cost: Tensor, steps: Tensor, texts: Tensor, *, band: int | None, with_path: bool
) -> tuple[Tensor, Tensor, Tensor]:
    call = _Call("dtw_path", cost, steps, texts, band)
    batch, n, m = cost.shape
    path = call.indices(with_path, (batch, max(n + m - 1, 0), 2))
    lengths = call.indices(with_path, (batch,))
    call.run(_address(path, with_path), _address(lengths, with_path))
    return call.value, path, lengths


def dsta_path(
    cost: Tensor,
    steps: Tensor,
    texts: Tensor,
    *,
    windows: Tensor | None,
    order_weight: float,
    order_margin: int,
    band: int | None,
    with_path: bool,
) -> tuple[Tensor, Tensor]:
    call = _Call("dsta_path", cost, steps, texts, band)
    labels = call.indices(with_path, cost.shape[:2])
    windows = None if windows is None else windows.contiguous()
    call.run(_address(windows), min(order_margin, call.longest), order_weight, _address(labels, with_path))
    return call.value, labels


def drop_dtw(
    cost: Tensor,
    drop_video: Tensor,
    drop_text: Tensor | None,
    steps: Tensor,
    texts: Tensor,
    *,
    contiguous: bool,
    band: int | None,
    with_path: bool,
) -> tuple[Tensor, Tensor]:
    call = _Call("drop_dtw", cost, steps, texts, band)
    labels = call.indices(with_path, cost.shape[:2])
    video, text = drop_video.double().contiguous(), None if drop_text is None else drop_text.double().contiguous()
    call.run(_address(video), _address(text), contiguous, _address(labels, with_path))
    return call.value, labels


# ---- one call


#: an address for tensors without elements, which have none; null means "not there"
_NOWHERE = ctypes.c_double()


def _address(tensor: Tensor | None, there: bool = True) -> int | None:
    if tensor is None or not there:
        return None
    return tensor.data_ptr() or ctypes.addressof(_NOWHERE)


def _reference() -> Any:
    from .. import reference  # here, so that either module can be read without the other

    return reference


class _Call:
    """One call of the library: its tensors, kept alive, and what it says about them."""

    def __init__(self, name: str, cost: Tensor, steps: Tensor, texts: Tensor, band: int | None) -> None:
        if not available():
            raise ImportError(describe())
        double = cost.dtype == torch.float64 and not name.startswith("soft")
        if not double and cost.dtype != torch.float32:
            cost = cost.float()
        batch, n, m = cost.shape
        pair_stride, row_stride, column_stride = cost.stride()
        if m > 1 and column_stride != 1:
            cost = cost.contiguous()
            pair_stride, row_stride, _ = cost.stride()
        self.name, self.cost, self.steps, self.texts = name, cost, steps.contiguous(), texts.contiguous()
        self.longest = max(n, m)
        self.value = cost.new_empty(batch)
        self.beyond_range = (ctypes.c_bool * batch)()
        self.batch = _Batch(
            cost.data_ptr(),
            batch,
            n,
            m,
            pair_stride,
            row_stride,
            self.steps.data_ptr(),
            self.texts.data_ptr(),
            -1 if band is None else min(band, self.longest),
            double,
            min(torch.get_num_threads(), 1 + batch * n * m // CELLS_PER_THREAD),
            self.value.data_ptr(),
            ctypes.addressof(self.beyond_range),
        )
        self.beyond = 0

    def output(self, wanted: bool, shape: Sequence[int]) -> Tensor:
        """An empty tensor that the library fills with shares, without elements where it is not wanted."""
        return empty(self.cost, *shape) if wanted else self.cost.new_empty(0)

    def indices(self, wanted: bool, shape: Sequence[int]) -> Tensor:
        """The same for int64."""
        return empty(self.steps, *shape) if wanted else self.steps.new_empty(0)

    def run(self, *arguments: Any) -> None:
        """Raises MemoryError where the workspace of a pair does not fit."""
        self.beyond = getattr(_library, f"weaksync_{self.name}")(self.batch, *arguments)
        if self.beyond < 0:
            raise MemoryError(
                f"{self.name} of {tuple(self.cost.shape)} needs more memory than there is; set a band, or fewer threads"
            )

    def part(self, pairs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.cost[pairs], self.steps[pairs], self.texts[pairs]

    def hand_over(self, outputs: list[Tensor], reference: Callable[[Tensor], tuple[Tensor, ...]]) -> None:
        """Has the reference compute the pairs that are beyond the range of the arithmetic."""
        if not self.beyond:
            return
        pairs = torch.tensor(self.beyond_range[:], device="cpu").nonzero().squeeze(1)
        self.value[pairs], *results = reference(pairs)
        for output, result in zip(outputs, results, strict=True):
            if output.numel():
                output[pairs] = result

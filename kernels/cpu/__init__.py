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

import torch
from torch import Tensor

from .. import reference
from .call import Call
from .library import INSTRUCTION_SETS, Sequences, address, available, describe, empty, function, loaded, use

__all__ = [
    "INSTRUCTION_SETS",
    "available",
    "describe",
    "drop_dtw",
    "dsta_path",
    "dtw_path",
    "empty",
    "scale",
    "soft_drop_dtw",
    "soft_dsta",
    "soft_dtw",
    "unit_cost",
    "use",
]

#: fewer multiplications than this are not worth a second thread
PRODUCTS_PER_THREAD = 10_000_000
#: nor are fewer numbers than this to scale
NUMBERS_PER_THREAD = 300_000


def unit_cost(video: Tensor, text: Tensor, extra: Tensor | None = None) -> Tensor:
    """1 - the products of all videos (V, n, d) with all texts (S, m, d), plus `extra`, float32: (V, S, n, m).

    Args:
        extra: (S, n, m), or (1, n, m) for all texts.

    Raises:
        ValueError: for another type or device, where d differs, or for the shape of `extra`.
        ImportError: where the library is missing.
        MemoryError: where there is not enough for a tile of texts.
    """
    library = loaded()
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
    sequences = [Sequences(x.data_ptr(), *x.shape[:2], *x.stride()[:2]) for x in parts]
    more = None if extra is None else extra.contiguous()
    stride = n * m if more is not None and len(more) > 1 else 0
    if library.weaksync_unit_cost(*sequences, address(more), stride, depth, threads, cost.data_ptr()) < 0:
        raise MemoryError(f"products of {depth} dimensions need more memory than there is")
    return cost


def scale(alignment: Tensor, factors: Tensor) -> Tensor:
    """Multiplies the alignment of each pair, float32 (B, ...) without gaps, by its factor (B,), in place.

    Torch would do so on threads of its own, which then spin for milliseconds on the core of the next call's threads.
    """
    pairs, count = len(alignment), alignment.numel()
    threads = min(torch.get_num_threads(), 1 + count // NUMBERS_PER_THREAD)
    factors = factors.contiguous()
    if function("scale")(alignment.data_ptr(), pairs, count // max(pairs, 1), factors.data_ptr(), threads) < 0:
        raise MemoryError("the backward pass needs more memory than there is")
    return alignment


# ---- the six recurrences


def soft_dtw(
    cost: Tensor, steps: Tensor, texts: Tensor, *, gamma: float, band: int | None, with_alignment: bool
) -> tuple[Tensor, Tensor]:
    call = Call("soft_dtw", cost, steps, texts, band)
    alignment = call.output(with_alignment, cost.shape)
    call.run(gamma, address(alignment, with_alignment))
    if call.beyond:

        def exactly(pairs: Tensor) -> tuple[Tensor, ...]:
            return reference.soft_dtw(*call.part(pairs), gamma=gamma, band=band, with_alignment=with_alignment)

        call.hand_over([alignment], exactly)
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
    call = Call("soft_dsta", cost, steps, texts, band)
    alignment = call.output(with_alignment, cost.shape)
    windows = None if windows is None else windows.contiguous()
    call.run(address(windows), min(order_margin, call.longest), order_weight, gamma, address(alignment, with_alignment))
    if call.beyond:

        def exactly(pairs: Tensor) -> tuple[Tensor, ...]:
            return reference.soft_dsta(
                *call.part(pairs),
                windows=None if windows is None else windows[pairs],
                gamma=gamma,
                order_weight=order_weight,
                order_margin=order_margin,
                band=band,
                with_alignment=with_alignment,
            )

        call.hand_over([alignment], exactly)
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
    call = Call("soft_drop_dtw", cost, steps, texts, band)
    batch, n, m = cost.shape
    video, text = call.prices(drop_video), call.prices(drop_text)
    alignment = call.output(with_alignment, cost.shape)
    video_drops = call.output(with_alignment, (batch, n))
    text_drops = call.output(with_alignment and text is not None, (batch, m))
    call.run(
        address(video),
        address(text),
        contiguous,
        gamma,
        address(alignment, with_alignment),
        address(video_drops, with_alignment),
        address(text_drops, with_alignment and text is not None),
    )
    if with_alignment and text is None:
        text_drops = cost.new_zeros(batch, m, dtype=torch.float32)
    if call.beyond:

        def exactly(pairs: Tensor) -> tuple[Tensor, ...]:
            part, *lengths = call.part(pairs)
            return reference.soft_drop_dtw(
                part,
                drop_video[pairs],
                None if drop_text is None else drop_text[pairs],
                *lengths,
                gamma=gamma,
                contiguous=contiguous,
                band=band,
                with_alignment=with_alignment,
            )

        call.hand_over([alignment, video_drops, text_drops], exactly)
    return call.value, alignment, video_drops, text_drops


def dtw_path(
    cost: Tensor, steps: Tensor, texts: Tensor, *, band: int | None, with_path: bool
) -> tuple[Tensor, Tensor, Tensor]:
    call = Call("dtw_path", cost, steps, texts, band)
    batch, n, m = cost.shape
    path = call.indices(with_path, (batch, max(n + m - 1, 0), 2))
    lengths = call.indices(with_path, (batch,))
    call.run(address(path, with_path), address(lengths, with_path))
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
    call = Call("dsta_path", cost, steps, texts, band)
    labels = call.indices(with_path, cost.shape[:2])
    windows = None if windows is None else windows.contiguous()
    call.run(address(windows), min(order_margin, call.longest), order_weight, address(labels, with_path))
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
    call = Call("drop_dtw", cost, steps, texts, band)
    labels = call.indices(with_path, cost.shape[:2])
    video, text = call.prices(drop_video), call.prices(drop_text)
    call.run(address(video), address(text), contiguous, address(labels, with_path))
    return call.value, labels

"""Every video against every text: values (V, S) for ranking and retrieval, in bounded memory.

Pairs are computed in blocks: one product gives the costs of a block, which go to the recurrence without a copy.  Where
a gradient is asked for and all blocks together would not fit the memory, the backward pass computes each block again.

Some of the pairs may have no alignment: too few video steps for the window, too steep for the band, or empty.  They
cost +inf with zero gradient, wherever their lengths lie; `validate=True` makes them an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from . import ops
from .arguments import (
    at_least_float32,
    check_device,
    check_dsta_settings,
    check_not_negative,
    check_positive,
    check_whole,
    check_window,
    windows_of,
)
from .costs import unit, unit_cost
from .derivatives import differentiable
from .soft import differentiates, values_alone

#: costs of a block: video (v, n, d) and text (s, m, d) to (v, s, n, m)
BlockCost = Callable[[Tensor, Tensor], Tensor]

#: bytes of a block: the costs, alignments and text features that are held at once
MEMORY = 64 << 20


def pairwise_soft_dtw(
    video: Tensor,
    text: Tensor,
    *,
    video_lengths: Tensor | None = None,
    text_lengths: Tensor | None = None,
    gamma: float = 0.1,
    band: int | None = None,
    cost: BlockCost | None = None,
    memory: int = MEMORY,
    validate: bool = False,
) -> Tensor:
    """`soft_dtw` of every pair; one that cannot be aligned costs +inf, with zero gradient.

    Args:
        video: (V, n, d) steps of V videos.
        text: (S, m, d) steps of S texts.
        video_lengths: (V,) integers, how many of the n steps are real; None means all.
        text_lengths: (S,) integers, how many of the m steps are real; None means all.
        gamma: temperature of the soft minimum, in units of cost; positive.
        band: keep only cells within `band` texts of the line from corner to corner; None keeps all.
        cost: makes the costs (v, s, n, m) of a block from its videos (v, n, d) and texts (s, m, d); None: 1 - cosine.
        memory: bytes that the costs, the alignments and the text features of a block may take; a block has at least
            one pair.
        validate: also check what lies on the GPU, and that every pair has an alignment and holds no NaN or -inf; waits
            for the device.  The pair that its errors name counts within its block.

    Returns:
        (V, S), sums over the path: divide by lengths before ranking texts of different length.  Differentiable in
        `video` and `text`, and in what `cost` closes over.

    Raises:
        ValueError: for shapes, types, settings, or lengths beyond the steps.
    """
    check_positive("gamma", gamma)
    check_whole("band", band)

    def value(costs: Tensor, rows: Rows) -> Tensor:
        steps, texts, _ = rows
        with_alignment = differentiates(costs)
        settings = steps, texts, gamma, band, True, validate, with_alignment
        return differentiable(ops.soft_dtw, (at_least_float32(costs),), settings)

    return _all_pairs(value, video, text, video_lengths, text_lengths, None, cost, memory)


def pairwise_soft_dsta(
    video: Tensor,
    text: Tensor,
    *,
    video_lengths: Tensor | None = None,
    text_lengths: Tensor | None = None,
    gamma: float = 0.1,
    window: int | Tensor | None = None,
    order_weight: float = 1.0,
    order_margin: int = 1,
    band: int | None = None,
    cost: BlockCost | None = None,
    memory: int = MEMORY,
    validate: bool = False,
) -> Tensor:
    """`soft_dsta` of every pair; one that cannot be aligned costs +inf, with zero gradient.

    `window` is a number or (V, S) integers, and with `order_weight` and `order_margin` as in `soft_dsta`; the rest is
    as in `pairwise_soft_dtw`: divide by lengths before ranking texts of different length.
    """
    check_positive("gamma", gamma)
    check_dsta_settings(order_weight, order_margin, band)

    def value(costs: Tensor, rows: Rows) -> Tensor:
        steps, texts, windows = rows
        with_alignment = differentiates(costs)
        settings = steps, texts, windows, gamma, order_weight, order_margin, band, True, validate, with_alignment
        return differentiable(ops.soft_dsta, (at_least_float32(costs),), settings)

    return _all_pairs(value, video, text, video_lengths, text_lengths, window, cost, memory)


@torch.no_grad()
def pairwise_dtw(
    video: Tensor,
    text: Tensor,
    *,
    video_lengths: Tensor | None = None,
    text_lengths: Tensor | None = None,
    band: int | None = None,
    cost: BlockCost | None = None,
    memory: int = MEMORY,
    validate: bool = False,
) -> Tensor:
    """The cost of the best warping path of every pair, (V, S); +inf where there is none.

    Arguments and errors are those of `pairwise_soft_dtw`: divide by lengths before ranking texts of different length.
    """
    check_whole("band", band)

    def value(costs: Tensor, rows: Rows) -> Tensor:
        steps, texts, _ = rows
        return ops.dtw_path(at_least_float32(costs), steps, texts, band, True, validate, False)[0]

    return _all_pairs(value, video, text, video_lengths, text_lengths, None, cost, memory)


@torch.no_grad()
def pairwise_dsta(
    video: Tensor,
    text: Tensor,
    *,
    video_lengths: Tensor | None = None,
    text_lengths: Tensor | None = None,
    window: int | Tensor | None = None,
    order_weight: float = 1.0,
    order_margin: int = 1,
    band: int | None = None,
    cost: BlockCost | None = None,
    memory: int = MEMORY,
    validate: bool = False,
) -> Tensor:
    """The cost of the best DSTA alignment of every pair, (V, S); +inf where there is none.

    Arguments and errors are those of `pairwise_soft_dsta`: divide by lengths before ranking texts of different length.
    """
    check_dsta_settings(order_weight, order_margin, band)

    def value(costs: Tensor, rows: Rows) -> Tensor:
        steps, texts, windows = rows
        costs = at_least_float32(costs)
        return ops.dsta_path(costs, steps, texts, windows, order_weight, order_margin, band, True, validate, False)[0]

    return _all_pairs(value, video, text, video_lengths, text_lengths, window, cost, memory)


#: lengths of the videos, lengths of the texts, and windows, for the pairs of a block; None as given
Rows = tuple[Tensor | None, Tensor | None, Tensor | None]


def _all_pairs(
    value: Callable[[Tensor, Rows], Tensor],
    video: Tensor,
    text: Tensor,
    video_lengths: Tensor | None,
    text_lengths: Tensor | None,
    window: int | Tensor | None,
    cost: BlockCost | None,
    memory: int,
) -> Tensor:
    """`value` of every pair, (V, S), block by block."""
    check_not_negative("memory", memory)
    _check_pairs(video, text, video_lengths, text_lengths, window, with_cost=cost is not None)
    if not len(video) or not len(text):  # nothing, but with a gradient: a rank without pairs keeps step
        return at_least_float32(video.flatten(1).sum(1)[:, None] * text.flatten(1).sum(1))

    def block(some_videos: Tensor, some_texts: Tensor, rows: Rows) -> Tensor:
        costs = unit_cost(some_videos, some_texts) if cost is None else cost(some_videos, some_texts)
        expected = (len(some_videos), len(some_texts), video.shape[1], text.shape[1])
        if costs.shape != expected:
            raise ValueError(f"cost must give (v, s, n, m) = {expected} for a block of pairs, not {tuple(costs.shape)}")
        return value(costs.flatten(0, 1), rows).unflatten(0, expected[:2])

    (videos, texts), fits = _block_size(video, text, memory)
    run = block if fits or not torch.is_grad_enabled() else partial(_computed_again, block)
    columns = []
    for s in _slices(len(text), texts):
        some_texts = unit(text[s]) if cost is None else text[s]
        column = []
        for v in _slices(len(video), videos):
            some_videos = unit(video[v]) if cost is None else video[v]
            column.append(run(some_videos, some_texts, _rows(v, s, video_lengths, text_lengths, window)))
        columns.append(torch.cat(column))
    return torch.cat(columns, dim=1)


def _check_pairs(
    video: Tensor,
    text: Tensor,
    video_lengths: Tensor | None,
    text_lengths: Tensor | None,
    window: int | Tensor | None,
    *,
    with_cost: bool,
) -> None:
    """Raises ValueError for shapes, types or devices that do not go together."""
    check_window(window, "(V, S)")
    check_device("window", window, video)
    if video.dim() != 3 or text.dim() != 3:
        raise ValueError(f"video {tuple(video.shape)} and text {tuple(text.shape)} must be (V, n, d) and (S, m, d)")
    if not with_cost and video.shape[2] != text.shape[2]:
        raise ValueError(
            f"steps of {video.shape[2]} dimensions for videos and {text.shape[2]} for texts have no cosine; "
            "give both the same, or a cost of your own"
        )
    for name, lengths, steps in (("video_lengths", video_lengths, video), ("text_lengths", text_lengths, text)):
        if lengths is not None and (not isinstance(lengths, Tensor) or lengths.shape != (len(steps),)):
            found = tuple(lengths.shape) if isinstance(lengths, Tensor) else type(lengths).__name__
            raise ValueError(f"{name} must be a tensor ({len(steps)},), not {found}")
        check_device(name, lengths, video)
    if isinstance(window, Tensor) and window.shape != (len(video), len(text)):
        raise ValueError(f"window must be a number or (V, S) = ({len(video)}, {len(text)}), not {tuple(window.shape)}")


def _computed_again(block: Callable[..., Tensor], *inputs: Any) -> Tensor:
    """A block that the backward pass computes again; the first pass needs values alone, so what it saves differs."""
    computed: Tensor = checkpoint(block, *inputs, use_reentrant=False, context_fn=_contexts, determinism_check="none")
    return computed


def _contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return values_alone(), nullcontext()


def _block_size(video: Tensor, text: Tensor, memory: int) -> tuple[tuple[int, int], bool]:
    """How many videos and texts make a block that fits the memory, and whether all blocks together do.

    On the CPU a block has one video: its costs need no copy to be read pair by pair, be they tiles or a view.
    """
    tables = 2 if torch.is_grad_enabled() else 1  # costs, and alignments
    cells = tables * video.shape[1] * text.shape[1] + text.shape[1] * text.shape[2]  # and the features of a text
    pair = max(1, cells) * max(4, video.element_size())
    pairs = max(1, memory // pair)
    texts = min(pairs, max(1, len(text)))
    videos = 1 if video.device.type == "cpu" else max(1, pairs // texts)
    return (videos, texts), len(video) * len(text) <= pairs


def _slices(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _rows(
    v: slice, s: slice, video_lengths: Tensor | None, text_lengths: Tensor | None, window: int | Tensor | None
) -> Rows:
    videos, texts = v.stop - v.start, s.stop - s.start
    steps = None if video_lengths is None else video_lengths[v].repeat_interleave(texts)
    ends = None if text_lengths is None else text_lengths[s].repeat(videos)
    windows = window[v, s].flatten() if isinstance(window, Tensor) else windows_of(window, videos * texts)
    return steps, ends, windows

"""Bands and windows: which cells they keep, and whether any alignment fits into them.

A band keeps the cells near the straight line from corner to corner; a window bounds how far one video step's text lies
from the next one's.  All counts here are those of the pair, without its padding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def check_dtw(steps: Sequence[int], texts: Sequence[int], band: int | None) -> None:
    """Raises ValueError, naming the pair and the least feasible band, where no warping path exists."""
    for pair, (n, m) in enumerate(zip(steps, texts, strict=True)):
        _check_not_empty(pair, n, m)
        if band is None or (n > 1 and band >= max(1, _steepness(n, m))):
            continue
        if band < (least := least_dtw_band(n, m)):
            raise ValueError(f"pair {pair} ({n} x {m}): no path inside band {band}; the least feasible band is {least}")


def check_dsta(steps: Sequence[int], texts: Sequence[int], windows: Sequence[int] | None, band: int | None) -> None:
    """Raises ValueError, naming the pair and the least feasible window, where the last text cannot be reached."""
    widths = [None] * len(steps) if windows is None else windows
    for pair, (n, m, window) in enumerate(zip(steps, texts, widths, strict=True)):
        _check_not_empty(pair, n, m)
        if band == 0 and n > 1 and (m - 1) % (n - 1):
            raise ValueError(f"pair {pair} ({n} x {m}): band 0 misses some video steps; the least feasible band is 1")
        if window is None or _surely_reaches(n, m, window, band):
            continue
        if window < (least := least_dsta_window(n, m, band)):
            inside = "" if band is None else f" inside band {band}"
            raise ValueError(
                f"pair {pair} ({n} x {m}): {n} steps of window {window} do not reach the last text{inside}; "
                f"the least feasible window is {least}"
            )


def check_every_text_fits(steps: Sequence[int], texts: Sequence[int], band: int | None) -> None:
    """Raises ValueError, naming the pair, where matching every text to video steps of its own is impossible.

    It takes at least as many video steps as texts, and a band of 1, or of 0 where the line meets a cell in each text
    (m - 1 divides n - 1).
    """
    for pair, (n, m) in enumerate(zip(steps, texts, strict=True)):
        if m > n:
            raise ValueError(
                f"pair {pair}: {m} texts for {n} video steps, and drop_text=None wants every text matched; "
                "give drop_text a cost"
            )
        if band == 0 and m > 1 and (n - 1) % (m - 1):
            raise ValueError(f"pair {pair} ({n} x {m}): band 0 misses some texts; the least feasible band is 1")


def least_dtw_band(n: int, m: int) -> int:
    """The narrowest band that a warping path fits into."""
    if n == 1:
        return 0
    rises = [i * (m - 1) // (n - 1) for i in range(n)]
    whole = all(i * (m - 1) % (n - 1) == 0 for i in range(n))
    # the next row must begin at most one column behind the end of this one: ceil((i + 1) s) - floor(i s) <= 2 band + 1
    steepest = max(-(-(i + 1) * (m - 1) // (n - 1)) - rises[i] for i in range(n - 1))
    return max(0 if whole else 1, math.ceil((steepest - 1) / 2))


def least_dsta_window(n: int, m: int, band: int | None) -> int:
    """The narrowest window with which n steps reach text m, inside the band."""
    window = -(-m // n)
    while band is not None and not _reaches(n, m, window, band):
        window += 1
    return window


def _check_not_empty(pair: int, n: int, m: int) -> None:
    if n == 0 or m == 0:
        raise ValueError(f"pair {pair} ({n} x {m}) is empty: it has no alignment; leave it out of the batch")


def _steepness(n: int, m: int) -> int:
    """Texts per video step of the straight line, rounded up."""
    return -(-(m - 1) // (n - 1))


def _surely_reaches(n: int, m: int, window: int, band: int | None) -> bool:
    """A test that costs nothing: the straight line itself needs windows of its steepness, and a band of 1."""
    if band is None:
        return n * window >= m
    return band >= 1 and n > 1 and window >= max(1, _steepness(n, m))


def _reaches(n: int, m: int, window: int, band: int) -> bool:
    """Follow the rightmost column that can be reached, row by row."""
    last = max(n - 1, 1)
    reached = -1
    for i in range(n):
        low = -((band * last - i * (m - 1)) // last) if n > 1 else 0
        high = (i * (m - 1) + band * last) // last if n > 1 else m - 1
        reached = min(reached + window, high, m - 1)
        if reached < low:
            return False
    return reached == m - 1


def inside(video_lengths: Tensor, text_lengths: Tensor, n: int, m: int) -> Tensor:
    """Cells that belong to each pair and not to its padding: bool (B, n, m)."""
    rows = torch.arange(n, device=video_lengths.device) < video_lengths[:, None]
    columns = torch.arange(m, device=text_lengths.device) < text_lengths[:, None]
    return rows[:, :, None] & columns[:, None, :]


def within_band(video_lengths: Tensor, text_lengths: Tensor, n: int, m: int, band: int) -> Tensor:
    """Cells near the straight line from corner to corner: bool (B, n, m).

    Cell (i, j), 0-based, of a pair with lengths (n, m) is in iff |j(n-1) - i(m-1)| <= band * max(n-1, 1); for n = m
    that is |i - j| <= band.  A pair with a single video step keeps its whole row.
    """
    i = torch.arange(n, device=video_lengths.device)[None, :, None]
    j = torch.arange(m, device=text_lengths.device)[None, None, :]
    last_i = (video_lengths - 1)[:, None, None]
    last_j = (text_lengths - 1)[:, None, None]
    near = (j * last_i - i * last_j).abs() <= band * last_i.clamp(min=1)
    return near | (last_i == 0)

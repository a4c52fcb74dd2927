"""What must hold before a recurrence starts: shapes, lengths, bands, and whether any alignment exists."""

from __future__ import annotations

import torch
from torch import Tensor


def check_cost(cost: Tensor) -> None:
    """Raises ValueError unless `cost` is a floating tensor (B, n, m) without -inf."""
    if cost.dim() != 3:
        raise ValueError(f"cost must have shape (B, n, m), video first, not {tuple(cost.shape)}; add a batch axis")
    if not cost.is_floating_point():
        raise ValueError(f"cost must be floating, not {cost.dtype}; convert it with .float()")
    if torch.isneginf(cost).any():
        raise ValueError("cost holds -inf, which no path can pay back; a mask is +inf")


def check_lengths(name: str, lengths: Tensor | None, batch: int, longest: int, device: torch.device) -> Tensor:
    """Lengths as (B,) int64 on `device`; None means that every row is whole.

    Raises ValueError, naming the pair, where a length lies outside [0, longest].
    """
    if lengths is None:
        return torch.full((batch,), longest, dtype=torch.int64, device=device)
    lengths = torch.as_tensor(lengths, device=device)
    if lengths.shape != (batch,) or lengths.is_floating_point():
        raise ValueError(f"{name} must be (B,) = ({batch},) integers, not {tuple(lengths.shape)} {lengths.dtype}")
    lengths = lengths.long()
    outside = ((lengths < 0) | (lengths > longest)).nonzero()
    if len(outside):
        pair = int(outside[0])
        raise ValueError(f"{name}[{pair}] is {int(lengths[pair])}, outside 0..{longest}")
    return lengths


def broadcast_drop(name: str, drop: Tensor | float, batch: int, steps: int, like: Tensor) -> Tensor:
    """Drop costs as float64 (B, steps).  Raises ValueError where they do not broadcast, or are -inf."""
    drop = torch.as_tensor(drop, dtype=torch.float64, device=like.device)
    try:
        drop = drop.broadcast_to(batch, steps)
    except RuntimeError as fault:
        raise ValueError(f"{name} of shape {tuple(drop.shape)} does not broadcast to ({batch}, {steps})") from fault
    if torch.isneginf(drop).any():
        raise ValueError(f"{name} holds -inf, which no path can pay back")
    return drop


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


def check_band(band: int | None) -> None:
    """Raises ValueError unless `band` is None or a whole number >= 0."""
    if band is not None and (isinstance(band, bool) or not isinstance(band, int) or band < 0):
        raise ValueError(f"band must be None or a whole number >= 0, not {band!r}")


def check_every_text_fits(video_lengths: Tensor, text_lengths: Tensor, band: int | None) -> None:
    """Raises ValueError, naming the pair, where matching every text to clips of its own is impossible.

    It takes at least as many video steps as texts, and a band of 1, or of 0 where the line meets a cell in each text
    (m - 1 divides n - 1).
    """
    for pair, (n, m) in enumerate(zip(video_lengths.tolist(), text_lengths.tolist(), strict=True)):
        if m > n:
            raise ValueError(
                f"pair {pair}: {m} texts for {n} video steps, and drop_text=None wants every text matched; "
                "give drop_text a cost"
            )
        if band == 0 and m > 1 and (n - 1) % (m - 1):
            raise ValueError(f"pair {pair} ({n} x {m}): band 0 misses some texts; the least feasible band is 1")

"""Rows of all ranks, with the gradient that one process would have."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """The number of processes that train together; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sizes_of_ranks(rows: int, device: torch.device) -> list[int]:
    """How many rows each rank has."""
    count = torch.tensor([rows], device=device)
    counts = [torch.zeros_like(count) for _ in range(world_size())]
    dist.all_gather(counts, count)
    return [int(c) for c in counts]


def all_rows(rows: Tensor, sizes: list[int]) -> Tensor:
    """(b, ...) of this rank to (sum of sizes, ...), in the order of ranks.

    The gradient of a row is summed over the losses of all ranks; with DDP's averaging, a loss that every rank computes
    on the whole batch has the gradient of one process.
    """
    return _GatherRows.apply(rows, sizes) if rows.is_floating_point() else _all_gather(rows, sizes)


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rows: Tensor, sizes: list[int]) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.sizes = sizes
        return _all_gather(rows, sizes)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def]
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        rank = dist.get_rank()
        first = sum(ctx.sizes[:rank])
        return gradient[first : first + ctx.sizes[rank]], None


def _all_gather(rows: Tensor, sizes: list[int]) -> Tensor:
    """Gathers rows of all ranks; those with fewer pad to the longest."""
    padded = rows.new_zeros(max(sizes), *rows.shape[1:])
    padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(parts, padded)
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

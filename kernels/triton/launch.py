"""What every launcher needs: aligned costs, the layout of a row over lanes, and the device to launch on."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import torch
from torch import Tensor

from . import rows

#: options for programs of several warps: without them ptxas spills a few registers to fit one more program
UNSPILLED: dict[str, object] = {} if torch.version.hip else {"maxnreg": 255}


@dataclass(frozen=True)
class Layout:
    """How a row lies over the lanes of a program: lane l owns `columns` columns from l * columns on."""

    least: int  # columns of the row
    warps: int
    every: int  # rows between two renormalisations: r grows by what the paths through so many rows multiply to

    @property
    def lanes(self) -> int:
        return self.warps * (64 if torch.version.hip else 32)

    @property
    def columns(self) -> int:
        return max(self.least // self.lanes, 4)

    @property
    def width(self) -> int:
        return self.columns * self.lanes

    @property
    def constants(self) -> dict[str, object]:
        options = {"num_warps": self.warps, "num_stages": 1} | (UNSPILLED if self.warps > 1 else {})
        return {"Q": tuple(range(self.columns)), "L": self.lanes} | options


#: The last is the widest row that one program holds in registers; wider ones go in blocks of the last but one.
LAYOUTS = (Layout(128, 1, 8), Layout(256, 1, 8), Layout(512, 2, 4), Layout(1024, 4, 4), Layout(2048, 8, 2))
#: for rows in memory, which are renormalised each time: the last is the block of all wider ones
MEMORY_LAYOUTS = (Layout(128, 1, 1), Layout(256, 2, 1), Layout(512, 4, 1))


@dataclass(frozen=True)
class Plan:
    """The layout for a row of `texts` columns under a band, and the flags that follow from it."""

    layout: Layout
    held: int  # columns of a row in a stored table, a multiple of 4
    band: int | None
    narrow: bool  # the band is narrower than the row, and only it is stored
    moving: bool  # and only it is computed, by lanes that move with it
    chunked: bool  # a row may take several blocks

    @property
    def constants(self) -> dict[str, object]:
        """The layout and the band, which every kernel takes."""
        return self.layout.constants | {"BAND": self.band is not None, "NARROW": self.narrow}

    @property
    def block_constants(self) -> dict[str, object]:
        """All of it, for kernels that take a row block by block."""
        return self.constants | {"MOVING": self.moving, "CHUNKED": self.chunked}


def plan(steps: int, texts: int, band: int | None) -> Plan:
    """For recurrences that hold a row in registers, block by block."""
    whole, width = fitting(texts, LAYOUTS, LAYOUTS[-2]), padded(texts)
    chunked = whole.width < texts
    if band is not None:
        needed = padded(columns_of(band))
        moving = fitting(needed, LAYOUTS, LAYOUTS[-2])
        # the one row of a pair of one step has no band, and takes the place of all
        if needed <= moving.width < texts <= steps * moving.width:
            return Plan(moving, moving.width, band, narrow=True, moving=True, chunked=True)
        if chunked and needed < texts <= steps * needed:
            return Plan(whole, needed, band, narrow=True, moving=False, chunked=True)
    return Plan(whole, width, band, narrow=False, moving=False, chunked=chunked)


def plan_in_memory(texts: int, band: int | None) -> Plan:
    """For recurrences whose rows lie in memory: blocks as wide as there are columns to visit, and any band narrow."""
    width = padded(texts)
    held = width if band is None else min(width, padded(columns_of(band)))
    layout = fitting(held, MEMORY_LAYOUTS, MEMORY_LAYOUTS[-1])
    return Plan(layout, held, band, narrow=held < width, moving=False, chunked=True)


def fitting(width: int, layouts: tuple[Layout, ...], blocks: Layout) -> Layout:
    """The narrowest layout that holds a row of this width, or the one for blocks."""
    return next((one for one in layouts if one.width >= width), blocks)


def columns_of(band: int) -> int:
    """A band's row, a column on either side, and the step of a lane that its start is rounded to."""
    return 2 * band + 3 + max(one.columns for one in LAYOUTS)


def padded(columns: int) -> int:
    return max((columns + 3) // 4, 1) * 4


def aligned(table: Tensor) -> Tensor:
    """`table` (B, n, m) as float32 rows that start at multiples of 16 bytes and hold a multiple of 4 columns."""
    batch, n, m = table.shape
    strides_fit = table.stride(2) == 1 and table.stride(1) % 4 == 0 and table.stride(0) % 4 == 0
    if table.dtype == torch.float32 and m and m % 4 == 0 and strides_fit and table.data_ptr() % 16 == 0:
        return table
    wide = table.new_zeros(batch, max(n, 1), padded(m), dtype=torch.float32)
    wide[:, :n, :m] = table
    return wide


def quarters(table: Tensor, how: Plan) -> tuple[int, int, int, int]:
    """limit4, row4, pair4 and the width of a stored row, in units of 4 numbers."""
    return table.shape[2] // 4, table.stride(1) // 4, table.stride(0) // 4, how.held // 4


def on(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Launches go to the tensor's device, which need not be the current one."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


def spoiled_pairs(cost: Tensor, steps: Tensor, texts: Tensor, n: int, m: int) -> Tensor:
    """(B,) int32: not 0 for a pair whose value is NaN (see rows.find_spoiled). `cost` is aligned."""
    spoiled = torch.zeros(len(steps), dtype=torch.int32, device=cost.device)
    rows.find_spoiled[(len(steps), max(-(-n // 64), 1))](
        cost, steps, texts, spoiled, n, m, cost.stride(1) // 4, cost.stride(0) // 4, ROWS=64, BLOCK=1024, num_warps=4
    )
    return spoiled


def aligned_drops(drop: Tensor, width: int) -> Tensor:
    """Drop costs (B, k) as float32 (B, width)."""
    wide = drop.new_zeros(len(drop), width, dtype=torch.float32)
    wide[:, : drop.shape[1]] = drop
    return wide


def spoiled_drops(drop: Tensor, lengths: Tensor) -> Tensor:
    """(B,) int32: 1 for a pair with a NaN or -inf among its real drop costs."""
    real = torch.arange(drop.shape[1], device=drop.device) < lengths[:, None]
    return (~(drop > -torch.inf) & real).any(dim=1).to(torch.int32)


def unmatched(matched: Tensor, drop: Tensor, lengths: Tensor, value: Tensor) -> Tensor:
    """How likely each step or text (B, k) is dropped: where it is not matched, if there is an alignment at all."""
    real = torch.arange(drop.shape[1], device=drop.device) < lengths[:, None]
    droppable = real & (value != torch.inf)[:, None] & (drop != torch.inf)
    share = (1.0 - matched).clamp(min=0.0).where(droppable, 0.0)
    return share.where(~(real & value.isnan()[:, None]), torch.nan)

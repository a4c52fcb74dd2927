"""A comparison with the paper, drawn: a panel for each row, or two heat maps where rows and columns are languages."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .plots import ACCENT, INK, canvas, save

if TYPE_CHECKING:
    from ..scoring.comparison import Comparison

_SHADES = "Blues"
#: of a title, in an inch
_LETTERS = 11


def comparison_figure(comparison: Comparison, out: str | Path) -> Path:
    """Draw a table of the paper beside ours.

    Args:
        comparison: what is shown; cells that the paper misprinted are hollow, or bear a mark in a heat map.
        out: a picture, of the format that its suffix names.
    """
    square = set(comparison.columns) <= set(comparison.names)
    return _heat_maps(comparison, out) if square else _panels(comparison, out)


def _panels(comparison: Comparison, out: str | Path) -> Path:
    """For each row of the table, a dot for the paper's figure and a bar for ours in every column."""
    rows, columns = list(comparison.names), comparison.columns
    high = max((value for row in rows for value in _row(comparison, row) if not np.isnan(value)), default=1.0)
    width = 0.9 + max(2.0, 0.26 * len(columns))
    wide = min(22.0, max(6.8, width * len(rows)))  # the title and the note need their room over a single row too
    room = int(_LETTERS * wide / len(rows))
    with canvas(wide, 3.4, columns=len(rows)) as (figure, axes):
        for ax, row in zip(np.atleast_1d(axes), rows, strict=True):
            places = np.arange(len(columns))
            ours, theirs = np.split(np.array(_row(comparison, row)), 2)
            ax.bar(places, np.nan_to_num(ours), color=ACCENT, width=0.62, label="ours")
            sound = np.array([not comparison.marked(row, column) for column in columns])
            ax.scatter(places[sound], theirs[sound], color="#d27f2a", s=22, zorder=3, label="paper")
            if not sound.all():
                ax.scatter(places[~sound], theirs[~sound], edgecolor="#d27f2a", facecolor="white", s=22, zorder=3)
            ax.set_xticks(places, columns, rotation=90 if len(columns) > 8 or len(columns[0]) > 8 else 0, fontsize=7)
            ax.set_title(textwrap.fill(comparison.names[row], room), loc="left", fontsize=9)
            if _alike(comparison):
                ax.set_ylim(0, high * 1.08)
            ax.tick_params(axis="x", length=0)
        np.atleast_1d(axes)[0].legend(frameon=False, fontsize=8)
        figure.suptitle(comparison.title, x=0.01, ha="left", fontweight="bold", fontsize=11)
        if comparison.average_note is not None:
            figure.supxlabel(comparison.average_note, x=0.01, ha="left", fontsize=8)
        return save(figure, out)


def _heat_maps(comparison: Comparison, out: str | Path) -> Path:
    """The paper's matrix and ours, rows by columns, in one scale."""
    rows, columns = list(comparison.names), comparison.columns
    both = np.stack([np.split(np.array(_row(comparison, row)), 2) for row in rows], axis=1)  # (2, rows, columns)
    top = max(1.0, float(np.nan_to_num(both).max()))
    with canvas(2.2 + 1.5 * len(columns), 1.4 + 0.42 * len(rows), columns=2) as (figure, axes):
        for ax, title, values in zip(axes, ("ours", "paper"), both, strict=True):
            ax.imshow(values, cmap=_SHADES, vmin=0, vmax=top, aspect="auto")
            ax.set_xticks(range(len(columns)), columns)
            ax.set_yticks(range(len(rows)), [comparison.names[row] for row in rows] if ax is axes[0] else [])
            ax.tick_params(length=0)
            ax.set_title(title, loc="left", fontsize=10)
            ax.set_xlabel("tested on", fontsize=8)
            for spine in ax.spines.values():
                spine.set_visible(False)
            _numbers(ax, comparison, values, rows, top=top, marks=title == "paper")
        figure.suptitle(comparison.title, x=0.01, ha="left", fontweight="bold", fontsize=11)
        return save(figure, out)


def _numbers(
    ax: Any, comparison: Comparison, values: NDArray[np.float64], rows: list[str], *, top: float, marks: bool
) -> None:
    """Write each value into its cell, light on dark; `marks` after those that the paper misprinted."""
    for (i, j), value in np.ndenumerate(values):
        if np.isnan(value):
            continue
        mark = "†" if marks and comparison.marked(rows[i], comparison.columns[j]) else ""
        colour = "white" if value > 0.6 * top else INK
        ax.text(j, i, f"{value:.1f}{mark}", ha="center", va="center", fontsize=8, color=colour)


def _row(comparison: Comparison, row: str) -> list[float]:
    """Ours and then the paper's figures of a row; NaN where there is none."""
    ours = [comparison.value(row, column) for column in comparison.columns]
    theirs = [comparison.theirs.cell(row, column) for column in comparison.columns]
    return [np.nan if value is None else float(value) for value in (*ours, *theirs)]


def _alike(comparison: Comparison) -> bool:
    """Whether the rows are of one unit and so share an axis; the counts of Table 1 are not."""
    return comparison.table.name not in ("table1", "table2")

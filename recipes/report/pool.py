"""Retrieval in a pool, drawn: the tables of Video2Subtitle beside ours, and R@1 over what cannot be seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..scoring.paper_subtitles import DOMAINS, MEDIAN, RECALLS, row
from .plots import MUTED, canvas, save

if TYPE_CHECKING:
    from ..scoring.comparison import Comparison
    from ..scoring.pools import Bin

_PAPER = "#d27f2a"
_CHANCE: Any = {"color": MUTED, "linewidth": 1, "linestyle": ":"}


def pool_figure(comparison: Comparison, out: str | Path) -> Path:
    """Draw Table 2 or 3: recalls of every method in each domain, the paper's as dots; beside them the median ranks.

    Args:
        comparison: with rows ``domain/method``.
        out: a picture, of the format that its suffix names.
    """
    domains = [domain for domain in DOMAINS if any(name.startswith(f"{domain}/") for name in comparison.names)]
    methods = list(dict.fromkeys(name.partition("/")[2] for name in comparison.names))
    words = {name.partition("/")[2]: shown.partition(": ")[2] for name, shown in comparison.names.items()}
    with canvas(6.2 * len(domains), 0.9 + 0.52 * len(methods), columns=2 * len(domains)) as (figure, axes):
        for (recalls, median), domain in zip(np.reshape(axes, (-1, 2)), domains, strict=True):
            for place, method in enumerate(methods):
                _recalls(recalls, comparison, row(domain, method), place)
                _median(median, comparison, row(domain, method), place)
            if MEDIAN in comparison.chance:
                median.axvline(comparison.chance[MEDIAN], **_CHANCE)
            for ax in (recalls, median):
                ax.set_ylim(len(methods) - 0.5, -0.5)
                ax.set_yticks(range(len(methods)), [words[method] for method in methods] if ax is axes[0] else [])
                ax.tick_params(axis="y", length=0)
            recalls.set_xlim(0, 101)
            recalls.set_title(f"{DOMAINS[domain]}: R@1, R@5, R@10 in %", loc="left", fontsize=9)
            median.set_xscale("log")
            median.xaxis.set_major_formatter("{x:,g}")
            median.set_title("median rank", loc="left", fontsize=9)
        axes[0].plot([], [], color="C0", linewidth=4, label="ours")
        axes[0].scatter([], [], color=_PAPER, s=16, label="paper")
        if comparison.chance:
            axes[0].plot([], [], label="chance", **_CHANCE)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=3, frameon=False)
        figure.suptitle(comparison.title, x=0.01, ha="left", fontweight="bold", fontsize=11)
        return save(figure, out)


def _recalls(ax: Any, comparison: Comparison, name: str, place: int) -> None:
    for number, column in enumerate(RECALLS):
        height = place + 0.25 * (number - 1)
        ours, theirs = comparison.value(name, column), comparison.theirs.cell(name, column)
        if ours is not None:
            ax.barh(height, ours, height=0.2, color="C0", alpha=(1.0, 0.65, 0.4)[number])
        if column in comparison.chance:
            ax.plot([comparison.chance[column]] * 2, [height - 0.12, height + 0.12], **_CHANCE, zorder=4)
        if theirs is not None:
            ax.scatter(theirs, height, color=_PAPER, s=12, zorder=3)


def _median(ax: Any, comparison: Comparison, name: str, place: int) -> None:
    ours, theirs = comparison.value(name, MEDIAN), comparison.theirs.cell(name, MEDIAN)
    if ours is not None:
        ax.scatter(ours, place, color="C0", marker="s", s=26, zorder=3)
    if theirs is not None:
        ax.scatter(theirs, place, color=_PAPER, s=16, zorder=3)
    if ours is not None and theirs is not None:
        ax.plot([ours, theirs], [place, place], color=MUTED, linewidth=1)


def curves(
    found: Mapping[str, Mapping[str, Sequence[Bin]]],
    words: Mapping[str, str],
    out: str | Path,
    *,
    chance: float,
) -> Path:
    """Draw R@1 of every model over each share, with intervals, and how many clips each point stands for.

    Args:
        found: share, such as ``hidden``, to model to the parts of its curve.
        words: share to what stands below its axis.
        out: a picture, of the format that its suffix names.
        chance: R@1 of a random order, in per cent.
    """
    with canvas(4.6 * len(found), 3.4, columns=len(found)) as (figure, axes):
        panels = list(np.atleast_1d(axes))
        for ax, (share, models) in zip(panels, found.items(), strict=True):
            for number, (model, bins) in enumerate(models.items()):
                aside = 0.3 * (number - (len(models) - 1) / 2)  # so that no interval hides another
                shares = [100 * part.share + aside for part in bins]
                values = [part.r1.value for part in bins]
                ends = [[part.r1.value - part.r1.low for part in bins], [part.r1.high - part.r1.value for part in bins]]
                ax.errorbar(
                    shares, values, yerr=ends, color=f"C{number}", marker="o", markersize=4, capsize=2, label=model
                )
            ax.axhline(chance, label="chance", **_CHANCE)
            ax.set_xlabel(f"{words[share]}\n{clips_behind(models.values())}")
            ax.set_ylim(0, 103)
        panels[0].set_ylabel("R@1 in %")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=9, frameon=False)
        return save(figure, out)


def clips_behind(models: Iterable[Sequence[Bin]]) -> str:
    """How many clips the points of curves stand for, in words."""
    counts = {part.clips for bins in models for part in bins}
    return f"{'to '.join(f'{count} ' for count in sorted({min(counts), max(counts)}))}clips a point"


def sets_figure(comparison: Comparison, out: str | Path) -> Path:
    """Draw Table 1: a panel for each count, with a bar for each data set and one for ours.

    Args:
        out: a picture, of the format that its suffix names.
    """
    with canvas(3.4 * len(comparison.columns), 2.6, columns=len(comparison.columns)) as (figure, axes):
        for ax, column in zip(axes, comparison.columns, strict=True):
            bars = [(words, comparison.theirs.cell(name, column), _PAPER) for name, words in comparison.names.items()]
            bars += [("ours", comparison.value(name, column), "C0") for name in comparison.names]
            shown = [(words, value, colour) for words, value, colour in bars if value is not None]
            ax.barh([words for words, _, _ in shown], [value for _, value, _ in shown], color=[c for _, _, c in shown])
            ax.invert_yaxis()
            ax.set_xscale("log")
            ax.xaxis.set_major_formatter("{x:,g}")
            ax.set_title(column, loc="left", fontsize=9)
            ax.tick_params(axis="y", length=0, labelleft=ax is axes[0])
        figure.suptitle(comparison.title, x=0.01, ha="left", fontweight="bold", fontsize=11)
        return save(figure, out)

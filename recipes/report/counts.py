"""The counts of a shard set, drawn: how its languages compare, or how one is spread; and the pairs of each split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..counting.sets import SetCounts
from .plots import ACCENT, INK, MUTED, canvas, save

_PANELS = ("videos", "hours", "sentences per video", "words per video")
#: values beyond this quantile share the last bin of a histogram
_TAIL = 0.99


def counts_figure(counts: Mapping[str, SetCounts], out: str | Path) -> Path:
    """Draw a set: bars that compare its languages, or histograms where it has one; and its pairs by split.

    Args:
        counts: language -> counts; the sum over languages, ``all``, is left out.
        out: a picture, of the format that its suffix names.

    Raises:
        ValueError: for a suffix that no picture has.
    """
    languages = {name: each for name, each in counts.items() if name != "all"}
    tables = {name: each.table() for name, each in languages.items()}
    pairs = list(dict.fromkeys(name for table in tables.values() for name in table if "pairs, " in name))
    height = 1.6 + 0.34 * max(4, len(languages))
    with canvas(2.6 * len(_PANELS) + 4.2, height, columns=len(_PANELS) + 1) as (figure, axes):
        if len(languages) == 1:
            (only,) = languages.values()
            for ax, (name, values) in zip(axes, only.spreads.items(), strict=False):
                _histogram(ax, name, values)
            _pairs_of_one(axes[-1], pairs, *tables.values())
        else:
            for ax, name in zip(axes, _PANELS, strict=False):
                _bars(ax, name, {language: float(table[name] or 0) for language, table in tables.items()})
                ax.tick_params(axis="y", length=0, labelleft=ax is axes[0])
            _pairs_of_each(axes[-1], pairs, tables)
        return save(figure, out)


def _histogram(ax: Any, name: str, values: Sequence[float]) -> None:
    most = float(np.quantile(values, _TAIL)) if values else 1.0
    whole = all(value == int(value) for value in values)
    edges = np.arange(0.5, most + 1) if whole and most < 40 else 24
    ax.hist(np.minimum(values, most), bins=edges, color=ACCENT)
    middle = float(np.median(values)) if values else 0.0
    ax.axvline(middle, color=INK, linewidth=1)
    ax.set_title(f"{name}, median {_short(middle)}", loc="left", fontsize=10)
    ax.yaxis.set_visible(False)
    ax.spines["left"].set_visible(False)


def _bars(ax: Any, name: str, values: Mapping[str, float]) -> None:
    bars = ax.barh(list(values), list(values.values()), color=ACCENT, height=0.62)
    _label(ax, bars, list(values.values()))
    ax.set_ylim(len(values) - 0.5, -0.5)
    ax.set_title(name, loc="left", fontsize=10)


def _pairs_of_one(ax: Any, pairs: Sequence[str], table: Mapping[str, float | int | None]) -> None:
    values = [float(table.get(name) or 0) for name in pairs]
    colours = [ACCENT if name.startswith("weak") else MUTED for name in pairs]
    bars = ax.barh([name.replace(" pairs,", ":") for name in pairs], values, color=colours, height=0.62)
    _label(ax, bars, values)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(pairs) - 0.5, -0.5)
    ax.set_title("clip-sentence pairs", loc="left", fontsize=10)


def _pairs_of_each(ax: Any, pairs: Sequence[str], tables: Mapping[str, Mapping[str, float | int | None]]) -> None:
    """On a log axis, for they differ by orders of magnitude."""
    height = 0.8 / max(1, len(pairs))
    for number, name in enumerate(pairs):
        places = [place + number * height - 0.4 + height / 2 for place in range(len(tables))]
        values = [float(table.get(name) or 0) for table in tables.values()]
        ax.barh(places, values, height=height * 0.9, label=name.replace(" pairs,", ":"))
    ax.set_ylim(len(tables) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0, labelleft=False)
    ax.set_xscale("log")
    ax.set_xlim(left=1)
    ax.set_title("clip-sentence pairs", loc="left", fontsize=10)
    ax.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))


def _label(ax: Any, bars: Any, values: Sequence[float]) -> None:
    ax.bar_label(bars, labels=[_short(value) for value in values], padding=3, fontsize=8, color=INK)
    ax.margins(x=0.28)
    ax.xaxis.set_visible(False)
    ax.spines["bottom"].set_visible(False)


def _short(value: float) -> str:
    if value == round(value) or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}"

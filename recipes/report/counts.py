"""The counts of a shard set, drawn: how much of each language there is, and the pairs of every split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .plots import ACCENT, INK, canvas, save

_PANELS = ("videos", "hours", "sentences per video", "words per video")


def counts_figure(counts: Mapping[str, Mapping[str, float | int | None]], out: str | Path) -> Path:
    """Draw `SetCounts.table` of every language as bars; pairs, which differ by orders of magnitude, on a log axis.

    Args:
        counts: language -> figure -> value; the sum over languages, ``all``, is left out.
        out: a picture, of the format that its suffix names.

    Raises:
        ValueError: for a suffix that no picture has.
    """
    languages = [name for name in counts if name != "all"]
    pairs = list(dict.fromkeys(name for each in counts.values() for name in each if "pairs, " in name))
    with canvas(2.6 * len(_PANELS) + 4.2, 1.6 + 0.34 * max(4, len(languages)), columns=len(_PANELS) + 1) as (
        figure,
        axes,
    ):
        for ax, name in zip(axes, _PANELS, strict=False):
            values = [float(counts[language].get(name) or 0) for language in languages]
            bars = ax.barh(languages, values, color=ACCENT, height=0.62)
            ax.bar_label(bars, labels=[_short(value) for value in values], padding=3, fontsize=8, color=INK)
            ax.margins(x=0.28)
            ax.set_ylim(len(languages) - 0.5, -0.5)
            ax.tick_params(axis="y", length=0, labelleft=ax is axes[0])
            ax.set_title(name, loc="left", fontsize=10)
            ax.xaxis.set_visible(False)
            ax.spines["bottom"].set_visible(False)
        ax = axes[-1]
        height = 0.8 / max(1, len(pairs))
        for number, name in enumerate(pairs):
            places = [place + number * height - 0.4 + height / 2 for place in range(len(languages))]
            values = [float(counts[language].get(name) or 0) for language in languages]
            ax.barh(places, values, height=height * 0.9, label=name.replace(" pairs,", ":"))
        ax.set_ylim(len(languages) - 0.5, -0.5)
        ax.tick_params(axis="y", length=0, labelleft=False)
        ax.set_xscale("log")
        ax.set_xlim(left=1)
        ax.set_title("clip-sentence pairs", loc="left", fontsize=10)
        ax.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
        return save(figure, out)


def _short(value: float) -> str:
    if value == round(value) or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}"

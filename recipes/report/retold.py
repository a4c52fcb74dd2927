"""Figure 7 of Video2Subtitle, drawn: pictures of a clip, and below them what is said and what else could be."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from .plots import ACCENT, INK, save

if TYPE_CHECKING:
    from ..reproduce.subtitle_retold import Retelling

_LINE = 118
_OTHER = "#a6541a"


def retold_figure(
    found: Sequence[Retelling], pictures: Mapping[str, NDArray[np.uint8]], out: str | Path, *, most: int = 6
) -> Path:
    """Draw each clip with its tellings: some pictures in a row, then the places under each cue and the sentences.

    Args:
        pictures: clip -> (T, H, W, 3) RGB in order.
        out: a picture, of the format that its suffix names.
        most: pictures of a clip at most.
    """
    clips = list(dict.fromkeys(one.clip for one in found))
    texts = {clip: [_lines(one) for one in found if one.clip == clip] for clip in clips}
    heights = [1.15 + 0.17 * sum(len(lines) + 0.6 for lines in texts[clip]) for clip in clips]
    figure = plt.figure(figsize=(11, sum(heights) + 0.2), facecolor="white")
    try:
        top = 1.0
        for clip, height in zip(clips, heights, strict=True):
            share = height / (sum(heights) + 0.2)
            inch = share / height
            shown = pictures[clip][np.linspace(0, len(pictures[clip]) - 1, most).round().astype(int)]
            for place, picture in enumerate(shown):
                ax = figure.add_axes((0.01 + place * 0.98 / most, top - 1.0 * inch, 0.97 / most, 0.95 * inch))
                ax.imshow(picture)
                ax.axis("off")
            line = top - 1.12 * inch
            for number, lines in enumerate(texts[clip]):
                for row, text in enumerate(lines):
                    weight, colour = ("bold", (ACCENT, _OTHER)[number > 0]) if row == 0 else ("normal", INK)
                    figure.text(0.012, line, text, fontsize=8, fontweight=weight, color=colour, va="top")
                    line -= 0.17 * inch
                line -= 0.1 * inch
            top -= share
        return save(figure, out)
    finally:
        plt.close(figure)


def _lines(one: Retelling) -> list[str]:
    """What stands below the pictures: the places, then the sentences with their times."""
    ranks = ",  ".join(f"{cue} {rank}" for cue, rank in one.ranks.items())
    lines = [f"{'Original' if one.own else 'Re-generated'} ({one.subtitle}):  {ranks}"]
    for line in one.lines():
        lines += textwrap.wrap(line, _LINE)
    return lines

"""Models by test languages, as heat maps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Rectangle

from .plots import INK, canvas, save

if TYPE_CHECKING:
    from ..cross_lingual import CrossLingual


def heat_maps(found: CrossLingual, out: str | Path) -> Path:
    """Draw F1, Clip Accuracy and Sentence IoU side by side, each in its own scale; the best of a language is framed.

    Args:
        out: a picture, of the format that its suffix names.
    """
    from ..cross_lingual import FIGURES

    wide, tall = len(found.languages), len(found.models)
    with canvas(1.4 + 3 * (0.7 + 0.52 * wide), 1.3 + 0.46 * tall, columns=len(FIGURES)) as (figure, axes):
        for ax, (key, words) in zip(axes, FIGURES.items(), strict=True):
            values = np.array(found.table(key))
            top = max(0.01, float(np.nanmax(values)))
            ax.imshow(values, cmap="Blues", vmin=0, vmax=1.15 * top, aspect="auto")
            for (i, j), value in np.ndenumerate(values):
                colour = "white" if value > 0.66 * top else INK
                ax.text(j, i, f"{100 * value:.1f}", ha="center", va="center", fontsize=9, color=colour)
            for j, i in enumerate(values.argmax(axis=0)):
                ax.add_patch(Rectangle((j - 0.47, i - 0.47), 0.94, 0.94, fill=False, edgecolor=INK, linewidth=1.4))
            ax.set_xticks(range(wide), found.languages)
            ax.set_yticks(range(tall), found.models if ax is axes[0] else [])
            ax.tick_params(length=0)
            ax.spines[:].set_visible(False)
            ax.set_title(f"{words}, %", loc="left", fontweight="bold", fontsize=11)
            ax.set_xlabel("tested on")
        axes[0].set_ylabel("trained on")
        return save(figure, out)

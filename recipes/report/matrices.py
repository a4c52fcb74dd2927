"""Alignments of a clip with a subtitle as pictures: what each cell is worth, and the path through them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .plots import INK, canvas, save

_PATH, _TRUTH = "#e0662c", "#ffffff"


@dataclass(frozen=True)
class Panel:
    """One alignment.

    Attributes:
        title: above it.
        values: (n, m) of every video step with every text step.
        labels: (n,) the text step of each video step, -1 for none; None where no path is drawn.
    """

    title: str
    values: NDArray[np.floating]
    labels: NDArray[np.int64] | None = None


def matrix_figure(
    panels: Sequence[Panel],
    video_times: NDArray[np.floating],
    text_times: NDArray[np.floating],
    out: str | Path,
    *,
    title: str = "",
    truth: NDArray[np.bool_] | None = None,
    zone: tuple[float, float] | None = None,
) -> Path:
    """Draw alignments of one pair side by side, the clip from left to right, the subtitle upwards.

    Args:
        panels: one at least; each in a scale of its own.
        video_times: (n,) seconds of the clip that video steps stand for.
        text_times: (m,) seconds of the speech that text steps stand for.
        out: a picture, of the format that its suffix names.
        truth: (n, m) cells of the path that timestamps give.
        zone: seconds of the clip that a dashed box marks.
    """
    edges = (*_span(video_times), *_span(text_times))
    with canvas(3.5 * len(panels) + 0.4, 3.6, columns=len(panels)) as (figure, axes):
        for ax, panel in zip(np.atleast_1d(axes), panels, strict=True):
            low, high = np.percentile(panel.values, [2, 99.5])
            ax.imshow(
                panel.values.T, origin="lower", aspect="auto", extent=edges, cmap="viridis", vmin=low, vmax=high or None
            )
            if truth is not None:
                i, j = np.nonzero(truth)
                ax.scatter(video_times[i], text_times[j], s=2.5, color=_TRUTH, linewidths=0, label="truth")
            if panel.labels is not None:
                met = panel.labels >= 0
                ax.plot(video_times[met], text_times[panel.labels[met]], color=_PATH, linewidth=1.3, label="path")
            if zone is not None:
                for second in zone:
                    ax.axvline(second, color=_TRUTH, linestyle="--", linewidth=1.1)
            ax.set_title(panel.title, loc="left", fontsize=9)
            ax.set_xlabel("clip, s")
        first = np.atleast_1d(axes)[0]
        first.set_ylabel("subtitle as spoken, s")
        if truth is not None or panels[0].labels is not None:
            first.legend(loc="lower right", fontsize=7, facecolor=INK, labelcolor="white", framealpha=0.6)
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=11)
        return save(figure, out)


def _span(times: NDArray[np.floating]) -> tuple[float, float]:
    """From the edge of the first step to that of the last."""
    half = float(np.diff(times).mean()) / 2 if len(times) > 1 else 0.5
    return float(times[0]) - half, float(times[-1]) + half

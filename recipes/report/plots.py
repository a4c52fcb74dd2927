"""The look that the reports' figures share."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure

from ...datamodules.files import write_whole

ACCENT, MUTED, INK = "#3563b5", "#c9c6bc", "#23252b"

_STYLE: dict[Any, Any] = {
    "figure.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.prop_cycle": plt.cycler(color=["#3563b5", "#d27f2a", "#3b9272", "#b3568f", "#a88a14", "#6c63c4", "#c5544c"]),
    "xtick.color": INK,
    "ytick.color": INK,
    "font.size": 10,
    "font.family": ["DejaVu Sans"],
}


@contextmanager
def canvas(width: float, height: float, *, columns: int = 1) -> Iterator[tuple[Figure, Any]]:
    """A figure of `width` x `height` inches and its axes, in our style; closed afterwards."""
    with plt.rc_context(_STYLE):
        figure, axes = plt.subplots(1, columns, figsize=(width, height), layout="constrained")
        try:
            yield figure, axes
        finally:
            plt.close(figure)


def check_suffix(out: Path) -> None:
    """Raises ValueError for a suffix that matplotlib lacks."""
    if (suffix := out.suffix[1:].lower()) not in (known := FigureCanvasBase.get_supported_filetypes()):
        raise ValueError(f"{out}: no picture is written as {suffix!r}, but as {', '.join(sorted(known))}")


def save(figure: Figure, out: str | Path) -> Path:
    """Write a figure whole, in the format of the suffix.  Raises ValueError for a suffix that matplotlib lacks."""
    out = Path(out)
    picture = io.BytesIO()
    figure.savefig(picture, format=out.suffix[1:], dpi=160)
    write_whole(out, picture.getvalue())
    return out

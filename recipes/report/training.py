"""Training curves, drawn from the metrics.csv that Lightning writes."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

from .plots import ACCENT, MUTED, canvas, save

#: columns of metrics.csv that count, and so are no curve
_COUNTERS = {"epoch", "step"}
#: of so many logged values each, a curve is smoothed over one part
_SMOOTHING = 30


def read_curves(path: str | Path) -> dict[str, list[tuple[int, float]]]:
    """``(step, value)`` of every metric in a metrics.csv, in order.  Raises ValueError where the file holds none."""
    path = Path(path)
    curves: dict[str, list[tuple[int, float]]] = defaultdict(list)
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if value and name not in _COUNTERS:
                    try:
                        curves[name].append((int(row["step"]), float(value)))
                    except (KeyError, ValueError, TypeError) as fault:
                        raise ValueError(f"{path}: not a metrics.csv of a run ({name}: {fault})") from fault
    if not curves:
        raise ValueError(f"{path}: no metrics in it; has the run logged anything yet?")
    return dict(curves)


def training_figure(metrics: str | Path, out: str | Path, *, title: str = "") -> Path:
    """Draw the loss and the validation scores of a run side by side.

    Args:
        metrics: the run's metrics.csv.
        out: a picture, of the format that its suffix names.
    """
    curves = read_curves(metrics)
    loss = {name: points for name, points in curves.items() if "loss" in name}
    shares = [name for name in curves if name.startswith("val/") and "spread" not in name and "rank" not in name]
    scores = {name: curves[name] for name in shares}
    panels = [(label, panel) for label, panel in (("loss", loss), ("validation", scores)) if panel] or [("", curves)]
    with canvas(4.6 * len(panels), 3.0, columns=len(panels)) as (figure, axes):
        for ax, (label, panel) in zip(axes if len(panels) > 1 else [axes], panels, strict=True):
            for number, (name, points) in enumerate(sorted(panel.items(), key=lambda item: item[0] != "val/f1")):
                steps, values = zip(*points, strict=True)
                colour = ACCENT if number == 0 else f"C{number}"
                if len(values) > 2 * _SMOOTHING:
                    ax.plot(steps, values, color=MUTED, linewidth=0.7)
                    values = _smooth(values, max(2, len(values) // _SMOOTHING))
                marker = "o" if len(values) < 20 else None
                ax.plot(steps, values, color=colour, linewidth=1.6, marker=marker, markersize=3, label=name)
            ax.set_xlabel("step")
            ax.set_ylabel(label)
            ax.legend(frameon=False, fontsize=8)
        figure.suptitle(title, x=0.02, ha="left", fontweight="bold")
        return save(figure, out)


def _smooth(values: tuple[float, ...], span: int) -> tuple[float, ...]:
    """The mean of each value and the `span` - 1 before it."""
    return tuple(
        sum(part) / len(part) for end in range(len(values)) if (part := values[max(0, end - span + 1) : end + 1])
    )

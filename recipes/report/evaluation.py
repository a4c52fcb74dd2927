"""The report of an evaluation: the model between its baselines and the oracle, and each video by itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...datamodules.files import write_whole
from .page import assemble

#: what the rows of an evaluation are, for a reader who sees them for the first time
MEANING = {
    "model": "this model, decoded with Drop-DTW",
    "similarity alone": "this model, without the times of the narration",
    "all-drop": "every clip dropped",
    "uniform": "sentences spread evenly over the clips",
    "transcript": "each clip with the sentence spoken over it",
    "oracle": "each clip with the sentence that people gave most of it",
}

FIGURES = ("f1", "clip_accuracy", "sentence_iou")


def evaluation_page(
    evaluation: Mapping[str, Any], out: str | Path, *, title: str = "Evaluation", facts: Mapping[str, str] | None = None
) -> Path:
    """Write the report as one self-contained HTML file.

    Args:
        evaluation: as `Evaluation.to_dict` gives it.
        out: the file.
        title: heading, such as the name of the run.
        facts: more to say at the head, such as the model, the data set and the split.

    Raises:
        ValueError: `evaluation` is something else.
    """
    out = Path(out)
    try:
        rows = [
            {
                "name": row["name"],
                "meaning": _meaning(row["name"]),
                "figures": [row[key] for key in FIGURES],
                "videos": {video: scores["f1"] for video, scores in row["per_video"].items()},
                "languages": {name: [means[key] for key in FIGURES] for name, means in row["by_language"].items()},
            }
            for row in evaluation["rows"]
        ]
        data = {
            "title": title,
            "facts": dict(facts or {}),
            "rows": rows,
            "gap": evaluation["gap_closed"],
            "videos": evaluation["videos"],
            "skipped": evaluation["skipped"],
            "doubt": evaluation.get("doubt"),
            "retrieval": evaluation["retrieval"],
        }
    except (KeyError, TypeError) as fault:
        raise ValueError(f"not an evaluation ({type(fault).__name__}: {fault})") from fault
    write_whole(out, assemble("evaluation", scripts=("evaluation",), title=title, data=data).encode())
    return out


def _meaning(name: str) -> str:
    if name.startswith("within "):
        return "this model by similarity, so near to the narration"
    return MEANING.get(name, "")


def evaluation_figure(evaluation: Mapping[str, Any], out: str | Path, *, title: str = "") -> Path:
    """Draw F1 of every row with its interval, as a picture of the format that the suffix of `out` names."""
    from .plots import ACCENT, INK, MUTED, canvas, save

    rows = list(evaluation["rows"])[::-1]
    with canvas(7.2, 0.9 + 0.42 * len(rows)) as (figure, axes):
        for place, row in enumerate(rows):
            value, low, high = (row["f1"][key] for key in ("value", "low", "high"))
            if value is None:
                continue
            axes.barh(place, value, height=0.58, color=ACCENT if row["name"] == "model" else MUTED)
            if low is not None and high is not None:
                axes.plot([low, high], [place, place], color=INK, linewidth=1.4, solid_capstyle="butt")
            axes.text(max(value, high or 0) + 0.012, place, f"{value:.3f}", va="center", color=INK)
        axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
        axes.set_xlim(0, 1.08)
        axes.set_xlabel(f"F1, mean over {evaluation['videos']} videos, with its bootstrap interval")
        axes.set_title(title, loc="left", fontweight="bold")
        return save(figure, out)

"""Video2Subtitle's Figures 4 to 6 on clips of one's own: what the order and the duration term do, and hidden lips."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ... import zoo
from ...datamodules.files import write_whole
from ...datamodules.streams import TEXT_STREAMS, VIDEO_STREAMS, open_stream
from ...datamodules.subtitles import SubtitleClips
from ...zoo.losses import path_cells
from ...zoo.models.lipspeech import LipSpeech, pooled_times
from ..console import print_table
from ..report.matrices import Panel, matrix_figure
from ..scoring.paper_subtitles import PICTURES
from ..training.subtitles import least_steps

#: weights of the order term and of the duration term that are drawn
ORDERS, DURATIONS = (0.0, 0.1, 1.0, 10.0), (0.0, 0.1, 0.5, 2.0)


COLUMNS = ("", "backward", "off diagonal, s", "right", "right, lips still")


@dataclass(frozen=True)
class Pair:
    """A clip with its own subtitle, as an aligner sees them.

    Attributes:
        id: of the clip.
        lips: (1, n, dim) steps, and speech: (1, m, dim + 1) of `LipSpeech.with_rates`.
        video_times, text_times: (n,) and (m,) seconds that the steps stand for.
        truth: (n, m) cells of the path that timestamps give.
        zone: seconds of the clip between which the lips change least; None where nothing is still.
    """

    id: str
    lips: Tensor
    speech: Tensor
    video_times: NDArray[np.float64]
    text_times: NDArray[np.float64]
    truth: NDArray[np.bool_]
    zone: tuple[float, float] | None

    @property
    def lengths(self) -> tuple[Tensor, Tensor]:
        """Steps of either, (1,) each."""
        return torch.tensor([self.lips.shape[1]]), torch.tensor([self.speech.shape[1]])


@torch.inference_mode()
def pair(model: LipSpeech, lips: Path, speech: Path, clip: str, split: str = "test") -> Pair:
    """Encode a clip and its subtitle.

    Args:
        lips, speech: folders of the streams that the model reads.

    Raises:
        ValueError: no such clip in the split, or it is too short.
    """
    video, text = open_stream(lips, None, VIDEO_STREAMS), open_stream(speech, None, TEXT_STREAMS)
    clips = SubtitleClips(video, text, split, least=least_steps(model))
    names = [known.id for known in clips.clips]
    if clip not in names:
        raise ValueError(
            f"no clip {clip!r} in the {split} split of {video.folder}; there are {', '.join(names[:5])}, ..."
        )
    batch = clips.batch([names.index(clip)])
    assert batch.video_times is not None and batch.text_times is not None
    assert batch.spoken is not None and batch.synthesised is not None
    steps, _ = model.encode_lips(batch.video, batch.video_lengths)
    texts, _ = model.encode_speech(batch.text, batch.text_lengths)
    groups = model.lips.groups
    video_times, text_times = pooled_times(batch.video_times[0], groups), pooled_times(batch.text_times[0], groups)
    truth = path_cells(video_times, text_times, batch.spoken[0], batch.synthesised[0])
    return Pair(
        clip,
        steps,
        model.with_rates(texts, batch.languages),
        video_times.numpy(),
        text_times.numpy(),
        truth.numpy(),
        still_zone(batch.video[0].numpy(), batch.video_times[0].numpy()),
    )


def still_zone(
    features: NDArray[np.floating], times: NDArray[np.floating], *, least: float = 0.6, still: float = 0.5
) -> tuple[float, float] | None:
    """The longest stretch in which lip features hardly change, in seconds of the clip: lips that are hidden, or closed.

    Args:
        features: (L, D).
        times: (L,) seconds.
        least: seconds that it must last.
        still: it changes less than this share of the median change from step to step, over half a second.
    """
    if len(features) < 3:
        return None
    change = np.linalg.norm(np.diff(features, axis=0), axis=1)
    width = max(1, round(0.5 / float(np.diff(times).mean())))
    smooth = np.convolve(np.pad(change, width // 2, mode="edge"), np.ones(width) / width, mode="same")
    smooth = smooth[width // 2 : width // 2 + len(change)]
    quiet = np.flatnonzero(np.diff(np.r_[False, smooth < still * np.median(change), False].astype(int)))
    spans = [(float(times[first]), float(times[last])) for first, last in quiet.reshape(-1, 2).tolist()]
    longest = max(spans, key=lambda span: span[1] - span[0], default=(0.0, 0.0))
    return longest if longest[1] - longest[0] >= least else None


@dataclass(frozen=True)
class Course:
    """How a path runs.

    Attributes:
        name: what it was found by.
        backward: share of the steps of the clip after which the path goes back in the subtitle.
        diagonal: mean distance from the straight line through both, in seconds of the subtitle.
        right: share of the clip's spoken steps at which the path is within 0.25 s of the truth.
        right_in_zone: of those in the zone alone; None where there is none.
    """

    name: str
    backward: float
    diagonal: float
    right: float
    right_in_zone: float | None


def course(name: str, labels: NDArray[np.int64], of: Pair, near: float = 0.25) -> Course:
    """Figures of a path, (n,) text steps of the clip's steps, all of them 0 or more."""
    n, m = of.truth.shape
    straight = np.arange(n) * (m - 1) / max(1, n - 1)
    pace = float(np.diff(of.text_times).mean()) if m > 1 else 1.0
    spoken = of.truth.any(axis=1)
    nearest = np.where(of.truth, np.abs(of.text_times[None, :] - of.text_times[labels][:, None]), np.inf).min(axis=1)
    right = nearest <= near
    zone = None
    if of.zone is not None:
        inside = spoken & (of.video_times >= of.zone[0]) & (of.video_times <= of.zone[1])
        zone = float(right[inside].mean()) if inside.any() else None
    return Course(
        name,
        float((np.diff(labels) < 0).mean()),
        float(np.abs(labels - straight).mean()) * pace,
        float(right[spoken].mean()) if spoken.any() else 0.0,
        zone,
    )


@torch.inference_mode()
def terms(folder: str | Path, lips: Path, speech: Path, clip: str, term: str) -> tuple[Pair, list[Panel], list[Course]]:
    """Figures 4 and 5: the expected alignment and the best path as a weight grows.

    That of the order grows without the duration term, which keeps a path in order by itself.

    Args:
        folder: checkpoint of a `LipSpeech`.
        term: ``order`` or ``duration``.
    """
    panels, courses, seen = [], [], None
    for weight in ORDERS if term == "order" else DURATIONS:
        settings: dict[str, Any] = {"duration_weight": 0.0, f"{term}_weight": weight}
        model = zoo.load(folder, **settings).eval()
        assert isinstance(model, LipSpeech)
        seen = seen or pair(model, lips, speech, clip)
        expected = model.alignment(seen.lips, seen.speech, *seen.lengths)[0]
        labels = model.labels(seen.lips, seen.speech, *seen.lengths)[0].numpy()
        found = course(f"{term} weight {weight:g}", labels, seen)
        courses.append(found)
        panels.append(Panel(f"weight {weight:g}: {found.backward:.0%} of steps go back", expected.numpy(), labels))
    assert seen is not None
    return seen, panels, courses


@torch.inference_mode()
def hidden(
    dtw: str | Path, dsta: str | Path, lips: Path, speech: Path, clip: str, zone: tuple[float, float] | None = None
) -> tuple[Pair, list[Panel], list[Course]]:
    """Figure 6: the paths of DTW and of DSTA through the similarities of a clip and its subtitle.

    Args:
        dtw, dsta: checkpoints of `LipSpeech` with those aligners.
        zone: seconds of the clip in which the lips are hidden, where that is known.
    """
    panels, courses, seen = [], [], None
    for name, folder in (("DTW", dtw), ("DSTA", dsta)):
        model = zoo.load(folder).eval()
        assert isinstance(model, LipSpeech)
        seen = pair(model, lips, speech, clip)
        seen = seen if zone is None else dataclasses.replace(seen, zone=zone)
        similarity = F.normalize(seen.lips[0], dim=-1) @ seen.speech[0, :, :-1].T
        labels = model.labels(seen.lips, seen.speech, *seen.lengths)[0].numpy()
        found = course(name, labels, seen)
        courses.append(found)
        where = "" if found.right_in_zone is None else f", {found.right_in_zone:.0%} in the zone"
        panels.append(Panel(f"{name}: right at {found.right:.0%} of the steps{where}", similarity.numpy(), labels))
    assert seen is not None
    return seen, panels, courses


def show(name: str, found: tuple[Pair, Sequence[Panel], Sequence[Course]]) -> None:
    """Print how the paths run."""
    rows = [[one.name, one.backward, one.diagonal, one.right, one.right_in_zone] for one in found[2]]
    print_table(f"Figure {name[-1]}: {PICTURES[name]}, clip {found[0].id}", COLUMNS, rows)


def write(
    name: str, found: tuple[Pair, Sequence[Panel], Sequence[Course]], folder: Path, notes: Sequence[str] = ()
) -> list[Path]:
    """Write ``<figure>.csv``, ``.md`` and ``.png``; returns their paths."""
    seen, panels, courses = found
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}{suffix}" for suffix in (".csv", ".md", ".png")]
    rows = [
        [one.name, *(_short(value) for value in (one.backward, one.diagonal, one.right, one.right_in_zone))]
        for one in courses
    ]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    write_whole(paths[0], text.getvalue().encode())
    title = f"Figure {name[-1]}: {PICTURES[name]}"
    table = [f"| {' | '.join(row)} |" for row in (COLUMNS, ["---", *["---:"] * (len(COLUMNS) - 1)], *rows)]
    lines = [f"# {title}", "", *table, "", f"Clip {seen.id}. The figure of the paper prints no numbers.", *notes, ""]
    write_whole(paths[1], "\n".join(lines).encode())
    times = (seen.video_times, seen.text_times)
    matrix_figure(panels, *times, paths[2], title=f"{title} ({seen.id})", truth=seen.truth, zone=seen.zone)
    return paths


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"

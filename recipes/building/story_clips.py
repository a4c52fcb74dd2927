"""One video to clips with candidate pictures: decoded once, shots found on the way, little held in memory."""

from __future__ import annotations

import bisect
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from av.video.frame import VideoFrame

from ...datamodules import media
from ...datamodules.records import Interval
from ...zoo.converters import transnetv2
from ...zoo.models.transnet import TransNetV2
from .shots import ContentDetector, Cutter, transnet_cuts

#: of a running shot at most so many times the wanted frames are held
HELD = 4


@dataclass(frozen=True)
class Pictures:
    """How clips are kept: `frames` candidate pictures each, short side `size` pixels at most, as JPEG of `quality`."""

    frames: int = 5
    size: int = 256
    quality: int = 90

    def __post_init__(self) -> None:
        if self.frames < 1 or self.size < 8 or not 1 <= self.quality <= 100:
            raise ValueError(
                f"{self.frames} frames of {self.size} pixels at quality {self.quality}: "
                "there must be at least 1 frame, 8 pixels, and a quality from 1 to 100"
            )

    @classmethod
    def of_settings(cls, settings: dict[str, Any]) -> Pictures | None:
        """Those of a shard set, from its manifest's settings; None where they do not say."""
        names = [field.name for field in fields(cls)]
        return cls(**{name: settings[name] for name in names}) if settings.keys() >= set(names) else None


@dataclass
class Clips:
    """The clips of one video: [start, end) in seconds, whole without a gap; and the JPEG pictures of each."""

    spans: list[Interval]
    pictures: list[list[bytes]]
    duration: float


def cut_video(video: Path, cutter: Cutter, pictures: Pictures, *, threads: int = 0) -> Clips:
    """Cut a video into shots and take pictures at the centres of `pictures.frames` equal parts of each.

    A shot with fewer frames than that repeats them.  Raises as `media.open_video` does.
    """
    with media.open_video(video, threads=threads, quick=True) as reader:
        # TransNetV2 looks 75 frames ahead: rather than hold so many, the video is decoded a second time
        if cutter.method == "transnetv2":
            _, starts = transnet_cuts(reader, _model(str(cutter.weights)))
            known = set(starts[1:])
            running = _Running(pictures.frames, lag=0)
            closed = _close_known(reader, running, known)
        else:
            running = _Running(pictures.frames, ContentDetector.lag)
            closed = _close_found(reader, running)
        size = reader.info.fit(pictures.size)
        starts_at: list[float] = []
        kept: list[list[bytes]] = []
        for shot, end in closed:
            starts_at.append(shot[0].time)
            kept.append(_encode(shot, end, pictures.frames, lambda frame: reader.jpeg(frame, size, pictures.quality)))
        edges = [0.0, *starts_at[1:], reader.end]
        return Clips(list(itertools.pairwise(edges)), kept, reader.end)


class _Held(NamedTuple):
    number: int
    time: float
    frame: VideoFrame


class _Running:
    """Frames of the running shot, thinned evenly so that their number stays bounded however long it runs.

    The last `lag` frames wait apart: a cut among them may still be found.
    """

    def __init__(self, wanted: int, lag: int) -> None:
        self.capacity = HELD * wanted
        self.lag = lag
        self.first = 0
        self.stride = 1
        self.held: list[_Held] = []
        self.waiting: deque[_Held] = deque()

    def push(self, item: _Held) -> None:
        self.waiting.append(item)
        if len(self.waiting) > self.lag:
            self._hold(self.waiting.popleft())

    def close(self, cut: int | None = None) -> list[_Held]:
        """The frames held of the shot that ends before frame `cut`; the next one begins there."""
        shot = self.held + [item for item in self.waiting if cut is None or item.number < cut]
        coming = [item for item in self.waiting if cut is not None and item.number >= cut]
        self.first, self.stride, self.held = cut or 0, 1, []
        self.waiting = deque(coming)
        return shot

    def _hold(self, item: _Held) -> None:
        if (item.number - self.first) % self.stride == 0:
            self.held.append(item)
        if len(self.held) > self.capacity:
            self.stride *= 2
            self.held = [held for held in self.held if (held.number - self.first) % self.stride == 0]


def _close_found(reader: media.VideoReader, running: _Running) -> Iterator[tuple[list[_Held], float]]:
    """Shots as content-based detection finds them, with their ends in seconds."""
    detector = ContentDetector(reader)
    for number, (time, frame) in enumerate(reader):
        running.push(_Held(number, time, frame))
        for cut in detector.push(frame):
            yield running.close(cut), running.waiting[0].time
    for cut in detector.finish():
        yield running.close(cut), running.waiting[0].time
    yield running.close(), reader.end


def _close_known(reader: media.VideoReader, running: _Running, starts: set[int]) -> Iterator[tuple[list[_Held], float]]:
    """Shots that begin at frames `starts`, with their ends in seconds."""
    for number, (time, frame) in enumerate(reader):
        if number in starts:
            yield running.close(number), time
        running.push(_Held(number, time, frame))
    yield running.close(), reader.end


def _encode(shot: list[_Held], end: float, count: int, jpeg: Callable[[VideoFrame], bytes]) -> list[bytes]:
    """The pictures on screen at the centres of `count` equal parts of the shot."""
    times = [item.time for item in shot]
    part = (end - times[0]) / count
    chosen = [bisect.bisect_right(times, times[0] + (number + 0.5) * part) - 1 for number in range(count)]
    encoded = {place: jpeg(shot[place].frame) for place in set(chosen)}
    return [encoded[place] for place in chosen]


@lru_cache(maxsize=1)
def _model(weights: str) -> TransNetV2:
    return transnetv2.read(weights)

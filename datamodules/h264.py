"""Moving pictures as bytes: H.264 in MP4, for clips that lie in a shard set."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

#: pictures from one that can be decoded by itself to the next; what a read out of the middle may decode in vain
GOP = 25


class Encoder:
    """Takes pictures one by one, uint8 RGB (H, W, 3) of one size with H and W even; `finish` gives the MP4.

    The same pictures give the same bytes.

    Args:
        fps: frames a second.
        crf: constant rate factor of x264: smaller is better and larger, 0 lossless.
    """

    def __init__(self, fps: float, *, crf: int = 18) -> None:
        self.count = 0
        self._buffer = io.BytesIO()
        self._container = av.open(self._buffer, "w", format="mp4", options={"fflags": "+bitexact"})
        options = {"crf": str(crf), "preset": "veryfast", "threads": "1", "g": str(GOP), "flags": "+bitexact"}
        options["x264-params"] = "mbtree=0"  # with it, one file in some hundred small ones comes out otherwise
        rate = Fraction(fps).limit_denominator(1001)
        self._stream = self._container.add_stream("libx264", rate=rate, options=options)
        self._stream.pix_fmt = "yuv420p"

    def push(self, picture: NDArray[np.uint8]) -> None:
        """Raises ValueError for sides that are odd."""
        if not self.count:
            self._stream.height, self._stream.width = picture.shape[:2]
            if self._stream.height % 2 or self._stream.width % 2:
                raise ValueError(f"pictures of {self._stream.width} x {self._stream.height}: H.264 needs even sides")
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
        frame.pts = self.count
        self._container.mux(self._stream.encode(frame))
        self.count += 1

    def finish(self) -> bytes:
        """Raises ValueError where there was no picture."""
        if not self.count:
            raise ValueError("there is no picture to encode")
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._buffer.getvalue()


def encode_h264(pictures: Iterable[NDArray[np.uint8]], fps: float, *, crf: int = 18) -> bytes:
    """Pictures as an MP4, all of them through an `Encoder`, which see."""
    encoder = Encoder(fps, crf=crf)
    for picture in pictures:
        encoder.push(picture)
    return encoder.finish()


def decode_h264(data: bytes, numbers: Sequence[int]) -> NDArray[np.uint8]:
    """The pictures of an MP4 at `numbers`, ascending and counted from 0: uint8 RGB (len(numbers), H, W, 3).

    Only what is needed is decoded: from the last picture before the first number that stands by itself.

    Raises:
        ValueError: it is no MP4, it is damaged, or it has no such picture.
    """
    wanted = list(numbers)
    if wanted != sorted(wanted) or (wanted and wanted[0] < 0):
        raise ValueError(f"numbers of pictures must ascend from 0, not {wanted[:8]}")
    found: list[NDArray[np.uint8]] = []
    try:
        with av.open(io.BytesIO(data), "r", format="mp4") as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            if not wanted:
                return np.zeros((0, stream.height, stream.width, 3), np.uint8)
            for number, frame in _from(container, stream, wanted[0]):
                if number != wanted[len(found)]:
                    continue
                picture = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
                while len(found) < len(wanted) and wanted[len(found)] == number:
                    found.append(picture)
                if len(found) == len(wanted):
                    return np.stack(found)
    except (av.error.FFmpegError, IndexError) as fault:
        raise ValueError(f"no H.264 in MP4, or damaged, {len(data)} bytes: {fault}") from fault
    raise ValueError(f"there is no picture {wanted[len(found)]}: the video ends before it")


def _from(container: InputContainer, stream: VideoStream, first: int) -> Iterator[tuple[int, VideoFrame]]:
    """Numbered pictures, from one that stands by itself at or before number `first`."""
    tick = stream.time_base or Fraction(1, 1)
    rate = stream.average_rate or Fraction(25)
    if first >= GOP:
        container.seek(round(first / rate / tick), stream=stream, backward=True)
    for frame in container.decode(stream):
        if frame.pts is not None:
            yield round(frame.pts * tick * rate), frame


def even(width: int, height: int) -> tuple[int, int]:
    """The nearest size that H.264 can hold, at least 2 x 2."""
    return max(2, width // 2 * 2), max(2, height // 2 * 2)

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


def encode_h264(pictures: Iterable[NDArray[np.uint8]], fps: float, *, crf: int = 18) -> bytes:
    """Pictures, uint8 RGB (H, W, 3) with H and W even, as an MP4; the same pictures give the same bytes.

    Args:
        pictures: in order, all of one size.
        fps: frames a second.
        crf: constant rate factor of x264: smaller is better and larger, 0 lossless.

    Raises:
        ValueError: for no pictures, or sides that are odd.
    """
    buffer = io.BytesIO()
    options = {"crf": str(crf), "preset": "veryfast", "threads": "1", "g": str(GOP), "flags": "+bitexact"}
    count = 0
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options=options)
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            if count == 0:
                stream.height, stream.width = picture.shape[:2]
                if stream.height % 2 or stream.width % 2:
                    raise ValueError(f"pictures of {stream.width} x {stream.height}: H.264 needs even sides")
            frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            frame.pts = count
            container.mux(stream.encode(frame))
            count += 1
        if not count:
            raise ValueError("there is no picture to encode")
        container.mux(stream.encode(None))
    return buffer.getvalue()


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

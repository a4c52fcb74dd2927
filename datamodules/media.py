"""Video files in and out: decoding by presentation time, small pictures, JPEG.

Everything goes through FFmpeg (PyAV), so any container it reads will do.  Times are seconds from the start of the
file, taken from the presentation time of each frame and never from a frame rate: many recaps are of variable rate.
Pictures come upright and with square pixels: the rotation flag and the pixel shape of the file are applied.
"""

from __future__ import annotations

import functools
import io
import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, cast

import av
import numpy as np
import torch
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from .files import whole_path

Picture = NDArray[np.uint8]  # (H, W, 3) RGB
Scaler = Literal["FAST_BILINEAR", "BILINEAR", "BICUBIC", "AREA"]

#: a file whose pictures end earlier than its header says, by more than this share and these seconds, is truncated
TRUNCATED_SHARE, TRUNCATED_SECONDS = 0.05, 2.0
#: `VideoReader.at` decodes on rather than seeking where the next picture is this near, in seconds
SEEK_WORTH = 2.0
#: s; how much earlier is looked for a picture where a container went too far
SEEK_BACK = 12.0
#: `VideoReader.samples` looks at about so many places of a picture, across and down
SAMPLED = (64, 36)
#: layouts of colours in three planes of one byte a value, brightness first
PLANAR = frozenset(f"yuv{full}{layout}p" for full in ("", "j") for layout in ("410", "411", "420", "422", "440", "444"))
#: ticks per second of the files we write: common frame rates and milliseconds are whole numbers of it
CLOCK = 90_000


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself.

    Attributes:
        width, height: in pixels, upright and with square pixels.
        fps: average frame rate; only the times of `frames` are exact.
        duration: seconds; 0.0 where the container does not say (decoding tells).
        frames: how many; None where the container does not say.
        rotation: degrees that the coded picture is turned counter-clockwise for display: 0, 90, 180 or 270.
    """

    width: int
    height: int
    fps: float
    duration: float
    frames: int | None
    rotation: int

    def fit(self, short_side: int) -> tuple[int, int]:
        """(width, height) with the short side at most `short_side` pixels, shape kept; never larger than the video."""
        scale = min(1.0, short_side / min(self.width, self.height))
        return max(1, round(self.width * scale)), max(1, round(self.height * scale))


class VideoReader:
    """One open video file, from `open_video`; iterating yields ``(time in s, av.VideoFrame)`` in display order.

    Attributes:
        info: what the file says of itself.
        end: seconds; the end of the last frame decoded so far, so after a full pass the true duration.
    """

    def __init__(self, path: Path, *, threads: int, quick: bool) -> None:
        self.path = path
        self._open = functools.partial(_open, path, threads, quick)
        self.container, self.stream = self._open()
        self.start = (self.container.start_time or 0) / av.time_base
        self.rate = float(self.stream.average_rate or self.stream.guessed_rate or 25)
        self.end = 0.0
        self._begun: Iterator[tuple[float, VideoFrame]] | None = None
        self._scalers: dict[tuple[int, int, str, str], VideoReformatter] = {}
        self.info = self._describe()

    def __iter__(self) -> Iterator[tuple[float, VideoFrame]]:
        """Every frame, from the first.  Raises ValueError if the file is damaged or ends before its header says."""
        self.seek(0.0)
        yield from self.decode()
        announced = self.info.duration
        if announced - self.end > max(TRUNCATED_SECONDS, TRUNCATED_SHARE * announced):
            raise self._cut_short("")

    def seek(self, time: float) -> None:
        """Go to the last key frame at or before `time` in seconds; `decode` goes on from there.

        Some containers have no index, and go elsewhere: `reach` makes sure.
        """
        if self._begun is not None and time <= 0:
            return
        self._begun = None
        if time <= 0:  # a GIF knows no way back, and a transport stream passes its first pictures over
            self._reopen()
            return
        try:
            self.container.seek(round((time + self.start) * av.time_base), backward=True)
        except av.error.FFmpegError:
            self._reopen()

    def decode(self) -> Iterator[tuple[float, VideoFrame]]:
        """Frames from where the file stands.  A frame without a time, or back in time, follows the last one."""
        begun, self._begun = self._begun, None
        return begun if begun is not None else self._frames()

    def reach(self, time: float) -> Iterator[tuple[float, VideoFrame]]:
        """Frames from one at or before `time` in seconds; from the first where all are later."""
        first: tuple[float, VideoFrame] | None = None
        for start in (time, time - SEEK_BACK, 0.0):
            self.seek(max(0.0, start))
            stream = self.decode()
            first = next(stream, None)
            if start <= 0 or (first is not None and first[0] <= time):
                break
        return stream if first is None else itertools.chain([first], stream)

    def at(self, times: Iterable[float]) -> Iterator[VideoFrame]:
        """The frame on screen at each of `times` in seconds, which ascend; after the end it is the last one."""
        stream: Iterator[tuple[float, VideoFrame]] = iter(())
        shown: tuple[float, VideoFrame] | None = None  # on screen now
        coming: tuple[float, VideoFrame] | None = None  # the one after it; None at the end
        for wanted in times:
            if shown is None or wanted > shown[0] + SEEK_WORTH:
                stream = self.reach(wanted)
                shown = next(stream)
                coming = next(stream, None)
            while coming is not None and coming[0] <= wanted:
                shown, coming = coming, next(stream, None)
            yield shown[1]

    def picture(self, frame: VideoFrame, size: tuple[int, int] | None = None, scaler: Scaler = "AREA") -> Picture:
        """A decoded frame as upright RGB (H, W, 3), scaled by libswscale to `size` = (width, height)."""
        width, height = size or (self.info.width, self.info.height)
        if self.info.rotation % 180:
            width, height = height, width
        coded = cast(Picture, self._scaled(frame, width, height, "rgb24", scaler).to_ndarray())
        return np.ascontiguousarray(np.rot90(coded, self.info.rotation // 90)) if self.info.rotation else coded

    def samples(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """Brightness at about 64 x 36 places of a frame and its two colours at half as many each way, in a row.

        The same places of every frame of a file, so that two frames can be compared; nothing is scaled or converted.
        """
        if frame.format.name not in PLANAR:
            frame = self._scaled(frame, *SAMPLED, "yuv420p", "FAST_BILINEAR")
        across, down = SAMPLED
        values = []
        for plane in frame.planes[:3]:
            rows = np.frombuffer(cast(bytes, plane), np.uint8).reshape(-1, plane.line_size)
            y, x = max(1, plane.height // down), max(1, plane.width // across)
            values.append(rows[y // 2 : plane.height : y, x // 2 : plane.width : x].ravel())
            across, down = SAMPLED[0] // 2, SAMPLED[1] // 2
        return np.concatenate(values)

    def jpeg(self, frame: VideoFrame, size: tuple[int, int], quality: int = 90) -> bytes:
        """A decoded frame as upright JPEG, scaled to `size` = (width, height); `quality` from 1 to 100.

        For a file that is neither turned nor of a palette this is much quicker than `encode_jpeg` of `picture`: the
        frame is scaled in its own colours, of which most formats hold fewer, and turned to RGB when it is small.
        """
        if self.info.rotation or not frame.format.name.startswith("yuv"):
            return encode_jpeg(self.picture(frame, size), quality)
        if size != (frame.width, frame.height):
            frame = self._scaled(frame, *size, frame.format.name, "AREA")
        # Pillow takes four bytes for each pixel as they lie, and copies three; but libswscale leaves the last pixels of
        # a row unwritten where its length is no multiple of eight
        colours, mode = ("rgb0", "RGBX") if size[0] % 8 == 0 else ("rgb24", "RGB")
        plane = self._scaled(frame, *size, colours, "AREA").planes[0]
        data = np.frombuffer(cast(bytes, plane), np.uint8)  # a buffer, which PyAV does not say
        return _save_jpeg(Image.frombuffer(mode, size, data, "raw", mode, plane.line_size, 1), quality)

    def close(self) -> None:
        self.container.close()

    def _scaled(self, frame: VideoFrame, width: int, height: int, colours: str, scaler: Scaler) -> VideoFrame:
        # a reformatter keeps its tables, which cost more than scaling does
        use = (width, height, colours, scaler)
        if use not in self._scalers:
            self._scalers[use] = VideoReformatter()
        return self._scalers[use].reformat(frame, width, height, colours, interpolation=scaler, threads=1)

    def _frames(self) -> Iterator[tuple[float, VideoFrame]]:
        last: float | None = None
        tick = float(self.stream.time_base or 0)  # s
        try:
            for frame in self.container.decode(self.stream):
                time = None if frame.pts is None else frame.pts * tick - self.start
                if last is not None and (time is None or time <= last):
                    time = last + 1 / self.rate
                last = max(0.0, time or 0.0)
                self.end = max(self.end, last + (frame.duration * tick or 1 / self.rate))
                yield last, frame
        except av.error.FFmpegError as fault:
            raise self._cut_short(f" ({fault.strerror})") from fault

    def _cut_short(self, reason: str) -> ValueError:
        """The one diagnosis of a file that ends too early, whether FFmpeg notices or only the header tells."""
        announced = self._announced()
        of = f" of the {announced:.1f} s that its header announces" if announced else ""
        return ValueError(
            f"{self.path}: pictures end at {self.end:.1f} s{of}: the file is truncated or damaged{reason}; "
            "fetch it again, or re-encode what is there with ffmpeg"
        )

    def _reopen(self) -> None:
        self.container.close()
        self.container, self.stream = self._open()

    def _describe(self) -> VideoInfo:
        stream = self._frames()
        time, first = next(stream, (0.0, None))
        if first is None:
            raise ValueError(f"{self.path}: its video stream holds no frame that can be decoded")
        self._begun = itertools.chain([(time, first)], stream)
        rotation = round(first.rotation / 90) * 90 % 360
        shape = self.stream.sample_aspect_ratio or Fraction(1)
        width, height = round(first.width * (shape if shape > 0 else 1)), first.height
        if rotation % 180:
            width, height = height, width
        return VideoInfo(width, height, self.rate, self._announced(), self.stream.frames or None, rotation)

    def _announced(self) -> float:
        if self.stream.duration and self.stream.time_base:
            return float(self.stream.duration * self.stream.time_base)
        tag = self.stream.metadata.get("DURATION", "")  # Matroska: 00:01:00.041666666
        if tag.count(":") == 2:
            hours, minutes, seconds = tag.split(":")
            return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        return (self.container.duration or 0) / av.time_base


@contextmanager
def open_video(path: str | Path, *, threads: int = 0, quick: bool = False) -> Iterator[VideoReader]:
    """Open a video file for decoding with `threads` threads (0: as many as FFmpeg thinks right).

    With `quick`, the deblocking filter is skipped on non-reference frames: up to a tenth faster, and JPEG at quality 90
    loses far more.

    Raises FileNotFoundError for a missing file, ValueError for one that holds no video or is damaged.
    """
    reader = VideoReader(Path(path), threads=threads, quick=quick)
    try:
        yield reader
    finally:
        reader.close()


def probe(path: str | Path) -> VideoInfo:
    """What a video file says of itself; raises as `open_video` does."""
    with open_video(path, threads=1) as reader:
        return reader.info


def frames(
    path: str | Path, *, size: tuple[int, int] | None = None, scaler: Scaler = "AREA", threads: int = 0
) -> Iterator[tuple[float, Picture]]:
    """Every frame as ``(time in s, uint8 RGB (H, W, 3))``, scaled to `size` = (width, height) where given."""
    with open_video(path, threads=threads) as reader:
        for time, frame in reader:
            yield time, reader.picture(frame, size, scaler)


def frames_at(
    path: str | Path, times: Sequence[float], size: tuple[int, int] | None = None, *, scaler: Scaler = "AREA"
) -> list[Picture]:
    """The pictures on screen at `times` in seconds, in that order; after the end it is the last one."""
    wanted = sorted(set(times))
    with open_video(path) as reader:
        shown = (reader.picture(frame, size, scaler) for frame in reader.at(wanted))
        pictures = dict(zip(wanted, shown, strict=True))
    return [pictures[time] for time in times]


def encode_jpeg(rgb: Picture, quality: int = 90) -> bytes:
    """A picture, uint8 RGB (H, W, 3), as JPEG; `quality` from 1 to 100."""
    return _save_jpeg(Image.fromarray(rgb), quality)


def decode_jpeg(data: bytes) -> Tensor:
    """A JPEG as uint8 RGB (3, H, W).  Raises ValueError where it is not one, or is damaged."""
    try:
        picture = np.array(Image.open(io.BytesIO(data), formats=["JPEG"]).convert("RGB"))
    except (OSError, SyntaxError, Image.DecompressionBombError) as fault:
        raise ValueError(f"not a JPEG, or a damaged one, of {len(data)} bytes: {fault}") from fault
    return torch.from_numpy(picture).permute(2, 0, 1).contiguous()


def write_video(
    path: str | Path, pictures: Iterable[Picture], fps: float, *, times: Iterable[float] | None = None, crf: int = 20
) -> None:
    """Write uint8 RGB pictures (H, W, 3), H and W even, as H.264; the container goes by the file's suffix.

    Args:
        fps: frame rate.
        times: seconds of each picture, growing, for a variable frame rate; default: `fps` apart.
        crf: constant rate factor of x264: smaller is better and larger, 0 lossless.

    The file is written whole: beside its place, then moved there.
    """
    path = Path(path)
    try:
        with whole_path(path, suffix=path.suffix) as part, av.open(str(part), "w") as container:
            _encode(container, pictures, Fraction(fps).limit_denominator(1001), times, crf)
    except av.error.FFmpegError as fault:
        raise OSError(fault.errno, f"cannot write the video: {fault.strerror}", str(path)) from fault


def _encode(
    container: av.container.OutputContainer,
    pictures: Iterable[Picture],
    rate: Fraction,
    times: Iterable[float] | None,
    crf: int,
) -> None:
    stream = container.add_stream("libx264", rate=rate, options={"crf": str(crf), "preset": "veryfast"})
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = Fraction(1, CLOCK)
    ticks = iter(round(time * CLOCK) for time in times) if times is not None else None
    for number, picture in enumerate(pictures):
        if number == 0:
            stream.height, stream.width = picture.shape[:2]
            if stream.height % 2 or stream.width % 2:
                raise ValueError(f"pictures of {stream.width} x {stream.height}: H.264 needs even sides")
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
        frame.time_base = Fraction(1, CLOCK)
        frame.pts = next(ticks) if ticks is not None else round(number * CLOCK / rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _save_jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _open(path: Path, threads: int, quick: bool) -> tuple[InputContainer, VideoStream]:
    if not path.exists():
        raise FileNotFoundError(f"no such video: {path}")
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a video file")
    try:
        container = av.open(str(path), metadata_errors="replace")
    except PermissionError as fault:
        raise PermissionError(f"no permission to read {path}") from fault
    except av.error.FFmpegError as fault:
        raise ValueError(
            f"{path}: not a video that FFmpeg can read ({fault.strerror}); it may be truncated: fetch it again"
        ) from fault
    pictures = [
        stream for stream in container.streams.video if not stream.disposition & stream.disposition.attached_pic
    ]
    if not pictures:
        others = ", ".join(stream.type for stream in container.streams) or "nothing"
        container.close()
        raise ValueError(f"{path}: no video stream in it (only {others})")
    stream = pictures[0]
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = threads
    if quick:
        stream.codec_context.options = {"skip_loop_filter": "noref"}
    return container, stream

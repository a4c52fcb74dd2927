"""Sound as samples: out of any file, at another rate, and as FLAC, which loses nothing."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from numpy.typing import NDArray

Samples = NDArray[np.int16]

#: s; a frame of sound whose time is this far from the end of the one before does not follow it: there is a gap
GAP = 0.1


def resample(samples: Samples, rate: int, wanted: int) -> Samples:
    """One channel, (S,) int16, at another sample rate; as long as before to within half a sample."""
    length = round(len(samples) * wanted / rate)
    resampler = AudioResampler(format="s16", layout="mono", rate=wanted)
    out = [piece.to_ndarray()[0] for given in (_frame(samples, rate), None) for piece in resampler.resample(given)]
    return np.resize(np.concatenate([*out, np.zeros(length, np.int16)]), length)


def read_sound(path: str | Path, rate: int, *, start: float = 0.0, seconds: float | None = None) -> Samples:
    """The sound of a file, such as a video, as one channel (S,) int16; silence where there is none of it.

    Args:
        path: of the file; where it has several tracks of sound, the first counts.
        rate: samples a second that are wanted.
        start: where to begin, in seconds from the start of the file.
        seconds: how much of it; None for all that follows.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: there is no sound in it, or it is damaged.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no such file: {path}")
    first = round(start * rate)
    last = None if seconds is None else round((start + seconds) * rate)
    stretches: list[_Stretch] = []
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            if not container.streams.audio:
                raise ValueError(f"{path}: there is no sound in it")
            stream = container.streams.audio[0]
            offset = (container.start_time or 0) / av.time_base
            if start > 1:
                container.seek(round((start - 1 + offset) * av.time_base), backward=True)
            for frame in container.decode(stream):
                time = None if frame.time is None else frame.time - offset
                if not stretches or (time is not None and abs(time - stretches[-1].end) > GAP):
                    stretches.append(_Stretch(time or 0.0, rate))
                stretches[-1].push(frame)
                if last is not None and stretches[-1].end * rate >= last + rate:
                    break
    except av.error.FFmpegError as fault:
        raise ValueError(f"{path}: its sound cannot be read ({fault.strerror})") from fault
    placed = [(round(each.start * rate), each.samples()) for each in stretches]
    if last is None:
        last = max((at + len(found) for at, found in placed), default=first)
    samples = np.zeros(max(0, last - first), np.int16)
    for at, found in placed:
        inside = found[max(0, first - at) : max(0, last - at)]
        late = max(0, at - first)
        samples[late : late + len(inside)] = inside
    return samples


class _Stretch:
    """Frames of sound that follow each other without a gap, at another rate; `start` and `end` in seconds."""

    def __init__(self, start: float, rate: int) -> None:
        self.start = self.end = start
        self._resampler = AudioResampler(format="s16", layout="mono", rate=rate)
        self._pieces = [np.zeros(0, np.int16)]

    def push(self, frame: AudioFrame) -> None:
        self.end += frame.samples / frame.sample_rate
        self._take(frame)

    def samples(self) -> Samples:
        """All of it, (S,) int16; nothing can be pushed any more."""
        self._take(None)
        return np.concatenate(self._pieces)

    def _take(self, frame: AudioFrame | None) -> None:
        self._pieces += [piece.to_ndarray()[0] for piece in self._resampler.resample(frame)]


def encode_flac(samples: Samples, rate: int) -> bytes:
    """One channel, (S,) int16, as FLAC; the same samples give the same bytes."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="flac", options={"fflags": "+bitexact"}) as container:
        stream: AudioStream = container.add_stream("flac", rate=rate, layout="mono", options={"flags": "+bitexact"})
        stream.codec_context.format = "s16"
        if len(samples):
            container.mux(stream.encode(_frame(samples, rate)))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def decode_flac(data: bytes) -> tuple[Samples, int]:
    """(S,) int16 and the sample rate.  Raises ValueError where it is not FLAC of one channel, or is damaged."""
    try:
        with av.open(io.BytesIO(data), "r", format="flac") as container:
            stream = container.streams.audio[0]
            blocks = [frame.to_ndarray()[0] for frame in container.decode(stream)]
            rate, channels = stream.rate, stream.channels
    except (av.error.FFmpegError, IndexError) as fault:
        raise ValueError(f"not FLAC, or damaged, {len(data)} bytes: {fault}") from fault
    if channels != 1 or any(block.dtype != np.int16 for block in blocks):
        raise ValueError(f"FLAC of {channels} channels, not of one channel of 16 bits")
    return np.concatenate([np.zeros(0, np.int16), *blocks]), rate


def _frame(samples: Samples, rate: int) -> AudioFrame:
    frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples)[None], format="s16", layout="mono")
    frame.sample_rate = rate
    return frame

"""Sound as samples: another rate, and FLAC, which loses nothing."""

from __future__ import annotations

import io

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from numpy.typing import NDArray

Samples = NDArray[np.int16]


def resample(samples: Samples, rate: int, wanted: int) -> Samples:
    """One channel, (S,) int16, at another sample rate; as long as before to within half a sample."""
    length = round(len(samples) * wanted / rate)
    resampler = AudioResampler(format="s16", layout="mono", rate=wanted)
    out = [piece.to_ndarray()[0] for given in (_frame(samples, rate), None) for piece in resampler.resample(given)]
    return np.resize(np.concatenate([*out, np.zeros(length, np.int16)]), length)


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

"""A clip with another sound: speech stretched to its places, over the original background or alone, written as MP4."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
import torch
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from ...datamodules import media
from ...datamodules.batches import SPEECH_RATE, Speech
from ...datamodules.files import whole_path
from ...datamodules.records import Interval
from ...datamodules.waveforms import Samples, read_sound, resample
from ...zoo.speaking import SAMPLES_A_FRAME, voice_activity
from .fitting import Fit, stretches

#: samples a second of what is written
RATE = 48_000
#: how much quieter the original sound is while the new speech is said
DUCKED = 10 ** (-20 / 20)
#: seconds over which it becomes so
RAMP = 0.08
#: of a clip on a page: its shorter side in pixels, at most, and the rate factor of x264
PAGE_SIDE, PAGE_CRF = 360, 27
#: slowest and fastest that one filter of FFmpeg stretches
_TEMPO = (0.5, 100.0)

Background = Literal["keep", "drop"]


def stretched(samples: Samples, rate: float, tempo: float) -> Samples:
    """Speech said `tempo` times as fast in the same pitch, (S,) int16 to about (S / tempo,), by FFmpeg's atempo."""
    if abs(tempo - 1) < 1e-3 or not len(samples):
        return samples
    graph = av.filter.Graph()
    source = graph.add_abuffer(format="s16", sample_rate=int(rate), layout="mono", time_base=Fraction(1, int(rate)))
    last = source
    for part in _tempos(tempo):
        node = graph.add("atempo", f"{part:.6f}")
        last.link_to(node)
        last = node
    sink = graph.add("abuffersink")
    last.link_to(sink)
    graph.configure()
    frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples)[None], format="s16", layout="mono")
    frame.sample_rate, frame.time_base, frame.pts = int(rate), Fraction(1, int(rate)), 0
    source.push(frame)
    source.push(None)
    blocks: list[Any] = []
    while True:
        try:
            piece: Any = sink.pull()
            blocks.append(piece.to_ndarray().reshape(-1))
        except (av.error.EOFError, av.error.BlockingIOError):
            break
    return np.concatenate([np.zeros(0, np.int16), *blocks]).astype(np.int16)


def dub(speech: Speech, spoken: Sequence[Interval], made: Fit, duration: float) -> Samples:
    """The speech of a subtitle with each sentence in its place of a clip, (duration * 48000,) int16.

    Args:
        spoken: (start, end) seconds of the speech of each sentence.
        made: where they are said.
        duration: of the clip in seconds.
    """
    out = np.zeros(round(duration * RATE), np.int16)
    wave = speech.waveform.numpy()
    for (start, end), (begin, _), tempo in zip(spoken, made.spans, made.rates, strict=True):
        said = wave[round(start * SPEECH_RATE) : round(end * SPEECH_RATE)]
        said = resample(stretched(said, SPEECH_RATE, tempo), SPEECH_RATE, RATE)
        first = round(begin * RATE)
        said = said[: len(out) - first]
        out[first : first + len(said)] = said
    return out


def voiced(original: Samples) -> list[Interval]:
    """Stretches of a sound at 48 kHz in which somebody is heard, in seconds, whoever it is and seen or not."""
    sound = resample(original, RATE, SPEECH_RATE)
    whole = torch.from_numpy(sound[: len(sound) // SAMPLES_A_FRAME * SAMPLES_A_FRAME])
    return stretches(voice_activity(whole).double().numpy(), SPEECH_RATE / SAMPLES_A_FRAME)


def mixed(original: Samples, dubbed: Samples, quiet: Sequence[Interval]) -> Samples:
    """New speech over the original sound, which is made quiet in some stretches, (S,) int16 of the new one's length.

    The original voice is in the same channel as what is behind it, so both become quieter together.
    """
    gain = np.ones(len(dubbed))
    edge = round(RAMP * RATE)
    for start, end in quiet:
        first, last = max(0, round(start * RATE) - edge), min(len(gain), round(end * RATE) + edge)
        gain[first:last] = DUCKED
    kernel = np.hanning(2 * edge + 1)
    gain = np.convolve(np.pad(gain, edge, mode="edge"), kernel / kernel.sum(), mode="valid")
    background = np.resize(
        np.concatenate([original, np.zeros(max(0, len(dubbed) - len(original)), np.int16)]), len(dubbed)
    )
    return np.clip(background * gain + dubbed, -32768, 32767).astype(np.int16)


def encode_clip(
    video: str | Path,
    start: float,
    end: float,
    sound: Samples | None,
    *,
    short_side: int | None = None,
    crf: int = 20,
    target: Path | None = None,
) -> bytes:
    """A part of a video with a sound, as MP4 (H.264, AAC).

    Args:
        sound: (S,) int16 at 48 kHz; None for a silent one.
        short_side: of the pictures in pixels, at most; None leaves them as they are.
        crf: constant rate factor of x264.
        target: file to write, whole or not at all, instead of giving bytes.

    Returns:
        The file; empty where it went to `target`.
    """
    if target is None:
        buffer = io.BytesIO()
        with av.open(buffer, "w", format="mp4") as container:
            _encode(container, Path(video), start, end, sound, short_side, crf)
        return buffer.getvalue()
    options = {"movflags": "+faststart"}
    with whole_path(target) as part, av.open(str(part), "w", format="mp4", options=options) as container:
        _encode(container, Path(video), start, end, sound, short_side, crf)
    return b""


def encode_for_page(video: str | Path, start: float, end: float) -> bytes:
    """A part of a video with its own sound, made small, as MP4.  Raises ValueError where it cannot be read."""
    sound = read_sound(video, RATE, start=start, seconds=end - start)
    return encode_clip(video, start, end, sound, short_side=PAGE_SIDE, crf=PAGE_CRF)


def encode_sound(samples: Samples, rate: int = RATE, bits: int = 48_000) -> bytes:
    """One channel, (S,) int16, as AAC in MP4."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        _write_sound(container, _sound_stream(container, rate, bits), samples)
    return buffer.getvalue()


def _encode(
    container: Any, video: Path, start: float, end: float, sound: Samples | None, short_side: int | None, crf: int
) -> None:
    info = media.probe(video)
    width, height = info.fit(short_side) if short_side else (info.width, info.height)
    width, height = max(2, width // 2 * 2), max(2, height // 2 * 2)
    rate = Fraction(min(info.fps, 60)).limit_denominator(1001)
    stream = container.add_stream("libx264", rate=rate, options={"crf": str(crf), "preset": "veryfast"})
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.codec_context.time_base = Fraction(1, media.CLOCK)
    heard = None if sound is None else _sound_stream(container, RATE, 96_000)  # before anything is written
    for time, picture in _pictures(video, start, end, (width, height)):
        frame = VideoFrame.from_ndarray(picture, "rgb24")
        frame.time_base, frame.pts = Fraction(1, media.CLOCK), round((time - start) * media.CLOCK)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
    if sound is not None:
        _write_sound(container, heard, sound)


def _pictures(
    video: Path, start: float, end: float, size: tuple[int, int]
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """The pictures on screen from start to end; the first is shown at the start itself."""
    with media.open_video(video) as reader:
        before: Any = None
        for time, frame in reader.reach(start):
            if time >= end:
                break
            if time <= start:
                before = frame
                continue
            if before is not None:
                yield start, reader.picture(before, size)
                before = None
            yield time, reader.picture(frame, size)
        if before is not None:
            yield start, reader.picture(before, size)


def _sound_stream(container: Any, rate: int, bits: int) -> Any:
    stream = container.add_stream("aac", rate=rate, layout="mono")
    stream.bit_rate = bits
    return stream


def _write_sound(container: Any, stream: Any, samples: Samples) -> None:
    frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples)[None], format="s16", layout="mono")
    frame.sample_rate, frame.time_base, frame.pts = stream.rate, Fraction(1, stream.rate), 0
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _tempos(tempo: float) -> list[float]:
    """Factors, each of which one filter can do."""
    parts = []
    while tempo < _TEMPO[0]:
        parts.append(_TEMPO[0])
        tempo /= _TEMPO[0]
    return [*parts, min(tempo, _TEMPO[1])]

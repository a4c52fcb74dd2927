"""Samples at another rate, and there and back through FLAC."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from weaksync.datamodules import media
from weaksync.datamodules.waveforms import decode_flac, encode_flac, read_sound, resample


def test_resampling_keeps_the_tone_and_the_length() -> None:
    seconds = np.arange(22050) / 22050
    tone = (8000 * np.sin(2 * np.pi * 1000 * seconds)).astype(np.int16)
    found = resample(tone, 22050, 16000)
    assert found.shape == (16000,) and found.dtype == np.int16
    wanted = 8000 * np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
    assert np.abs(found - wanted)[200:-200].max() < 80


@pytest.mark.parametrize("count", [0, 1, 4095, 4096, 50_001])
def test_flac_loses_nothing(count: int) -> None:
    noise = np.random.default_rng(count).integers(-32768, 32768, count).astype(np.int16)
    data = encode_flac(noise, 16000)
    assert data == encode_flac(noise, 16000)
    found, rate = decode_flac(data)
    assert rate == 16000 and np.array_equal(found, noise)


def test_damaged_flac_is_refused() -> None:
    with pytest.raises(ValueError, match="not FLAC"):
        decode_flac(b"fLaC and then nothing")


def film(path: Path, samples: np.ndarray, rate: int = 48_000) -> Path:
    """A file with pictures and this sound."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        audio = container.add_stream("aac", rate=rate, layout="mono")
        audio.bit_rate = 128_000
        for _ in range(round(len(samples) / rate * 25)):
            container.mux(video.encode(VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")))
        frame = AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
        container.mux([*audio.encode(frame), *audio.encode(None), *video.encode(None)])
    return path


def test_any_part_of_a_sound_is_read_where_it_lies(tmp_path: Path) -> None:
    """A tone whose pitch rises tells where a part of it comes from."""
    time = np.arange(6 * 48_000) / 48_000
    path = film(tmp_path / "a.mp4", (9000 * np.sin(2 * np.pi * (200 + 60 * time) * time)).astype(np.int16))
    whole = read_sound(path, 16_000)
    assert abs(len(whole) / 16_000 - 6) < 0.07
    wanted = 9000 * np.sin(2 * np.pi * (200 + 60 * time[::3]) * time[::3])
    assert np.abs(whole[1600:94_000] - wanted[1600:94_000]).max() < 900  # in place to a fraction of a sample
    for start, seconds in ((0.0, 1.0), (0.5, 2.0), (2.04, 3.0), (4.0, 1.5)):
        part = read_sound(path, 16_000, start=start, seconds=seconds)
        assert len(part) == round(16_000 * seconds)
        first = round(16_000 * start)
        assert np.abs(part[300:-300] - wanted[first + 300 : first + len(part) - 300]).max() < 900
    late = read_sound(path, 16_000, start=5.5, seconds=2)
    assert len(late) == 32_000 and np.abs(late[:7000]).max() > 8000 and not late[10_000:].any()
    assert not read_sound(path, 16_000, start=9, seconds=1).any()


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts"])
def test_what_comes_after_a_gap_stays_in_its_place(tmp_path: Path, suffix: str) -> None:
    """Two seconds of a tone, three without any frame, two of the tone again: as a stream that broke off is recorded."""
    tone = np.tile((9000 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)).astype(np.int16), 2)
    with av.open(str(tmp_path / f"gap.{suffix}"), "w") as container:
        audio = container.add_stream("aac", rate=48_000, layout="mono")
        for start in (0, 5):
            for first in range(0, len(tone) - 1023, 1024):
                frame = AudioFrame.from_ndarray(tone[None, first : first + 1024], format="s16", layout="mono")
                frame.sample_rate, frame.time_base, frame.pts = 48_000, Fraction(1, 48_000), start * 48_000 + first
                container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    for start in (0.0, 1.5, 4.0):
        found = read_sound(tmp_path / f"gap.{suffix}", 16_000, start=start, seconds=7 - start)
        heard = np.abs(found.reshape(-1, 1600)).max(axis=1) > 3000  # in each tenth of a second
        times = start + np.arange(len(heard)) / 10
        expected = (times < 2) | (times >= 5)
        inner = np.array([not any(abs(time - edge) < 0.15 for edge in (2, 5, 7)) for time in times])
        assert np.array_equal(heard[inner], expected[inner]), (start, heard)


def test_a_file_without_sound_is_told(tmp_path: Path) -> None:
    media.write_video(tmp_path / "mute.mp4", [np.zeros((32, 32, 3), np.uint8)] * 5, 25)
    with pytest.raises(ValueError, match=r"mute\.mp4: there is no sound in it"):
        read_sound(tmp_path / "mute.mp4", 16_000)
    (tmp_path / "text.mp4").write_text("no film")
    with pytest.raises(ValueError, match=r"text\.mp4: its sound cannot be read"):
        read_sound(tmp_path / "text.mp4", 16_000)
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_sound(tmp_path / "nothing.mp4", 16_000)

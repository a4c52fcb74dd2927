"""Samples at another rate, and there and back through FLAC."""

from __future__ import annotations

import numpy as np
import pytest

from weaksync.datamodules.waveforms import decode_flac, encode_flac, resample


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

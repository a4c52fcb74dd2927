"""Made-up clips with speech, small models and streams of both, for the tests of subtitle matching."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from weaksync import zoo
from weaksync.datamodules.batches import Phoneme, Speech, Word
from weaksync.datamodules.sample_clips import make_clips
from weaksync.datamodules.speech_set import speak_clips
from weaksync.recipes.derived.streams import make_stream

SYNCNET = {
    "image_size": 64,
    "lip_channels": [2, 4, 4, 4, 4],
    "speech_channels": [2, 4, 4, 4, 4],
    "feature_dim": 8,
    "embed_dim": 8,
}


@dataclass
class Hum:
    """A twentieth of a second a letter, of a pitch of its own; quick, and the same every time."""

    voice: str = "hum"
    rate: float = 1.0
    producer: str = "hum 1"

    def __call__(self, text: str, *, language: str) -> Speech:
        pitches = np.repeat([100 + 9 * (ord(letter) % 32) for letter in text], 800)
        wave = np.sin(2 * np.pi * np.cumsum(pitches) / 16000) * 9000
        end = len(wave) / 16000
        pause = np.zeros(1600)
        waveform = torch.from_numpy(np.concatenate([wave, pause]).astype(np.int16))
        return Speech(waveform, [Word(text, 0.0, end)], [Phoneme("m", 0.0, end)], [Word(text, 0.0, end)])


def clips_with_speech(folder: Path, count: dict[str, int], *, seconds: float = 3.0, **options: object) -> Path:
    """``clips``, ``speech`` of them and ``syncnet``, with random weights, in a folder."""
    make_clips(folder / "clips", count, seconds=seconds, size=64, **options)  # type: ignore[arg-type]
    speak_clips(folder / "speech", folder / "clips", Hum())
    torch.manual_seed(0)
    zoo.create("syncnet-tiny", **SYNCNET).save_pretrained(folder / "syncnet")
    return folder


def streams_of(folder: Path) -> Path:
    """``features/lips`` and ``features/speech`` of `clips_with_speech`."""
    syncnet = str(folder / "syncnet")
    make_stream(folder / "clips", "lips", folder / "features" / "lips", model=syncnet, workers=0)
    make_stream(folder / "speech", "speech", folder / "features" / "speech", model=syncnet, workers=0)
    return folder

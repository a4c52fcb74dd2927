"""A small made-up set of conversational clips, made in no time: for benchmarks, trials and tests."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .batches import SPEECH_RATE
from .manifest import Manifest
from .records import Cue, SpokenClip
from .shards import pack
from .spoken import CLIPS, SAMPLES_A_FRAME, TUBE_FPS, write_clip
from .waveforms import Samples

WORDS = ("we", "chop", "boil", "stir", "onions", "kettle", "garden", "music", "slowly", "again", "before", "sometimes")
_FEW = {"train": 4, "val": 2, "test": 2}


def make_clips(
    folder: Path,
    clips: Mapping[str, int] = _FEW,
    *,
    seconds: float = 3.0,
    size: int = 32,
    scene: tuple[int, int] = (24, 32),
    cues: int = 2,
    languages: Sequence[str] = ("en",),
    domains: Sequence[str] = ("movie", "youtube"),
    shard_bytes: int = 1 << 20,
    seed: int = 0,
) -> Manifest:
    """Make a set of clips: squares of noise with a mouth that opens as the sound swells, and nonsense for text.

    Clips are called ``train0000``, ``train0001``, ...; a tenth of each has no face.

    Args:
        folder: made where absent.
        clips: split -> how many.
        seconds: that a clip lasts.
        size: side of the tubes, even.
        scene: height and width of the scenes, even.
        cues: sentences of a clip.
        languages, domains: dealt to the clips in turn.
        shard_bytes: see `shards.pack`.
        seed: of everything.
    """
    random = np.random.default_rng(seed)
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    frames = round(seconds * TUBE_FPS)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        parts: dict[str, list[Path]] = {}
        for split, count in clips.items():
            for number in range(count):
                loudness = _loudness(random, frames)
                clip = _record(random, f"{split}{number:04d}", frames, cues, (2 * size, 2 * size))
                clip.language = languages[number % len(languages)]
                clip.domain = domains[number % len(domains)]
                clip.speaker = f"{split}-{number // 2}"
                tube = _tube(random, loudness, np.isnan(clip.faces[:, 0]), size)
                pictures = [_noise(random, *scene)] * frames
                path = Path(temporary) / f"{clip.id}.tar"
                write_clip(path, clip, tube, pictures, _sound(random, loudness))
                parts.setdefault(split, []).append(path)
        return pack(folder, parts, {"kind": CLIPS, "made_up": True}, shard_bytes=shard_bytes)


def _record(random: np.random.Generator, name: str, frames: int, cues: int, size: tuple[int, int]) -> SpokenClip:
    length = frames / TUBE_FPS
    edges = np.linspace(0, length, cues + 1)
    said = [
        Cue(f"{' '.join(random.choice(WORDS, 5)).capitalize()}.", round(start + 0.05, 3), round(end, 3))
        for start, end in pairwise(edges.tolist())
    ]
    width, height = size
    faces = np.tile(np.array([width / 4, height / 4, 3 * width / 4, 3 * height / 4], np.float32), (frames, 1))
    gap = frames // 10
    begin = int(random.integers(0, frames - gap + 1))
    faces[begin : begin + gap] = np.nan
    clip = SpokenClip(name, f"{name}.mp4", 0.0, length, "", said, TUBE_FPS, frames, faces, size)
    clip.score, clip.hidden, clip.offscreen = 0.9, gap / frames, gap / frames
    return clip


def _loudness(random: np.random.Generator, frames: int) -> NDArray[np.float64]:
    """(T,) from 0 to 1: syllables of four to seven frames."""
    steps: list[NDArray[np.float64]] = []
    while sum(map(len, steps)) < frames:
        steps.append(np.sin(np.linspace(0, np.pi, int(random.integers(4, 8)))) * random.uniform(0.2, 1))
    return np.concatenate(steps)[:frames]


def _tube(
    random: np.random.Generator, loudness: NDArray[np.float64], absent: NDArray[np.bool_], size: int
) -> list[NDArray[np.uint8]]:
    face = _noise(random, size, size)
    pictures = []
    for open_by, away in zip(loudness, absent, strict=True):
        picture = np.full_like(face, 110) if away else face.copy()
        if not away:
            middle, half = round(0.7 * size), max(1, round(0.12 * size * open_by))
            picture[middle - half : middle + half, size // 4 : -size // 4] = (40, 0, 0)
        pictures.append(picture)
    return pictures


def _noise(random: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    coarse = random.integers(60, 200, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]


def _sound(random: np.random.Generator, loudness: NDArray[np.float64]) -> Samples:
    """A buzz of a few harmonics, as loud as told."""
    seconds = np.arange(len(loudness) * SAMPLES_A_FRAME) / SPEECH_RATE
    pitch = random.uniform(100, 250)
    buzz = sum(np.sin(2 * np.pi * pitch * harmonic * seconds) / harmonic for harmonic in range(1, 6))
    envelope = np.interp(seconds * TUBE_FPS, np.arange(len(loudness)), loudness)
    return np.round(8000 * buzz * envelope / 2).astype(np.int16)

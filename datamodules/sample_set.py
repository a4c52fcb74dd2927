"""A small made-up shard set, and the plainest transform and tokeniser: for benchmarks, trials and tests."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional

from .manifest import Manifest
from .media import encode_jpeg
from .records import AnnotatedVideo, Interval, Sentence
from .shards import pack, write_video


@dataclass
class PlainTransform:
    """Scales pixels to [-1, 1] at `size`; with a generator it may mirror the clip."""

    frames: int = 3
    size: int = 32
    mirror: bool = True

    def __call__(self, frames: Tensor, *, generator: Generator | None = None) -> Tensor:
        pixels = functional.interpolate(frames.float(), size=(self.size, self.size), mode="nearest") / 127.5 - 1
        if self.mirror and generator is not None and torch.rand((), generator=generator) < 0.5:
            pixels = pixels.flip(-1)
        return pixels


@dataclass
class PlainTokenize:
    """UTF-8 bytes as ids, 1-256; 0 pads."""

    longest: int = 64

    def __call__(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        encoded = [text.encode()[: self.longest] for text in texts]
        if not all(encoded):
            raise ValueError("a text is empty")
        ids = torch.zeros(len(texts), max(map(len, encoded)), dtype=torch.int64)
        for row, text in enumerate(encoded):
            ids[row, : len(text)] = torch.tensor(list(text), dtype=torch.int64) + 1
        return ids, (ids > 0).to(torch.int64)


def make_set(
    folder: Path,
    clips: dict[str, Sequence[int]],
    *,
    frames: int = 3,
    size: tuple[int, int] = (48, 64),
    clips_per_sentence: int = 2,
    languages: Sequence[str] = ("en",),
    shard_bytes: int = 1 << 20,
    seed: int = 0,
    settings: dict[str, Any] | None = None,
    annotated: bool = True,
) -> Manifest:
    """Make a shard set of random pictures.

    Args:
        folder: made where absent.
        clips: split -> number of clips of each of its videos.
        frames: candidate pictures of a clip.
        size: height and width of the pictures.
        clips_per_sentence: neighbouring clips that a sentence is spoken over; its annotated span is the same.
        languages: dealt to the videos in turn.
        shard_bytes: see `shards.pack`.
        seed: of the pictures.
        settings: see `shards.pack`.
        annotated: whether people have said what each sentence shows.
    """
    random = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory(dir=Path(folder).parent) as temporary:
        parts: dict[str, list[Path]] = {}
        for split, counts in clips.items():
            for number, count in enumerate(counts):
                language = languages[number % len(languages)]
                video = _record(f"{split}{number:04d}", count, clips_per_sentence, language, annotated)
                pictures = [[_picture(random, size) for _ in range(frames)] for _ in range(count)]
                path = Path(temporary) / f"{video.id}.tar"
                write_video(path, video, pictures)
                parts.setdefault(split, []).append(path)
        return pack(Path(folder), parts, settings or {"made_up": True}, shard_bytes=shard_bytes)


def _record(name: str, clips: int, clips_per_sentence: int, language: str, annotated: bool) -> AnnotatedVideo:
    cuts: list[Interval] = [(2.0 * clip, 2.0 * clip + 2.0) for clip in range(clips)]
    sentences = []
    for number, first in enumerate(range(0, clips, clips_per_sentence)):
        span = (cuts[first][0], cuts[min(first + clips_per_sentence, clips) - 1][1])
        sentences.append(Sentence(f"sentence {number} of {name}", segment=span if annotated else None, narration=span))
    return AnnotatedVideo(name, "", 2.0 * clips, sentences, clips=cuts, language=language, annotated=annotated)


def _picture(random: np.random.Generator, size: tuple[int, int]) -> bytes:
    """A JPEG with about the detail of a film still: coarse shapes and a little grain."""
    height, width = size
    coarse = random.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3))
    grown = coarse.repeat(16, axis=0).repeat(16, axis=1)[:height, :width]
    grain = random.integers(-6, 7, (height, width, 1))
    return encode_jpeg(np.clip(grown + grain, 0, 255).astype(np.uint8))

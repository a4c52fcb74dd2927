"""The answer of `weaksync match`: the subtitles that fit a clip best, and how, as a record and as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...datamodules.batches import Speech, Word
from ...datamodules.records import Interval
from .fitting import Fit

#: raised when a reader of an older match.json could no longer understand what we write
SCHEMA_VERSION = 1
#: letters of a subtitle that a table shows
SHOWN = 70


@dataclass(eq=False)
class Variant:
    """The best candidate aligned by other settings, for figures.

    Attributes:
        name: what is different.
        labels: (n,) step of the subtitle at every step of the clip.
        chosen: whether these are the model's own settings.
    """

    name: str
    labels: NDArray[np.int64]
    chosen: bool = False


@dataclass(eq=False)
class Candidate:
    """A subtitle and how it fits the clip.

    Attributes:
        id, language, sentences: of the subtitle.
        ranks: cue, and ``fusion`` -> place in the pool, from 1.
        costs: cue, and ``fusion`` -> cost; of the alignment for each video step.
        spoken: (start, end) seconds of its speech of each sentence.
        labels: (n,) step of the speech at every step of the clip, on the best path.
        similarity: (n, m) float32 cosine of every step of the clip with every step of the speech.
        video_times, text_times: (n,) seconds of the clip and (m,) of the speech that steps stand for.
        fit: where the sentences are said in the clip.
        words: of each sentence, in seconds of the clip.
        speech: as it is spoken.
    """

    id: str
    language: str
    sentences: tuple[str, ...]
    ranks: dict[str, int]
    costs: dict[str, float]
    spoken: list[Interval]
    labels: NDArray[np.int64]
    similarity: NDArray[np.float32]
    video_times: NDArray[np.float64]
    text_times: NDArray[np.float64]
    fit: Fit
    words: list[list[Word]]
    speech: Speech = field(repr=False)

    @property
    def beginning(self) -> str:
        """What a table shows of its sentences."""
        text = " ".join(self.sentences)
        return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "language": self.language,
            "ranks": self.ranks,
            "costs": {name: round(cost, 6) for name, cost in self.costs.items()},
            "sentences": [
                {
                    "text": text,
                    "start": round(start, 3),
                    "end": round(end, 3),
                    "rate": round(rate, 3),
                    "words": [[word.text, round(word.start, 3), round(word.end, 3)] for word in words],
                }
                for text, (start, end), rate, words in zip(
                    self.sentences, self.fit.spans, self.fit.rates, self.words, strict=True
                )
            ],
            "path": [
                [round(time, 3), round(self.text_times[label].item(), 3)]
                for time, label in zip(self.video_times.tolist(), self.labels.tolist(), strict=True)
            ],
        }


@dataclass(eq=False)
class Match:
    """One clip and the subtitles that fit it best.

    Attributes:
        video: the file that was asked about.
        start, end: the part of it, in seconds.
        model: the name or folder of the matcher.
        pool: folder of the index.
        subtitles: how many the pool has.
        aligned: how many of them were aligned: all, or what narrowing left.
        loss: share of own subtitles that such narrowing loses, as measured on validation clips; None where nothing was
            narrowed, or nobody measured.
        weights: of the cues.
        candidates: the best, in order.
        speaking: stretches of the clip in which its face speaks, in seconds of the clip.
        variants: the best candidate aligned by other settings: group -> variants.
        notes: what was assumed on the way.
        doubt: why the matcher's word may be worth little; None where nothing speaks against it.
        seconds: what took how long.
    """

    video: str
    start: float
    end: float
    model: str
    pool: str
    subtitles: int
    aligned: int
    loss: float | None
    weights: dict[str, float]
    candidates: list[Candidate]
    speaking: list[Interval] = field(default_factory=list)
    variants: dict[str, list[Variant]] = field(default_factory=dict, repr=False)
    notes: list[str] = field(default_factory=list)
    doubt: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def remarks(self) -> list[str]:
        """The doubt, where there is one, and the notes."""
        return [*([self.doubt] if self.doubt else []), *self.notes]

    @property
    def duration(self) -> float:
        """Of the clip, in seconds."""
        return self.end - self.start

    def to_json(self) -> str:
        """Everything but matrices and variants; times of a candidate are seconds of the clip."""
        document = {
            "format": "weaksync.match",
            "version": SCHEMA_VERSION,
            "video": self.video,
            "start": self.start,
            "end": self.end,
            "model": self.model,
            "pool": self.pool,
            "subtitles": self.subtitles,
            "aligned": self.aligned,
            "expected_loss": self.loss,
            "weights": self.weights,
            "speaking": [[round(start, 3), round(end, 3)] for start, end in self.speaking],
            "notes": self.notes,
            "doubt": self.doubt,
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "candidates": [candidate.to_dict() for candidate in self.candidates],
        }
        return json.dumps(document, ensure_ascii=False, allow_nan=False)

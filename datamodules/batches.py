"""The bridge between data and models: what a batch holds, and what a data module is handed to make one.

A data module never imports a model.  It takes a `ClipTransform` and a `Tokenize`, picklable for its workers, which a
model provides as `model.preprocess` and `model.tokenize`, and yields the batches below.  A `Synthesize` speaks: a tool
in this room, or a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Generator, Tensor

# which clip belongs to which interval is asked on both sides of the bridge
from .records import overlap_seconds as overlap_seconds
from .records import weak_labels as weak_labels

# a model that speaks cuts its text, and brings its sound to our rate, as the tool does
from .utterances import utterances as utterances
from .waveforms import resample as resample

#: samples of a second of speech, everywhere
SPEECH_RATE = 16_000


@runtime_checkable
class ClipTransform(Protocol):
    """Pixels as decoded to pixels as the model wants them.

    Attributes:
        frames: how many frames of a clip the model looks at.
    """

    frames: int

    def __call__(self, frames: Tensor, *, generator: Generator | None = None) -> Tensor:
        """`frames` is uint8 RGB (F, 3, H, W); returns float32 (F, 3, S, S).

        With a `generator`, its only source of chance, the transform may augment, all frames of a clip alike; without
        one it is deterministic.
        """
        ...


@runtime_checkable
class TubeTransform(Protocol):
    """Pictures of a face tube as decoded to those that a lip network sees.  Picklable.

    Attributes:
        fps: frames a second that the network takes.
    """

    @property
    def fps(self) -> int: ...

    def __call__(self, frames: Tensor, *, generator: Generator | None = None) -> Tensor:
        """uint8 RGB (T, 3, H, W) to uint8 (T, 3, S, S); a `generator` as for `ClipTransform`."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """All that decides what it does, as plain values."""
        ...


@runtime_checkable
class Tokenize(Protocol):
    """Sentences to padded token ids."""

    def __call__(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Returns `input_ids` and `attention_mask`, both int64 (B, L).  Raises ValueError for a text that is empty."""
        ...


@dataclass(frozen=True)
class Word:
    """Something written, a word or a sentence, and when it is spoken: seconds from the start of its speech."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Phoneme:
    """A sound by its name in the International Phonetic Alphabet, without stress, and its seconds."""

    name: str
    start: float
    end: float


@dataclass
class Speech:
    """A text as it was spoken.

    Attributes:
        waveform: (S,) int16, 16 kHz, one channel.
        words: in order, with the pauses between them left out.
        phonemes: in order; empty where the synthesiser does not tell.
        sentences: in order, as the text was cut; the first begins at 0, the last ends before the pause after it.
    """

    waveform: Tensor
    words: list[Word]
    phonemes: list[Phoneme]
    sentences: list[Word]

    @property
    def duration(self) -> float:
        """In seconds."""
        return len(self.waveform) / SPEECH_RATE

    @classmethod
    def join(cls, parts: Sequence[Speech]) -> Speech:
        """One speech of many, one after the other.  Raises ValueError for none."""
        if not parts:
            raise ValueError("there is no speech to join")
        whole = cls(torch.cat([part.waveform for part in parts]), [], [], [])
        past = 0.0
        for part in parts:
            whole.words += _later(part.words, past)
            whole.phonemes += _later(part.phonemes, past)
            whole.sentences += _later(part.sentences, past)
            past += part.duration
        return whole


_Timed = TypeVar("_Timed", Word, Phoneme)


def _later(items: Sequence[_Timed], seconds: float) -> list[_Timed]:
    return [replace(item, start=item.start + seconds, end=item.end + seconds) for item in items]


@runtime_checkable
class Synthesize(Protocol):
    """Text to speech, sentence by sentence; the same text in the same voice is the same waveform.

    Attributes:
        voice: its name, as the synthesiser knows it; empty for the usual one of each language.
        rate: how fast, in units of the synthesiser.
        producer: what speaks, with its version: speech is kept and found again under it.
    """

    @property
    def voice(self) -> str: ...

    @property
    def rate(self) -> float: ...

    @property
    def producer(self) -> str: ...

    def __call__(self, text: str, *, language: str) -> Speech:
        """Raises ValueError for a text with nothing to say, and for a language or a voice that there is not."""
        ...


@dataclass
class PairBatch:
    """Weak clip-sentence pairs for training, in groups of one video.

    Attributes:
        pixels: (B, F, 3, S, S) float32, as `ClipTransform` leaves them.
        input_ids: (B, L) int64.
        attention_mask: (B, L) int64, 1 on tokens.
        video: (B,) int64, equal for pairs of one video; a pair's negatives are the other pairs of its video.
        sentence: (B,) int64, equal for pairs that share their sentence (or its wording): never each other's negatives.
        weight: (B,) float32, 1; 0 for a pair that only fills the batch of a rank which has none left.
        keys: B sample keys, ``video/clip``.
    """

    pixels: Tensor
    input_ids: Tensor
    attention_mask: Tensor
    video: Tensor
    sentence: Tensor
    weight: Tensor
    keys: list[str]


@dataclass
class VideoBatch:
    """One whole video, for evaluation: the unit that is aligned and scored.

    Attributes:
        id: the video's id.
        language: code of its narration's language.
        pixels: (n, F, 3, S, S) float32.
        clips: (n, 2) float64 seconds.
        input_ids: (m, L) int64.
        attention_mask: (m, L) int64.
        segments: (m, 2) float64 seconds, a NaN row for a sentence that is unmatched.
        narrations: (m, 2) float64 seconds, a NaN row where the spoken time is unknown.
        texts: m sentences.
        annotated: whether people annotated it; if False `segments` is all NaN and there is nothing to score.
    """

    id: str
    language: str
    pixels: Tensor
    clips: Tensor
    input_ids: Tensor
    attention_mask: Tensor
    segments: Tensor
    narrations: Tensor
    texts: list[str]
    annotated: bool


@dataclass
class FeatureVideo:
    """A video, or a window of it, whose clips and sentences were encoded beforehand.

    Attributes:
        id: the video's id.
        language: code of its narration's language.
        clip_features: (n, Dv) float32.
        sentence_features: (m, Dt) float32.
        labels: (n,) int64, the sentence that training takes each clip for, -1 for none.
        clips: (n, 2) float64 seconds.
        segments: (m, 2) float64 seconds, a NaN row for a sentence that is unmatched.
        narrations: (m, 2) float64 seconds, a NaN row where the spoken time is unknown.
        annotated: whether people annotated it; if False `segments` is all NaN and there is nothing to score.
    """

    id: str
    language: str
    clip_features: Tensor
    sentence_features: Tensor
    labels: Tensor
    clips: Tensor
    segments: Tensor
    narrations: Tensor
    annotated: bool


@dataclass
class SubtitleBatch:
    """Clips with their subtitles, a clip's in its own row, both as features made beforehand (Video2Subtitle).

    The video's features are those of lips, objects, scenes or actions; the text's those of its synthesised speech, or
    of its words.  Times and spans are there for lips with speech alone, for whose loss the alignment is known.

    Attributes:
        ids: B clips.
        languages: B codes of what is said.
        video: (B, L, Dv) float32, zero in the padding.
        video_lengths: (B,) int64.
        text: (B, M, Dt) float32, zero in the padding.
        text_lengths: (B,) int64.
        video_times: (B, L) float64 seconds of the clip that each step stands for, ascending; on the CPU.
        text_times: (B, M) float64 seconds of the speech, the same.
        spoken: (K, 2) float64 seconds of the clip in which each of its K cues is said, for each of the B; on the CPU.
        synthesised: (K, 2) float64 seconds of the speech in which it is spoken, the same.
    """

    ids: list[str]
    languages: list[str]
    video: Tensor
    video_lengths: Tensor
    text: Tensor
    text_lengths: Tensor
    video_times: Tensor | None = None
    text_times: Tensor | None = None
    spoken: list[Tensor] | None = None
    synthesised: list[Tensor] | None = None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass
class SpokenBatch:
    """Clips with their subtitles, a clip's in its own place, as pictures and sound: of these are a `SubtitleBatch`'s
    lips and speech made.

    Attributes:
        ids: B clips.
        languages: B codes of what is said.
        tubes: (T, 3, S, S) uint8 RGB of each of the B, at the frames a second that the network takes.
        speech: (N,) int16 at 16 kHz of each of the B: its subtitle as it was synthesised.
        spoken, synthesised: when each cue is said, as in a `SubtitleBatch`.
    """

    ids: list[str]
    languages: list[str]
    tubes: list[Tensor]
    speech: list[Tensor]
    spoken: list[Tensor]
    synthesised: list[Tensor]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass
class TubeBatch:
    """Face tubes with their own sound, for the pre-training of SyncNet and for who speaks.

    Attributes:
        ids: B clips.
        languages: B codes of what is said.
        frames: (B, T, 3, S, S) uint8 RGB, 25 a second.
        waveform: (B, 640 T + 240) int16, 16 kHz, from the first frame on: as much as gives speech and lips the same
            number of features.
        speaking: (B, T) bool, whether this face speaks; None where nobody knows.
    """

    ids: list[str]
    languages: list[str]
    frames: Tensor
    waveform: Tensor
    speaking: Tensor | None = None

    def __len__(self) -> int:
        return len(self.ids)

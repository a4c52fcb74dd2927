"""The bridge between data and models: what a batch holds, and what a data module is handed to make one.

A data module never imports a model.  It is handed a `ClipTransform` and a `Tokenize` (picklable, so that workers can
carry them), and yields the batches below; a model provides both as `model.preprocess` and `model.tokenize`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Generator, Tensor

# which clip belongs to which interval is asked on both sides of the bridge
from .records import overlap_seconds as overlap_seconds
from .records import weak_labels as weak_labels


@runtime_checkable
class ClipTransform(Protocol):
    """Pixels as decoded to pixels as the model wants them.

    Attributes:
        frames: how many frames of a clip the model looks at.
    """

    frames: int

    def __call__(self, frames: Tensor, *, generator: Generator | None = None) -> Tensor:
        """`frames` is uint8 RGB (F, 3, H, W); returns float32 (F, 3, S, S).

        With a `generator` the transform may augment, drawing all chance from it (the same for all frames of a clip);
        without one it is deterministic.
        """
        ...


@runtime_checkable
class Tokenize(Protocol):
    """Sentences to padded token ids."""

    def __call__(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Returns `input_ids` and `attention_mask`, both int64 (B, L).  Raises ValueError for a text that is empty."""
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

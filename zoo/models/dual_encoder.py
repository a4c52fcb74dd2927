"""The base of every story model: two towers, one space, a temperature, its own preprocessing.

Recipes ask for a `DualEncoder`. `ImageTextEncoder` is one of single pictures, as CLIP, with a vector for each frame.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from .. import tokenizers
from ..checkpoint import Pretrained
from ..preprocess import ClipPreprocess

TOWERS = ("vision", "text")


@dataclass
class DualEncoderConfig:
    """Arguments that every `DualEncoder` takes; a family sets its own defaults.

    Attributes:
        image_size: side of a frame in pixels.
        frames: how many frames of a clip are averaged.
        augment: of `ClipPreprocess`, in training.
        flip: chance of a mirror image in training.
        vocab_size: rows of the word table; at least what the tokenizer has.
        max_tokens: longest sentence in tokens; longer ones are cut, with a warning.
        max_words: most words of a sentence that are read, None for all.
        tokenizer: of `tokenizers.load`: ``story``, a folder, or a hub id.
        freeze: towers that stay as they are, ``vision``, ``text`` or both; what follows them still learns.
        checkpoint_activations: compute activations twice instead of keeping them.
    """

    image_size: int = 224
    frames: int = 3
    augment: str = "cclm"
    flip: float = 0.5
    vocab_size: int = 250002
    max_tokens: int = 64
    max_words: int | None = None
    tokenizer: str = "story"
    freeze: list[str] = field(default_factory=list)
    checkpoint_activations: bool = False

    def __post_init__(self) -> None:
        faults = self.faults()
        if faults:
            raise ValueError("; ".join(faults))

    def faults(self) -> list[str]:
        """Arguments that cannot work, one sentence each; a family adds its own."""
        checks = [
            (self.frames < 1, f"frames must be 1 or more, not {self.frames}"),
            (not set(self.freeze) <= set(TOWERS), f"freeze names towers, vision or text, not {self.freeze}"),
        ]
        return [fault for wrong, fault in checks if wrong]


class DualEncoder(Pretrained, ABC):
    """Clips and sentences in one space; the similarity of a pair is the dot product of their unit vectors.

    A family defines `vision` and `text`, its towers, of timm or transformers; `temp`; `encode_clips` and `encode_text`;
    and calls `settle` at the end of its constructor.

    Attributes:
        preprocess: `ClipTransform` for its frames.
        tokenize: `Tokenize` for its sentences.
        temp: learnt temperature, a scalar; logits are similarities divided by it.
    """

    config_class: ClassVar[type] = DualEncoderConfig
    config: DualEncoderConfig
    #: how its text tower was taught to read
    reading: ClassVar[tokenizers.Reading] = tokenizers.Reading()
    #: fields of `ClipPreprocess` that its vision tower was taught with
    pixels: ClassVar[dict[str, Any]] = {}
    free_arguments = frozenset(
        {"augment", "flip", "frames", "max_tokens", "max_words", "freeze", "checkpoint_activations"}
    )
    training_arguments = frozenset({"augment", "flip", "freeze", "checkpoint_activations"})
    preprocess: ClipPreprocess
    vision: nn.Module
    text: nn.Module
    temp: Tensor

    def __init__(self, config: DualEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.preprocess = ClipPreprocess(
            size=config.image_size, frames=config.frames, augment=config.augment, flip=config.flip, **self.pixels
        )
        self._tokenize: tokenizers.SentenceTokenizer | None = None

    @abstractmethod
    def encode_clips(self, pixels: Tensor) -> Tensor:
        """(B, F, 3, H, W) pixels of `preprocess` to (B, D) unit vectors; ValueError for another shape."""

    @abstractmethod
    def encode_text(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, L) ids and mask of `tokenize` to (B, D) unit vectors."""

    @abstractmethod
    def clamp_temperature(self) -> None:
        """Keep the temperature within its bounds; called before every step of training."""

    def forward(self, pixels: Tensor, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Unit vectors of clips and of sentences, (B, D) each."""
        return self.encode_clips(pixels), self.encode_text(input_ids, attention_mask)

    @property
    def tokenize(self) -> tokenizers.SentenceTokenizer:
        """Read when it is first used, so that a model can be made where its vocabulary is not at hand.

        Raises:
            FileNotFoundError: the vocabulary can be neither found nor fetched.
            ValueError: it does not fit the word table.
        """
        if self._tokenize is None:
            config = self.config
            found = tokenizers.load(
                config.tokenizer, max_tokens=config.max_tokens, max_words=config.max_words, reading=self.reading
            )
            self.check_tokenizer(found)
            self._tokenize = found
        return self._tokenize

    def check_tokenizer(self, found: tokenizers.SentenceTokenizer) -> None:
        """Raises ValueError for a tokenizer that has more ids than the word table has rows."""
        if found.vocab_size > self.config.vocab_size:
            raise ValueError(
                f"the tokenizer {self.config.tokenizer!r} has {found.vocab_size} ids, the model "
                f"{self.config.vocab_size} rows: set vocab_size={found.vocab_size}"
            )

    @property
    def freeze(self) -> list[str]:
        """The towers that are frozen."""
        return self.config.freeze

    def check_pixels(self, pixels: Tensor) -> None:
        """Raises ValueError for pixels that are not (B, F, 3, H, W)."""
        if pixels.ndim != 5 or pixels.shape[2] != 3:
            advice = ": add a batch axis, pixels[None]" if pixels.ndim == 4 and pixels.shape[1] == 3 else ""
            raise ValueError(f"pixels should be (B, F, 3, H, W), not {tuple(pixels.shape)}{advice}")

    def settle(self) -> None:
        """Freeze towers and checkpoint activations as configured; called at the end of a family's constructor."""
        for name in TOWERS:
            tower = getattr(self, name)
            tower.requires_grad_(name not in self.freeze)
            if self.config.checkpoint_activations and hasattr(tower, "set_grad_checkpointing"):  # timm
                tower.set_grad_checkpointing()
            elif self.config.checkpoint_activations:  # transformers, whose later versions have a new name for it
                enable = getattr(tower, "activation_checkpointing_enable", None) or tower.gradient_checkpointing_enable
                enable({"use_reentrant": False})

    def train(self, mode: bool = True) -> Self:
        """As in torch, but a frozen tower stays in evaluation mode."""
        super().train(mode)
        for tower in self.freeze:
            getattr(self, tower).eval()
        return self

    def gradient(self, tower: str) -> AbstractContextManager[Any]:
        """The context in which a tower is run: without gradients where it is frozen."""
        return torch.no_grad() if tower in self.freeze else nullcontext()


class ImageTextEncoder(DualEncoder):
    """A dual encoder of pictures, as CLIP: each frame has a unit vector, and a clip the direction of their mean.

    CLIP4Clip calls this mean pooling without parameters (Luo et al., 2021, section 3.3).  A family defines
    `encode_frames` and `encode_text`.

    Attributes:
        logit_scale: logarithm of 1 / `temp`, which is what learns.
    """

    #: greatest factor of the similarities that training may reach
    largest_scale: ClassVar[float] = 100.0

    def __init__(self, config: DualEncoderConfig, *, scale: float) -> None:
        super().__init__(config)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(scale)))

    @property
    def temp(self) -> Tensor:  # type: ignore[override]
        """The temperature, a scalar."""
        return self.logit_scale.neg().exp()

    @torch.no_grad()
    def clamp_temperature(self) -> None:
        """Keep the factor of the similarities at or below `largest_scale`; called before every step of training."""
        self.logit_scale.clamp_(max=math.log(self.largest_scale))

    @abstractmethod
    def encode_frames(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W) pixels of single frames to (N, D) vectors of any length."""

    def encode_clips(self, pixels: Tensor) -> Tensor:
        self.check_pixels(pixels)
        clips, frames = pixels.shape[:2]
        features = normalize(self.encode_frames(pixels.flatten(0, 1)), dim=-1).view(clips, frames, -1)
        return normalize(features.sum(dim=1), dim=-1)  # of the same direction as the mean

"""What every model that aligns stories has in common: two towers, one space, a temperature, its own preprocessing."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

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
        """What cannot work, in sentences; a family adds its own."""
        checks = [
            (self.frames < 1, f"frames must be 1 or more, not {self.frames}"),
            (not set(self.freeze) <= set(TOWERS), f"freeze names towers, vision or text, not {self.freeze}"),
        ]
        return [fault for wrong, fault in checks if wrong]


class DualEncoder(Pretrained):
    """Clips and sentences in one space; the similarity of a pair is the dot product of their unit vectors.

    A family defines `vision` and `text`, its towers; `temp`; `encode_clips` and `encode_text`; and calls `settle` at
    the end of its constructor.

    Attributes:
        preprocess: `ClipTransform` for its frames.
        tokenize: `Tokenize` for its sentences.
        temp: learnt temperature, a scalar; logits are similarities divided by it.
    """

    config_class: ClassVar[type] = DualEncoderConfig
    free_arguments = frozenset(
        {"augment", "flip", "frames", "max_tokens", "max_words", "freeze", "checkpoint_activations"}
    )
    preprocess: ClipPreprocess
    vision: nn.Module
    text: nn.Module
    temp: Tensor

    def __init__(self, config: DualEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.preprocess = ClipPreprocess(
            size=config.image_size, frames=config.frames, augment=config.augment, flip=config.flip
        )
        self._tokenize: tokenizers.SentenceTokenizer | None = None

    @abstractmethod
    def encode_clips(self, pixels: Tensor) -> Tensor:
        """(B, F, 3, H, W) pixels of `preprocess` to (B, D) unit vectors."""

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
            ValueError: it has more ids than the word table has rows.
        """
        if self._tokenize is None:
            config = self.config
            found = tokenizers.load(config.tokenizer, max_tokens=config.max_tokens, max_words=config.max_words)
            if found.vocab_size > config.vocab_size:
                raise ValueError(
                    f"the tokenizer {config.tokenizer!r} has {found.vocab_size} ids, the model {config.vocab_size} "
                    f"rows: set vocab_size={found.vocab_size}"
                )
            self._tokenize = found
        return self._tokenize

    @property
    def arguments(self) -> dict[str, Any]:
        """Every argument, as `zoo.create` takes them."""
        return asdict(self.config)

    @property
    def freeze(self) -> list[str]:
        """The towers that stay as they are."""
        return self.config.freeze

    def settle(self) -> None:
        """Freeze the towers that are to be frozen; the end of a family's constructor."""
        for tower in TOWERS:
            getattr(self, tower).requires_grad_(tower not in self.freeze)

    def train(self, mode: bool = True) -> Self:
        """As in torch, but a frozen tower stays in evaluation mode."""
        super().train(mode)
        for tower in self.freeze:
            getattr(self, tower).eval()
        return self

    def gradient(self, tower: str) -> AbstractContextManager[Any]:
        """The context in which a tower is run: without gradients where it is frozen."""
        return torch.no_grad() if tower in self.freeze else nullcontext()

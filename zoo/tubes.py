"""Face tubes as cut out of a video, to SyncNet's input."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from .augment import jitter
from .plain import Plain

AUGMENTATIONS = ("none", "jitter")


@dataclass
class TubePreprocess(Plain):
    """Face pictures to the square that a lip network sees; the range stays 0-255.

    With a generator, for training, a tube is flipped and jittered by `augment.jitter`.

    Attributes:
        size: side of the square in pixels.
        fps: frames a second at which tubes must be sampled.
        rate: samples a second of the speech that goes with them.
        augment: ``none`` or ``jitter``.
    """

    size: int = 224
    fps: int = 25
    rate: int = 16000
    augment: str = "none"

    def __post_init__(self) -> None:
        if self.augment not in AUGMENTATIONS:
            raise ValueError(f"augment is one of {', '.join(AUGMENTATIONS)}, not {self.augment!r}")

    def __call__(self, frames: Tensor, *, generator: Generator | None = None) -> Tensor:
        """uint8 RGB (T, 3, H, W) to uint8 (T, 3, S, S), by a plain resize; see the protocol `TubeTransform`.

        Raises:
            ValueError: for another type or shape.
        """
        if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[1] != 3:
            raise ValueError(f"frames must be uint8 (T, 3, H, W), not {frames.dtype} {tuple(frames.shape)}")
        if frames.shape[-2:] != (self.size, self.size):
            frames = F.resize(frames, [self.size, self.size], InterpolationMode.BILINEAR, antialias=True)
        return frames if generator is None or self.augment == "none" else jitter(frames, generator)

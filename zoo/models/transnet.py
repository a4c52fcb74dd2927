"""TransNetV2 (Souček and Lokoč, 2020): where a video cuts from one shot to the next.

Modules have the published names, so that the published weights fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ..checkpoint import Pretrained
from ..plain import Plain

WINDOW, STEP = 100, 50  # frames seen at once, and how many in their middle are kept
LOOKUP = 101  # how many neighbours, itself included, a frame is compared with
THRESHOLD = 0.5


@dataclass
class TransNetV2Config:
    """Sizes of the network; the published weights have the defaults."""

    filters: int = 16
    stacks: int = 3
    blocks: int = 2
    hidden: int = 1024


@dataclass
class ShotPreprocess(Plain):
    """The small frames that TransNetV2 sees: whole pictures squeezed to one size with FFmpeg's bicubic scaling."""

    width: int = 48
    height: int = 27


class TransNetV2(Pretrained):
    """Logits of a cut after each frame, from windows of 100 frames.

    Args:
        config: sizes; the published ones by default.
    """

    config_class: ClassVar[type] = TransNetV2Config
    config: TransNetV2Config

    def __init__(self, config: TransNetV2Config | None = None) -> None:
        super().__init__()
        self.config = config = config or TransNetV2Config()
        self.preprocess = ShotPreprocess()
        widths = [4 * config.filters * 2**stack for stack in range(config.stacks)]
        self.SDDCNN = nn.ModuleList(
            _Stack(before, width // 4, config.blocks) for before, width in zip([3, *widths], widths, strict=False)
        )
        self.frame_sim_layer = _FrameSimilarity(sum(widths))
        self.color_hist_layer = _ColourHistograms()
        rows, columns = self.preprocess.height // 2**config.stacks, self.preprocess.width // 2**config.stacks
        self.fc1 = nn.Linear(widths[-1] * rows * columns + 2 * 128, config.hidden)
        self.dropout = nn.Dropout(0.5)
        self.cls_layer1 = nn.Linear(config.hidden, 1)
        self.cls_layer2 = nn.Linear(config.hidden, 1)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Two logits for each frame.

        Args:
            frames: (B, T, 27, 48, 3) uint8 RGB.

        Returns:
            (B, T) that the frame is the one where a shot ends, and (B, T) that it is part of any transition.

        Raises:
            ValueError: another type or shape.
        """
        size = (self.preprocess.height, self.preprocess.width, 3)
        if frames.dtype != torch.uint8 or frames.ndim != 5 or frames.shape[2:] != size:
            raise ValueError(
                f"frames must be uint8 (B, T, {size[0]}, {size[1]}, 3), not {frames.dtype} {tuple(frames.shape)}"
            )
        x = frames.permute(0, 4, 1, 2, 3).float() / 255.0  # (B, 3, T, 27, 48)
        features = []
        for stack in self.SDDCNN:
            x = stack(x)
            features.append(x)
        x = x.permute(0, 2, 3, 4, 1).flatten(2)  # (B, T, rows * columns * channels)
        x = torch.cat([self.color_hist_layer(frames), self.frame_sim_layer(features), x], dim=2)
        x = self.dropout(F.relu(self.fc1(x)))
        return self.cls_layer1(x).squeeze(2), self.cls_layer2(x).squeeze(2)

    @torch.inference_mode()
    def predict(self, frames: Tensor) -> Tensor:
        """Chance that a shot ends at each frame of a whole video: (n,) float32 on the CPU.

        Args:
            frames: (n, 27, 48, 3) uint8 RGB, every frame of the video.  Windows of 100 frames advance by 50, of each
                the middle is kept; the first and the last frame are repeated beyond the ends.
        """
        if len(frames) == 0:
            return torch.zeros(0)
        margin = (WINDOW - STEP) // 2
        after = margin + -len(frames) % STEP
        padded = torch.cat([frames[:1].expand(margin, -1, -1, -1), frames, frames[-1:].expand(after, -1, -1, -1)])
        device = self.fc1.weight.device
        kept = []
        for start in range(0, len(padded) - WINDOW + 1, STEP):
            logits, _ = self(padded[start : start + WINDOW].unsqueeze(0).to(device))
            kept.append(logits[0, margin : margin + STEP].sigmoid().cpu())
        return torch.cat(kept)[: len(frames)]


def scenes(chances: Tensor, threshold: float = THRESHOLD) -> NDArray[np.int64]:
    """Shots as (k, 2) frame numbers, first and last of each, both inclusive.

    A run of frames above the threshold is a transition: its first ends a shot, and the next begins after its last.  A
    video that is all transition is one shot.
    """
    if not len(chances):
        return np.empty((0, 2), dtype=np.int64)
    cut = (chances > threshold).numpy().astype(np.int8)
    if cut.all():
        return np.array([[0, len(cut) - 1]], dtype=np.int64)
    turns = np.diff(cut)
    starts = np.flatnonzero(turns == -1) + 1
    ends = np.flatnonzero(turns == 1) + 1
    if not cut[0]:
        starts = np.r_[0, starts]
    if not cut[-1]:
        ends = np.r_[ends, len(cut) - 1]
    return np.stack([starts, ends], axis=1).astype(np.int64)


class _Stack(nn.Module):
    """Blocks with a shortcut from the first, then half the resolution."""

    def __init__(self, channels: int, filters: int, blocks: int) -> None:
        super().__init__()
        self.DDCNN = nn.ModuleList(_Dilated(4 * filters if block else channels, filters) for block in range(blocks))

    def forward(self, x: Tensor) -> Tensor:
        first, *others = self.DDCNN
        x = shortcut = F.relu(first(x))
        for number, block in enumerate(others, 1):
            x = block(x)
            if number < len(others):
                x = F.relu(x)
        return F.avg_pool3d(F.relu(x) + shortcut, (1, 2, 2))


class _Dilated(nn.Module):
    """Four separable convolutions that look 1, 2, 4 and 8 frames around, side by side."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.Conv3D_1 = _Separable(channels, filters, 1)
        self.Conv3D_2 = _Separable(channels, filters, 2)
        self.Conv3D_4 = _Separable(channels, filters, 4)
        self.Conv3D_8 = _Separable(channels, filters, 8)
        self.bn = nn.BatchNorm3d(4 * filters, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(torch.cat([self.Conv3D_1(x), self.Conv3D_2(x), self.Conv3D_4(x), self.Conv3D_8(x)], dim=1))


class _Separable(nn.Module):
    def __init__(self, channels: int, filters: int, dilation: int) -> None:
        super().__init__()
        space = nn.Conv3d(channels, 2 * filters, (1, 3, 3), padding=(0, 1, 1), bias=False)
        time = nn.Conv3d(
            2 * filters, filters, (3, 1, 1), padding=(dilation, 0, 0), dilation=(dilation, 1, 1), bias=False
        )
        self.layers = nn.Sequential(space, time)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class _FrameSimilarity(nn.Module):
    """Similarity of a frame's features to those of its neighbours."""

    def __init__(self, channels: int, width: int = 128) -> None:
        super().__init__()
        self.projection = nn.Linear(channels, width)
        self.fc = nn.Linear(LOOKUP, width)

    def forward(self, features: list[Tensor]) -> Tensor:
        means = torch.cat([x.mean(dim=(3, 4)) for x in features], dim=1).transpose(1, 2)  # (B, T, channels)
        return F.relu(self.fc(_neighbours(F.normalize(self.projection(means), dim=2))))


class _ColourHistograms(nn.Module):
    """Similarity of a frame's colour histogram to those of its neighbours: 512 bins, three bits of each channel."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.fc = nn.Linear(LOOKUP, width)

    def forward(self, frames: Tensor) -> Tensor:
        batch, time = frames.shape[:2]
        high = (frames >> 5).long().view(batch * time, -1, 3)
        bins = (high[..., 0] << 6) + (high[..., 1] << 3) + high[..., 2]
        counts = torch.zeros(batch * time, 512, device=frames.device)
        counts.scatter_add_(1, bins, torch.ones_like(bins, dtype=counts.dtype))
        return F.relu(self.fc(_neighbours(F.normalize(counts.view(batch, time, 512), dim=2))))


def _neighbours(x: Tensor) -> Tensor:
    """(B, T, C) unit vectors to (B, T, LOOKUP) similarities with the frames around; 0 beyond the ends."""
    similar = F.pad(x @ x.transpose(1, 2), (LOOKUP // 2, LOOKUP // 2))  # (B, T, T + LOOKUP - 1)
    frame = torch.arange(x.shape[1], device=x.device)[:, None]
    around = frame + torch.arange(LOOKUP, device=x.device)
    return similar.gather(2, around.expand(len(x), -1, -1))

"""Pictures for networks that classify them: resized, the middle cut out, channels normalised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from ..plain import Plain

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass
class FramePreprocess(Plain):
    """Frames as decoded to what an image or action network sees.

    Attributes:
        resize: short side in pixels, by bilinear interpolation.
        crop: side of the square that the network sees.
        mean, std: of each channel, for pixels in [0, 1].
        crop_mode: ``center`` cuts it out of the middle; ``squash`` resizes the whole picture to it, so that nothing at
            the sides is lost. As timm calls them.
    """

    resize: int = 256
    crop: int = 224
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    crop_mode: Literal["center", "squash"] = "center"

    def __call__(self, frames: Tensor) -> Tensor:
        """uint8 RGB (T, 3, H, W) to float32 (T, 3, crop, crop).

        Raises:
            ValueError: for another type or shape.
        """
        if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[1] != 3:
            raise ValueError(f"frames must be uint8 (T, 3, H, W), not {frames.dtype} {tuple(frames.shape)}")
        size = [self.resize] if self.crop_mode == "center" else [self.crop, self.crop]
        frames = F.resize(frames, size, InterpolationMode.BILINEAR, antialias=True)
        frames = F.center_crop(frames, [self.crop, self.crop]).float() / 255.0
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (self.mean, self.std))
        return (frames - mean) / std

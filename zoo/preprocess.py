"""Decoded pixels to the encoders' input, with CCLM's augmentation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Generator, Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from .augment import random_augment
from .plain import Plain
from .registry import did_you_mean

#: of CLIP, which CCLM uses as well; not those of ImageNet
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

AUGMENTATIONS = ("none", "crop", "cclm")
FITS = ("squash", "crop")
INTERPOLATIONS = {"bicubic": InterpolationMode.BICUBIC, "bilinear": InterpolationMode.BILINEAR}
#: fields that checkpoints from before they existed do not name; the defaults are what those were made with
LATER_FIELDS = {"fit", "interpolation"}


@dataclass
class ClipPreprocess(Plain):
    """The `ClipTransform` of the story models.

    Without a generator, for evaluation: a square by squashing or by a centre crop.  With one, for training: a random
    resized crop, a horizontal flip and RandomAugment (N=2, M=7), the same for all frames of a clip.

    Attributes:
        size: side of the square in pixels.
        frames: how many frames of a clip the model looks at.
        augment: ``none``, ``crop`` (crop and flip) or ``cclm`` (crop, flip and RandomAugment).
        flip: chance of a mirror image; 0 where left and right have a meaning in the text.
        crop_scale: least and greatest share of the picture's area that a random crop keeps.
        mean, std: of each channel, for pixels in [0, 1].
        fit: ``squash`` the whole picture into the square (CCLM, SigLIP), or ``crop`` its middle once the short side
            fits (CLIP).
        interpolation: ``bicubic`` or ``bilinear``, both with antialiasing.
    """

    size: int = 224
    frames: int = 3
    augment: str = "cclm"
    flip: float = 0.5
    crop_scale: tuple[float, float] = (0.5, 1.0)
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD
    fit: str = "squash"
    interpolation: str = "bicubic"

    def __post_init__(self) -> None:
        for field, known in (("augment", AUGMENTATIONS), ("fit", FITS), ("interpolation", INTERPOLATIONS)):
            value = getattr(self, field)
            if value not in known:
                raise ValueError(f"no {field} {value!r}{did_you_mean(value, known)}; known: {', '.join(known)}")
        if not 0.0 < self.crop_scale[0] <= self.crop_scale[1] <= 1.0:
            raise ValueError(f"crop_scale must be 0 < least <= greatest <= 1, not {self.crop_scale}")
        if not 0.0 <= self.flip <= 1.0:
            raise ValueError(f"flip is a chance in [0, 1], not {self.flip}")
        self.crop_scale = (self.crop_scale[0], self.crop_scale[1])
        # pixels in 0-255 are scaled and normalised in one go
        self._offset = 255.0 * torch.tensor(self.mean).view(3, 1, 1)
        self._scale = 1.0 / (255.0 * torch.tensor(self.std).view(3, 1, 1))

    def __call__(self, frames: Tensor, *, generator: Generator | None = None) -> Tensor:
        """uint8 RGB (F, 3, H, W) to float32 (F, 3, S, S); see the protocol `ClipTransform`.

        Raises:
            ValueError: for another type or shape.
        """
        if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[1] != 3:
            raise ValueError(f"frames must be uint8 (F, 3, H, W), not {frames.dtype} {tuple(frames.shape)}")
        if generator is None or self.augment == "none":
            return self._normalise(self._cropped(frames) if self.fit == "crop" else self._resize(frames))
        frames = self._resize(self._crop(frames, generator))
        if torch.rand((), generator=generator) < self.flip:
            frames = frames.flip(-1)
        if self.augment == "cclm":
            frames = random_augment(frames, generator)
        return self._normalise(frames)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """What `to_dict` wrote.  Raises ValueError that names unknown and missing fields, those with defaults too."""
        missing = set(cls.__dataclass_fields__) - LATER_FIELDS - set(data)
        if missing:
            raise ValueError(f"preprocessing lacks {', '.join(sorted(missing))}")
        return super().from_dict(data)

    def _resize(self, frames: Tensor) -> Tensor:
        if frames.shape[-2:] == (self.size, self.size):
            return frames
        return F.resize(frames, [self.size, self.size], INTERPOLATIONS[self.interpolation], antialias=True)

    def _cropped(self, frames: Tensor) -> Tensor:
        """The middle of the picture, once its short side is the square's."""
        if min(frames.shape[-2:]) != self.size:
            frames = F.resize(frames, [self.size], INTERPOLATIONS[self.interpolation], antialias=True)
        return F.center_crop(frames, [self.size, self.size])

    def _normalise(self, frames: Tensor) -> Tensor:
        return frames.float().sub_(self._offset).mul_(self._scale)

    def _crop(self, frames: Tensor, generator: Generator) -> Tensor:
        """A random part of the picture, as RandomResizedCrop draws it (aspect ratio 3:4 to 4:3, ten attempts)."""
        height, width = frames.shape[-2:]
        least, greatest = self.crop_scale
        for area, ratio, top, left in torch.rand(10, 4, generator=generator).tolist():
            target = height * width * (least + (greatest - least) * area)
            aspect = math.exp(math.log(3 / 4) + (math.log(4 / 3) - math.log(3 / 4)) * ratio)
            w, h = round(math.sqrt(target * aspect)), round(math.sqrt(target / aspect))
            if 0 < w <= width and 0 < h <= height:
                y, x = int(top * (height - h + 1)), int(left * (width - w + 1))
                return frames[..., y : y + h, x : x + w]
        return frames

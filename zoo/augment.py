"""Augmentation in training: RandomAugment as CCLM has it, and colour jitter for faces.

RandomAugment applies two operations out of ten, each with probability 0.5, at one level.  Unlike RandAugment of
torchvision or timm, it draws with replacement, translates by seven pixels at any size, shears about the top left
corner, and fills with grey (128).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, grid_sample
from torchvision.transforms.v2 import functional as F

OPERATIONS_DRAWN = 2
LEVEL = 7 / 10
ENHANCE = LEVEL * 1.8 + 0.1
SHEAR = LEVEL * 0.3
TRANSLATE = LEVEL * 10  # pixels
ROTATE = LEVEL * 30  # degrees
GREY = 128

#: of `jitter`
TINT = 0.3
CONTRAST = (0.6, 1.4)
SATURATION = (0.3, 1.7)


def random_augment(frames: Tensor, generator: Generator) -> Tensor:
    """Augment uint8 (F, 3, H, W), every frame in the same way."""
    for _ in range(OPERATIONS_DRAWN):
        which, applied, sign = torch.rand(3, generator=generator).tolist()
        if applied < 0.5:
            name = list(OPERATIONS)[int(which * len(OPERATIONS))]
            frames = OPERATIONS[name](frames, 1 if sign < 0.5 else -1)
    return frames


def jitter(frames: Tensor, generator: Generator) -> Tensor:
    """Flip uint8 (T, 3, H, W) half the time and jitter its colours; all frames alike.

    Channels are scaled by 1 ± `TINT`, contrast and saturation by `CONTRAST` and `SATURATION`, so that a network that
    sees few people does not learn their colours.
    """

    def drawn(least: float, greatest: float, *shape: int) -> Tensor:
        return torch.empty(shape).uniform_(least, greatest, generator=generator)

    if torch.rand((), generator=generator) < 0.5:
        frames = frames.flip(-1)
    frames = (frames * drawn(1 - TINT, 1 + TINT, 3, 1, 1)).clamp_(0, 255).to(torch.uint8)
    frames = F.adjust_contrast(frames, float(drawn(*CONTRAST)))
    return F.adjust_saturation(frames, float(drawn(*SATURATION)))


def warp(frames: Tensor, back: tuple[tuple[float, float, float], tuple[float, float, float]]) -> Tensor:
    """Bilinear warp of uint8 (F, C, H, W).

    Args:
        back: the 2x3 matrix that takes a pixel (x, y) of the result to its place in `frames`; the middle of the top
            left pixel is (0, 0).
    """
    height, width = frames.shape[-2:]
    (a, b, c), (d, e, f) = back
    # affine_grid works in [-1, 1] over the picture; x = (u * width + width - 1) / 2 is the pixel of u
    x0, y0 = (width - 1) / 2, (height - 1) / 2
    theta = torch.tensor(
        [
            [a, b * height / width, 2 * (a * x0 + b * y0 + c - x0) / width],
            [d * width / height, e, 2 * (d * x0 + e * y0 + f - y0) / height],
        ]
    )
    # all frames of a clip are channels of one picture: one grid, one pass
    picture = frames.reshape(1, -1, height, width).float() - GREY
    grid = affine_grid(theta[None], [1, 1, height, width], align_corners=False)
    moved = grid_sample(picture, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return moved.add_(GREY).round_().clamp_(0, 255).to(torch.uint8).view(frames.shape)


def _rotate(frames: Tensor, sign: int) -> Tensor:
    cos, sin = math.cos(math.radians(ROTATE)), sign * math.sin(math.radians(ROTATE))
    x, y = frames.shape[-1] / 2, frames.shape[-2] / 2
    return warp(frames, ((cos, -sin, x - cos * x + sin * y), (sin, cos, y - sin * x - cos * y)))


OPERATIONS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "identity": lambda frames, sign: frames,
    "autocontrast": lambda frames, sign: F.autocontrast(frames),
    "equalize": lambda frames, sign: F.equalize(frames),
    "brightness": lambda frames, sign: F.adjust_brightness(frames, ENHANCE),
    "sharpness": lambda frames, sign: F.adjust_sharpness(frames, ENHANCE),
    "shear_x": lambda frames, sign: warp(frames, ((1, -sign * SHEAR, 0), (0, 1, 0))),
    "shear_y": lambda frames, sign: warp(frames, ((1, 0, 0), (-sign * SHEAR, 1, 0))),
    "translate_x": lambda frames, sign: warp(frames, ((1, 0, sign * TRANSLATE), (0, 1, 0))),
    "translate_y": lambda frames, sign: warp(frames, ((1, 0, 0), (0, 1, sign * TRANSLATE))),
    "rotate": _rotate,
}

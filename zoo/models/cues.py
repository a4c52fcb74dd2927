"""What a clip shows as a sequence of features: objects and scenes of single pictures, actions of short stretches.

Video2Subtitle, section 3: DenseNet-161 at 8 pictures a second, for objects (ImageNet) and for scenes (Places365), and
I3D on stretches of 1.5 seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import timm
import torch
from torch import Tensor

from ..checkpoint import Pretrained
from .frames import FramePreprocess
from .i3d import I3D, LEAST_FRAMES

#: pictures, or stretches of pictures, that are computed together
PICTURES_AT_ONCE, STRETCHES_AT_ONCE = 16, 2


@dataclass
class PictureNetConfig:
    """Arguments of `PictureNet`.

    Attributes:
        arch: a name of timm; the published files are densenet161.
        classes: 1000 objects of ImageNet or 365 scenes of Places365.
        resize, crop, crop_mode: of `FramePreprocess`.
    """

    arch: str = "densenet161"
    classes: int = 1000
    resize: int = 256
    crop: int = 224
    crop_mode: Literal["center", "squash"] = "center"

    def __post_init__(self) -> None:
        if not timm.is_model(self.arch):
            raise ValueError(f"timm has no model {self.arch!r}")


class PictureNet(Pretrained):
    """A classifier of pictures whose last maps, averaged, are features.

    Attributes:
        preprocess: `FramePreprocess` for its pictures.
        width: of a feature: 2208 for densenet161.
    """

    config_class: ClassVar[type] = PictureNetConfig
    config: PictureNetConfig

    def __init__(self, config: PictureNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or PictureNetConfig()
        self.preprocess = FramePreprocess(resize=config.resize, crop=config.crop, crop_mode=config.crop_mode)
        self.net: Any = timm.create_model(config.arch, pretrained=False, num_classes=config.classes)

    @property
    def width(self) -> int:
        return int(self.net.num_features)

    def encode_pictures(self, pictures: Tensor) -> Tensor:
        """(N, 3, H, W) pictures of `preprocess` to (N, width)."""
        features: Tensor = self.net.forward_head(self.net.forward_features(pictures), pre_logits=True)
        return features

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, H, W) pictures of `preprocess` to logits (N, classes)."""
        logits: Tensor = self.net(pictures)
        return logits


@dataclass
class PictureCue:
    """Features of single pictures, for objects or for scenes.

    Attributes:
        model: in evaluation mode.
        per_second: pictures a second that it wants of a clip, and features a second that it gives.
    """

    model: PictureNet
    per_second: float = 8.0

    @property
    def fps(self) -> float:
        """Frames a second at which a clip must be sampled."""
        return self.per_second

    @property
    def width(self) -> int:
        return self.model.width

    @torch.inference_mode()
    def __call__(self, frames: Tensor) -> Tensor:
        """uint8 RGB (T, 3, H, W) at `fps` to (T, width) float32 on the CPU."""
        device = next(self.model.parameters()).device
        parts = [
            self.model.encode_pictures(self.model.preprocess(some).to(device)).float().cpu()
            for some in frames.split(PICTURES_AT_ONCE)
        ]
        return torch.cat(parts) if parts else torch.zeros(0, self.width)


@dataclass
class ActionCue:
    """Features of stretches of a clip, averaged over the steps that I3D makes of each.

    Attributes:
        model: in evaluation mode.
        seconds: length of a stretch.
    """

    model: I3D
    seconds: float = 1.5

    @property
    def fps(self) -> float:
        """Frames a second at which a clip must be sampled."""
        return self.model.config.fps

    @property
    def per_second(self) -> float:
        """Features a second that it gives."""
        return 1.0 / self.seconds

    @property
    def width(self) -> int:
        return self.model.width

    @torch.inference_mode()
    def __call__(self, frames: Tensor) -> Tensor:
        """uint8 RGB (T, 3, H, W) at `fps` to (stretches, width) float32 on the CPU.

        A last stretch of fewer than nine frames, too short for I3D, is left out.

        Raises:
            ValueError: a clip of fewer than nine frames.
        """
        device = next(self.model.parameters()).device
        stretches = [part for part in frames.split(round(self.fps * self.seconds)) if len(part) >= LEAST_FRAMES]
        if not stretches:
            raise ValueError(f"a clip of {len(frames)} frames is too short: I3D needs {LEAST_FRAMES}")
        whole = [part for part in stretches if len(part) == len(stretches[0])]
        batches = [whole[i : i + STRETCHES_AT_ONCE] for i in range(0, len(whole), STRETCHES_AT_ONCE)]
        batches += [[part] for part in stretches[len(whole) :]]
        features = []
        for batch in batches:
            pixels = torch.stack([self.model.preprocess(part) for part in batch]).to(device)
            features.append(self.model.extract_features(pixels).mean(dim=1).float().cpu())
        return torch.cat(features)

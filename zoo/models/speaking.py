"""Active speaker detection: a small recurrent network over lips and voice (Video2Subtitle, section 3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..checkpoint import Pretrained
from ..speaking import BROW, MOUTH, SAMPLES_A_FRAME, face_part
from ..tubes import TubePreprocess
from .mel import FLOOR, HOP, LogMel

#: spectra in a frame of a tube
SPECTRA = SAMPLES_A_FRAME // HOP
#: logarithm of the power in a band that counts as loud at least, so that the noise of a quiet room does not
SILENT = 14.0


@dataclass
class SpeakingConfig:
    """Arguments of `Speaking`.

    Attributes:
        image_size: side of a face picture in pixels.
        channels: of the two convolutions over the mouth.
        bins: mel bands of the sound.
        hidden: units of the recurrent layer in each direction.
    """

    image_size: int = 64
    channels: list[int] = field(default_factory=lambda: [8, 16])
    bins: int = 16
    hidden: int = 32

    def __post_init__(self) -> None:
        if self.image_size < 48 or len(self.channels) != 2:
            raise ValueError(
                f"image_size is 48 or more, and channels are two numbers: {self.image_size}, {self.channels}"
            )


class Speaking(Pretrained):
    """An active speaker detector: for every frame of a face tube, whether this face speaks.

    A bidirectional recurrent layer reads the mouth, its motion and the head's since the frame before, and the loudness
    of each band relative to the loudest moments.

    Attributes:
        preprocess: `TubePreprocess` for its face pictures.
    """

    config_class: ClassVar[type] = SpeakingConfig
    config: SpeakingConfig
    training_arguments = frozenset({"augment"})

    def __init__(self, config: SpeakingConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SpeakingConfig()
        self.preprocess = TubePreprocess(size=config.image_size)
        self.mel = LogMel(config.bins)
        first, second = config.channels
        self.mouth = nn.Sequential(
            nn.Conv2d(2, first, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d((2, 3)),
            nn.Flatten(),
        )
        self.inputs = nn.Linear(6 * second + 2 + config.bins, 2 * config.hidden)
        self.recurrent = nn.GRU(2 * config.hidden, config.hidden, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * config.hidden, 1)

    def forward(self, frames: Tensor, waveform: Tensor) -> Tensor:
        """Logits of speaking.

        Args:
            frames: (B, T, 3, S, S) RGB in 0-255, of any type; 25 a second, all of one length.
            waveform: (B, 640 T) or some more, 16 kHz in the scale of int16, of any type.

        Returns:
            (B, T).

        Raises:
            ValueError: for other shapes.
        """
        side = self.config.image_size
        if frames.ndim != 5 or frames.shape[2:] != (3, side, side):
            raise ValueError(f"frames must be (B, T, 3, {side}, {side}), not {tuple(frames.shape)}")
        batch, times = frames.shape[:2]
        if waveform.ndim != 2 or waveform.shape[0] != batch or waveform.shape[1] < times * SAMPLES_A_FRAME:
            raise ValueError(
                f"waveform must be ({batch}, {times * SAMPLES_A_FRAME}) or longer, not {tuple(waveform.shape)}"
            )
        grey = frames.float().mean(dim=2)
        mouth = face_part(grey, MOUTH)
        moved = F.pad(grey[:, 1:] - grey[:, :-1], (0, 0, 0, 0, 1, 0))
        contrast = mouth.std(dim=(1, 2, 3), keepdim=True).clamp(min=4.0)
        lips, head = face_part(moved, MOUTH), face_part(moved, BROW)
        seen = torch.stack([(mouth - mouth.mean(dim=(1, 2, 3), keepdim=True)) / contrast, 4 * lips / contrast], dim=2)
        motion = torch.stack([lips.abs().mean(dim=(2, 3)), head.abs().mean(dim=(2, 3))], dim=2) / contrast[..., 0]
        shapes = self.mouth(seen.flatten(0, 1)).view(batch, times, -1)
        together = torch.cat([shapes, 10 * motion, self._log_power(waveform, times)], dim=2)
        states, _ = self.recurrent(F.relu(self.inputs(together)))
        return self.out(states)[..., 0]

    @torch.inference_mode()
    def score(self, frames: Tensor, sound: Tensor) -> Tensor:
        """(T,) probabilities of one tube, uint8 RGB (T, 3, H, W) of any size, with its (640 T,) int16 sound."""
        device = self.out.weight.device
        if not len(frames):
            return torch.zeros(0)
        heard = F.pad(sound, (0, max(0, 2 * SAMPLES_A_FRAME - len(sound))))  # a spectrum needs 512 samples
        logits = self(self.preprocess(frames)[None].to(device), heard[None].to(device))
        return logits[0].float().sigmoid().cpu()

    @torch.no_grad()
    def _log_power(self, waveform: Tensor, times: int) -> Tensor:
        """(B, T, bins) logarithm of the power in each band, 0 where the sound is loudest."""
        with torch.autocast(waveform.device.type, enabled=False):
            power = (self.mel.power(waveform) + FLOOR).log()[..., : times * SPECTRA]
            power = power.unflatten(2, (times, SPECTRA)).mean(dim=3)
            loudest = power.mean(dim=1).quantile(0.95, dim=1).clamp(min=SILENT)
            return ((power - loudest[:, None, None]) / 4).transpose(1, 2)

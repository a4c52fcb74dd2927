"""Active speaker detection: for every frame of a face tube, the probability that this face speaks.

The protocol of such detectors, and a baseline without training: lips move while a voice is heard.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional as F

#: samples of sound in a frame of a tube: 16 kHz, 25 frames a second
SAMPLES_A_FRAME = 640
#: where in a tube, cut as SyncNet's are, the mouth lies, and the part of the face that moves with the head alone:
#: upper, lower, left and right edge as shares of its side
MOUTH, BROW = (0.46, 0.74, 0.3, 0.7), (0.06, 0.4, 0.25, 0.75)
#: side to which tubes are made small before frames are compared, and how many of them at once
SMALL, AT_ONCE = 56, 64


@runtime_checkable
class ScoreSpeaking(Protocol):
    """An active speaker detector.  Picklable.

    Attributes:
        producer: its name, with the hash of its weights where it has some; a resumed build is found by it.
    """

    @property
    def producer(self) -> str: ...

    def __call__(self, frames: Tensor, sound: Tensor) -> Tensor:
        """The probability that this face speaks, for every frame.

        Args:
            frames: uint8 RGB (T, 3, S, S), a tube of 25 frames a second.
            sound: (640 T,) int16, what is heard meanwhile, 16 kHz.

        Returns:
            (T,) float32 from 0 to 1.

        Raises:
            ValueError: for shapes or types that do not fit.
        """
        ...


@dataclass(frozen=True)
class LipsAndVoice:
    """The baseline of active speaker detection: lip motion times voice activity, each smoothed.

    Attributes:
        motion: of lips (see `lip_motion`) at which the score of a clear voice is 0.5.
        window: frames over which motion is averaged, odd; speech closes the lips for moments.
    """

    motion: float = 0.04
    window: int = 13

    @property
    def producer(self) -> str:
        return f"lips and voice 1, motion {self.motion:g}, window {self.window}"

    def __call__(self, frames: Tensor, sound: Tensor) -> Tensor:
        check(frames, sound)
        moved = smoothed(lip_motion(frames), self.window)
        return moved / (moved + self.motion) * voice_activity(sound)


def check(frames: Tensor, sound: Tensor) -> None:
    """Raises ValueError where a tube and its sound are not as `ScoreSpeaking` takes them."""
    if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[1] != 3 or frames.shape[2] != frames.shape[3]:
        raise ValueError(f"frames must be uint8 (T, 3, S, S), not {frames.dtype} {tuple(frames.shape)}")
    if sound.dtype != torch.int16 or sound.shape != (len(frames) * SAMPLES_A_FRAME,):
        raise ValueError(
            f"sound must be int16 ({len(frames) * SAMPLES_A_FRAME},) to {len(frames)} frames, not {sound.dtype} "
            f"{tuple(sound.shape)}"
        )


def lip_motion(frames: Tensor) -> Tensor:
    """(T,) how much the mouth changes from the frame before, beyond what the head does, in contrasts of the face.

    Args:
        frames: uint8 RGB (T, 3, S, S), cut about the face as `datamodules.tracks.square` says.
    """
    if not len(frames):
        return torch.zeros(0)
    small = torch.cat([_grey(frames[at : at + AT_ONCE]) for at in range(0, len(frames), AT_ONCE)])
    changes = (small[1:] - small[:-1]).abs()
    contrast = face_part(small, BROW).std(dim=(1, 2)).clamp(min=4.0)[1:]
    beyond = (face_part(changes, MOUTH).mean(dim=(1, 2)) - face_part(changes, BROW).mean(dim=(1, 2))).clamp(min=0)
    return F.pad(beyond / contrast, (1, 0))


def voice_activity(sound: Tensor) -> Tensor:
    """(T,) from 0 to 1 how likely somebody is heard in each 40 ms of (640 T,) int16, by its loudness alone.

    Loudness is relative to the quietest tenth of the sound; nobody is heard 60 dB below full scale.
    """
    if not len(sound):
        return torch.zeros(0)
    blocks = sound.to(torch.float32).reshape(-1, SAMPLES_A_FRAME)
    level = 20 * blocks.square().mean(dim=1).sqrt().clamp(min=1e-3).log10()  # dB over one step of 16 bits
    quiet, loud = level.quantile(0.1), level.quantile(0.95)
    if loud < 30:  # 60 dB below full scale
        return torch.zeros(len(level))
    middle = torch.maximum(quiet + 0.35 * (loud - quiet), loud - 25)
    return smoothed(torch.sigmoid((level - middle) / 3), 5)


def smoothed(values: Tensor, window: int) -> Tensor:
    """(T,) the mean of what lies within a `window` of odd length, over what there is of it."""
    if not len(values):
        return values
    ones = torch.ones(1, 1, window)
    total = F.conv1d(values[None, None], ones, padding=window // 2)
    return (total / F.conv1d(torch.ones(1, 1, len(values)), ones, padding=window // 2))[0, 0]


def _grey(frames: Tensor) -> Tensor:
    small = frames.to(torch.float32)
    if frames.shape[-1] > SMALL:
        small = F.adaptive_avg_pool2d(small, SMALL)
    return small.mean(dim=1)


def face_part(pictures: Tensor, edges: tuple[float, float, float, float]) -> Tensor:
    """A part of pictures (..., H, W) between its upper, lower, left and right edges, in shares of the whole."""
    height, width = pictures.shape[-2:]
    upper, lower, left, right = edges
    return pictures[..., round(upper * height) : round(lower * height), round(left * width) : round(right * width)]

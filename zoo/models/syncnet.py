"""SyncNet (Nagrani et al., "Disentangled Speech Embeddings", 2020) in the layout published as syncnet_trainer.

Two convolutional stacks turn a face tube and a waveform into features of the same pace, 25 a second.  Video2Subtitle
(section 3) takes its lip and speech features from it.  Modules have the published names; only the first convolution
spans time, so the others are two-dimensional here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from ..checkpoint import Pretrained
from ..tubes import TubePreprocess
from .mel import LEAST_SAMPLES, LogMel, mel_frames

#: one tensor to the next
_Stage = Callable[[Tensor], Tensor]

LIP_FRAMES = 5  # seen by one lip feature
MEL_BINS = 40
OUTPUTS_AT_ONCE = 8  # lip features computed together outside training: maps of 36 MB, which caches hold in part


def _identity(x: Tensor) -> Tensor:
    return x


@dataclass
class SyncNetConfig:
    """Arguments of `SyncNet`; the defaults are the published ones.

    Attributes:
        image_size: side of a face picture in pixels.
        fps: frames a second of a face tube: 25, for which the two streams have one pace, or 24 as the paper has it.
        stride: features are computed at every `stride`-th place; 1, or 2 as the published weights were trained.
        lip_channels, speech_channels: of the first five groups of each stack.
        feature_dim: of the sixth group: the features.
        embed_dim: of the heads.
        checkpoint_activations: where there is a gradient, compute activations twice instead of keeping them.
        augment: of `TubePreprocess`, in training.
    """

    image_size: int = 224
    fps: int = 25
    stride: int = 1
    lip_channels: list[int] = field(default_factory=lambda: [96, 256, 256, 256, 256])
    speech_channels: list[int] = field(default_factory=lambda: [96, 256, 384, 256, 256])
    feature_dim: int = 512
    embed_dim: int = 1024
    checkpoint_activations: bool = False
    augment: str = "none"

    def __post_init__(self) -> None:
        faults = []
        if self.fps not in (24, 25):
            faults.append(f"fps must be 24 or 25, not {self.fps}")
        if self.stride not in (1, 2):
            faults.append(f"stride must be 1 or 2, not {self.stride}")
        for name, channels in (("lip_channels", self.lip_channels), ("speech_channels", self.speech_channels)):
            if len(channels) != 5:
                faults.append(f"{name} must be five numbers, not {channels}")
        if _side_left(self.image_size) < 1:
            faults.append(f"image_size must be 64 or more, not {self.image_size}")
        if faults:
            raise ValueError("; ".join(faults))


@dataclass
class SyncNetOutput:
    """Embeddings of pairs for the losses, (B, T', embed_dim) each.

    Attributes:
        lip_content, speech_content: what is said, equal at equal times.
        face, voice: who says it, equal at all times.
    """

    lip_content: Tensor
    speech_content: Tensor
    face: Tensor
    voice: Tensor


class SyncNet(Pretrained):
    """Features of lips and of speech; heads for what is said and for who says it.

    Attributes:
        preprocess: `TubePreprocess` for its face pictures.
    """

    config_class: ClassVar[type] = SyncNetConfig
    config: SyncNetConfig
    free_arguments = frozenset({"fps", "stride", "checkpoint_activations", "augment"})
    training_arguments = frozenset({"checkpoint_activations", "augment"})

    def __init__(self, config: SyncNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SyncNetConfig()
        self.preprocess = TubePreprocess(size=config.image_size, fps=config.fps, augment=config.augment)
        self.mel = LogMel(MEL_BINS)
        self.netcnnaud = _speech_stack(config)
        self.netcnnlip = _lip_stack(config)
        for head in ("netfcaud", "netfclip", "netfcspk", "netfcface"):
            self.add_module(head, _head(config))

    def encode_lips(self, frames: Tensor) -> Tensor:
        """Features of face tubes.

        In evaluation mode a long tube is computed in parts, in bounded memory; a feature sees five frames, so nothing
        changes.  `checkpoint_activations` bounds the memory of a gradient too; batch normalisation then learns its
        scale and shift alone.

        Args:
            frames: (B, T, 3, H, W) RGB in 0-255, of any type; all of one length.

        Returns:
            (B, T', feature_dim) with T' = `lip_steps(T, stride)`.

        Raises:
            ValueError: another shape, or fewer than five frames.
        """
        side = self.config.image_size
        if frames.ndim != 5 or frames.shape[2:] != (3, side, side):
            raise ValueError(f"frames must be (B, T, 3, {side}, {side}), not {tuple(frames.shape)}")
        steps = lip_steps(frames.shape[1], self.config.stride)
        if steps < 1:
            raise ValueError(f"a tube of {frames.shape[1]} frames is too short: SyncNet sees {LIP_FRAMES} at once")
        at_once = steps if self.training else max(1, OUTPUTS_AT_ONCE // max(1, len(frames)))
        stages = self._stages(self.netcnnlip, partial(_windows, stride=self.config.stride))
        parts = []
        for first in range(0, steps, at_once):
            last = min(first + at_once, steps) - 1
            some = frames[:, first * self.config.stride : last * self.config.stride + LIP_FRAMES]
            parts.append(self._run(stages, some).flatten(1).view(len(frames), last - first + 1, -1))
        return torch.cat(parts, dim=1)

    def encode_speech(self, waveform: Tensor) -> Tensor:
        """Features of speech.

        Each band is normalised over the whole waveform: do not pad; encode waveforms of different lengths apart.

        Args:
            waveform: (B, S) at 16 kHz in the scale of int16, of any type; all of one length.

        Returns:
            (B, T', feature_dim) with T' = `speech_steps(S, stride)`.

        Raises:
            ValueError: another shape, or less than about 0.4 s.
        """
        if waveform.ndim != 2:
            raise ValueError(f"waveform must be (B, S), not {tuple(waveform.shape)}")
        if waveform.shape[1] < LEAST_SAMPLES or speech_steps(waveform.shape[1], self.config.stride) < 1:
            raise ValueError(f"a waveform of {waveform.shape[1]} samples is too short: SyncNet sees 0.4 s at once")
        spectrum = self.mel(waveform)[:, None, :, 1:-1]  # (B, 1, bins, frames); the ends see reflected samples
        return self._run(self._stages(self.netcnnaud), spectrum).squeeze(2).transpose(1, 2)

    def lip_content(self, features: Tensor) -> Tensor:
        """(B, T', feature_dim) of `encode_lips` to (B, T', embed_dim), comparable with `speech_content` by cosine."""
        return self._head("netfclip", features)

    def speech_content(self, features: Tensor) -> Tensor:
        """(B, T', feature_dim) of `encode_speech` to (B, T', embed_dim)."""
        return self._head("netfcaud", features)

    def face(self, features: Tensor) -> Tensor:
        """(B, T', feature_dim) of `encode_lips` to (B, T', embed_dim), comparable with `voice` by cosine."""
        return self._head("netfcface", features)

    def voice(self, features: Tensor) -> Tensor:
        """(B, T', feature_dim) of `encode_speech` to (B, T', embed_dim)."""
        return self._head("netfcspk", features)

    def forward(self, frames: Tensor, waveform: Tensor) -> SyncNetOutput:
        """Both streams with all heads, for the losses of pre-training.

        The longer stream is cut: give 0.04 s of sound for each frame.
        """
        lips, speech = self.encode_lips(frames), self.encode_speech(waveform)
        steps = min(lips.shape[1], speech.shape[1])
        lips, speech = lips[:, :steps], speech[:, :steps]
        return SyncNetOutput(self.lip_content(lips), self.speech_content(speech), self.face(lips), self.voice(speech))

    def _head(self, name: str, features: Tensor) -> Tensor:
        head: nn.Module = getattr(self, name)
        return head(features.transpose(1, 2)).transpose(1, 2)

    @property
    def _checkpoints(self) -> bool:
        return self.config.checkpoint_activations and torch.is_grad_enabled()

    def _run(self, stages: list[_Stage], x: Tensor) -> Tensor:
        """Through a stack.  In training its groups keep or compute their activations by themselves; outside it, where
        no statistics are counted, all of those of one part of a tube are computed twice."""
        if self._checkpoints and not self.training:
            out: Tensor = checkpoint(_through, stages, x, use_reentrant=False, preserve_rng_state=False)
            return out
        return _through(stages, x)

    def _stages(self, stack: nn.Sequential, prepare: _Stage = _identity) -> list[_Stage]:
        """The groups of a stack as functions; `prepare` makes the first one's input."""
        stages: list[_Stage] = []
        for group in _groups(stack):
            if not self.training:
                stage = partial(_run_folded, prepare, *_folded(group))
            else:
                stage = partial(_run_group, prepare, group)
                if self._checkpoints:
                    stage = partial(checkpoint, stage, use_reentrant=False, context_fn=partial(_contexts, group))
            stages.append(stage)
            prepare = _identity
        return stages


def lip_steps(frames: int, stride: int = 1) -> int:
    """The number of features of a tube of so many frames; 0 where it is too short."""
    return max(0, (frames - LIP_FRAMES) // stride + 1)


def speech_steps(samples: int, stride: int = 1) -> int:
    """The number of features of so many samples at 16 kHz; 0 where they are too few."""
    n = mel_frames(samples) - 2  # without the first and the last one
    n = (n - 2 - 3) // 2 + 1  # first convolution, first pooling
    n = (n - 2 - 2 - 3) // 2 + 1  # second convolution and pooling, last pooling
    return max(0, (n - 1) // stride + 1)


def lip_times(steps: int, fps: float, stride: int = 1) -> Tensor:
    """Seconds from the tube's start to the middle of the five frames that each feature sees, (steps,)."""
    return (stride * torch.arange(steps) + LIP_FRAMES / 2) / fps


def speech_times(steps: int, stride: int = 1) -> Tensor:
    """Seconds from the waveform's start to the middle of the 0.37 s that each feature sees, (steps,)."""
    return 0.04 * stride * torch.arange(steps) + 0.09


def _lip_stack(config: SyncNetConfig) -> nn.Sequential:
    first, second, *others = config.lip_channels
    layers = [
        *_group(3 * LIP_FRAMES, first, 7, stride=2),
        nn.MaxPool2d(3, 2),
        *_group(first, second, 5, stride=2, padding=1),
        nn.MaxPool2d(3, 2, padding=1),
    ]
    for before, channels in zip([second, *others], others, strict=False):
        layers += _group(before, channels, 3, padding=1)
    layers += [nn.MaxPool2d(3, 2), *_group(others[-1], config.feature_dim, _side_left(config.image_size))]
    return nn.Sequential(*layers)


def _speech_stack(config: SyncNetConfig) -> nn.Sequential:
    first, second, *others = config.speech_channels
    layers = [
        *_group(1, first, (5, 7), padding=2),
        nn.MaxPool2d((1, 3), (1, 2)),
        *_group(first, second, 5, stride=(2, 1), padding=1),
        nn.MaxPool2d(3, (2, 1)),
    ]
    for before, channels in zip([second, *others], others, strict=False):
        layers += _group(before, channels, 3, padding=1)
    layers += [nn.MaxPool2d(3, 2), *_group(others[-1], config.feature_dim, (4, 1), stride=(1, config.stride))]
    return nn.Sequential(*layers)


def _group(before: int, after: int, kernel: Any, *, stride: Any = 1, padding: Any = 0) -> list[nn.Module]:
    return [nn.Conv2d(before, after, kernel, stride, padding), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]


def _head(config: SyncNetConfig) -> nn.Sequential:
    width = config.feature_dim
    return nn.Sequential(
        nn.Conv1d(width, width, 1), nn.BatchNorm1d(width), nn.ReLU(), nn.Conv1d(width, config.embed_dim, 1)
    )


def _side_left(image_size: int) -> int:
    """Side of the map that the sixth group of the lip stack sees at once: 6 for 224 pixels."""
    side = (image_size - 7) // 2 + 1
    side = (side - 3) // 2 + 1
    side = (side + 2 - 5) // 2 + 1
    side = (side + 2 - 3) // 2 + 1
    return (side - 3) // 2 + 1


def _windows(frames: Tensor, stride: int) -> Tensor:
    """(B, T, 3, H, W) to (B * T', 15, H, W) float32, channels last: the five frames of each feature as channels."""
    windows = frames.permute(0, 1, 3, 4, 2).unfold(1, LIP_FRAMES, stride)  # (B, T', H, W, 3, 5)
    windows = windows.transpose(-1, -2).to(torch.float32, memory_format=torch.contiguous_format)
    return windows.flatten(-2).flatten(0, 1).permute(0, 3, 1, 2)


#: convolution, normalisation (a BatchNorm2d, whose parts torch declares optional), and the pooling after the rectifier
_Group = tuple[nn.Conv2d, Any, nn.Module]


def _groups(stack: nn.Sequential) -> Iterator[_Group]:
    layers = [*stack, None]
    for place, layer in enumerate(stack):
        if isinstance(layer, nn.Conv2d):
            pooling = layers[place + 3]
            yield layer, layers[place + 1], pooling if isinstance(pooling, nn.MaxPool2d) else nn.Identity()


def _run_group(prepare: _Stage, group: _Group, x: Tensor) -> Tensor:
    convolution, normalisation, pooling = group
    x = prepare(x).contiguous(memory_format=torch.channels_last)  # twice as fast on CPUs
    return pooling(F.relu_(normalisation(convolution(x))))


def _folded(group: _Group) -> tuple[nn.Conv2d, Tensor, Tensor, nn.Module]:
    """A group outside training: its normalisation becomes part of the weights and the bias."""
    convolution, normalisation, pooling = group
    scale = normalisation.weight * (normalisation.running_var + normalisation.eps).rsqrt()
    weight = (convolution.weight * scale[:, None, None, None]).contiguous(memory_format=torch.channels_last)
    bias = (convolution.bias - normalisation.running_mean) * scale + normalisation.bias
    return convolution, weight, bias, pooling


def _run_folded(
    prepare: _Stage, convolution: nn.Conv2d, weight: Tensor, bias: Tensor, pooling: nn.Module, x: Tensor
) -> Tensor:
    x = prepare(x).contiguous(memory_format=torch.channels_last)
    # the rectifier may follow the pooling, whose map is smaller
    return F.relu(pooling(F.conv2d(x, weight, bias, convolution.stride, convolution.padding)))


def _through(stages: list[_Stage], x: Tensor) -> Tensor:
    for stage in stages:
        x = stage(x)
    return x


def _contexts(group: _Group) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _without_statistics(group[1])


@contextmanager
def _without_statistics(normalisation: Any) -> Iterator[None]:
    """Activations that are computed a second time must not count a second time in the running statistics."""
    momentum, counted = normalisation.momentum, normalisation.num_batches_tracked.clone()
    normalisation.momentum = 0.0
    try:
        yield
    finally:
        normalisation.momentum = momentum
        normalisation.num_batches_tracked.copy_(counted)

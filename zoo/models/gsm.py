"""Global semantic matching (Video2Subtitle, section 4.2): a clip and a subtitle as one vector each, cue by cue.

A GRU, convolutions of 2, 3 and 5 steps over its states, their mean over time, and a projection; one model a cue, with
a side for the video and one for the text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...kernels.costs import cosines
from ..checkpoint import Pretrained
from ..inputs import FeatureInput
from .sequences import length_mask

KERNELS = (2, 3, 5)
#: shorter sequences are continued with zeros, so that the widest convolution sees something
LEAST_STEPS = max(KERNELS)


@dataclass
class GSMConfig:
    """Arguments of `GSM`.

    Attributes:
        cue: what the video's features show: ``object``, ``scene``, ``action``, or a name of one's own.
        video_dim: of the video's features: 2208 of DenseNet-161, 1024 of I3D.
        text_dim: of the words' vectors: 300 of GloVe.
        hidden: of the GRU.
        filters: of each convolution.
        embed_dim: of the common space.
        per_second: video features a second.
    """

    cue: str = "object"
    video_dim: int = 2208
    text_dim: int = 300
    hidden: int = 512
    filters: int = 512
    embed_dim: int = 2048
    per_second: float = 8.0


class GSM(Pretrained):
    """Clips and subtitles in one space; the cost of a pair is 1 - cosine.

    Attributes:
        preprocess: `FeatureInput`: the features that it was made for.
    """

    config_class: ClassVar[type] = GSMConfig
    config: GSMConfig

    def __init__(self, config: GSMConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or GSMConfig()
        self.preprocess = FeatureInput(video=config.video_dim, text=config.text_dim, per_second=config.per_second)
        self.video = Aggregation(config.video_dim, config)
        self.text = Aggregation(config.text_dim, config)

    def encode_video(self, features: Tensor, lengths: Tensor) -> Tensor:
        """(B, L, video_dim) features and lengths (B,), 0 allowed, to (B, embed_dim); padding changes nothing."""
        return self.video(features, lengths)

    def encode_text(self, words: Tensor, lengths: Tensor) -> Tensor:
        """(B, L, text_dim) word vectors and lengths (B,), 0 allowed, to (B, embed_dim); padding changes nothing."""
        return self.text(words, lengths)

    def forward(self, features: Tensor, lengths: Tensor, words: Tensor, word_lengths: Tensor) -> Tensor:
        """Costs (V, S) in [0, 2] of every clip with every subtitle: the least fits best."""
        return self.values(
            self.encode_video(features, lengths)[:, None], self.encode_text(words, word_lengths)[:, None]
        )

    @staticmethod
    def values(
        video: Tensor, text: Tensor, *, video_lengths: Tensor | None = None, text_lengths: Tensor | None = None
    ) -> Tensor:
        """1 - cosine of (V, 1, D) with (S, 1, D): (V, S).

        The `values` of `losses.PairwiseRanking`, with sequences of one step; the paper's margin is 0.2.
        """
        return 1.0 - cosines(video[:, 0], text[:, 0])


class Aggregation(nn.Module):
    """A sequence of any length as one vector: (B, L, width) and (B,) to (B, embed_dim)."""

    def __init__(self, width: int, config: GSMConfig) -> None:
        super().__init__()
        self.width = width
        self.gru = nn.GRU(width, config.hidden, batch_first=True)
        self.convolutions = nn.ModuleList(nn.Conv1d(config.hidden, config.filters, kernel) for kernel in KERNELS)
        self.project = nn.Linear(config.filters * len(KERNELS), config.embed_dim)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        if x.ndim != 3 or x.shape[2] != self.width or lengths.shape != x.shape[:1]:
            raise ValueError(
                f"features must be (B, L, {self.width}) with (B,) lengths, not {tuple(x.shape)} with "
                f"{tuple(lengths.shape)}"
            )
        if bool(((lengths < 0) | (lengths > x.shape[1])).any()):
            raise ValueError(f"lengths must lie between 0 and {x.shape[1]}, the features' own, not {lengths.tolist()}")
        x = F.pad(x, (0, 0, 0, max(0, LEAST_STEPS - x.shape[1])))
        x = x.where(length_mask(lengths, x.shape[1])[..., None], 0.0)
        lengths = lengths.clamp(min=LEAST_STEPS)
        states = self.gru(x)[0].transpose(1, 2)  # (B, hidden, L); a state knows nothing of what comes after it
        pooled = []
        for kernel, convolution in zip(KERNELS, self.convolutions, strict=True):
            maps = convolution(states).relu()
            counted = lengths - kernel + 1  # windows without padding
            maps = maps.where(length_mask(counted, maps.shape[2])[:, None], 0.0)
            pooled.append(maps.sum(dim=2) / counted[:, None])
        return self.project(torch.cat(pooled, dim=1))

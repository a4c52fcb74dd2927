"""The front end that Video2Subtitle trains on lip and speech features, and the alignment that scores it (section 4.1).

Each stream goes through two groups of Conv1d, ReLU, BatchNorm, AvgPool1d.  A pair's cost is 1 - cosine plus a prior on
durations (Eq. 6), aligned by soft-DSTA or by soft-DTW and divided by the number of video steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ... import kernels
from ...kernels.costs import cosines, unit, unit_cost
from ..checkpoint import Pretrained
from ..inputs import FeatureInput
from ..losses.settings import one_of
from .sequences import full_lengths, length_mask

ALIGNERS = ("soft-dsta", "soft-dtw", "dsta", "dtw")
FRONT_ENDS = ("conv", "pool", "none")
#: narrowest window of DSTA; the paper's |l_v - l_s| reaches no corner where lengths are equal
LEAST_WINDOW = 2


@dataclass
class LipSpeechConfig:
    """Arguments of `LipSpeech`.

    Attributes:
        feature_dim: of the features of both streams.
        dim: of the front end.
        front_end: ``conv``; ``pool``, its poolings alone, for features that are compared as they are; or ``none``.
        groups: of the front end; each halves the pace.
        per_second: lip features a second, before the front end.
        aligner: ``soft-dsta`` or ``soft-dtw``; ``dsta`` or ``dtw`` for scores that nothing is learnt from.
        gamma: temperature of the soft aligners, in units of cost.
        order_weight, order_margin: of DSTA (Eq. 3 and 4).
        duration_weight: of the prior on durations (Eq. 6); 0 leaves it out.
        duration_tolerance: its standard deviation after one video step, in text steps (eta of Eq. 5).
        rate: text steps per video step (omega of Eq. 5), for every language that `rates` does not name.
        rates: language code to the rate that it starts from.
        learn_rates: whether training may change them.
    """

    feature_dim: int = 512
    dim: int = 512
    front_end: str = "conv"
    groups: int = 2
    per_second: float = 25.0
    aligner: str = "soft-dsta"
    gamma: float = 0.1
    order_weight: float = 1.0
    order_margin: int = 1
    duration_weight: float = 0.1
    duration_tolerance: float = 2.0
    rate: float = 0.85
    rates: dict[str, float] = field(default_factory=dict)
    learn_rates: bool = False

    def __post_init__(self) -> None:
        one_of("front_end", self.front_end, FRONT_ENDS)
        one_of("aligner", self.aligner, ALIGNERS)
        if self.groups < 1:
            raise ValueError(f"groups must be 1 or more, not {self.groups}; front_end='none' leaves features alone")
        if any(not rate > 0 for rate in (self.rate, *self.rates.values())):
            raise ValueError(f"rates must be positive, not {[self.rate, *self.rates.values()]}")


class LipSpeech(Pretrained):
    """Scores of every lip sequence against every speech sequence.

    Attributes:
        preprocess: `FeatureInput`: the features that it was made for.
    """

    config_class: ClassVar[type] = LipSpeechConfig
    config: LipSpeechConfig
    free_arguments = frozenset(
        {"aligner", "gamma", "order_weight", "order_margin", "duration_weight", "duration_tolerance", "learn_rates"}
    )

    def __init__(self, config: LipSpeechConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or LipSpeechConfig()
        self.preprocess = FeatureInput(video=config.feature_dim, text=config.feature_dim, per_second=config.per_second)
        self.lips = FrontEnd(config)
        self.speech = FrontEnd(config)
        start = torch.tensor([config.rate, *config.rates.values()])
        self.log_rates = nn.Parameter(start.log(), requires_grad=config.learn_rates)

    def encode_lips(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, L, feature_dim) lip features and their lengths (B,) to (B, l, dim) and the lengths of these.

        Padding changes nothing, not even in training, and is zero in the output.

        Raises:
            ValueError: another shape, or a sequence too short for one step.
        """
        return self.lips(features, lengths)

    def encode_speech(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """As `encode_lips`, for speech."""
        return self.speech(features, lengths)

    def with_rates(self, speech: Tensor, languages: Sequence[str] | None = None) -> Tensor:
        """(B, m, dim) to (B, m, dim + 1): unit vectors, and beside them the rate of each text's language.

        Args:
            languages: B codes; those without a rate of their own, and None, have the common one.
        """
        rates = self.rates_of([""] * len(speech) if languages is None else languages).to(speech.device)
        return torch.cat([unit(speech), rates[:, None, None].expand(-1, speech.shape[1], 1)], dim=-1)

    def rates_of(self, languages: Sequence[str]) -> Tensor:
        """Text steps per video step in each of some languages, (B,)."""
        known = {code: row for row, code in enumerate(self.config.rates, start=1)}
        rows = [known.get(code, 0) for code in languages]
        return self.log_rates.exp()[torch.tensor(rows, dtype=torch.long, device=self.log_rates.device)]

    def values(
        self,
        lips: Tensor,
        speech: Tensor,
        *,
        video_lengths: Tensor | None = None,
        text_lengths: Tensor | None = None,
    ) -> Tensor:
        """The cost of aligning every pair: (V, n, dim) and (S, m, dim + 1) of `with_rates` to sums (V, S).

        The `values` of `losses.PairwiseRanking`, which divides by the video steps.

        Raises:
            ValueError: an aligner that is not soft, where a gradient is asked for; and as the kernels do.
        """
        config = self.config
        wants_gradient = torch.is_grad_enabled() and (lips.requires_grad or speech.requires_grad)
        if wants_gradient and not config.aligner.startswith("soft"):
            raise ValueError(
                f"{config.aligner} has no gradient: train with soft-{config.aligner}, or use torch.no_grad"
            )
        value: Any = {
            "soft-dsta": partial(kernels.pairwise_soft_dsta, gamma=config.gamma),
            "soft-dtw": partial(kernels.pairwise_soft_dtw, gamma=config.gamma),
            "dsta": kernels.pairwise_dsta,
            "dtw": kernels.pairwise_dtw,
        }[config.aligner]
        if config.aligner.endswith("dsta"):
            value = partial(
                value,
                window=self.windows(
                    full_lengths(lips) if video_lengths is None else video_lengths,
                    full_lengths(speech) if text_lengths is None else text_lengths,
                ),
                order_weight=config.order_weight,
                order_margin=config.order_margin,
            )
        return value(unit(lips), speech, video_lengths=video_lengths, text_lengths=text_lengths, cost=self._block)

    def forward(
        self,
        lips: Tensor,
        lip_lengths: Tensor,
        speech: Tensor,
        speech_lengths: Tensor,
        *,
        languages: Sequence[str] | None = None,
    ) -> Tensor:
        """Costs per video step (V, S) of every lip sequence with every speech sequence: the least fits best.

        Args:
            lips, speech: (V, L, feature_dim) and (S, M, feature_dim) features.
            lip_lengths, speech_lengths: (V,) and (S,).
            languages: S codes of the texts.
        """
        video, video_lengths = self.encode_lips(lips, lip_lengths)
        text, text_lengths = self.encode_speech(speech, speech_lengths)
        text = self.with_rates(text, languages)
        value = self.values(video, text, video_lengths=video_lengths, text_lengths=text_lengths)
        return value / video_lengths[:, None].to(value.device)

    def costs(self, lips: Tensor, speech: Tensor, video_lengths: Tensor, text_lengths: Tensor) -> Tensor:
        """Cost matrices of B pairs that belong together: (B, n, dim) and (B, m, dim + 1) of `with_rates` to (B, n, m).

        Here the prior's rate is that of the pair's lengths (section 5.2), not that of the language, which ranks
        subtitles.
        """
        own = (text_lengths / video_lengths).to(speech)[:, None].expand(speech.shape[:2])
        prior = self._prior(lips.shape[1], torch.cat([speech[..., :-1], own[..., None]], dim=-1))
        return 1.0 - cosines(lips, speech[..., :-1]) + self.config.duration_weight * prior

    def alignment(self, lips: Tensor, speech: Tensor, video_lengths: Tensor, text_lengths: Tensor) -> Tensor:
        """The expected alignment of B pairs by the soft aligner, (B, n, m): for figures."""
        config = self.config
        cost = self.costs(lips, speech, video_lengths, text_lengths)
        lengths: dict[str, Any] = {"video_lengths": video_lengths, "text_lengths": text_lengths}
        if config.aligner.endswith("dtw"):
            return kernels.soft_dtw_alignment(cost, **lengths, gamma=config.gamma)
        return kernels.soft_dsta_alignment(
            cost, **lengths, gamma=config.gamma, **self._dsta(video_lengths, text_lengths)
        )

    def labels(self, lips: Tensor, speech: Tensor, video_lengths: Tensor, text_lengths: Tensor) -> Tensor:
        """The text step of every video step on the best path of B pairs, (B, n) int64; -1 on padding.

        The first, where DTW takes several text steps for one video step.
        """
        cost = self.costs(lips, speech, video_lengths, text_lengths)
        lengths: dict[str, Any] = {"video_lengths": video_lengths, "text_lengths": text_lengths}
        if not self.config.aligner.endswith("dtw"):
            return kernels.dsta_path(cost, **lengths, **self._dsta(video_lengths, text_lengths))[1]
        _, path, path_lengths = kernels.dtw_path(cost, **lengths)
        labels = torch.full(cost.shape[:2], -1, dtype=torch.int64)
        for pair, steps in enumerate(path_lengths.tolist()):
            for i, j in reversed(path[pair, :steps].tolist()):
                labels[pair, i] = j
        return labels.to(cost.device)

    @staticmethod
    def windows(video_lengths: Tensor, text_lengths: Tensor) -> Tensor:
        """DSTA's window of every pair, (V, S): |l_v - l_s| (section 5.2), but at least 2, and wide enough to end."""
        n, m = video_lengths[:, None], text_lengths[None, :]
        least = torch.maximum((n - m).abs(), torch.div(m + n - 1, n, rounding_mode="floor"))
        return least.clamp(min=LEAST_WINDOW)

    def _dsta(self, video_lengths: Tensor, text_lengths: Tensor) -> dict[str, Any]:
        windows = self.windows(video_lengths, text_lengths).diagonal()
        return {
            "window": windows,
            "order_weight": self.config.order_weight,
            "order_margin": self.config.order_margin,
        }

    def _block(self, lips: Tensor, speech: Tensor) -> Tensor:
        """Costs (v, s, n, m) of a block of pairs."""
        weight = self.config.duration_weight
        prior = weight * self._prior(lips.shape[1], speech) if weight else None
        return unit_cost(lips, speech[..., :-1], prior)

    def _prior(self, n: int, speech: Tensor) -> Tensor:
        """(s, n, m) for texts (s, m, dim + 1), or (1, n, m) where all have one rate: it is computed once a rate."""
        rates = speech[:, 0, -1]
        distinct, which = rates.detach().unique(return_inverse=True)
        of_each = [int((which == row).nonzero()[0]) for row in range(len(distinct))]  # with its gradient
        prior = kernels.duration_prior(
            n, speech.shape[1], rate=rates[of_each], tolerance=self.config.duration_tolerance
        )
        return prior if len(distinct) == 1 else prior[which]


class FrontEnd(nn.Module):
    """Groups of Conv1d, ReLU, BatchNorm, AvgPool1d over sequences of different lengths, in the order printed."""

    def __init__(self, config: LipSpeechConfig) -> None:
        super().__init__()
        self.kind = config.front_end
        self.groups = config.groups if self.kind != "none" else 0
        self.width = config.feature_dim
        learnt = config.groups if self.kind == "conv" else 0
        widths = [config.feature_dim] + [config.dim] * learnt
        self.convolutions = nn.ModuleList(nn.Conv1d(a, b, 3, padding=1) for a, b in pairwise(widths))
        self.normalisations = nn.ModuleList(nn.BatchNorm1d(width) for width in widths[1:])

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, L, feature_dim) and (B,) to (B, l, dim) and (B,)."""
        if x.ndim != 3 or x.shape[2] != self.width or lengths.shape != x.shape[:1]:
            raise ValueError(
                f"features must be (B, L, {self.width}) with (B,) lengths, not {tuple(x.shape)} with "
                f"{tuple(lengths.shape)}"
            )
        least, most = 2**self.groups, x.shape[1]
        if len(lengths) and not least <= int(lengths.min()) <= int(lengths.max()) <= most:
            raise ValueError(
                f"lengths must lie between {least}, of which the front end makes one step, and {most}, the features' "
                f"own; not {lengths.tolist()}"
            )
        x = _zero_padding(x, lengths)
        for group in range(self.groups):
            if self.kind == "conv":
                x = self.convolutions[group](x.transpose(1, 2)).relu().transpose(1, 2)
                x = _normalise_steps(self.normalisations[group], x, lengths)
            x = F.avg_pool1d(x.transpose(1, 2), 2).transpose(1, 2)
            lengths = lengths // 2
            x = _zero_padding(x, lengths)
        return x, lengths


def pooled_times(times: Tensor, groups: int = 2) -> Tensor:
    """The seconds that steps of the front end stand for, from those of its features: means of each 2 ** groups."""
    share = 2**groups
    return times[: len(times) // share * share].view(-1, share).mean(dim=1)


def _zero_padding(x: Tensor, lengths: Tensor) -> Tensor:
    return x.where(length_mask(lengths.to(x.device), x.shape[1])[..., None], 0.0)


def _normalise_steps(normalisation: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
    """BatchNorm over the real steps alone."""
    real = length_mask(lengths.to(x.device), x.shape[1])
    return torch.zeros_like(x).index_put((real,), normalisation(x[real]))

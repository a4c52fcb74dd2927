"""From similarities to labels: double Drop-DTW with drop costs tuned on annotated videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from ..kernels import drop_dtw, logit_costs, percentile_drop
from .plain import Plain

Policy = Literal["constant", "percentile", "logit"]

#: cells decoded in one call; enough pairs to amortise a row's overhead, few enough to stay in cache
_CELLS_PER_CALL = 2_000_000


@dataclass
class VideoSimilarity:
    """What decoding and scoring need of one video; tensors on the CPU.

    Attributes:
        id: the video's id.
        language: code of its narration's language.
        similarity: (n, m) float32 cosines of clips and sentences.
        clips: (n, 2) seconds.
        segments: (m, 2) seconds, a NaN row for a sentence that people left unmatched.
        narrations: (m, 2) seconds, a NaN row where the spoken time is unknown.
        annotated: whether people annotated it; if False it can be decoded, not scored.
        clip_vectors: (n, D) float32 unit vectors, for retrieval; None where they were not kept, or there are none.
        sentence_vectors: (m, D), likewise.
    """

    id: str
    language: str
    similarity: Tensor
    clips: Tensor
    segments: Tensor
    narrations: Tensor
    annotated: bool
    clip_vectors: Tensor | None = None
    sentence_vectors: Tensor | None = None

    @property
    def film(self) -> str:
        """The film that it tells: where a set was built of several languages, its id after the language's code."""
        return self.id.removeprefix(f"{self.language}_")

    @property
    def has_times(self) -> bool:
        """Whether it is known when any of its sentences is spoken."""
        return not bool(self.narrations.isnan().all())

    @property
    def gaps(self) -> Tensor | None:
        """(n, m) seconds between clips and narrations, None where no time is known; see `narration_gaps`."""
        return narration_gaps(self.clips, self.narrations) if self.has_times else None


def narration_gaps(clips: Tensor, narrations: Tensor) -> Tensor:
    """Seconds between each clip (n, 2) and the time at which each sentence (m, 2) is spoken: (n, m) float32.

    0 where they overlap, and where the time is unknown (NaN).
    """
    late = clips[:, None, 0] - narrations[None, :, 1]
    early = narrations[None, :, 0] - clips[:, None, 1]
    return torch.maximum(late, early).clamp(min=0).nan_to_num(0.0).float()


@dataclass(frozen=True)
class Decoder(Plain):
    """Turns similarities into labels; saved with the model whose similarities it was tuned on.

    Attributes:
        drop_clip: what dropping a clip costs.  Under "constant" a number beside costs 1 - cosine in [0, 2]; under
            "percentile" a share in [0, 1], the quantile of the video's own costs; under "logit" the share of entries
            that beat "none of the sentences" (see `kernels.logit_costs`).
        drop_sentence: what dropping a sentence costs, in the same unit; under "logit" nats.
        policy: which of the three.
        contiguous: whether the clips of one sentence must be neighbours.
        timing: how much similarity a pair loses for each second between the clip and the narration of the sentence:
            subtitles are wrong more often than right, but seldom by much.  0 is similarity alone, as in the paper.
        untimed: with `timing`, the two drop costs that suit similarity alone, for a text without times; None: the same.
        within: a clip may take only sentences whose narration is at most so many seconds away from it (M-SyMoN section
            6.5 takes one second).  The distance is that of the two intervals, 0 where they overlap, which is
            `narration_gaps`; a sentence whose time is unknown may go anywhere.  None: no limit.
        band: a clip may take only sentences at most so many places away from where an even pace would be; for whole
            films, where it bounds the work (see `kernels.drop_dtw`).  None: no limit.
    """

    drop_clip: float
    drop_sentence: float
    policy: Policy = "percentile"
    contiguous: bool = True
    timing: float = 0.0
    untimed: tuple[float, float] | None = None
    within: float | None = None
    band: int | None = None

    def __post_init__(self) -> None:
        if self.policy not in get_args(Policy):
            raise ValueError(f"policy must be one of {', '.join(get_args(Policy))}, not {self.policy!r}")
        most = 1.0 if self.policy == "percentile" else np.inf
        for name, value in (("drop_clip", self.drop_clip), ("drop_sentence", self.drop_sentence)):
            if not 0 <= value <= most or np.isinf(value):
                raise ValueError(f"{name} must lie in [0, {most:g}] and be finite under {self.policy!r}, not {value}")

        if not 0 <= self.timing < np.inf:
            raise ValueError(f"timing must be finite and not negative, not {self.timing}")
        if self.within is not None and not 0 <= self.within < np.inf:
            raise ValueError(f"within must be seconds, finite and not negative, not {self.within}")
        if self.band is not None and self.band < 0:
            raise ValueError(f"band must be a number of sentences, not {self.band}")

    def decode(self, similarities: Sequence[Tensor], gaps: Sequence[Tensor | None] | None = None) -> list[Tensor]:
        """Labels (n,) int64 for each (n, m) of `similarities`: the 0-based sentence of each clip, -1 for dropped.

        `gaps` are `narration_gaps` (n, m), for `timing` and `within`; None for a video without times.

        Raises ValueError, with the place in the list, for a matrix that is not (n, m) or holds NaN, and for a limit in
        seconds without gaps.
        """
        for place, similarity in enumerate(similarities):
            if similarity.dim() != 2 or similarity.isnan().any():
                raise ValueError(f"similarity {place} must be (n, m) without NaN; it is {tuple(similarity.shape)}")
        if gaps is None or all(each is None for each in gaps):
            if self.within is not None and similarities:
                raise ValueError(f"clips within {self.within:g} s of the narration: its times are needed")
            gaps = [None] * len(similarities)
        untimed = self.without_times()
        problems = [
            untimed.problem(similarity) if gap is None else self.problem(similarity, gap)
            for similarity, gap in zip(similarities, gaps, strict=True)
        ]
        return solve(problems, self)

    def without_times(self) -> Decoder:
        """The decoder of a text whose narration times are unknown."""
        clip, sentence = self.untimed or (self.drop_clip, self.drop_sentence)
        return replace(self, drop_clip=clip, drop_sentence=sentence, timing=0.0, untimed=None, within=None)

    def problem(self, similarity: Tensor, gaps: Tensor | None = None) -> Problem:
        """The arguments of `drop_dtw` for one video: its similarities (n, m), and its gaps."""
        drop_video: Tensor | float = self.drop_clip
        drop_text = self.drop_sentence
        if gaps is not None:
            similarity = apply_timing(similarity, gaps, self.timing)
        if self.policy == "logit":
            cost, drop_video = logit_costs(similarity, keep_share=self.drop_clip)
        else:
            cost = 1.0 - similarity
        if self.policy == "percentile":
            drop_video, drop_text = percentile_drop(cost, torch.tensor([self.drop_clip, self.drop_sentence])).tolist()
        return Problem(cost if gaps is None else self.limited(cost, gaps), drop_video, drop_text)

    def limited(self, cost: Tensor, gaps: Tensor) -> Tensor:
        """`cost`, infinite where the narration is further away than `within`."""
        return cost if self.within is None else cost.masked_fill(gaps > self.within, torch.inf)


#: for a model that saw no annotated video: what validation on the synthetic story world chooses
DEFAULT = Decoder(0.1, 0.03)


def chance_of_order(similarity: Tensor, decoder: Decoder, *, shuffles: int = 39, seed: int = 0) -> float:
    """How often a video aligns as well with its sentences shuffled: near 0 where the model tells them apart.

    The p-value of a permutation test: the cheapest alignment of (n, m) similarities against `shuffles` random orders of
    the sentences.  Between 1 / (shuffles + 1) and 1; 1 with fewer than two sentences.
    """
    if similarity.shape[1] < 2:
        return 1.0
    chance = torch.Generator().manual_seed(seed)
    orders = [torch.arange(similarity.shape[1])]
    orders += [torch.randperm(similarity.shape[1], generator=chance) for _ in range(shuffles)]
    asked = decoder.without_times().problem(similarity)
    drop_video = torch.as_tensor(asked.drop_video).expand(len(similarity))
    together = max(1, _CELLS_PER_CALL // max(1, similarity.numel()))  # orders of a whole film go one by one
    paid = torch.cat(
        [
            drop_dtw(
                torch.stack([asked.cost[:, order] for order in orders[start : start + together]]),
                drop_video,
                asked.drop_text,
                contiguous=decoder.contiguous,
                band=decoder.band,
            )[0]
            for start in range(0, len(orders), together)
        ]
    )
    return float((paid <= paid[0]).sum()) / len(orders)


@dataclass
class Problem:
    """The arguments of `drop_dtw` for one video."""

    cost: Tensor  # (n, m)
    drop_video: Tensor | float  # (n,) or a number
    drop_text: float


def apply_timing(similarity: Tensor, gaps: Tensor, timing: float) -> Tensor:
    """Similarities (n, m) less `timing` for each second of the `gaps` (n, m) between clips and narrations.

    Raises ValueError where the two are not of one shape.
    """
    if gaps.shape != similarity.shape:
        raise ValueError(f"gaps {tuple(gaps.shape)} are not of the similarities {tuple(similarity.shape)}")
    return similarity - timing * gaps


def solve(problems: Sequence[Problem], decoder: Decoder) -> list[Tensor]:
    """Labels for each problem: sorted by size, padded together, a few calls for all.

    Of `decoder` only what all problems share counts: `contiguous` and `band`.
    """
    labels: list[Tensor] = [torch.empty(0, dtype=torch.int64)] * len(problems)
    order = sorted(range(len(problems)), key=lambda place: tuple(problems[place].cost.shape))
    while order:
        n, m = problems[order[-1]].cost.shape
        count = max(1, _CELLS_PER_CALL // ((n + 1) * (m + 1)))
        batch, order = order[-count:], order[:-count]
        m = max(problems[place].cost.shape[1] for place in batch)
        cost = torch.zeros(len(batch), n, m)
        drop_video, drop_text = torch.zeros(len(batch), n), torch.zeros(len(batch), m)
        for row, place in enumerate(batch):
            problem = problems[place]
            rows, columns = problem.cost.shape
            cost[row, :rows, :columns] = problem.cost
            drop_video[row, :rows] = torch.as_tensor(problem.drop_video)
            drop_text[row, :columns] = problem.drop_text
        _, found = drop_dtw(
            cost,
            drop_video,
            drop_text,
            video_lengths=torch.tensor([problems[place].cost.shape[0] for place in batch]),
            text_lengths=torch.tensor([problems[place].cost.shape[1] for place in batch]),
            contiguous=decoder.contiguous,
            band=decoder.band,
        )
        for row, place in enumerate(batch):
            labels[place] = found[row, : problems[place].cost.shape[0]].clone()
    return labels

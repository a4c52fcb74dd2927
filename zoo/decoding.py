"""From similarities to labels: double Drop-DTW, and the drop costs that annotated videos choose for it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..kernels import drop_dtw, logit_costs, percentile_drop
from .metrics import VideoScorer, scored_rows

Policy = Literal["constant", "percentile", "logit"]

#: cells decoded in one call; enough pairs to amortise a row's overhead, few enough to stay in cache
_CELLS_PER_CALL = 2_000_000

#: F1 without credit does not care whether a clip with nothing to show is dropped, and people do: so near to the best,
#: F1 with credit decides
_AS_GOOD = 0.005

#: where in the distribution of costs `tune` looks for drop costs; similarities of right pairs lie in the low tail
_CLIP_SHARES = (0.01, 0.03, 0.06, 0.1, 0.2, 0.35, 0.6, 1.0)
_SENTENCE_SHARES = (0.0, 0.01, 0.03, 0.1, 0.25, 0.5, 1.0)

#: what a second between a clip and its sentence's narration may cost, in deviations of the similarities
TIMINGS = (0.0, 0.05, 0.1, 0.2)


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
    def gaps(self) -> Tensor:
        """(n, m) seconds between clips and narrations; see `narration_gaps`."""
        return narration_gaps(self.clips, self.narrations)


def narration_gaps(clips: Tensor, narrations: Tensor) -> Tensor:
    """Seconds between each clip (n, 2) and the time at which each sentence (m, 2) is spoken: (n, m) float32.

    0 where they overlap, and where the time is unknown (NaN).
    """
    late = clips[:, None, 0] - narrations[None, :, 1]
    early = narrations[None, :, 0] - clips[:, None, 1]
    return torch.maximum(late, early).clamp(min=0).nan_to_num(0.0).float()


@dataclass(frozen=True)
class Decoder:
    """How similarities become labels; saved with the model whose similarities it was tuned on.

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
    """

    drop_clip: float
    drop_sentence: float
    policy: Policy = "percentile"
    contiguous: bool = True
    timing: float = 0.0
    untimed: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.untimed is not None:  # a list, where it comes from JSON
            clip, sentence = self.untimed
            object.__setattr__(self, "untimed", (clip, sentence))
        if self.policy not in get_args(Policy):
            raise ValueError(f"policy must be one of {', '.join(get_args(Policy))}, not {self.policy!r}")
        most = 1.0 if self.policy == "percentile" else np.inf
        for name, value in (("drop_clip", self.drop_clip), ("drop_sentence", self.drop_sentence)):
            if not 0 <= value <= most or np.isinf(value):
                raise ValueError(f"{name} must lie in [0, {most:g}] and be finite under {self.policy!r}, not {value}")

        if not 0 <= self.timing < np.inf:
            raise ValueError(f"timing must be finite and not negative, not {self.timing}")

    def decode(self, similarities: Sequence[Tensor], gaps: Sequence[Tensor] | None = None) -> list[Tensor]:
        """Labels (n,) int64 for each (n, m) of `similarities`: the 0-based sentence of each clip, -1 for dropped.

        `gaps` are `narration_gaps` (n, m), for `timing`; without them similarity alone decides.

        Raises ValueError, naming the position in the list, for a matrix that is not (n, m) or holds NaN.
        """
        for place, similarity in enumerate(similarities):
            if similarity.dim() != 2 or similarity.isnan().any():
                raise ValueError(f"similarity {place} must be (n, m) without NaN; it is {tuple(similarity.shape)}")
        if self.timing and gaps is None:
            return self.without_times().decode(similarities)
        if gaps is not None:
            similarities = [_timed(*pair, self.timing) for pair in zip(similarities, gaps, strict=True)]
        return _solve([_problem(similarity, self) for similarity in similarities], self.contiguous)

    def without_times(self) -> Decoder:
        """The decoder of a text whose narration times are unknown."""
        clip, sentence = self.untimed or (self.drop_clip, self.drop_sentence)
        return replace(self, drop_clip=clip, drop_sentence=sentence, timing=0.0, untimed=None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; `from_dict` is the way back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Decoder:
        """Raises ValueError for unknown or missing fields."""
        try:
            return cls(**data)
        except TypeError as fault:
            raise ValueError(f"not a decoder: {fault}") from fault


#: for a model that saw no annotated video: what validation on the synthetic story world chooses
DEFAULT = Decoder(0.1, 0.03)


@dataclass
class CrossValidation:
    """Every video decoded by a decoder that was tuned without it.

    Attributes:
        decoder: the one tuned on all videos.
        labels: (n,) for each video id.
        scores: clip accuracy, sentence IoU and F1 for each video id.
        folds: for each fold, the decoder that its other folds chose.
    """

    decoder: Decoder
    labels: dict[str, Tensor]
    scores: dict[str, tuple[float, float, float]]
    folds: list[Decoder] = field(default_factory=list)


def tune(
    videos: Sequence[VideoSimilarity],
    *,
    policies: Sequence[Policy] = ("constant",),
    timings: Sequence[float] = TIMINGS,
    contiguous: bool = True,
) -> Decoder:
    """The decoder with the best mean per-video F1 on annotated videos.

    Constant drop costs (M-SyMoN, appendix E.1) by default: with few videos a larger grid fits their noise.  Of those
    within half a point of the best, the one that scores best with credit for dropped clips is taken.  `timings` are in
    deviations of the similarities; ``(0.0,)`` decodes by similarity alone, as the paper does.

    Raises ValueError where no video is annotated.
    """
    videos = _annotated(videos)
    grid = _grid(videos, policies, contiguous, timings)
    return _chosen(_f1_table(videos, grid), grid)


def cross_validated(
    videos: Sequence[VideoSimilarity],
    folds: int = 5,
    *,
    policies: Sequence[Policy] = ("constant",),
    timings: Sequence[float] = TIMINGS,
    contiguous: bool = True,
    seed: int = 0,
) -> CrossValidation:
    """`tune` where there is no validation split: each fold is decoded with what the others chose.

    The videos are sorted by id and dealt to the folds by `seed`, so that their order does not matter.
    Raises ValueError where fewer than two videos are annotated.
    """
    videos = sorted(_annotated(videos), key=lambda video: video.id)
    if len(videos) < 2:
        raise ValueError("cross-validation needs two annotated videos at least; give a decoder instead")
    grid = _grid(videos, policies, contiguous, timings)
    table = _f1_table(videos, grid)
    fold = np.random.default_rng(seed).permutation(len(videos)) % min(folds, len(videos))
    chosen = [_chosen(table[fold != k], grid) for k in range(fold.max() + 1)]
    result = CrossValidation(_chosen(table, grid), {}, {}, chosen)
    for video, k in zip(videos, fold, strict=True):
        labels = chosen[k].decode([video.similarity], [video.gaps])[0]
        result.labels[video.id] = labels
        scores = VideoScorer(video.clips, video.segments)(labels.numpy())
        result.scores[video.id] = (float(scores[0]), float(scores[1]), float(scores[2]))
    return result


def chance_of_order(similarity: Tensor, decoder: Decoder, *, shuffles: int = 39, seed: int = 0) -> float:
    """How often a video aligns as well with its sentences shuffled: near 0 where the model tells them apart.

    A permutation test of the cheapest alignment of (n, m) similarities against `shuffles` random orders of the
    sentences; from 1 / (shuffles + 1) to 1, and 1 where there are fewer than two sentences.  On the synthetic world a
    trained model stays below 0.05 on 96 % of the videos, one of random weights on 4 %.
    """
    if similarity.shape[1] < 2:
        return 1.0
    chance = torch.Generator().manual_seed(seed)
    orders = [torch.arange(similarity.shape[1])]
    orders += [torch.randperm(similarity.shape[1], generator=chance) for _ in range(shuffles)]
    problem = _problem(similarity, decoder.without_times())
    cost = torch.stack([problem.cost[:, order] for order in orders])
    drop_video = torch.as_tensor(problem.drop_video).expand(len(orders), len(similarity))
    paid, _ = drop_dtw(cost, drop_video, problem.drop_text, contiguous=decoder.contiguous)
    return float((paid <= paid[0]).sum()) / len(orders)


def _annotated(videos: Iterable[VideoSimilarity]) -> list[VideoSimilarity]:
    kept = [video for video in videos if video.annotated]
    if not kept:
        raise ValueError("no annotated video to score against; drop costs cannot be tuned here")
    return kept


def _grid(
    videos: Sequence[VideoSimilarity], policies: Sequence[Policy], contiguous: bool, timings: Sequence[float] = TIMINGS
) -> list[Decoder]:
    """Decoders worth trying; constants are quantiles of all costs, so that they suit any spread of similarities."""
    grid: list[Decoder] = []
    similarities = torch.cat([video.similarity.flatten() for video in videos])
    spread = float(similarities.std()) if len(similarities) > 1 else 0.0
    told = any(not video.narrations.isnan().all() for video in videos)
    losses = [timing * spread for timing in timings] if told else [0.0]
    for policy in policies:
        clip: Sequence[float] = _CLIP_SHARES
        sentence: Sequence[float] = _SENTENCE_SHARES
        if policy == "constant":
            thinned = 1.0 - similarities[:: max(1, len(similarities) // 1_000_000)]
            clip = percentile_drop(thinned, torch.tensor(_CLIP_SHARES)).clamp(min=0).tolist()
            sentence = percentile_drop(thinned, torch.tensor(_SENTENCE_SHARES)).clamp(min=0).tolist()
        elif policy == "logit":
            clip, sentence = (0.03, 0.1, 0.2, 0.3, 0.5, 0.8), (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
        grid += [Decoder(a, b, policy, contiguous, t) for t, a, b in itertools.product(losses, clip, sentence)]
    return grid


@dataclass
class _Problem:
    """What `drop_dtw` is asked for one video."""

    cost: Tensor  # (n, m)
    drop_video: Tensor | float  # (n,) or a number
    drop_text: float


def _timed(similarity: Tensor, gaps: Tensor, timing: float) -> Tensor:
    if gaps.shape != similarity.shape:
        raise ValueError(f"gaps {tuple(gaps.shape)} are not of the similarities {tuple(similarity.shape)}")
    return similarity - timing * gaps


def _problem(similarity: Tensor, decoder: Decoder) -> _Problem:
    if decoder.policy == "logit":
        cost, drop_video = logit_costs(similarity, keep_share=decoder.drop_clip)
        return _Problem(cost, drop_video, decoder.drop_sentence)
    cost = 1.0 - similarity
    if decoder.policy == "constant":
        return _Problem(cost, decoder.drop_clip, decoder.drop_sentence)
    clip, sentence = percentile_drop(cost, torch.tensor([decoder.drop_clip, decoder.drop_sentence])).tolist()
    return _Problem(cost, clip, sentence)


def _solve(problems: Sequence[_Problem], contiguous: bool) -> list[Tensor]:
    """Labels for each problem: sorted by size, padded together, a few calls for all."""
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
            contiguous=contiguous,
        )
        for row, place in enumerate(batch):
            labels[place] = found[row, : problems[place].cost.shape[0]].clone()
    return labels


def _f1_table(videos: Sequence[VideoSimilarity], grid: Sequence[Decoder]) -> NDArray[np.float64]:
    """F1 of every decoder on every video, without and with credit for dropped clips: (videos, 2, grid).

    NaN where a video has nothing to score.
    """
    table = np.full((len(videos), 2, len(grid)), np.nan)
    shares = torch.tensor(_CLIP_SHARES + _SENTENCE_SHARES)
    problems: list[_Problem] = []
    for video in videos:
        gaps = video.gaps
        for timing, decoders in itertools.groupby(grid, lambda decoder: decoder.timing):
            similarity = _timed(video.similarity, gaps, timing)
            cost = 1.0 - similarity
            # one sort of the video's costs serves all of these
            quantile = dict(zip(shares.tolist(), percentile_drop(cost, shares).tolist(), strict=True))
            for decoder in decoders:
                if decoder.policy == "percentile":
                    clip = quantile[float(np.float32(decoder.drop_clip))]
                    sentence = quantile[float(np.float32(decoder.drop_sentence))]
                    problems.append(_Problem(cost, clip, sentence))
                else:
                    problems.append(_problem(similarity, decoder))
    labels = _solve(problems, grid[0].contiguous)
    for row, video in enumerate(videos):
        stacked = torch.stack(labels[row * len(grid) : (row + 1) * len(grid)]).numpy()
        for credit in (False, True):
            scorer = VideoScorer(video.clips, video.segments, credit_unmatched=credit)
            table[row, int(credit)] = scorer(stacked)[:, 2]
    return table


def _chosen(table: NDArray[np.float64], grid: Sequence[Decoder]) -> Decoder:
    """The best decoder; where it uses times, with the drop costs that are best without them."""
    best = grid[_best(table)]
    alone = [place for place, each in enumerate(grid) if each.timing == 0 and each.policy == best.policy]
    if best.timing == 0 or not alone:
        return best
    plain = grid[alone[_best(table[:, :, alone])]]
    return replace(best, untimed=(plain.drop_clip, plain.drop_sentence))


def _best(table: NDArray[np.float64]) -> int:
    """The decoder with the best mean F1; of those that come as near as `_AS_GOOD`, the one that drops best."""
    scored = scored_rows({str(row): values.ravel() for row, values in enumerate(table)})
    if len(scored) == 0:
        raise ValueError("none of the annotated videos has clips and a matched sentence; drop costs cannot be tuned")
    plain, credited = scored.mean(axis=0).reshape(2, -1)
    return int(np.where(plain >= plain.max() - _AS_GOOD, credited, -1.0).argmax())

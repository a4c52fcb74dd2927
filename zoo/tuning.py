"""Drop costs tuned on annotated videos: a grid of decoders, scored on every video."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..kernels import percentile_drop
from .decoding import Decoder, Policy, Problem, VideoSimilarity, apply_timing, solve
from .metrics import VideoScorer, complete_rows

#: F1 without credit does not care whether a clip with nothing to show is dropped, and people do: so near to the best,
#: F1 with credit decides
_AS_GOOD = 0.005

#: where in the distribution of costs `tune` looks for drop costs; similarities of right pairs lie in the low tail
_CLIP_SHARES = (0.01, 0.03, 0.06, 0.1, 0.2, 0.35, 0.6, 1.0)
_SENTENCE_SHARES = (0.0, 0.01, 0.03, 0.1, 0.25, 0.5, 1.0)

#: what a second between a clip and its sentence's narration may cost, in deviations of the similarities
TIMINGS = (0.0, 0.05, 0.1, 0.2)


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
    within: float | None = None,
) -> Decoder:
    """The decoder with the best mean per-video F1 on annotated videos.

    Constant drop costs (M-SyMoN, appendix E.1) by default, as few videos would overfit a larger grid.  Among decoders
    within half a point of the best, the best with credit for dropped clips is taken.  `timings` are in standard
    deviations of the similarities; ``(0.0,)`` is similarity alone, as in the paper.  `contiguous` and `within` are the
    decoder's.

    Raises ValueError where no video is annotated, or `within` is given and no narration has times.
    """
    videos = _annotated(videos)
    grid = _grid(videos, policies, contiguous, timings, within)
    return _chosen(_f1_table(videos, grid), grid)


def cross_validate(
    videos: Sequence[VideoSimilarity],
    folds: int = 5,
    *,
    policies: Sequence[Policy] = ("constant",),
    timings: Sequence[float] = TIMINGS,
    contiguous: bool = True,
    seed: int = 0,
) -> CrossValidation:
    """`tune` where there is no validation split: each fold is decoded with what the others chose.

    Videos are sorted by id and assigned to folds by `seed`; their order does not matter.
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


def _annotated(videos: Iterable[VideoSimilarity]) -> list[VideoSimilarity]:
    kept = [video for video in videos if video.annotated]
    if not kept:
        raise ValueError("no annotated video to score against; drop costs cannot be tuned here")
    return kept


def _grid(
    videos: Sequence[VideoSimilarity],
    policies: Sequence[Policy],
    contiguous: bool,
    timings: Sequence[float] = TIMINGS,
    within: float | None = None,
) -> list[Decoder]:
    """Decoders worth trying; constants are quantiles of all costs, so that they suit any spread of similarities."""
    grid: list[Decoder] = []
    similarities = torch.cat([video.similarity.flatten() for video in videos])
    spread = float(similarities.std()) if len(similarities) > 1 else 0.0
    has_times = any(video.has_times for video in videos)
    if within is not None and not has_times:
        raise ValueError(f"clips within {within:g} s of the narration: no annotated video has its times")
    losses = [timing * spread for timing in timings] if has_times else [0.0]
    for policy in policies:
        clip: Sequence[float] = _CLIP_SHARES
        sentence: Sequence[float] = _SENTENCE_SHARES
        if policy == "constant":
            thinned = 1.0 - similarities[:: max(1, len(similarities) // 1_000_000)]
            clip = percentile_drop(thinned, torch.tensor(_CLIP_SHARES)).clamp(min=0).tolist()
            sentence = percentile_drop(thinned, torch.tensor(_SENTENCE_SHARES)).clamp(min=0).tolist()
        elif policy == "logit":
            clip, sentence = (0.03, 0.1, 0.2, 0.3, 0.5, 0.8), (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
        grid += [
            Decoder(a, b, policy, contiguous, t, within=within) for t, a, b in itertools.product(losses, clip, sentence)
        ]
    return grid


def _f1_table(videos: Sequence[VideoSimilarity], grid: Sequence[Decoder]) -> NDArray[np.float64]:
    """F1 of every decoder on every video, without and with credit for dropped clips: (videos, 2, grid).

    NaN where a video has nothing to score.
    """
    table = np.full((len(videos), 2, len(grid)), np.nan)
    for row, video in enumerate(videos):
        stacked = torch.stack(solve(_problems(video, grid), grid[0])).numpy()
        for credit in (False, True):
            scorer = VideoScorer(video.clips, video.segments, credit_unmatched=credit)
            table[row, int(credit)] = scorer(stacked)[:, 2]
    return table


def _problems(video: VideoSimilarity, grid: Sequence[Decoder]) -> list[Problem]:
    """One video's alignment problem under each decoder of the grid; what they share is computed once."""
    shares = torch.tensor(_CLIP_SHARES + _SENTENCE_SHARES)
    problems: list[Problem] = []
    gaps = video.gaps
    for timing, decoders in itertools.groupby(grid, lambda decoder: decoder.timing):
        plain = 1.0 - (video.similarity if gaps is None else apply_timing(video.similarity, gaps, timing))
        cost = plain if gaps is None else grid[0].limited(plain, gaps)
        # one sort of the video's costs serves all of these, and one posterior each share of entries
        quantile = dict(zip(shares.tolist(), percentile_drop(plain, shares).tolist(), strict=True))
        posterior: dict[float, Problem] = {}
        for decoder in decoders:
            if decoder.policy == "logit":
                known = posterior.get(decoder.drop_clip) or decoder.problem(video.similarity, gaps)
                posterior[decoder.drop_clip] = known
                problems.append(replace(known, drop_text=decoder.drop_sentence))
            elif decoder.policy == "percentile":
                clip, sentence = (float(np.float32(drop)) for drop in (decoder.drop_clip, decoder.drop_sentence))
                problems.append(Problem(cost, quantile[clip], quantile[sentence]))
            else:
                problems.append(Problem(cost, decoder.drop_clip, decoder.drop_sentence))
    return problems


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
    scored = complete_rows({str(row): values.ravel() for row, values in enumerate(table)})
    if len(scored) == 0:
        raise ValueError("none of the annotated videos has clips and a matched sentence; drop costs cannot be tuned")
    plain, credited = scored.mean(axis=0).reshape(2, -1)
    return int(np.where(plain >= plain.max() - _AS_GOOD, credited, -1.0).argmax())

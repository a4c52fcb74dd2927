"""Text-to-video retrieval: the rank of a sentence's right clip among all clips of a test set.

M-SyMoN, appendix D, with these choices where it leaves one:

- A clip is relevant to a sentence whose segment covers at least half of it; if there is none, the clip covered best.  A
  sentence without a segment, or whose segment meets no clip, is no query.
- The best-ranked relevant clip counts.
- Metrics are expectations over all orders of tied clips, so a model whose scores are all equal is at chance.

Scores are exact: vectors are rounded to multiples of 2^-25 (the error of a float32 cosine), so products of unit vectors
sum in float64 without rounding, in any order, and ties are ties.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ..datamodules.batches import overlap_seconds
from .decoding import VideoSimilarity
from .metrics import Floats, Interval, interval, resample, resample_groups

#: the gallery of all languages together, and the mean of the languages' figures, each in its own gallery
ALL, MEAN = "all clips", "mean over languages"
RECALLS = (1, 5, 10)

#: sentences and clips that are compared at once: 16 MiB of scores, which the nearest caches hold in part
_BLOCK = (256, 8192)
_GRID = 2.0**25
_LONGEST = 1.01  # bfloat16 leaves a unit vector within half a per cent

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Ranks:
    """The rank of the best relevant clip of each of Q sentences; int64 (Q,).

    Attributes:
        better: clips that score higher.
        tied: irrelevant clips that score the same.
        relevant: relevant clips of that score, itself among them.
    """

    better: Integers
    tied: Integers
    relevant: Integers

    def expected(self) -> Floats:
        """Mean rank over every order of the tied clips, 1 for the first: (Q,)."""
        return 1.0 + self.better + self.tied / (self.relevant + 1)

    def recall(self, most: int) -> Floats:
        """How likely a relevant clip is among the first `most`, over every order of the tied clips: (Q,) in [0, 1]."""
        missed = np.ones(len(self.better))
        for place in range(most):
            # the place-th of the tied clips still comes within `most`: it is irrelevant, if those before it were
            left = np.maximum(self.tied - place, 0) / np.maximum(self.tied + self.relevant - place, 1)
            missed *= np.where(self.better + place < most, left, 1.0)
        return 1.0 - missed


@dataclass(frozen=True)
class Retrieval:
    """The figures of one gallery, with bootstrap intervals over videos (the gallery itself stays as it is).

    Attributes:
        name: a language whose sentences are sought among the clips of its own videos; `ALL`; or `MEAN`.
        videos: how many have a sentence that is a query.
        sentences: how many queries there are.
        clips: in the gallery.
        r1, r5, r10: share of the sentences with a relevant clip among the first.
        mean_rank: of the best relevant clip, 1 for the first.
        median_rank: the same.
        chance: R@1, R@5, R@10 and mean rank of a model that scores every clip alike.
    """

    name: str
    videos: int
    sentences: int
    clips: int
    r1: Interval
    r5: Interval
    r10: Interval
    mean_rank: Interval
    median_rank: float
    chance: tuple[float, ...]


def relevance(clips: ArrayLike, segments: ArrayLike) -> NDArray[np.bool_]:
    """Which clips (n, 2) show what which sentence (m, 2) describes, by its annotated segment: (n, m); see the module.

    A column without any is no query: its segment is NaN, or meets no clip.
    """
    clips, segments = (np.asarray(spans, dtype=np.float64).reshape(-1, 2) for spans in (clips, segments))
    if len(clips) == 0 or len(segments) == 0:
        return np.zeros((len(clips), len(segments)), dtype=bool)
    length = clips[:, 1:] - clips[:, :1]
    share = overlap_seconds(clips, segments) / np.where(length > 0, length, np.inf)
    relevant = share >= 0.5
    best = share.argmax(axis=0)
    lone = ~relevant.any(axis=0) & (share.max(axis=0) > 0)
    relevant[best[lone], lone] = True
    return relevant


def retrieval(
    videos: Iterable[VideoSimilarity],
    *,
    resamples: int = 2000,
    seed: int = 0,
    block: tuple[int, int] = _BLOCK,
    track: Callable[[int, int], None] | None = None,
) -> list[Retrieval]:
    """Rank the clips of annotated videos for each of their matched sentences.

    Args:
        videos: with their `clip_vectors` and `sentence_vectors`; in any order.
        resamples, seed: of the bootstrap over videos, in which a film told in several languages is one.
        block: how many sentences and clips are compared at once; the result does not depend on it.
        track: called with the number of comparisons done and of all.

    Returns:
        One row for each language in its own gallery, then `MEAN` and `ALL`; of one language, its row alone.

    Raises:
        ValueError: no annotated video with a query, or one without vectors.
    """
    queries = _Queries.of(videos)
    best, ties = _best_relevant(queries.sentences, queries.clips, queries.relevant)
    above, level = _compare(queries.sentences, queries.clips, best, queries.spans, block, track)

    galleries: dict[str, _Gallery] = {}
    for place, (language, (start, stop)) in enumerate(zip(queries.languages, queries.spans, strict=True)):
        own = queries.language == place
        if own.any():
            ranks = Ranks(above[own, place], level[own, place] - ties[own], ties[own])
            galleries[language] = _Gallery(ranks, queries.count[own], queries.video[own], stop - start)
    tables = {language: each.table() for language, each in galleries.items()}
    figures = resample_groups(tables, _per_sentence, resamples=resamples, seed=seed, film=queries.film)
    rows = [each.row(language, *figures[language]) for language, each in galleries.items()]
    if len(rows) == 1:
        return rows
    ranks = Ranks(above.sum(axis=1), level.sum(axis=1) - ties, ties)
    every = _Gallery(ranks, queries.count, queries.video, len(queries.clips))
    drawn = resample(every.table(), _per_sentence, resamples=resamples, seed=[seed], film=queries.film)
    return [*rows, _mean_row(rows, list(figures.values())), every.row(ALL, *drawn)]


@dataclass
class _Queries:
    """All queries and the gallery: clips sorted by language, so that each language's gallery is a span of them."""

    sentences: Tensor  # (Q, D)
    clips: Tensor  # (C, D)
    relevant: list[Integers]  # of each sentence
    count: Integers  # (Q,) relevant clips
    video: Integers  # (Q,)
    language: Integers  # (Q,)
    languages: list[str]
    spans: list[tuple[int, int]]  # of each language
    films: list[str]  # of each video

    def film(self, number: str) -> str:
        """Of a video, as `_Gallery.table` names it."""
        return self.films[int(number)]

    @classmethod
    def of(cls, videos: Iterable[VideoSimilarity]) -> _Queries:
        kept = sorted((video for video in videos if video.annotated), key=lambda video: (video.language, video.id))
        languages = sorted({video.language for video in kept})
        ends = dict.fromkeys(languages, 0)
        sentences, clips, relevant = [], [], []
        video_of, language_of, start = [], [], 0
        for number, video in enumerate(kept):
            if video.clip_vectors is None or video.sentence_vectors is None:
                raise ValueError(f"{video.id}: retrieval needs the vectors of its clips and sentences; it has none")
            right = relevance(video.clips, video.segments)
            queries = np.flatnonzero(right.any(axis=0))
            relevant += [start + np.flatnonzero(right[:, sentence]) for sentence in queries]
            sentences.append(video.sentence_vectors[torch.from_numpy(queries)])
            clips.append(video.clip_vectors)
            video_of += [number] * len(queries)
            language_of += [languages.index(video.language)] * len(queries)
            start += len(video.clip_vectors)
            ends[video.language] = start
        if not relevant:
            raise ValueError("no annotated sentence whose segment meets a clip; there is nothing to retrieve")
        stops = list(ends.values())
        return cls(
            sentences=torch.cat(sentences),
            clips=torch.cat(clips),
            relevant=relevant,
            count=np.array([len(each) for each in relevant]),
            video=np.array(video_of),
            language=np.array(language_of),
            languages=languages,
            spans=list(zip([0, *stops[:-1]], stops, strict=True)),
            films=[video.film for video in kept],
        )


def _best_relevant(sentences: Tensor, clips: Tensor, relevant: Sequence[ArrayLike]) -> tuple[Floats, Integers]:
    """The best score of each sentence's relevant clips, and how many of them have it: (Q,), (Q,)."""
    for name, vectors in (("sentences", sentences), ("clips", clips)):
        norms = vectors.float().norm(dim=1)
        if not (norms <= _LONGEST).all():
            raise ValueError(
                f"vectors of {name} must be finite and of unit length; one is {float(norms.max()):.3g} long"
            )
    best, ties = np.empty(len(sentences)), np.empty(len(sentences), dtype=np.int64)
    for place, own in enumerate(relevant):
        indices = torch.as_tensor(np.asarray(own, dtype=np.int64))
        scores = _rounded(clips[indices]) @ _rounded(sentences[place])
        best[place] = float(scores.max())
        ties[place] = int((scores == scores.max()).sum())
    return best, ties


def _compare(
    sentences: Tensor,
    clips: Tensor,
    best: Floats,
    spans: Sequence[tuple[int, int]],
    block: tuple[int, int],
    track: Callable[[int, int], None] | None = None,
) -> tuple[Integers, Integers]:
    """How many clips of each span score above `best`, and how many the same: (Q, spans), (Q, spans)."""
    above = np.zeros((len(sentences), len(spans)), dtype=np.int64)
    level = np.zeros_like(above)
    scores = torch.empty(block[0] * block[1], dtype=torch.float64)
    rounded = _rounded(sentences)
    done, total = 0, len(sentences) * len(clips)
    for place, (first, last) in enumerate(spans):
        for start in range(first, last, block[1]):
            part = _rounded(clips[start : min(start + block[1], last)]).T
            for row in range(0, len(sentences), block[0]):
                some = rounded[row : row + block[0]]
                found = scores[: len(some) * part.shape[1]].view(len(some), -1)
                torch.mm(some, part, out=found)
                bar = best[row : row + block[0], None]
                above[row : row + block[0], place] += _count(found.numpy() > bar)
                level[row : row + block[0], place] += _count(found.numpy() == bar)
                done += found.numel()
                if track is not None:
                    track(done, total)
    return above, level


def _rounded(vectors: Tensor) -> Tensor:
    """In float64, on a grid on which products and their sums are exact."""
    return (vectors.double() * _GRID).round_().div_(_GRID)


def _count(mask: NDArray[np.bool_]) -> Integers:
    # a row at a time: along an axis, NumPy widens every truth value to eight bytes first
    return np.array([np.count_nonzero(row) for row in mask], dtype=np.int64)


@dataclass
class _Gallery:
    """The ranks of queries in one gallery."""

    ranks: Ranks
    relevant: Integers  # (Q,) clips
    video: Integers  # (Q,) of each query
    clips: int

    def table(self) -> dict[str, Floats]:
        """Sums over the sentences of each video: recalls, ranks, and how many they are."""
        expected = self.ranks.expected()
        columns = [*(self.ranks.recall(most) for most in RECALLS), expected, np.ones(len(expected))]
        numbers, owner = np.unique(self.video, return_inverse=True)
        sums = np.stack([np.bincount(owner, column) for column in columns], axis=1)  # (videos, 5)
        # ids sort as the videos do, so that the draws do not depend on who else is there
        return {f"{number:09}": row for number, row in zip(numbers, sums, strict=True)}

    def row(self, name: str, value: Floats, spread: Floats) -> Retrieval:
        """The figures with their resamples as a row."""
        blind = Ranks(np.zeros_like(self.relevant), self.clips - self.relevant, self.relevant)
        chance = [blind.recall(most).mean() for most in RECALLS] + [blind.expected().mean()]
        counts = (len(np.unique(self.video)), len(self.video), self.clips)
        return _named(name, counts, value, spread, float(np.median(self.ranks.expected())), chance)


def _per_sentence(mean: Floats) -> Floats:
    return mean[..., :-1] / mean[..., -1:]


def _mean_row(rows: Sequence[Retrieval], figures: Sequence[tuple[Floats, Floats]]) -> Retrieval:
    """Each language counts the same, as in the paper's tables."""
    value = np.mean([value for value, _ in figures], axis=0)
    spread = np.mean([spread for _, spread in figures], axis=0)
    counts = (sum(row.videos for row in rows), sum(row.sentences for row in rows), sum(row.clips for row in rows))
    median = float(np.mean([row.median_rank for row in rows]))
    return _named(MEAN, counts, value, spread, median, np.mean([row.chance for row in rows], axis=0))


def _named(
    name: str, counts: tuple[int, int, int], value: Floats, spread: Floats, median: float, chance: Iterable[float]
) -> Retrieval:
    r1, r5, r10, mean_rank = interval(value, spread)
    return Retrieval(name, *counts, r1, r5, r10, mean_rank, median, tuple(map(float, chance)))

"""A model's alignments beside the baselines and the oracle, on the same videos and with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import baselines
from .decoding import Decoder, VideoSimilarity
from .metrics import (
    AlignmentScores,
    Denominator,
    Interval,
    VideoScorer,
    bootstrap,
    complete_rows,
    interval,
    resample_groups,
)
from .retrieval import MEAN, Retrieval, relevance, retrieval

#: row of a model whose decoder uses narration times, decoded without them
UNTIMED = "similarity alone"
BASELINES = ("all-drop", "uniform", "transcript")


@dataclass(frozen=True)
class Means:
    """Mean metrics of one language, or of all with equal weight, and their bootstrap intervals over videos."""

    videos: int
    clip_accuracy: Interval
    sentence_iou: Interval
    f1: Interval


@dataclass(frozen=True)
class Row:
    """One way to label every video, and what it scores.

    Attributes:
        name: "model", a baseline, or "oracle".
        clip_accuracy, sentence_iou, f1: means over videos, with bootstrap intervals over videos.
        per_video: scores by video id.
        by_language: the same metrics for each language, then "mean over languages"; empty for a single language.
    """

    name: str
    clip_accuracy: Interval
    sentence_iou: Interval
    f1: Interval
    per_video: dict[str, AlignmentScores]
    by_language: dict[str, Means] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`.

    Attributes:
        rows: model, similarity alone (where its decoder uses narration times), the other decoders, all-drop, uniform,
            transcript (where times are known), oracle.
        gap_closed: (F1 - best baseline) / (oracle - best baseline), with its interval over videos.
        videos: how many videos the means are over.
        skipped: ids of annotated videos without clips or without a matched sentence.
        variants: the rows under two other readings of Clip Accuracy: "credit", a dropped clip earns its unmatched time;
            "matched", only time inside some segment counts.
        retrieval: text-to-video retrieval over the same clips; empty without `seek`, or without vectors.
        films: video id -> the film that it tells.
    """

    rows: list[Row]
    gap_closed: Interval
    videos: int
    skipped: list[str]
    variants: dict[str, list[Row]]
    retrieval: list[Retrieval] = field(default_factory=list)
    films: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Row:
        return next(row for row in self.rows if row.name == name)

    @property
    def doubt(self) -> str | None:
        """A warning where the model may be no better than its best baseline, and what to do; else None."""
        low, high = self.gap_closed.low, self.gap_closed.high
        if not low <= 0:
            return None
        span = f"{100 * low:.0f} % to {100 * high:.0f} %".replace("-", "−")
        return (
            f"nothing shows that this model is better than its best baseline: it goes {span} of the way from there to "
            "the oracle. It may hardly tell sentences apart: train it longer or on more videos, start from a trained "
            "model, or score more videos"
        )

    @cached_property
    def worth_of_times(self) -> Interval | None:
        """How much narration times raise the model's F1, paired, resampled by film; None where it uses none."""
        return self.gain(self, over=UNTIMED) if any(row.name == UNTIMED for row in self.rows) else None

    def gain(self, other: Evaluation, *, over: str = "model", resamples: int = 2000, seed: int = 0) -> Interval:
        """How much higher this model's F1 is than another's on the same videos, paired; resampled by film.

        Args:
            over: row of the other evaluation.

        Raises ValueError where the videos differ.
        """
        own, its = self["model"].per_video, other[over].per_video
        if own.keys() != its.keys():
            raise ValueError(f"{len(own)} videos and {len(its)}, of which {len(own.keys() & its.keys())} are the same")
        table = {video: (own[video].f1 - its[video].f1,) for video in own}
        return bootstrap(table, resamples=resamples, seed=seed, film=self.films.__getitem__)[0]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; None for NaN."""
        plain: dict[str, Any] = _without_nan(asdict(self))
        times = self.worth_of_times
        return plain | {"doubt": self.doubt, "worth_of_times": asdict(times) if times else None}


def evaluate(
    videos: Sequence[VideoSimilarity],
    decoder: Decoder,
    *,
    others: Mapping[str, Decoder] | None = None,
    seek: bool = False,
    resamples: int = 2000,
    seed: int = 0,
) -> Evaluation:
    """Decode annotated videos and score them beside what needs no model.

    `rows` are to be compared with the paper: a dropped clip earns nothing, and all clip time counts.  With credit for
    unmatched time, dropping every clip would score 36 to 56 % Clip Accuracy on M-SyMoN, more than most published
    results.

    Args:
        videos: those without annotations are left out.
        decoder: of the row "model".
        others: row name -> further decoder of the same similarities.  A limit in seconds needs some known narration
            time.
        seek: also report retrieval, where the videos hold vectors and some clip shows a matched sentence.
        resamples, seed: of the bootstrap over videos.

    Raises ValueError where no video is annotated, or two share an id.
    """
    videos = [video for video in videos if video.annotated]
    if not videos:
        raise ValueError("no annotated video to score against; evaluate a split that has annotations")
    ids = [video.id for video in videos]
    if len(set(ids)) != len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        raise ValueError(f"video {twice!r} comes twice; ids must be unique")

    similarities, gaps = [video.similarity for video in videos], [video.gaps for video in videos]
    found = {"model": decoder.decode(similarities, gaps)}
    if decoder.timing:
        found[UNTIMED] = decoder.without_times().decode(similarities)
    found |= {name: other.decode(similarities, gaps) for name, other in (others or {}).items()}
    labels = {name: [each.numpy() for each in way] for name, way in found.items()} | reference_labels(videos)
    rows = score_rows(videos, labels, by_language=True, resamples=resamples, seed=seed)
    # where a dropped clip earns something, the oracle drops
    credited = labels | {"oracle": [baselines.oracle(v.clips, v.segments, drop_unmatched=True) for v in videos]}
    return Evaluation(
        rows=rows,
        gap_closed=gap_closed(rows, resamples=resamples, seed=seed, film=films(videos)),
        videos=len(complete_rows({k: (v.f1,) for k, v in rows[0].per_video.items()})),
        skipped=sorted(name for name, scores in rows[0].per_video.items() if math.isnan(scores.f1)),
        variants={
            "credit": score_rows(videos, credited, credit_unmatched=True, resamples=resamples, seed=seed),
            "matched": score_rows(videos, labels, denominator="matched", resamples=resamples, seed=seed),
        },
        retrieval=retrieval(videos, resamples=resamples, seed=seed) if seek and _can_seek(videos) else [],
        films={video.id: video.film for video in videos},
    )


def _can_seek(videos: Sequence[VideoSimilarity]) -> bool:
    vectors = all(video.clip_vectors is not None and video.sentence_vectors is not None for video in videos)
    return vectors and any(relevance(video.clips, video.segments).any() for video in videos)


def reference_labels(videos: Sequence[VideoSimilarity]) -> dict[str, list[NDArray[np.int64]]]:
    """Labels of the baselines and the oracle; no transcript where no video has narration times."""
    labels = {
        "all-drop": [baselines.all_drop(video.clips) for video in videos],
        "uniform": [baselines.uniform(video.clips, len(video.segments)) for video in videos],
    }
    if any(video.has_times for video in videos):
        labels["transcript"] = [baselines.transcript(video.clips, video.narrations) for video in videos]
    labels["oracle"] = [baselines.oracle(video.clips, video.segments) for video in videos]
    return labels


def score_rows(
    videos: Sequence[VideoSimilarity],
    labels: Mapping[str, Sequence[NDArray[np.int64]]],
    *,
    credit_unmatched: bool = False,
    denominator: Denominator = "all",
    by_language: bool = False,
    resamples: int = 2000,
    seed: int = 0,
) -> list[Row]:
    """One row for each way to label the videos, under one reading of Clip Accuracy (see `alignment_scores`)."""
    language = {video.id: video.language for video in videos}
    film = films(videos)
    scorers = [
        VideoScorer(video.clips, video.segments, credit_unmatched=credit_unmatched, denominator=denominator)
        for video in videos
    ]
    rows = []
    for name, each in labels.items():
        scores = [scorer(found) for scorer, found in zip(scorers, each, strict=True)]
        table = {video.id: values for video, values in zip(videos, scores, strict=True)}
        accuracy, iou, f1 = bootstrap(table, resamples=resamples, seed=seed, film=film)
        per_video = {name: AlignmentScores(*(float(v) for v in values)) for name, values in table.items()}
        languages = _by_language(table, language, film, resamples, seed) if by_language else {}
        rows.append(Row(name, accuracy, iou, f1, per_video, languages))
    return rows


def _by_language(
    table: Mapping[str, NDArray[np.float64]],
    language: Mapping[str, str],
    film: Callable[[str], str],
    resamples: int,
    seed: int,
) -> dict[str, Means]:
    """Means of each language that has something to score, then `MEAN`."""
    codes = sorted(set(language.values()))
    if len(codes) < 2:
        return {}
    tables = {code: {video: row for video, row in table.items() if language[video] == code} for code in codes}
    tables = {code: own for code, own in tables.items() if len(complete_rows(own))}
    draws = resample_groups(tables, resamples=resamples, seed=seed, film=film)
    found = {code: Means(len(complete_rows(tables[code])), *interval(*draws[code])) for code in draws}
    mean = interval(*(np.mean(each, axis=0) for each in zip(*draws.values(), strict=True))) if draws else []
    return found | ({MEAN: Means(sum(each.videos for each in found.values()), *mean)} if mean else {})


def films(videos: Sequence[VideoSimilarity]) -> Callable[[str], str]:
    """Video id to film."""
    return {video.id: video.film for video in videos}.__getitem__


def gap_closed(
    rows: Sequence[Row], *, resamples: int = 2000, seed: int = 0, film: Callable[[str], str] = str
) -> Interval:
    """(F1 - best baseline) / (oracle - best baseline), the best in each resample; NaN if the oracle is no better."""
    by_name = {row.name: row.per_video for row in rows}
    names = ["model", "oracle", *(name for name in BASELINES if name in by_name)]
    table = {video: [by_name[name][video].f1 for name in names] for video in by_name["model"]}

    def closed(mean: NDArray[np.float64]) -> NDArray[np.float64]:
        base = mean[..., 2:].max(axis=-1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            share = (mean[..., :1] - base) / (mean[..., 1:2] - base)
        return np.where(mean[..., 1:2] > base, share, np.nan)

    return bootstrap(table, closed, resamples=resamples, seed=seed, film=film)[0]


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value

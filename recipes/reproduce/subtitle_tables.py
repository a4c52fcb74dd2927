"""Our figures for every table of Video2Subtitle that clips and their runs can give."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ...datamodules.files import write_whole
from ...datamodules.spoken import open_clips, spoken_clip
from ...zoo.metrics import Interval
from ..scoring.comparison import Comparison
from ..scoring.paper import Table
from ..scoring.paper_subtitles import ALIGNERS, CUE_NAMES, CUES, DOMAINS, FIGURES, TABLE_1, TABLE_2, TABLE_3, row
from ..scoring.pools import SHARES, PoolScores, Query

#: one of the fusions has a row of its own that the paper lacks
_PAPER_WEIGHTS = "paper"


def counts(clips: Path) -> Comparison:
    """Table 1: how much there is in a set of clips.

    Raises FileNotFoundError where there is no such set.
    """
    shards = open_clips(clips)
    found = [spoken_clip(shards, name) for name in shards.entries]
    ours = {
        "clips": len(found),
        "hours": sum(clip.duration for clip in found) / 3600,
        "lines": sum(len(clip.cues) for clip in found),
        "sources": len({clip.video for clip in found}),
    }
    cells: dict[tuple[str, str], Interval | float] = {
        ("video2subtitle", name): float(value) for name, value in ours.items()
    }
    names = {"movieqa": "MovieQA", "tvr": "TVR", "movienet": "MovieNet", "video2subtitle": "Video2Subtitle"}
    notes = ["sources are films, series and videos; a difference is that of the amount of data, and no fault"]
    return Comparison(TABLE_1, cells, names, TABLE_1.columns, notes)


def aligners(scores: PoolScores, *, seeds: int, apart: bool) -> Comparison:
    """Table 2: DTW, DSTA, soft-DTW and soft-DSTA in each domain."""
    trained = "trained for each domain by itself" if apart else "trained on all domains together"
    notes = [
        asked(scores, seeds),
        "DTW and DSTA learn nothing: they compare lips with speech by SyncNet's content heads, as its own loss does; "
        f"soft-DTW and soft-DSTA are {trained}, on the same features, with the same budget and the same seeds",
    ]
    if gained := hidden_gain(scores):
        notes.append(gained)
    return _table(TABLE_2, scores, ALIGNERS, notes)


def cues(scores: PoolScores, weights: Sequence[Mapping[str, float]], *, clip4clip: str | None = None) -> Comparison:
    """Table 3: each cue by itself, the global ones together, all together, and CLIP4Clip where there is one.

    Args:
        scores: with a model for each cue and fusion.
        weights: of the fusion, for each seed.
        clip4clip: what that row was made with.
    """
    tuned = "; ".join(", ".join(f"{name} {weight:g}" for name, weight in each.items()) for each in weights)
    notes = [asked(scores, len(weights)), f"O+S+A+D has weights that were tuned on validation clips: {tuned}"]
    absent = [CUE_NAMES[cue] for cue in CUES if cue not in scores.ranks]
    if absent:
        notes.append(f"the matcher has no {', '.join(absent)}")
    notes.append(
        f"CLIP4Clip is {clip4clip}, as it is" if clip4clip else "CLIP4Clip: --clip4clip FOLDER scores a checkpoint"
    )
    shown = {name: words for name, words in CUE_NAMES.items() if name in scores.ranks or name == "clip4clip"}
    if _PAPER_WEIGHTS in scores.ranks:
        shown[_PAPER_WEIGHTS] = "O+S+A+D, the paper's weights"
    return _table(TABLE_3, scores, shown, notes)


def _table(table: Table, scores: PoolScores, methods: Mapping[str, str], notes: list[str]) -> Comparison:
    cells: dict[tuple[str, str], Interval | float] = {}
    domains = {query.domain for query in scores.queries}
    for domain in (name for name in DOMAINS if name in domains):
        for method in methods:
            if method in scores.ranks:
                found = scores.cells(method, domain)
                cells |= {(row(domain, method), column): value for column, value in found.items()}
    shown = {
        row(domain, method): f"{DOMAINS[domain]}: {words}" for domain in DOMAINS for method, words in methods.items()
    }
    return Comparison(table, cells, shown, FIGURES, notes, chance=scores.chance)


def asked(scores: PoolScores, seeds: int) -> str:
    """Who asked what."""
    of_seeds = "one seed" if seeds == 1 else f"the mean of {seeds} seeds"
    of_domain = Counter(query.domain for query in scores.queries)
    parts = ", ".join(f"{count} of {DOMAINS.get(domain, domain)}" for domain, count in sorted(of_domain.items()))
    return (
        f"{len(scores.queries)} clips ({parts}), each among {scores.pool} subtitles, {of_seeds}; chance is what a "
        "random order of these gives; the paper has 5,000 and more, so its ranks are of another scale"
    )


def hidden_gain(scores: PoolScores, model: str = "soft-dsta", over: str = "soft-dtw") -> str | None:
    """What soft-DSTA gains where lips are hidden, in words; None where the truth is unknown, or one of them absent."""
    shares = [query.hidden for query in scores.queries if query.hidden is not None]
    if not shares or model not in scores.ranks or over not in scores.ranks:
        return None
    middle = float(np.median(shares))

    def covered(query: Query) -> bool:
        return query.hidden is not None and query.hidden > middle

    gain = scores.gain(model, over, covered)
    side = "above" if gain.value >= 0 else "below"
    excludes = "excludes zero" if gain.low > 0 or gain.high < 0 else "does not exclude zero"
    return (
        f"where more than {middle:.0%} of the frames hide the lips ({sum(map(covered, scores.queries))} clips), "
        f"{ALIGNERS[model]} is {abs(gain.value):.1f} points of R@1 {side} {ALIGNERS[over]} (95 % interval of the gain, "
        f"paired by clip: {gain.low:+.1f} to {gain.high:+.1f}): the interval {excludes}"
    )


def write_curves(scores: PoolScores, folder: Path, name: str) -> list[Path]:
    """Write ``<name>-curves.csv`` and ``.png``: R@1 over the share of hidden lips and of unseen speech.

    Nothing is written where the truth is unknown.  Returns the paths.
    """
    if not scores.known_shares:
        return []
    from ..report.pool import curves  # matplotlib takes longer to import than the rest

    found = {
        share: {ALIGNERS.get(model, model): scores.curve(model, share) for model in scores.ranks}
        for share in scores.known_shares
    }
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["share of", "model", "from", "to", "mean", "clips", "R@1", "low", "high"])
    for share, models in found.items():
        for model, bins in models.items():
            for part in bins:
                ends = (part.r1.value, part.r1.low, part.r1.high)
                spans = (round(part.low, 4), round(part.high, 4), round(part.share, 4))
                writer.writerow([share, model, *spans, part.clips, *(round(value, 2) for value in ends)])
    paths = [folder / f"{name}-curves.csv", folder / f"{name}-curves.png"]
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(paths[0], text.getvalue().encode())
    curves(found, SHARES, paths[1], chance=scores.chance["r@1"])
    return paths

"""Our figures for every table of the paper that a shard set and its runs can give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ...zoo.metrics import Interval, interval, resample_groups
from ..scoring import paper
from ..scoring.comparison import Comparison
from ..scoring.paper import AVERAGE, CLIP, SENTENCE, TABLES, TRANSLATED, in_order
from ..scoring.scores import ALONE, FIGURES, WITHIN, RunScores, pooled
from . import neumatch
from .story_runs import Runs, on_yms

Cells = dict[tuple[str, str], Interval | float]

SIMILARITY = "decoded by similarity alone, as the paper does, with drop costs tuned on validation videos"
ACCURACY = "Clip Accuracy over all clip time, without credit for dropped clips"
GALLERY = "each language's sentences among the clips of its own test videos; ties count as in random order"


def counts(name: str, found: Mapping[str, Mapping[str, float | None]]) -> Comparison:
    """Tables 1 and 2: language -> figure -> value; a sum over languages, ``all``, is left out."""
    table = TABLES[name]
    columns = in_order(language for language in found if language != "all")
    cells: Cells = {}
    for language in columns:
        cells |= {
            (row, language): float(value) for row in table.rows if (value := found[language].get(row)) is not None
        }
    return Comparison(table, cells, {row: row for row in table.rows}, columns)


def intra_lingual(runs: Runs, strategies: Sequence[str]) -> Comparison:
    """Table 3: F1 of every strategy in every language."""
    cells: Cells = {}
    notes = [f"F1 in %, {SIMILARITY}"]
    for strategy in strategies:
        found = {language: runs.scores(strategy, language) for language in runs.languages}
        cells |= {(strategy, column): value for column, value in per_language(found, ALONE, "f1").items()}
        notes.append(closed(strategy, found))
    return Comparison(TABLES["table3"], cells, names(strategies), (*runs.languages, AVERAGE), notes)


def closed(strategy: str, found: Mapping[str, RunScores]) -> str:
    """How much of the way from the best baseline to the oracle a strategy goes, over all videos."""
    together = pooled(found.values())
    timed, alone = together.gap_closed("model"), together.gap_closed(ALONE)
    return (
        f"{paper.STRATEGIES[strategy]}: from the best baseline to the oracle it goes {timed.value:.2f} of the way "
        f"({timed.low:.2f} to {timed.high:.2f}) as tuned, with the times of the narration, and {alone.value:.2f} "
        f"({alone.low:.2f} to {alone.high:.2f}) by similarity alone"
    )


def parts(runs: Runs, strategies: Sequence[str]) -> Comparison:
    """Table 14: Clip Accuracy and Sentence IoU of every strategy in every language."""
    cells: Cells = {}
    for strategy in strategies:
        for language in runs.languages:
            row = runs.scores(strategy, language).mean(ALONE)
            cells[strategy, f"{language} {CLIP}"] = percent(row.clip_accuracy)
            cells[strategy, f"{language} {SENTENCE}"] = percent(row.sentence_iou)
    columns = tuple(f"{language} {part}" for language in runs.languages for part in (CLIP, SENTENCE))
    return Comparison(TABLES["table14"], cells, names(strategies), columns, [f"%, {SIMILARITY}", ACCURACY])


def with_times(runs: Runs, strategy: str = "two_stage_supervision") -> Comparison:
    """Table 4: what the times of the narration add, alone and as a window for the decoder."""
    found = {language: runs.scores(strategy, language) for language in runs.languages}
    ways = {
        "two_stage_supervision": (ALONE, paper.STRATEGIES[strategy]),
        "transcript": ("transcript", "Transcript baseline"),
        "two_stage_supervision_time": (WITHIN, f"{paper.STRATEGIES[strategy]}-time"),
        "timed": ("model", "as tuned: distance in time has a price"),
    }
    cells: Cells = {}
    for row, (way, _) in ways.items():
        if all(way in each.ways for each in found.values()):
            cells |= {(row, column): value for column, value in per_language(found, way, "f1").items()}
    notes = ["F1 in %; the window is one second around the narration of a sentence; the last row is not in the paper"]
    return Comparison(
        TABLES["table4"], cells, {row: words for row, (_, words) in ways.items()}, (*runs.languages, AVERAGE), notes
    )


def yms(runs: Runs, shards: Path, features: Path | None = None) -> Comparison:
    """Table 5: models of M-SyMoN's English on YMS, and those that are trained on YMS: CCLM, and NeuMATCH on features.

    Args:
        features: of YMS, for NeuMATCH; by default made with the CCLM that is trained there.
    """
    own = on_yms(runs, shards)
    own.train(["individual"])
    rows = {
        "individual_yms": ("CCLM-individual (YMS)", lambda: own.scores("individual", "en")),
        "multilingual": ("CCLM-multilingual", lambda: runs.scores("multilingual", "en", shards=shards)),
        "individual": ("CCLM-individual (English)", lambda: runs.scores("individual", "en", shards=shards)),
        "translate": ("CCLM-translate", lambda: runs.scores("translate", "en", shards=shards)),
        "two_stage": ("CCLM-two-stage (English)", lambda: runs.scores("two_stage", "en", shards=shards)),
        "two_stage_supervision": (
            "CCLM-two-stage-supervision (English)",
            lambda: runs.scores("two_stage_supervision", "en", shards=shards),
        ),
    }
    shown = {"neumatch": "NeuMATCH (2018)", "wang2021": "Wang et al. (2021)", "sun2024": "Sun et al. (2024)"}
    found, producer = neumatch.rows(own, features)
    for row, (words, scores) in rows.items():
        shown[row] = words
        found[row] = scores().mean(ALONE)
    cells: Cells = {}
    for row, means in found.items():
        cells |= {
            (row, "clip accuracy"): percent(means.clip_accuracy),
            (row, "sentence IoU"): percent(means.sentence_iou),
        }
    notes = [
        f"%, {SIMILARITY}; NeuMATCH and Wang et al. label clips by themselves",
        f"they learn from features of {producer}, the paper's from Faster R-CNN and BERT",
        ACCURACY,
    ]
    return Comparison(TABLES["table5"], cells, shown, TABLES["table5"].columns, notes)


#: table -> which figure of retrieval, and what it is multiplied with
RETRIEVAL = {
    "table10": ("r1", 100.0),
    "table11": ("r5", 100.0),
    "table12": ("r10", 100.0),
    "table13": ("mean_rank", 1.0),
}


def retrieved(name: str, runs: Runs, strategies: Sequence[str]) -> Comparison:
    """Tables 10 to 13: text-to-video retrieval."""
    figure, factor = RETRIEVAL[name]
    cells: Cells = {}
    for strategy in strategies:
        values = []
        for language in runs.languages:
            found = runs.scores(strategy, language).retrieval[figure]
            cells[strategy, language] = scaled(found, factor)
            values.append(found.value * factor)
        cells[strategy, AVERAGE] = sum(values) / len(values)
    notes = [GALLERY] + (["less is better"] if TABLES[name].lower else [])
    return Comparison(TABLES[name], cells, names(strategies), (*runs.languages, AVERAGE), notes)


#: table -> which figure of an alignment
CROSS = {"table15": "clip_accuracy", "table16": "sentence_iou", "figure4": "f1"}


def cross_lingual(name: str, runs: Runs, track: Callable[[], None] = lambda: None) -> Comparison:
    """Tables 15, 16 and Figure 4: the two-stage model of each language on every language, above it CCLM-translate."""
    cells: Cells = {}
    for target in runs.languages:
        cells[TRANSLATED, target] = percent(getattr(runs.scores("translate", target).mean(ALONE), CROSS[name]))
        for source in runs.languages:
            row = runs.scores("two_stage", target, source=source).mean(ALONE)
            cells[source, target] = percent(getattr(row, CROSS[name]))
            track()
    shown = {TRANSLATED: "CCLM-translated"} | {source: source for source in runs.languages}
    notes = [f"%, rows are the language of training, columns that of the test; {SIMILARITY}"]
    if name == "figure4":
        notes.append(
            "the figure prints no numbers: off the diagonal, the paper's are harmonic means of Tables 15 and 16"
        )
    return Comparison(TABLES[name], cells, shown, runs.languages, notes)


def per_language(found: dict[str, RunScores], way: str, figure: str) -> dict[str, Interval]:
    """A figure in per cent for each language, and their mean; a film told in several languages is drawn in all."""
    place = FIGURES.index(figure)
    tables = {
        language: {video: (each[place],) for video, each in scores.ways[way].items()}
        for language, scores in found.items()
    }
    drawn = resample_groups(tables, film=pooled(found.values()).film)
    cells = {language: percent(interval(*each)[0]) for language, each in drawn.items()}
    value, spread = (np.mean(each, axis=0) for each in zip(*drawn.values(), strict=True))
    return cells | {AVERAGE: percent(interval(value, spread)[0])}


def percent(found: Interval) -> Interval:
    """A share in per cent."""
    return scaled(found, 100.0)


def scaled(found: Interval, factor: float) -> Interval:
    """Value and ends times `factor`."""
    return Interval(found.value * factor, found.low * factor, found.high * factor)


def names(strategies: Iterable[str]) -> dict[str, str]:
    """Rows of the tables, in the order of the paper."""
    return {name: words for name, words in paper.STRATEGIES.items() if name in set(strategies)}

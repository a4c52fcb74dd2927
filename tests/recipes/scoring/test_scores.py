"""Scores of runs over several languages: a film that is told in all of them is one film, not several."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from weaksync.recipes.reproduce.story_tables import per_language
from weaksync.recipes.scoring.scores import ALONE, RunScores, pooled
from weaksync.recipes.scoring.tables import shown_gap
from weaksync.zoo.metrics import Interval

FILMS = 12


def told(code: str, films: list[str], figures: np.ndarray) -> RunScores:
    """A model at `figures`, between baselines at 0.1 and an oracle at 0.9."""
    rows = {
        "model": figures,
        ALONE: figures / 2,
        "uniform": np.full(len(films), 0.1),
        "oracle": np.full(len(films), 0.9),
    }
    ids = [f"{code}_{film}" for film in films]
    ways = {way: {name: (float(v),) * 3 for name, v in zip(ids, row, strict=True)} for way, row in rows.items()}
    return RunScores(ways, {}, dict(zip(ids, films, strict=True)))


def width(found) -> float:
    return found.high - found.low


def test_languages_of_the_same_films_narrow_no_interval():
    figures = np.random.default_rng(0).random(FILMS)
    films = [f"f{k:02}" for k in range(FILMS)]
    alone = told("en", films, figures)
    same = [alone, told("es", films, figures), told("zh", films, figures)]
    others = [alone, told("es", [f"g{k:02}" for k in range(FILMS)], figures)]
    assert asdict(pooled(same).mean("model").f1) == pytest.approx(asdict(alone.mean("model").f1))
    assert asdict(pooled(same).gap_closed()) == pytest.approx(asdict(alone.gap_closed()))
    assert width(pooled(others).gap_closed()) < 0.85 * width(alone.gap_closed())
    assert pooled(same).videos == 3 * FILMS


def test_the_average_of_a_table_draws_films():
    figures = np.random.default_rng(1).random(FILMS)
    films = [f"f{k:02}" for k in range(FILMS)]
    alone = told("en", films, figures)
    together = per_language({"en": alone, "es": told("es", films, figures)}, "model", "f1")
    apart = per_language({"en": alone, "es": told("es", [f"g{k:02}" for k in range(FILMS)], figures)}, "model", "f1")
    assert width(together["average"]) == pytest.approx(width(together["en"]))
    assert width(apart["average"]) < 0.85 * width(apart["en"])


def test_a_gap_without_an_interval_says_why() -> None:
    nothing = float("nan")
    assert shown_gap(Interval(0.5, 0.4, 0.6)) == "0.500 (0.400 to 0.600)"
    assert shown_gap(Interval(-0.2, nothing, nothing)).startswith("-0.200 (no interval: ")
    assert "as good as the oracle" in shown_gap(Interval(nothing, nothing, nothing))

"""Pictures of retrieval in a pool and of alignments: drawn of what they are given, with nothing left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from weaksync.recipes.report import pool
from weaksync.recipes.report.matrices import Panel, matrix_figure
from weaksync.recipes.scoring import paper_subtitles as paper
from weaksync.recipes.scoring.comparison import Comparison
from weaksync.recipes.scoring.pools import Bin
from weaksync.zoo.metrics import Interval


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures, as they are saved."""
    kept: list[Any] = []
    plain = pool.save

    def save(figure: Any, out: str | Path) -> Path:
        kept.append([[text.get_text() for text in ax.texts] + [ax.get_title(loc="left")] for ax in figure.axes])
        kept.append([len(ax.patches) + len(ax.collections) for ax in figure.axes])
        return plain(figure, out)

    for module in ("pool", "matrices"):
        monkeypatch.setattr(f"weaksync.recipes.report.{module}.save", save)
    return kept


def comparison(names: dict[str, str], table: Any = paper.TABLE_2) -> Comparison:
    cells: dict[tuple[str, str], Interval | float] = {}
    for place, name in enumerate(names):
        for column, value in zip(paper.FIGURES, (20 + place, 30 + place, 40 + place, 9 - place), strict=True):
            cells[name, column] = Interval(value, value - 2, value + 2)
    chance = {"r@1": 2.5, "r@5": 12.5, "r@10": 25.0, "MedRank": 20.5}
    return Comparison(table, cells, names, paper.FIGURES, chance=chance)


def rows(domains: list[str]) -> dict[str, str]:
    return {
        paper.row(domain, name): f"{paper.DOMAINS[domain]}: {words}"
        for domain in domains
        for name, words in paper.ALIGNERS.items()
    }


@pytest.mark.parametrize("domains", [["youtube", "movie"], ["movie"]])
def test_a_table_has_a_pair_of_panels_for_each_domain(domains: list[str], tmp_path: Path, drawn: list[Any]) -> None:
    path = pool.pool_figure(comparison(rows(domains)), tmp_path / "table2.png")
    titles, marks = drawn
    assert len(titles) == 2 * len(domains)
    assert (
        marks[::2] == [2 * 3 * 4] * len(domains) or marks[0] == 2 * 3 * 4 + 1
    )  # a bar and a dot each; the legend's dot
    with Image.open(path) as picture:
        assert picture.width > 600 * len(domains) and len(picture.convert("RGB").getcolors(1 << 24) or []) > 50


def test_table_1_has_a_panel_for_each_count(tmp_path: Path, drawn: list[Any]) -> None:
    names = {"movieqa": "MovieQA", "tvr": "TVR", "movienet": "MovieNet", "video2subtitle": "Video2Subtitle"}
    ours = {("video2subtitle", column): 7.0 for column in paper.TABLE_1.columns}
    pool.sets_figure(Comparison(paper.TABLE_1, ours, names, paper.TABLE_1.columns), tmp_path / "table1.png")
    assert drawn[1] == [5, 5, 5, 5]


def test_curves_have_a_panel_for_each_share(tmp_path: Path, drawn: list[Any]) -> None:
    bins = [Bin(x, x + 0.1, x + 0.05, 25, Interval(90 - 100 * x, 80 - 100 * x, 95 - 100 * x)) for x in (0.0, 0.1, 0.3)]
    found = {"hidden": {"soft-DSTA": bins, "soft-DTW": bins}, "offscreen": {"soft-DSTA": bins}}
    words = {"hidden": "hidden lips, % of frames", "offscreen": "speech off screen, %"}
    assert pool.curves(found, words, tmp_path / "curves.png", chance=2.5).stat().st_size > 5000
    assert len(drawn[0]) == 2


def test_a_curve_says_how_many_clips_a_point_has() -> None:
    even, odd = ([Bin(0.0, 0.1, 0.05, clips, Interval(9, 8, 10))] * 2 for clips in (25, 24))
    assert pool.clips_behind([even, even]) == "25 clips a point"
    assert pool.clips_behind([[*even, *odd], even]) == "24 to 25 clips a point"


def test_an_alignment_is_drawn_where_it_is(tmp_path: Path, drawn: list[Any]) -> None:
    random = np.random.default_rng(0)
    times, spoken = np.arange(40) * 0.16, np.arange(30) * 0.16
    labels = np.minimum(np.arange(40) * 3 // 4, 29)
    labels[:3] = -1
    truth = np.zeros((40, 30), dtype=bool)
    truth[np.arange(40), np.minimum(np.arange(40) * 3 // 4, 29)] = True
    panels = [Panel(f"weight {weight}", random.random((40, 30)), labels) for weight in (0, 1)]
    path = matrix_figure(panels, times, spoken, tmp_path / "m.png", title="Figure 4", truth=truth, zone=(2.0, 3.5))
    assert [found[-1] for found in drawn[0]] == ["weight 0", "weight 1"]
    with Image.open(path) as picture:
        assert picture.width > 1000

"""The paper's figures against each other: what does not add up is marked, and what is not marked adds up."""

from __future__ import annotations

import itertools
from statistics import fmean

import pytest

from weaksync.recipes.scoring import paper
from weaksync.recipes.scoring.paper import AVERAGE, CLIP, LANGUAGES, SENTENCE, TABLES, Table


def harmonic(first: float, second: float) -> float:
    return 2 * first * second / (first + second)


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_marks_are_of_cells_that_are_there(table: Table) -> None:
    assert all(table.cell(*place) is not None and reason for place, reason in table.misprints.items())


AVERAGED = [table for table in TABLES.values() if AVERAGE in table.columns]


@pytest.mark.parametrize("table", AVERAGED, ids=lambda table: table.name)
def test_averages_are_averages_unless_they_are_marked(table: Table) -> None:
    for row, figures in table.rows.items():
        off = abs(fmean(figures[:-1]) - figures[-1]) > (1.01 if table.lower else 0.1)
        assert not off or (row, AVERAGE) in table.misprints, (row, fmean(figures[:-1]), figures[-1])
    assert fmean(paper.TABLE_13.rows["multilingual"][:-1]) == pytest.approx(384.7, abs=0.05)


def test_f1_is_that_of_its_parts_unless_it_is_marked() -> None:
    """The mean of each video's F1 lies a little below the harmonic mean of the means."""
    for row in paper.STRATEGIES:
        for language in LANGUAGES:
            cells = [(paper.TABLE_14, f"{language} {CLIP}"), (paper.TABLE_14, f"{language} {SENTENCE}")]
            most = harmonic(*(table.cell(row, column) for table, column in cells))
            below = most - paper.TABLE_3.cell(row, language)
            marked = any((row, column) in table.misprints for table, column in [*cells, (paper.TABLE_3, language)])
            assert -0.1 <= below <= 0.8 or marked, (row, language, below)


def test_a_longer_list_finds_no_less_unless_it_is_marked() -> None:
    tables = [paper.TABLE_10, paper.TABLE_11, paper.TABLE_12]
    for shorter, longer in itertools.pairwise(tables):
        for row in paper.STRATEGIES:
            for column in LANGUAGES:
                marked = (row, column) in shorter.misprints or (row, column) in longer.misprints
                assert shorter.cell(row, column) <= longer.cell(row, column) or marked, (longer.name, row, column)


def test_tables_that_show_the_same_agree() -> None:
    for table, part in ((paper.TABLE_15, CLIP), (paper.TABLE_16, SENTENCE)):
        for language in LANGUAGES:
            column = f"{language} {part}"
            assert table.cell(language, language) == paper.TABLE_14.cell("two_stage", column)
            assert table.cell(paper.TRANSLATED, language) == paper.TABLE_14.cell("translate", column)
    best = "two_stage_supervision"
    assert paper.TABLE_4.rows[best] == paper.TABLE_3.rows[best]


def test_the_highest_of_each_column_of_figure_4_is_on_the_diagonal_unless_it_is_marked() -> None:
    for target in LANGUAGES:
        best = max(LANGUAGES, key=lambda source: paper.FIGURE_4.cell(source, target))
        assert best == target or (best, target) in paper.FIGURE_4.misprints


def test_a_table_with_a_figure_too_few_is_refused() -> None:
    with pytest.raises(ValueError, match="2 figures for 7 columns"):
        Table("x", "", LANGUAGES, {"a": (1.0, 2.0)})

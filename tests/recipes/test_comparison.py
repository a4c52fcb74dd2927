"""The paper's layout with our figures in it: text, CSV, Markdown and a picture say the same."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from weaksync.recipes import paper
from weaksync.recipes.comparison import Comparison
from weaksync.recipes.paper import TABLES, Table
from weaksync.zoo.metrics import Interval


@pytest.fixture
def comparison() -> Comparison:
    table = Table("table99", "Made up", ("en", "ru"), {"a": (10.0, 20.0), "b": (30.0, None)}, {("a", "ru"): "a slip"})
    ours = {("a", "en"): Interval(12.34, 11.0, 13.0), ("a", "ru"): 15.0, ("b", "ru"): 1.0, ("c", "en"): 2.0}
    return Comparison(table, ours, {"a": "Model A", "b": "Model B", "c": "Ours alone"}, ("en", "ru"), ["a note"])


def test_the_text_has_the_papers_figure_ours_and_the_difference(comparison: Comparison) -> None:
    lines = comparison.text().splitlines()
    assert lines[0] == "Table 99: Made up"
    assert [line.split() for line in lines[2:6]] == [
        ["Model", "A"],
        ["paper", "10.0", "20.0†"],
        ["ours", "12.3", "15.0"],
        ["difference", "+2.3", "−5.0"],
    ]
    assert lines[8].split() == ["ours", "1.0"] and lines[9].split() == ["difference"]  # the paper has none there
    assert lines[-2:] == ["a note", "† Model A, ru: a slip"]


def test_the_csv_has_every_cell_with_its_interval(comparison: Comparison) -> None:
    rows = list(csv.DictReader(io.StringIO(comparison.csv())))
    assert len(rows) == 6
    assert list(rows[0].values()) == ["a", "en", "10.0", "12.34", "11.0", "13.0", "2.34", ""]
    assert rows[1]["misprint"] == "a slip" and rows[1]["low"] == ""
    assert rows[2]["ours"] == "" and rows[2]["difference"] == ""


def test_the_markdown_has_the_layout_of_the_paper(comparison: Comparison) -> None:
    text = comparison.markdown()
    assert "| Model A | **12.3** / 10.0 (+2.3) | **15.0** / 20.0† (−5.0) |" in text
    assert "| Model B | **–** / 30.0 | **1.0** / – |" in text
    assert "- † Model A, ru: a slip" in text


@pytest.mark.parametrize("name", ["table3", "table13", "table14", "table1", "table15", "figure4", "table5"])
def test_every_kind_of_table_is_written_and_drawn(name: str, tmp_path: Path) -> None:
    table = TABLES[name]
    ours = {(row, table.columns[0]): 20.0 for row in table.rows}
    paths = Comparison(table, ours, {row: row for row in table.rows}, table.columns).write(tmp_path)
    assert [path.name for path in paths] == [f"{name}.csv", f"{name}.md", f"{name}.png"]
    assert paths[2].read_bytes().startswith(b"\x89PNG")


def test_without_any_figure_of_ours_it_is_the_papers_table(tmp_path: Path) -> None:
    table = paper.FIGURE_4
    empty = Comparison(table, {}, {row: row for row in table.rows}, table.columns)
    assert "26.9" in empty.text()
    empty.write(tmp_path)

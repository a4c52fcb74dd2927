"""The paper's layout with our figures in it: text, CSV, Markdown and a picture say the same."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from weaksync.recipes.report import comparison as drawing
from weaksync.recipes.scoring import paper
from weaksync.recipes.scoring.comparison import Comparison
from weaksync.recipes.scoring.paper import TABLES, Table
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
    assert list(rows[0].values()) == ["a", "en", "10.0", "12.34", "11.0", "13.0", "2.34", "", ""]
    assert rows[1]["misprint"] == "a slip" and rows[1]["low"] == ""
    assert rows[2]["ours"] == "" and rows[2]["difference"] == ""


def test_the_markdown_has_the_layout_of_the_paper(comparison: Comparison) -> None:
    text = comparison.markdown()
    assert "| Model A | **12.3** / 10.0 (+2.3) | **15.0** / 20.0† (−5.0) |" in text
    assert "| Model B | **–** / 30.0 | **1.0** / – |" in text
    assert "- † Model A, ru: a slip" in text


def test_an_average_is_over_the_same_languages_on_both_sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {("two_stage", "en"): 30.0, ("two_stage", "es"): 20.0, ("two_stage", "average"): 25.0}
    some = Comparison(TABLES["table3"], ours, {"two_stage": "Model"}, ("en", "es", "average"))
    note = "average: ours and the paper's over en, es alone, not over its 7 languages"
    lines = [line.split() for line in some.text().splitlines()]
    assert lines[3] == ["paper", "26.9", "19.1", "23.0"]  # (26.9 + 19.1) / 2, and not the 21.8 that is printed
    assert lines[5] == ["difference", "+3.1", "+0.9", "+2.0"] and some.text().endswith(note)
    *_, row = csv.DictReader(io.StringIO(some.csv()))
    assert (row["column"], row["paper"], row["difference"], row["over"]) == ("average", "23.0", "2.0", "en es")
    assert "**25.0** / 23.0 (+2.0) |" in some.markdown() and f"- {note}" in some.markdown()
    drawn: list[Figure] = []
    monkeypatch.setattr(drawing, "save", lambda figure, out: drawn.append(figure))
    drawing.comparison_figure(some, tmp_path / "picture.png")
    assert drawn[0].axes[0].collections[0].get_offsets()[2, 1] == pytest.approx(23.0)
    assert drawn[0].get_supxlabel() == note


def test_over_all_languages_the_average_is_as_printed() -> None:
    every = Comparison(TABLES["table3"], {}, {"two_stage": "Model"}, TABLES["table3"].columns)
    assert every.theirs.cell("two_stage", "average") == 21.8 and every.average_note is None


def test_an_average_that_counts_a_misprint_is_marked_and_one_that_does_not_is_not() -> None:
    names = {"individual": "Model", "multilingual": "Other"}
    french = Comparison(TABLES["table3"], {}, names, ("en", "fr", "average"))
    assert french.marked("individual", "average") and "† Model, fr; Model, average: F1 16.6" in french.text()
    assert not Comparison(TABLES["table3"], {}, names, ("en", "ru", "average")).marked("individual", "average")
    # of Table 11 every printed average counts the Russian column, of Table 13 one is wrong by itself
    assert not Comparison(TABLES["table11"], {}, names, ("en", "fr", "average")).marked("individual", "average")
    assert Comparison(TABLES["table11"], {}, names, ("en", "ru", "average")).marked("individual", "average")
    ranks = Comparison(TABLES["table13"], {}, names, ("en", "zh", "average"))
    assert not ranks.marked("multilingual", "average") and ranks.theirs.cell("multilingual", "average") == 86.0


def test_with_a_language_that_the_paper_lacks_its_average_is_left_out() -> None:
    more = Comparison(TABLES["table3"], {("two_stage", "average"): 9.0}, {"two_stage": "M"}, ("en", "de", "average"))
    assert more.difference("two_stage", "average") is None
    assert more.remarks() == ["average: ours, over en, de; the paper has no de, so none to compare"]


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

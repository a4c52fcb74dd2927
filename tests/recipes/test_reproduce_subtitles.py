"""Video2Subtitle's tables and figures: ours in the places of the paper's, and what the paper prints."""

from __future__ import annotations

import csv
import re
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from weaksync import zoo
from weaksync.datamodules.sample_clips import make_clips
from weaksync.recipes import console
from weaksync.recipes.console import Track
from weaksync.recipes.report.pool import pool_figure
from weaksync.recipes.reproduce import subtitle_figures as figures
from weaksync.recipes.reproduce import subtitle_tables as tables
from weaksync.recipes.reproduce import subtitles as reproduce_subtitles
from weaksync.recipes.reproduce.speakers_set import SpeakersSize
from weaksync.recipes.reproduce.subtitle_figures import Pair, course, still_zone
from weaksync.recipes.reproduce.subtitle_runs import SubtitleRuns
from weaksync.recipes.reproduce.subtitles import command, numbers, reproduce
from weaksync.recipes.scoring import paper_subtitles as paper
from weaksync.recipes.scoring.comparison import shown_chance
from weaksync.recipes.scoring.pools import PoolScores, Query


def scores(models: tuple[str, ...], *, known: bool = True, clips: int = 24, pool: int = 40) -> PoolScores:
    """The later a model comes, the better it is; the first clips hide their lips."""
    random = np.random.default_rng(1)
    queries = [
        Query(f"c{n}", ("movie", "youtube")[n % 2], *((1 - n / clips, n / clips) if known else ()))
        for n in range(clips)
    ]
    costs = {}
    for place, model in enumerate(models):
        cost = torch.from_numpy(random.normal(1, 0.2, (clips, pool)))
        cost[torch.arange(clips), torch.arange(clips)] -= 0.3 * place
        costs[model] = [cost]
    return PoolScores.of(queries, costs, torch.arange(clips))


def test_the_paper_adds_up() -> None:
    """Section 5.2 states sums of recalls and differences of ranks; they are those of the table."""
    table = paper.TABLE_2

    def recalled(name: str) -> float:
        return sum(table.rows[name][:3])  # type: ignore[arg-type]

    sums = {
        (domain, one, other): round(recalled(paper.row(domain, one)) - recalled(paper.row(domain, other)), 1)
        for domain in paper.DOMAINS
        for one, other in (("dsta", "dtw"), ("soft-dsta", "soft-dtw"))
    }
    assert sums == {
        ("youtube", "dsta", "dtw"): 70.5,
        ("movie", "dsta", "dtw"): 27.0,
        ("youtube", "soft-dsta", "soft-dtw"): 40.2,
        ("movie", "soft-dsta", "soft-dtw"): 42.5,
    }
    ranks = {name: row[3] for name, row in table.rows.items()}
    gains = [
        ranks[paper.row(d, a)] - ranks[paper.row(d, b)]
        for a, b in (("dtw", "dsta"), ("soft-dtw", "soft-dsta"))
        for d in paper.DOMAINS
    ]  # type: ignore[operator]
    assert gains == [252, 567, 79, 897]
    for domain in paper.DOMAINS:  # one model in two tables
        assert paper.TABLE_3.rows[paper.row(domain, "alignment")] == table.rows[paper.row(domain, "soft-dsta")]


@pytest.mark.parametrize("known", [True, False])
def test_table_2_has_every_aligner_in_each_domain(known: bool) -> None:
    found = tables.aligners(scores(tuple(paper.ALIGNERS), known=known), seeds=1, apart=False)
    assert list(found.names) == list(paper.TABLE_2.rows)
    assert all(found.value(row, column) is not None for row in found.names for column in paper.FIGURES)
    assert ("hide the lips" in found.text()) == known
    assert "24 clips (12 of Movie, 12 of YouTube), each among 40 subtitles, one seed" in found.text()


def test_chance_is_that_of_the_pool_and_not_the_papers(tmp_path: Path) -> None:
    guessed = scores(("dtw", "dsta"), pool=40)
    orders = np.random.default_rng(0).permuted(np.tile(np.arange(40), (40_000, 1)), axis=1)
    places = 1 + orders[:, 0]  # of the own subtitle, in orders that know nothing
    assert guessed.chance == {"r@1": 2.5, "r@5": 12.5, "r@10": 25.0, "MedRank": 20.5}
    for column, most in (("r@1", 1), ("r@5", 5), ("r@10", 10)):
        assert guessed.chance[column] == pytest.approx(100 * np.mean(places <= most), abs=0.6)
    assert guessed.chance["MedRank"] == pytest.approx(np.median(places), abs=0.6)
    level = PoolScores.of(guessed.queries, {"flat": [torch.ones(24, 40)]}, torch.arange(24)).cells("flat")
    assert {name: getattr(cell, "value", cell) for name, cell in level.items()} == pytest.approx(guessed.chance)
    assert scores(("dtw",), pool=24, clips=3).chance["r@10"] == pytest.approx(1000 / 24)
    assert tables.aligners(scores(("dtw",), clips=3, pool=6), seeds=1, apart=False).chance["r@10"] == 100

    found = tables.aligners(guessed, seeds=1, apart=False)
    (line,) = [line for line in found.text().splitlines() if line.startswith("chance")]
    assert line.split() == ["chance", "2.5", "12.5", "25.0", "20.5"]
    table, page, _ = found.write(tmp_path, pool_figure)
    assert "| *chance* | *2.5* | *12.5* | *25.0* | *20.5* |" in page.read_text()
    with table.open() as file:
        rows = [row for row in csv.DictReader(file) if row["row"] == "chance"]
    assert {row["column"]: float(row["ours"]) for row in rows} == guessed.chance
    assert not any(row[name] for row in rows for name in ("paper", "difference"))
    assert [shown_chance(value) for value in (0.02, 0.2, 2500.5)] == ["0.02", "0.2", "2,500.5"]


def test_table_3_says_what_is_absent() -> None:
    found = tables.cues(
        scores(("object", "alignment", "global", "fusion", "paper")), [{"alignment": 10.0, "object": 1.0}]
    )
    text = found.text()
    assert "has no Scene (S), Action (A)" in text and "alignment 10, object 1" in text and "--clip4clip FOLDER" in text
    assert found.value("movie/clip4clip", "r@1") is None and found.theirs.cell("movie/clip4clip", "r@1") == 5.2
    assert found.theirs.cell("movie/paper", "r@1") is None and found.value("movie/paper", "r@1") is not None


def test_table_1_counts_clips(tmp_path: Path) -> None:
    make_clips(tmp_path, {"train": 3, "test": 1}, seconds=2.0, cues=3)
    found = tables.counts(tmp_path)
    ours = {column: found.value("video2subtitle", column) for column in paper.TABLE_1.columns}
    assert ours["clips"] == 4 and ours["lines"] == 12 and ours["hours"] == pytest.approx(4 * 2.0 / 3600)
    assert "raw subtitles" in found.text()


def test_curves_are_written_where_the_truth_is_known(tmp_path: Path) -> None:
    assert tables.write_curves(scores(("dtw", "dsta"), known=False), tmp_path, "table2") == []
    table, picture = tables.write_curves(scores(("dtw", "dsta")), tmp_path, "table2")
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["share of"], row["model"]) for row in rows} == {
        (s, m) for s in ("hidden", "offscreen") for m in ("DTW", "DSTA")
    }
    assert sum(int(row["clips"]) for row in rows if row["share of"] == "hidden" and row["model"] == "DTW") == 24
    assert picture.stat().st_size > 5000


def test_the_zone_is_where_features_are_still() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(200, 8))
    features[80:120] = features[80] + random.normal(scale=0.02, size=(40, 8))
    times = np.arange(200) / 25
    zone = still_zone(features, times)
    assert zone is not None and abs(zone[0] - 80 / 25) < 0.5 and abs(zone[1] - 120 / 25) < 0.5
    assert still_zone(random.normal(size=(200, 8)), times) is None


def straight(n: int = 50, m: int = 40) -> Pair:
    labels = np.round(np.arange(n) * (m - 1) / (n - 1)).astype(int)
    truth = np.zeros((n, m), dtype=bool)
    truth[np.arange(n), labels] = True
    truth[:5] = False  # nobody speaks
    empty = torch.zeros(1, 0, 1)
    return Pair("c", empty, empty, np.arange(n) * 0.16, np.arange(m) * 0.16, truth, (2.0, 4.0))


def test_a_course_is_measured_against_the_truth() -> None:
    pair = straight()
    right = np.round(np.arange(50) * 39 / 49).astype(np.int64)
    found = course("right", right, pair)
    assert found.backward == 0 and found.right == 1 and found.right_in_zone == 1 and found.diagonal < 0.16
    astray = right.copy()
    inside = (pair.video_times >= 2.0) & (pair.video_times <= 4.0)
    astray[inside] = np.where(np.arange(inside.sum()) % 2, 0, 30)
    found = course("astray", astray, pair)
    assert found.right_in_zone is not None and found.right_in_zone < 0.2 < found.right < 1
    assert found.backward == pytest.approx(np.mean(np.diff(astray) < 0)) and found.backward > 0.1


def test_a_figure_is_written_with_its_measures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = straight()
    labels = np.round(np.arange(50) * 39 / 49).astype(np.int64)
    panels = [figures.Panel("weight 1", np.random.default_rng(0).random((50, 40)), labels)]
    found = (pair, panels, [course("order weight 1", labels, pair)])
    figures.show("figure4", found)
    assert "order weight 1" in capsys.readouterr().out
    table, words, picture = figures.write("figure4", found, tmp_path)
    away = 0.16 * np.abs(labels - np.arange(50) * 39 / 49).mean()
    assert table.read_text().splitlines()[1] == f"order weight 1,0.000,{away:.3f},1.000,1.000"
    assert "prints no numbers" in words.read_text() and picture.stat().st_size > 5000


def test_what_cannot_be_asked(tmp_path: Path) -> None:
    def said(*arguments: str) -> str:
        result = CliRunner().invoke(command, arguments)
        assert result.exit_code == 2
        return result.output

    assert "--clips CLIPS, or --world FOLDER" in said("table2")
    assert "leave out --videos" in said("table2", "--clips", str(tmp_path), "--videos", "5")
    assert "leave out --pool" in said("table2", "--world", str(tmp_path), "--pool", str(tmp_path))
    assert list(command.commands) == ["table1", "table2", "table3", "figure4", "figure5", "figure6", "figure7"]
    assert numbers("0,2,1") == (0, 2, 1)
    for wrong in ("a", "1,1", "-1", ""):
        with pytest.raises(ValueError, match="--seeds"):
            numbers(wrong)


def test_a_baseline_of_another_kind_is_known_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SubtitleRuns, "fused", lambda self: pytest.fail("trained first"))
    zoo.create("gsm-tiny").save_pretrained(tmp_path / "gsm")
    runs = SubtitleRuns(tmp_path / "clips", tmp_path / "runs")
    with pytest.raises(ValueError, match="gsm is a GSM, which does not compare clips with texts"):
        reproduce("table3", runs, None, clip4clip=str(tmp_path / "gsm"))
    with pytest.raises(FileNotFoundError):
        reproduce("table3", runs, None, clip4clip=str(tmp_path / "nowhere"))


def test_synthetic_speakers_are_counted_in_their_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []

    def slowly(folder: Path, size: SpeakersSize, *, jobs: int, track: Track) -> tuple[Path, Path]:
        for what in ("videos", "clips", "texts of the pool", "sentences of the pool"):
            for done in range(4):
                time.sleep(0.01)
                track(what, done, 9)
        return folder, folder

    monkeypatch.setattr(console, "PATIENCE", 0.0)
    monkeypatch.setattr(console._Lines, "_say", lambda self, line: lines.append(line))
    monkeypatch.setattr(reproduce_subtitles, "speakers_set", slowly)
    reproduce_subtitles.made(tmp_path, SpeakersSize())
    units = dict(re.findall(r"^(.+): \d of 9, [\d.,]+ (\w+)/s", "\n".join(lines), re.M))
    wanted = ("videos", "clips", "texts of the pool", "sentences of the pool")
    assert units == {what: what.split()[0] for what in wanted}

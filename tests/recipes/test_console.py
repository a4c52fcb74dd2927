"""What a verb shows where nobody watches: lines at a pace, and tables that fit."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from weaksync.recipes import console
from weaksync.recipes.console import Pace, print_table, progress, tracker

LANGUAGES = ("en", "zh", "es", "fr", "pt", "hi", "ru", "all")


@pytest.fixture
def quiet_progress():
    """Here the lines are what is tested."""


@pytest.fixture
def log(monkeypatch):
    """A log file, and a clock that is set by hand."""
    shown, clock = io.StringIO(), [1000.0]
    monkeypatch.setattr(console, "err", Console(file=shown, width=60, get_time=lambda: clock[0]))
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    return shown, clock


def tick(bar, task, clock, seconds):
    """A step of the work, `seconds` later."""
    clock[0] += seconds
    bar.advance(task)


def test_long_work_prints_a_line_at_its_start_and_one_every_half_minute(log, quiet_progress):
    shown, clock = log
    with progress("videos") as bar:
        task = bar.add_task("encoding", total=None)
        assert shown.getvalue() == ""
        bar.update(task, total=1200)
        assert shown.getvalue() == "encoding: 1,200 videos\n"
        for _ in range(1200):
            tick(bar, task, clock, 0.5)
        bar.update(task, total=1200)
    lines = shown.getvalue().splitlines()
    assert len(lines) == 1 + 20
    assert lines[1] == "encoding: 60 of 1,200, 2.0 videos/s, 10 min left"
    assert lines[-2].startswith("encoding: 1,140 of 1,200") and lines[-1].startswith("encoding: 1,200 of 1,200")


def test_a_task_of_another_unit_says_so(log, quiet_progress):
    shown, clock = log
    with progress("films") as bar:
        track = tracker(bar, reading="steps")
        for done in range(70):
            track("filming", done, 90)
            track("reading", done, 800)
            clock[0] += 1
        reading, filming = bar.tasks[1], bar.tasks[0]
    assert any(line.startswith("reading: 60 of 800, 1.0 steps/s") for line in shown.getvalue().splitlines())
    assert any(line.startswith("filming: 60 of 90, 1.0 films/s") for line in shown.getvalue().splitlines())
    assert "steps/s" in console._Rate("films").render(reading).plain
    assert "films/s" in console._Rate("films").render(filming).plain


def test_quick_work_prints_its_first_line_alone(log, quiet_progress):
    shown, clock = log
    with progress("videos") as bar:
        task = bar.add_task("encoding", total=100)
        for _ in range(100):
            tick(bar, task, clock, 0.2)
        bar.add_task("nothing", total=0)
        bar.add_task("packing", total=1)
    assert shown.getvalue() == "encoding: 100 videos\npacking: 1 video\n"


def test_bytes_are_shown_as_bytes_and_iterables_are_followed(log, quiet_progress):
    shown, clock = log
    with progress(console.BYTES) as bar:
        task = bar.add_task("reading", total=4_000_000)
        clock[0] += 40
        bar.advance(task, 1_500_000)
        for _ in bar.track(range(2), description="repeats"):
            clock[0] += 31
    lines = shown.getvalue().splitlines()
    assert lines[:2] == ["reading: 4.0 MB", "reading: 1.5 MB of 4.0 MB"]
    assert [line.partition(":")[0] for line in lines[2:]] == ["repeats"] * 3


def test_the_pace_is_one_line_in_thirty_seconds(log):
    _, clock = log
    pace = Pace()
    times = []
    for _ in range(100):
        clock[0] += 1
        if pace.due():
            times.append(clock[0])
    assert times == [1030.0, 1060.0, 1090.0]


def printed(monkeypatch, width, *table):
    shown = io.StringIO()
    monkeypatch.setattr(console, "out", Console(file=shown, width=width))
    print_table(*table)
    return shown.getvalue().splitlines()


def test_figures_that_are_too_many_for_one_width_go_below_each_other(monkeypatch):
    rows = [["vocabulary", *range(100_001, 100_009)], ["annotated pairs, train", *[7] * 8], ["movies", *[None] * 8]]
    lines = printed(monkeypatch, 80, "counts", ["figure", *LANGUAGES], rows)
    assert max(map(len, lines)) <= 80
    heads = [line for line in lines if "figure" in line]
    assert len(heads) == 2 and [code for head in heads for code in LANGUAGES if f" {code} " in head] == list(LANGUAGES)
    assert sum("annotated pairs, train" in line for line in lines) == 2  # no word is broken
    wide = printed(monkeypatch, 140, "counts", ["figure", *LANGUAGES], rows)
    assert sum("figure" in line for line in wide) == 1


def test_words_wrap_in_one_table(monkeypatch):
    rows = [["name", "what it does, in many words that go on and on and on", "more words, " * 5]]
    lines = printed(monkeypatch, 40, "verbs", ["verb", "what", "why"], rows)
    assert sum("verb " in line for line in lines) == 1 and max(map(len, lines)) <= 40


TEXT = "Well, I never thought that the garden would look like this in the very middle of the winter"


@pytest.mark.parametrize("cues", range(5))
@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_text_beside_figures_has_the_width_that_is_left_and_goes_below_where_that_is_little(monkeypatch, cues, width):
    names = ["object", "scene", "action", "alignment"][:cues]
    rows = [[place, f"speaker-{place:04d}", *range(1, cues + 1), 1234.0 + place, TEXT] for place in (1, 2)]
    lines = printed(monkeypatch, width, "clip", ["#", "subtitle", *names, "cost", "text"], rows)
    assert max(map(len, lines)) <= width
    heads = [line for line in lines if " subtitle " in line]
    (with_text,) = [head for head in heads if " text " in head]
    assert [name for head in heads for name in names if f" {name} " in head] == names
    assert sum(" 1236 " in line for line in lines) == 1
    said = " ".join(line.split("│")[-2].strip() for line in lines[lines.index(with_text) + 2 :] if "│" in line)
    assert said.split() == 2 * TEXT.split()  # no word is broken
    own = len(with_text.split("┃")[-2]) - 2
    assert own >= 30 and (len(with_text) >= width - 20 or own >= len(TEXT))
    beside = len("#") + len("speaker-0001") + len("1235") + sum(map(len, names)) + 3 * (cues + 4) + 1
    assert (len(heads) == 1) == (beside + 30 <= width)

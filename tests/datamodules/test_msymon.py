"""The M-SyMoN reader: every fault of the release, made small; and the release itself where it is at hand."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from weaksync.datamodules import msymon
from weaksync.datamodules.records import SPLITS

DATA = os.environ.get("WEAKSYNC_DATA")
real = pytest.mark.skipif(not DATA, reason="set WEAKSYNC_DATA to the folder that holds m-symon and yms")


def row(text, begin=0, end=0, matched="yes"):
    return {"id": "v", "begin_time": begin, "end_time": end, "matched": matched, "text": text}


def read(tmp_path, rows, **options):
    path = tmp_path / "test.json"
    path.write_text(json.dumps({"v-1_x": rows}), encoding="utf-8")
    (video,) = msymon.read_file(path, language="en", **options)
    return video


def test_fractions_count_frames(tmp_path):
    rows = [row("a", 0.0, 3.21), row("b", 3.22, 7.29), row("c", 8.0, 9.150000000000001)]
    video = read(tmp_path, rows)
    assert [s.segment for s in video.sentences] == [
        (0.0, pytest.approx(3.7)),
        (pytest.approx(3 + 22 / 30), pytest.approx(7 + 29 / 30)),
        (8.0, 9.5),
    ]
    assert read(tmp_path, rows, time_format="decimal").sentences[0].segment == (0.0, 3.21)
    assert video.notes == []


def test_a_video_of_decimals_stays_decimal(tmp_path):
    rows = [row("a", 0.1, 3.87), row("b", 3.92, 7.29), row("c", 8.45, 9.15)]  # 3 of 6 values past .29
    assert read(tmp_path, rows).sentences[1].segment == (3.92, 7.29)
    assert read(tmp_path, rows).notes == []
    frames = read(tmp_path, rows, time_format="frames30").sentences
    assert frames[0].segment == (pytest.approx(10 / 30), 3.87)  # what cannot be frames stays as it stands
    assert frames[1].segment == (3.92, pytest.approx(7 + 29 / 30))


def test_share_of_decimals_at_the_border(tmp_path):
    at = [row(str(k), k, k + 0.5 if k < 3 else k + 0.1) for k in range(5)]  # 3 of 10 values: not more than 0.3
    assert read(tmp_path, at).notes == ["times read as seconds and frames; 3 that cannot be were kept as decimals"]
    assert read(tmp_path, at).sentences[4].segment == (4.0, pytest.approx(4 + 10 / 30))
    past = [*at[:4], row("5", 4.4, 4.5)]
    assert read(tmp_path, past).sentences[3].segment == (3.0, 3.1)


def test_a_file_that_two_digits_cannot_write_holds_decimals(tmp_path):
    """A short video of decimals may look like frames by chance; its file tells."""
    path = tmp_path / "some.json"
    chance, finer = [row("a", 0.0, 2.25), row("b", 4.25, 6.1)], [row("a", 0.0, 2.833), row("b", 4.25, 6.1)]
    path.write_text(json.dumps({"chance": chance, "finer": finer}))
    first, second = msymon.read_file(path, language="en")
    assert first.sentences[1].segment == second.sentences[1].segment == (4.25, 6.1)
    assert first.notes == second.notes == []
    many = [row(str(k), k + 0.5, k + 0.9) for k in range(4)]
    path.write_text(json.dumps({"chance": chance, "decimals": many}))
    assert msymon.read_file(path, language="en")[0].sentences[1].segment == (4.25, 6.1)


@pytest.mark.parametrize("answer", [" yes", "yes ", "Yes"])
def test_an_answer_may_be_written_carelessly(tmp_path, answer):
    assert read(tmp_path, [row("a", 1, 2, answer)]).sentences[0].segment == (1.0, 2.0)
    assert read(tmp_path, [row("a", 1, 2, " No ")]).sentences[0].segment is None


def test_a_row_that_ends_before_it_begins_keeps_its_text_alone(tmp_path):
    video = read(tmp_path, [row("a", 5.0, 5.0), row("b", 895.2, 0.0), row("c", 1.0, 202.0)])
    assert [s.text for s in video.sentences] == ["a", "b", "c"]
    assert [s.segment for s in video.sentences] == [None, None, (1.0, 202.0)]
    assert [note.split(":")[0] for note in video.notes] == ["sentence 0", "sentence 1", "sentence 2"]
    assert "201 s long" in video.notes[2]


def test_a_list_written_twice_is_kept_once(tmp_path):
    once = [row("a", 1, 2), row("b", 3, 4), row("c", matched="no")]
    again = [row("a", 1, 2), row("b", 3, 5), row("c", matched="no")]
    video = read(tmp_path, once + again)
    assert [s.segment for s in video.sentences] == [(1.0, 2.0), (3.0, 4.0), None]
    assert video.notes == [
        "all 3 sentences came twice; the first copy is kept; 1 of them had other times the second time"
    ]
    assert len(read(tmp_path, once + again, deduplicate=False).sentences) == 6
    partly = read(tmp_path, [*once, *again, row("d", 6, 7)])
    assert len(partly.sentences) == 7 and partly.notes == ["3 of 7 sentences repeat an earlier one; kept"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", "one list of sentences for each video"),
        ("{", "not a JSON file"),
        ('{"v": [], "w": [], "v": []}', "'v' is there twice"),
        ('{"v": [{"text": "a"}]}', "v, row 0: expected begin_time"),
        (json.dumps({"v": [row("a", "soon", 2)]}), "v, row 0: expected begin_time"),
        (json.dumps({"v": [row("a"), row("b", matched="maybe")]}), "v, row 1: matched must be yes or no"),
        (json.dumps({"v": [row(" ")]}), "v, row 0: the text is empty"),
        (json.dumps({"v": [row("a", -1, 2)]}), "v, row 0: times must be"),
    ],
)
def test_a_malformed_file_is_named(tmp_path, content, words):
    path = tmp_path / "odd.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=f"odd.json.*{words}"):
        msymon.read_file(path, language="en")


def test_unknown_names_are_refused(tmp_path):
    with pytest.raises(ValueError, match="split must be one of"):
        msymon.read(tmp_path, "en", "dev")
    with pytest.raises(ValueError, match="language must be one of"):
        msymon.read(tmp_path, "xx", "test")
    with pytest.raises(ValueError, match="time_format must be one of"):
        msymon.read_file(tmp_path / "a.json", language="en", time_format="ms")
    with pytest.raises(FileNotFoundError):
        msymon.read(tmp_path, "en", "test")


def test_urls(tmp_path):
    folder = tmp_path / "url list of annotated videos"
    folder.mkdir()
    (folder / "ch.txt").write_text("https://www.youtube.com/watch?v=a-_1\n\nhttps://www.youtube.com/watch?v=b", "utf-8")
    assert list(msymon.urls(tmp_path, "zh")) == ["a-_1", "b"]
    (folder / "en.txt").write_text("https://www.youtube.com/watch?v=a\nnothing\n", "utf-8")
    with pytest.raises(ValueError, match=r"en.txt, line 2"):
        msymon.urls(tmp_path, "en")


@real
@pytest.mark.parametrize(
    ("language", "counts", "sentences", "matched", "listed"),
    [
        ("en", (24, 0, 57), 10194, 6568, 98),
        ("zh", (8, 0, 17), 1975, 1211, 31),
        ("es", (22, 0, 40), 5356, 3101, 75),
        ("fr", (19, 0, 50), 9260, 5332, 84),
        ("pt", (9, 0, 34), 5691, 3530, 57),
    ],
)
def test_the_release_has_the_counts_that_are_known_of_it(language, counts, sentences, matched, listed):
    root = Path(str(DATA)) / "m-symon"
    splits = [msymon.read(root, language, split, deduplicate=False) for split in SPLITS]
    videos = [video for split in splits for video in split]
    assert tuple(map(len, splits)) == counts
    assert sum(len(video.sentences) for video in videos) == sentences
    reversed_rows = sum("no later than" in note for video in videos for note in video.notes)
    segments = sum(s.segment is not None for video in videos for s in video.sentences)
    assert segments + reversed_rows == matched
    annotated, others = msymon.urls(root, language), msymon.urls(root, language, annotated=False)
    assert len(annotated) == listed
    assert {video.id for video in videos} <= set(annotated) and not {video.id for video in videos} & set(others)

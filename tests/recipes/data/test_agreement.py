import json

import pytest
from click.testing import CliRunner

from weaksync.datamodules.records import AnnotatedVideo, Sentence
from weaksync.recipes.counting.sets import SetCounts
from weaksync.recipes.data.agreement import agreement, command


def video(name, *segments, texts="abcdefgh"):
    told = [Sentence(text, segment) for text, segment in zip(texts, segments, strict=False)]
    return AnnotatedVideo(name, "", 0.0, told, language="en")


def test_iou_is_of_the_two_segments_of_each_sentence():
    first = [video("v", (0, 4), None, (5, 6), None), video("w", (0, 2))]
    second = [video("v", (2, 6), (1, 2), (5, 6), None), video("w", (0, 1)), video("x", (0, 1))]
    found = agreement(first, second)
    assert found.videos["v"].iou == pytest.approx((2 / 6 + 0 + 1) / 3)
    assert (found.videos["v"].sentences, found.videos["v"].matched, found.videos["v"].same_answer) == (4, 3, 0.75)
    assert found.iou.value == pytest.approx(((2 / 6 + 1) / 3 + 0.5) / 2)
    assert found.alone == ["x"]
    swapped = agreement(second, first)
    assert swapped.iou == found.iou and swapped.same_answer == found.same_answer


def test_sentences_are_joined_by_their_text():
    first = [video("v", (0, 1), (1, 2), (2, 3), texts=["One.", "Two.", "Three."])]
    second = [video("v", (1, 2), (2, 3), (9, 10), texts=["two. ", "THREE.", "Four."])]
    found = agreement(first, second).videos["v"]
    assert (found.sentences, found.apart, found.iou) == (2, 2, 1.0)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="no video in common"):
        agreement([video("v", (0, 1))], [video("w", (0, 1))])
    with pytest.raises(ValueError, match="nothing to compare"):
        agreement([video("v", None)], [video("v", None)])


def write(path, segment):
    path.parent.mkdir(parents=True, exist_ok=True)
    row = {"id": 0, "begin_time": segment[0], "end_time": segment[1], "matched": "yes", "text": "a"}
    path.write_text(json.dumps({"v": [row], "u": [{**row, "matched": "no", "begin_time": 0, "end_time": 0}]}))
    return path


def test_files_and_folders_are_compared(tmp_path):
    one, two = write(tmp_path / "a" / "es.json", (0.0, 4.0)), write(tmp_path / "b" / "es.json", (1.0, 4.0))
    write(tmp_path / "a" / "fr.json", (0.0, 4.0))
    for folder in ("a", "b"):  # withheld: said, and left out
        (tmp_path / folder / "pt.json").write_text("{}")
    for paths in ((one, two), (tmp_path / "a", tmp_path / "b")):
        result = CliRunner().invoke(command, [*map(str, paths), "--json"], catch_exceptions=False)
        plain = json.loads(result.stdout)
        assert list(plain) == ["es"] and plain["es"]["iou"]["value"] == pytest.approx(0.75)
        assert plain["es"]["videos"]["u"]["iou"] is None
    shown = CliRunner().invoke(command, [str(one), str(two), "--videos"], catch_exceptions=False).output
    assert "0.844" in shown  # what the paper has for Spanish
    empty = tmp_path / "a" / "pt.json"
    with pytest.raises(ValueError, match="pt: the two annotations have no video in common"):
        CliRunner().invoke(command, [str(empty), str(empty)], catch_exceptions=False)
    for bad, words in (((one, tmp_path), "two annotation files, or two folders"), ((one, tmp_path / "c"), "no such")):
        with pytest.raises((ValueError, FileNotFoundError), match=words):
            CliRunner().invoke(command, list(map(str, bad)), catch_exceptions=False)


def test_times_agree_where_the_clip_shows_what_is_told_over_it():
    told = [Sentence("a", (0, 2), (0, 2)), Sentence("b", (5, 6), (2, 4)), Sentence("c", None, (4, 6))]
    clips = [(0.0, 2.0), (2.0, 4.0), (4.0, 5.0), (5.0, 6.0), (6.0, 8.0)]
    counts = SetCounts()
    counts.add("test", AnnotatedVideo("v", "", 8.0, told, clips, "en"))
    # of four clips with a narration over them, the first alone shows it
    assert counts.timestamp_agreement() == counts.table()["times agree with people"] == 0.25
    assert SetCounts().timestamp_agreement() is None

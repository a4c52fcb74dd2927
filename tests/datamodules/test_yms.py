"""The YMS reader on a release made small, and on the real one where it is at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from weaksync.datamodules import yms

DATA = os.environ.get("WEAKSYNC_DATA")
real = pytest.mark.skipif(not DATA, reason="set WEAKSYNC_DATA to the folder that holds m-symon and yms")


@pytest.fixture
def release(tmp_path):
    files = {
        "clip_segmentation.txt": "0032/0032_00.00.00.000-00.00.01.500\n0032/0032_00.00.01.500-00.01.00.000\n"
        "0087/0087_00.00.00.000-01.00.00.001",
        "annotations_sentences.txt": "0032_00.00.00.200-00.00.01.000\tIt begins: now.\n"
        "0032_00.00.01.000-00.00.02.000\tUNMATCHED\n"
        "0032_00.00.02.000-00.00.03.000\tUNMATCHED: Nobody saw it.\n"
        "0032_00.00.03.000-00.00.04.000\t\n"
        "0087_00.00.00.200-00.00.01.000\tOne\u2028line.",
        "url_list.txt": "0032    https://youtu.be/a\n0087    https://youtu.be/a",
        "movie_list.txt": "0032\tA film in 4 minutes\n0087\tThe same",
        "training_split.txt": "0032",
        "val_split.txt": "# 0087  # the same video",
        "test_split.txt": "0087",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_sentences_clips_and_words_of_a_video(release):
    (video,) = yms.read(release, "train")
    assert [(s.text, s.segment) for s in video.sentences] == [("It begins: now.", (0.2, 1.0)), ("Nobody saw it.", None)]
    assert video.clips == [(0.0, 1.5), (1.5, 60.0)]
    assert (video.id, video.url, video.movie, video.duration) == (
        "0032",
        "https://youtu.be/a",
        "A film in 4 minutes",
        60,
    )
    assert video.notes == ["a row at 3 s has no text; left out"]


def test_a_commented_video_is_in_no_split(release):
    assert yms.read(release, "val") == []
    assert [video.id for video in yms.read(release, "all")] == ["0032", "0087"]
    assert yms.read(release, "test")[0].duration == pytest.approx(3600.001)


def test_bad_input_is_named(release):
    with pytest.raises(ValueError, match="split must be"):
        yms.read(release, "dev")
    with pytest.raises(ValueError, match="variant must be"):
        yms.read(release, "train", variant="words")
    with pytest.raises(FileNotFoundError, match="annotations_phrases"):
        yms.read(release, "train", variant="phrases")
    (release / "clip_segmentation.txt").write_text("0032 0 to 1", encoding="utf-8")
    with pytest.raises(ValueError, match=r"clip_segmentation.txt, line 1"):
        yms.read(release, "train")
    (release / "training_split.txt").write_text("0099", encoding="utf-8")
    (release / "clip_segmentation.txt").write_text("", encoding="utf-8")
    with pytest.raises(ValueError, match="0099"):
        yms.read(release, "train")


@real
@pytest.mark.parametrize(
    ("variant", "matched", "unmatched", "notes"), [("sentences", 3536, 43, 0), ("phrases", 6018, 161, 1)]
)
def test_the_release_has_the_counts_that_are_known_of_it(variant, matched, unmatched, notes):
    root = Path(str(DATA)) / "yms"
    assert [len(yms.read(root, split, variant=variant)) for split in ("train", "val", "test")] == [66, 12, 15]
    videos = yms.read(root, "all", variant=variant)
    sentences = [sentence for video in videos for sentence in video.sentences]
    clips = [clip for video in videos for clip in video.clips]
    assert len(videos) == 94 and len(clips) == 16960
    assert sum(end - start for start, end in clips) / 3600 == pytest.approx(6.63, abs=0.005)
    assert sum(s.segment is not None for s in sentences) == matched
    assert sum(s.segment is None for s in sentences) == unmatched
    assert sum(len(video.notes) for video in videos) == notes

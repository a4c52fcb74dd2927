"""Raw video and subtitles to shards: what goes right, what goes wrong, and what happens when it is stopped."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from weaksync.datamodules import media, shards
from weaksync.datamodules.files import safe_id
from weaksync.datamodules.index import open_set
from weaksync.datamodules.verify import verify
from weaksync.recipes import cli
from weaksync.recipes.building import story_clips, story_set
from weaksync.recipes.building.shots import Cutter
from weaksync.recipes.building.sources import Narration
from weaksync.recipes.building.splits import assign
from weaksync.recipes.data.build import command
from weaksync.recipes.data.build_options import narrations_of

SRT = """1
00:00:00,000 --> 00:00:01,000
The {0} comes in.

2
00:00:01,000 --> 00:00:02,400
It looks. Then it runs away.
"""
ROWS = [
    {"id": 0, "begin_time": 0.5, "end_time": 1.1, "matched": "yes", "text": "The dog comes in."},
    {"id": 1, "begin_time": 0, "end_time": 0, "matched": "no", "text": "It looks!"},
    {"id": 2, "begin_time": 1.2, "end_time": 2.4, "matched": "yes", "text": "Then it runs away."},
]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A video of 2.4 s with one hard cut at 1.2 s."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    chance = np.random.default_rng(3)
    places = [chance.integers(0, 255, (6, 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1) for _ in range(2)]
    media.write_video(path, (np.roll(place, n, axis=1) for place in places for n in range(30)), 25)
    return path.read_bytes()


@pytest.fixture
def source(tmp_path: Path, film: bytes) -> Path:
    """Three videos with English and Spanish subtitles."""
    for folder in ("videos", "en", "es"):
        (tmp_path / folder).mkdir()
    for number in range(3):
        (tmp_path / f"videos/v{number}.mp4").write_bytes(film)
        (tmp_path / f"en/v{number}.srt").write_text(SRT.format("dog"), encoding="utf-8")
        (tmp_path / f"es/v{number}.srt").write_text(SRT.format("perro"), encoding="utf-8")
    (tmp_path / "notes.json").write_text(json.dumps({"v1": ROWS}), encoding="utf-8")
    return tmp_path


def build(source: Path, *more: str, out: str = "out", languages: tuple[str, ...] = ("en",), jobs: int = 1) -> Result:
    pairs = [word for code in languages for word in ("--subtitles", str(source / code), "--language", code)]
    options = ["--videos", str(source / "videos"), *pairs, "--out", str(source / out), "--shots", "content"]
    return CliRunner().invoke(command, ["story", *options, "--size", "32", "--frames", "4", "--jobs", str(jobs), *more])


def tree(folder: Path) -> dict[str, str]:
    """Name -> hash of the shards, their indexes and the manifest."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name != "build.json"
    }


def test_a_set_holds_every_video_whole(source: Path) -> None:
    done = build(source)
    assert done.exit_code == 0, done.output
    assert verify(source / "out") == []
    found = open_set(source / "out")
    assert found.manifest.frames == 4
    videos = found.videos("train")
    assert [video.id for video in videos] == ["v0", "v1", "v2"]
    for video in videos:
        assert video.clips == [(0.0, pytest.approx(1.2)), (pytest.approx(1.2), pytest.approx(2.4))]
        assert [s.text for s in video.sentences] == ["The dog comes in.", "It looks.", "Then it runs away."]
        assert video.sentences[0].narration == pytest.approx((0.0, 1.0))
        assert not video.annotated and video.language == "en" and video.duration == pytest.approx(2.4)
        members = found.read(video.id, 1)
        assert media.decode_jpeg(members["3.jpg"]).shape == (3, 32, 43)
    assert not (source / "out" / ".parts").exists()


def test_the_rule_of_the_splits_is_said_and_what_an_empty_one_means(source: Path) -> None:
    plain = build(source)
    assert "splits: all to train, as none is annotated\n" in plain.stderr
    assert "no val, so drop costs cannot be tuned; no test, so there is nothing to score" in plain.stderr
    rows = json.dumps({f"v{number}": ROWS for number in range(3)})
    (source / "notes.json").write_text(rows, encoding="utf-8")
    told = build(source, "--annotations", str(source / "notes.json"), "--time-format", "decimal", out="told")
    assert "splits: 20/20/60 of the 3 annotated videos to train, val and test, seed 0" in told.stderr
    assert set(json.loads((source / "told/build.json").read_text())["counts"]) == {"train", "val", "test"}
    assert "--splits names some" not in told.stderr


def test_annotations_bring_sentences_segments_and_their_splits(source: Path) -> None:
    (source / "splits.json").write_text(json.dumps({"train": ["v0"], "val": ["v2"], "test": ["v1"]}))
    done = build(source, "--annotations", str(source / "notes.json"), "--splits", str(source / "splits.json"),
                 "--time-format", "decimal")  # fmt: skip
    assert done.exit_code == 0, done.output
    (video,) = open_set(source / "out").videos("test")
    assert video.annotated and video.id == "v1"
    assert [s.text for s in video.sentences] == [row["text"] for row in ROWS]
    assert [s.segment for s in video.sentences] == [(0.5, 1.1), None, (1.2, 2.4)]
    assert [s.narration is not None for s in video.sentences] == [True, True, True]
    assert video.sentences[2].narration[0] > 1.3  # type: ignore[index]


def test_sentences_without_a_word_are_left_out_with_a_note(source: Path) -> None:
    (source / "en/v0.srt").write_text(SRT.format("dog").replace("It looks.", "♪"), encoding="utf-8")
    (source / "notes.json").write_text(json.dumps({"v1": [*ROWS, {**ROWS[1], "text": "..."}]}), encoding="utf-8")
    (source / "en/v2.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\n♪ ...\n", encoding="utf-8")
    (source / "splits.json").write_text(json.dumps({"train": ["v0", "v1", "v2"]}))
    done = build(source, "--annotations", str(source / "notes.json"), "--splits", str(source / "splits.json"),
                 "--time-format", "decimal")  # fmt: skip
    assert done.exit_code == 1 and "v2: subtitles: no letters in its text" in done.stderr
    first, second = open_set(source / "out").videos("train")
    assert all(any(map(str.isalnum, sentence.text)) for video in (first, second) for sentence in video.sentences)
    assert [sentence.text for sentence in second.sentences] == [row["text"] for row in ROWS]
    notes = json.loads((source / "out/build.json").read_text())["notes"]
    assert "1 sentences without a word left out" in notes["v1"]


def test_languages_share_one_decoding_and_get_ids_apart(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[Path] = []
    monkeypatch.setattr(
        story_set, "cut_video", lambda path, *a, **k: (decoded.append(path), story_clips.cut_video(path, *a, **k))[1]
    )
    (source / "es/v2.srt").unlink()
    done = build(source, languages=("en", "es"))
    # each video is told in the languages that it has
    assert done.exit_code == 0 and "es: 1 video without subtitles in it, such as v2" in done.stderr
    assert json.loads((source / "out/build.json").read_text())["untold"] == {"es": ["v2"]}
    assert len(decoded) == 3
    videos = open_set(source / "out").videos("train")
    assert [(v.id, v.language) for v in videos] == [
        ("en_v0", "en"),
        ("en_v1", "en"),
        ("en_v2", "en"),
        ("es_v0", "es"),
        ("es_v1", "es"),
    ]
    assert verify(source / "out") == []


def test_processes_give_the_same_bytes(source: Path) -> None:
    assert build(source, out="one").exit_code == 0
    assert build(source, out="two", jobs=2).exit_code == 0
    assert tree(source / "one") == tree(source / "two")


def test_faults_of_single_videos_are_reported_and_do_not_stop_the_rest(source: Path) -> None:
    (source / "videos/cut.mp4").write_bytes((source / "videos/v0.mp4").read_bytes()[:900])
    (source / "videos/silent.mkv").write_bytes(b"nothing of the sort")
    (source / "videos/lonely.mp4").write_bytes((source / "videos/v0.mp4").read_bytes())
    for name, text in {"cut": SRT, "silent": SRT, "v1": "", "v2": SRT.replace("01,000\nThe", "00,000\nThe")}.items():
        (source / f"en/{name}.srt").write_text(text.format("dog"))
    done = build(source, "--json")
    assert done.exit_code == 1
    report = json.loads(done.stdout)
    assert report == json.loads((source / "out/build.json").read_text())
    reasons = {failure["video"]: failure["reason"] for failure in report["failures"]}
    assert sorted(reasons) == ["cut", "lonely.mp4", "silent", "v1"]
    assert "no en subtitles" in reasons["lonely.mp4"] and "empty" in reasons["v1"] and "silent.mkv" in reasons["silent"]
    assert [video.id for video in open_set(source / "out").videos("train")] == ["v0", "v2"]
    assert report["notes"] == {"v2": ["1 captions without length dropped"]}
    for name in ("cut.mp4", "silent.mkv", "lonely.mp4"):
        (source / "videos" / name).unlink()
    (source / "en/v1.srt").write_text(SRT.format("dog"))
    mended = build(source, "--replace")
    assert mended.exit_code == 0, mended.output
    assert "from an earlier run: 2 videos; new: 1" in mended.stderr
    assert build(source, out="anew").exit_code == 0
    assert tree(source / "out") == tree(source / "anew")


def test_a_changed_setting_or_file_makes_parts_anew(source: Path) -> None:
    (source / "en/v1.srt").write_text("")
    assert build(source).exit_code == 1  # parts are kept for v0 and v2
    assert "from an earlier run: 2 videos" in build(source, "--replace").stderr
    assert "were there" not in build(source, "--replace", "--quality", "50").stderr
    os.utime(source / "videos/v0.mp4", (1, 1))
    assert "from an earlier run: 1 video" in build(source, "--replace").stderr


@pytest.mark.slow
def test_killed_and_resumed_is_as_if_never_stopped(source: Path, film: bytes) -> None:
    for number in range(3, 20):
        (source / f"videos/v{number}.mp4").write_bytes(film)
        (source / f"en/v{number}.srt").write_text(SRT.format("dog"))
    words = ["data", "build", "story", "--videos", "videos", "--subtitles", "en", "--language", "en", "--out", "out",
             "--shots", "content", "--size", "32", "--frames", "4", "--jobs", "1"]  # fmt: skip
    code = f"from weaksync.recipes.cli import main; main({words!r})"
    run = subprocess.Popen([sys.executable, "-c", code], cwd=source, start_new_session=True)
    deadline = time.monotonic() + 120
    while len(list(source.glob("out/.parts/*.tar"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert not (source / "out/manifest.json").exists()
    done = build(source)
    assert done.exit_code == 0 and "from an earlier run" in done.stderr
    assert build(source, out="whole").exit_code == 0
    assert tree(source / "out") == tree(source / "whole")


def test_a_full_disk_ends_the_build_and_keeps_what_is_done(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = shards.write_video

    def full(path: Path, *rest: object) -> None:
        if "v1" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(shards, "write_video", full)
    done = build(source)
    assert isinstance(done.exception, OSError) and "is full; free some space" in str(done.exception)
    assert not (source / "out/manifest.json").exists()
    monkeypatch.setattr(shards, "write_video", write)
    assert "from an earlier run: 1 video; new: 2" in build(source).stderr


def test_names_with_dots_and_blanks_and_names_that_collide(source: Path, film: bytes) -> None:
    (source / "videos/my film.v1.mp4").write_bytes(film)
    (source / "en/my film.v1.en.srt").write_text(SRT.format("dog"))
    assert build(source).exit_code == 0
    video = open_set(source / "out").videos("train")[0]
    assert video.id == "my_film_v1" and video.notes == ["named 'my film.v1' on disk"]
    (source / "videos/v1.mkv").write_bytes(film)
    done = build(source, out="twice")
    assert isinstance(done.exception, ValueError) and "v1.mkv and v1.mp4 would both be 'v1'" in str(done.exception)
    assert safe_id("电影 1") != safe_id("故事 1") and safe_id("a-b_C9") == "a-b_C9"


def test_rotated_and_variable_rate_videos(source: Path) -> None:
    times = [n / 25 + (0.4 if n >= 30 else 0.0) for n in range(60)]
    pictures = [picture for _, picture in media.frames(source / "videos/v0.mp4")]
    media.write_video(source / "videos/v0.mp4", pictures, 25, times=times)
    assert build(source).exit_code == 0
    video = open_set(source / "out").record("v0")
    assert video.clips == [
        (0.0, pytest.approx(1.6, abs=0.01)),
        (pytest.approx(1.6, abs=0.01), pytest.approx(2.8, abs=0.05)),
    ]


@pytest.mark.parametrize("wanted", [1, 3, 7])
def test_pictures_stand_at_the_centres_of_equal_parts(tmp_path: Path, wanted: int) -> None:
    shades = [np.full((32, 32, 3), 20 + n // 2, np.uint8) for n in range(400)]  # one long shot, slowly brighter
    media.write_video(tmp_path / "a.mp4", shades, 25, crf=1)
    found = story_clips.cut_video(tmp_path / "a.mp4", Cutter("content", None, ""), story_clips.Pictures(wanted, 32, 95))
    assert found.spans == [(0.0, pytest.approx(16.0))]
    tones = [float(media.decode_jpeg(picture).float().mean()) for picture in found.pictures[0]]
    assert tones == pytest.approx(
        [20 + 200 * (part + 0.5) / wanted for part in range(wanted)], abs=200 / wanted / 4 + 2
    )


def test_a_shot_shorter_than_its_pictures_repeats_them(tmp_path: Path) -> None:
    media.write_video(tmp_path / "a.mp4", [np.full((32, 32, 3), 90, np.uint8)] * 2, 25)
    found = story_clips.cut_video(tmp_path / "a.mp4", Cutter("content", None, ""), story_clips.Pictures(5, 32, 90))
    assert [len(pictures) for pictures in found.pictures] == [5]


def test_stories_are_divided_evenly_over_languages() -> None:
    annotated = {f"s{n}": ["en"] for n in range(50)} | {f"t{n}": ["en", "fr"] for n in range(20)} | {"u": []}
    first = assign(annotated, None, seed=0)
    assert first == assign(dict(reversed(annotated.items())), None, seed=0) != assign(annotated, None, seed=1)
    assert first["u"] == "train"
    for letter, count in (("s", 50), ("t", 20)):
        parts = [split for story, split in first.items() if story[0] == letter]
        assert [parts.count(split) / count for split in ("train", "val", "test")] == [0.2, 0.2, 0.6]
    with pytest.raises(ValueError, match="annotated videos are in no split, such as 's0'"):
        assign(annotated, {"u": "test"}, seed=0)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--language", "fr"], "in pairs"),
        (["--annotations", "a.json", "--annotations", "b.json"], "none, or one for each"),
        (["--annotations", "gone.json"], "gone.json"),
        (["--splits", "gone.json"], "gone.json"),
        (["--frames", "0"], "at least 1 frame"),
        (["--weights", "gone.pth"], "takes no weights"),
    ],
)
def test_options_that_cannot_be(source: Path, more: list[str], message: str) -> None:
    done = build(source, *more)
    assert isinstance(done.exception, ValueError | OSError) and message in str(done.exception)
    assert not (source / "out/manifest.json").exists()


def test_the_command_line_says_it_in_one_line(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(source / "en")
    words = ["--videos", str(source / "videos"), "--subtitles", str(source / "en"), "--out", str(source / "out")]
    for language, message in (("en", "no such folder"), ("de", "no sentence rules for language 'de'")):
        with pytest.raises(SystemExit) as stop:
            cli.main(["data", "build", "story", *words, "--language", language, "--shots", "content"])
        assert stop.value.code == 2 and message in capsys.readouterr().err


def test_with_a_sentence_for_each_caption_any_language_will_do_but_no_other_word(source: Path) -> None:
    def told(code: str) -> list[Narration]:
        return narrations_of([source / "en"], [code], "captions")

    assert [told(code)[0].language for code in ("de", "PT-br", "ch", "qab")] == ["de", "pt", "zh", "qab"]
    for code in ("", " ", "german", "xx", "zz", "qua"):
        with pytest.raises(ValueError, match=f"'{code}' is not the code of a language: .* de .* zu, .* qaa to qtz"):
            told(code)


def test_a_second_set_in_the_same_folder_is_refused(source: Path) -> None:
    assert build(source).exit_code == 0
    done = build(source)
    assert isinstance(done.exception, ValueError) and "--replace" in str(done.exception)

"""The synthetic speakers on disc: what can be seen and heard is what they say of themselves."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from weaksync.datamodules import captions, speech
from weaksync.datamodules.batches import Phoneme
from weaksync.datamodules.languages import check_script
from weaksync.datamodules.records import SPLITS
from weaksync.datamodules.speakers import DOMAINS, LANGUAGES, TOPICS, contact_sheet, generate
from weaksync.datamodules.speakers.cast import person
from weaksync.datamodules.speakers.mouth import track
from weaksync.datamodules.speakers.objects import thing
from weaksync.datamodules.speakers.script import Settings, people_of
from weaksync.datamodules.speakers.script import split_of as split_of_clip
from weaksync.datamodules.speakers.subtitles import write_pool
from weaksync.datamodules.speakers.topics import THINGS, line, lines, split_of

pytest.importorskip("espeakng_loader")

SMALL: dict[str, Any] = {"clips": 6, "people": 7, "seed": 3, "seconds": 6, "languages": LANGUAGES, "hidden": 0.2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("speakers")
    generate(path, **SMALL)
    return path


@pytest.fixture(scope="module")
def videos(folder: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((folder / "speakers.json").read_text(encoding="utf-8"))["videos"]
    return found


def pictures(folder: Path, name: str) -> np.ndarray:
    with av.open(str(folder / "videos" / f"{name}.mp4")) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def loudness(folder: Path, name: str, count: int) -> np.ndarray:
    """Root mean square of the sound in each of `count` frames of 40 ms."""
    with av.open(str(folder / "videos" / f"{name}.mp4")) as container:
        rate = container.streams.audio[0].rate
        sound = np.concatenate([frame.to_ndarray().ravel() for frame in container.decode(audio=0)])
    step = rate // 25
    return np.sqrt(np.square(sound[: count * step].reshape(count, step)).mean(axis=1))


def seen(video: dict[str, Any]) -> np.ndarray:
    """Frames in which the speaker's lips are to be seen, and no hand is on its way."""
    free = np.ones(video["frames"], dtype=bool)
    for first, last, _ in video["hidden"]:
        free[max(0, first - 4) : last + 4] = False
    return free


def patch(box: list[float], left: float, top: float, right: float, bottom: float) -> tuple[slice, slice]:
    """A part of a box, in shares of it, as rows and columns."""
    x0, y0, x1, y1 = box
    rows = slice(round(y0 + top * (y1 - y0)), round(y0 + bottom * (y1 - y0)))
    return rows, slice(round(x0 + left * (x1 - x0)), round(x0 + right * (x1 - x0)))


def test_lips_open_with_the_sound(folder: Path, videos: dict[str, dict[str, Any]]) -> None:
    found, shifted = [], []
    for name, video in videos.items():
        free = np.flatnonzero(seen(video))
        sound = loudness(folder, name, video["frames"])
        boxes, film = video["faces"][video["speaker"]], pictures(folder, name)
        alone = [number for number in free if not spoken_by_another(video, number / 25)]
        gap = [dark(film[number][patch(boxes[number], 0.25, 0.65, 0.75, 0.97)]) for number in alone]
        found.append(np.corrcoef(gap, sound[alone])[0, 1])
        shifted.append(np.corrcoef(gap, np.roll(sound, 40)[alone])[0, 1])
    assert np.median(found) > 0.6
    assert np.median(found) > np.median(shifted) + 0.4


def spoken_by_another(video: dict[str, Any], second: float) -> bool:
    return any(cue["start"] <= second <= cue["end"] and cue["person"] != video["speaker"] for cue in video["cues"])


def dark(pixels: np.ndarray) -> float:
    """Share of a patch that is much darker than most of it: the open mouth, on any skin."""
    light = pixels.mean(axis=2)
    return float((light < 0.6 * np.median(light)).mean())


def test_faces_are_where_the_boxes_say(folder: Path, videos: dict[str, dict[str, Any]]) -> None:
    checked = 0
    for name, video in videos.items():
        if video["domain"] != "youtube":  # a movie's colours are graded
            continue
        skin = person(3, int(video["speaker"].rpartition("-")[2])).skin
        colour = np.array([int(skin[at : at + 2], 16) for at in (1, 3, 5)])
        film = pictures(folder, name)
        for number in np.flatnonzero(seen(video))[::12]:
            box = video["faces"][video["speaker"]][number]
            like = np.abs(film[number].astype(int) - colour).max(axis=2) < 24
            x0, y0, x1, y1 = box
            above = like[: round(y1)]  # below the chin there is a neck
            assert like[patch(box, 0, 0, 1, 1)].mean() > 0.4
            inside = above[round(y0) - 2 :, round(x0) - 12 : round(x1) + 13]
            columns = np.flatnonzero(inside[inside.shape[0] // 2 :].sum(axis=0) > 3)
            assert abs((columns.min() + columns.max()) / 2 - 12 - (x1 - x0) / 2) < 4
            checked += 1
    assert checked > 10


def test_a_face_that_is_not_there_has_no_box(folder: Path, videos: dict[str, dict[str, Any]]) -> None:
    for video in videos.values():
        away = np.zeros(video["frames"], dtype=bool)
        for first, last, why in video["hidden"]:
            away[first:last] |= why in ("insert", "other")
        boxes = video["faces"][video["speaker"]]
        assert [box is None for box in boxes] == away.tolist()
        assert all(len(track) == video["frames"] for track in video["faces"].values())


def test_covered_lips_do_not_move(folder: Path, videos: dict[str, dict[str, Any]]) -> None:
    still, moving = [], []
    for name, video in videos.items():
        film, boxes = pictures(folder, name).astype(int), video["faces"][video["speaker"]]
        free = seen(video)
        kinds = {number: why for first, last, why in video["hidden"] for number in range(first, last - 1)}
        for number in range(video["frames"] - 1):
            if boxes[number] is None or boxes[number] != boxes[number + 1]:
                continue
            area = patch(boxes[number], 0.25, 0.65, 0.75, 0.97)
            change = np.abs(film[number + 1][area] - film[number][area]).mean()
            if kinds.get(number) in ("hand", "microphone", "turned"):
                still.append(change)
            elif number not in kinds and free[number]:
                moving.append(change)
    assert len(still) > 20 and np.mean(still) < 0.5 * np.mean(moving)


def test_subtitles_are_what_is_heard_when_it_is_heard(folder: Path, videos: dict[str, dict[str, Any]]) -> None:
    for name, video in videos.items():
        read = captions.read(folder / "subtitles" / video["language"] / f"{name}.srt", notes=(notes := []))
        assert not notes
        assert [(c.text, c.start, c.end) for c in read] == [(c["text"], c["start"], c["end"]) for c in video["cues"]]
        sound = loudness(folder, name, video["frames"])
        middle = (np.arange(video["frames"]) + 0.5) / 25
        within = np.any([(c.start < middle) & (middle < c.end) for c in read], axis=0)
        outside = np.all([(middle < c.start - 0.06) | (c.end + 0.06 < middle) for c in read], axis=0)
        assert np.quantile(sound[outside], 0.95) < 0.3 * np.median(sound[within])


def test_offscreen_speech_has_no_face(videos: dict[str, dict[str, Any]]) -> None:
    for video in videos.values():
        for start, end in video["offscreen"]:
            second = (start + end) / 2
            cue = next(cue for cue in video["cues"] if cue["start"] <= second <= cue["end"])
            assert (video["faces"].get(cue["person"]) or [None] * 10_000)[int(second * 25)] is None


def test_splits_share_no_person_and_no_sentence(folder: Path, videos: dict[str, dict[str, Any]]) -> None:
    parts = json.loads((folder / "splits.json").read_text())
    assert sorted(name for names in parts.values() for name in names) == sorted(videos)
    for what in ("person", "text"):
        said = {split: {cue[what] for name in names for cue in videos[name]["cues"]} for split, names in parts.items()}
        assert not said["train"] & said["test"] and not said["train"] & said["val"] and not said["val"] & said["test"]
    settings = Settings(100, 20, 0, ("en",), 8, 0, 0, 0.1, 0.2)
    everybody = [who.id for split in SPLITS for who in people_of(settings, split)]
    assert len(everybody) == len(set(everybody)) == 20
    assert [sum(split_of_clip(settings, n) == split for n in range(100)) for split in SPLITS] == [70, 10, 20]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_speaks_of_every_topic(language: str) -> None:
    rng = np.random.default_rng(0)
    for topic in TOPICS:
        said = {line(rng, language, topic, split, 0.1, 0.2) for split in SPLITS for _ in range(20)}
        assert len(said) > 50
        assert {number for one in said for number in one.things} == set(range(THINGS))
        for one in said:
            check_script(one.text, language, topic)
            assert "{" not in one.text and split_of(one.text, 0.1, 0.2) in SPLITS


def test_every_thing_can_be_seen() -> None:
    drawn = {thing(topic, number, 32).tobytes() for topic in TOPICS for number in range(THINGS)}
    assert len(drawn) == len(TOPICS) * THINGS


def test_people_speak_faster_and_slower(videos: dict[str, dict[str, Any]]) -> None:
    rates = [cue["rate"] for video in videos.values() for cue in video["cues"]]
    assert max(rates) > 1.3 * min(rates)
    assert {video["domain"] for video in videos.values()} == set(DOMAINS)


def test_shapes_of_the_mouth_follow_the_sounds() -> None:
    sounds = [Phoneme("m", 1.0, 1.12), Phoneme("a", 1.12, 1.3), Phoneme("i", 1.3, 1.45), Phoneme("u", 1.45, 1.6)]
    times = np.array([0.5, 1.06, 1.21, 1.37, 1.53, 2.5])
    opened, wide = track(sounds, times).T
    assert opened[0] < 0.02 and opened[-1] < 0.02 and opened[1] < 0.15
    assert opened[2] > 0.85 and opened.argmax() == 2
    assert wide[3] > 0.85 and wide[4] < 0.15


def test_a_call_that_was_stopped_goes_on_to_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    for name in ("truth/clip-00002.json", "truth/clip-00004.json", "videos/clip-00002.mp4", "speakers.json"):
        (tmp_path / name).unlink()
    (tmp_path / "videos/clip-00004.mp4").write_bytes(b"half a film")
    calls: list[tuple[int, int]] = []
    generate(tmp_path, **SMALL, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(4, 6), (5, 6), (6, 6)]
    assert contents(tmp_path) == contents(folder)


@pytest.mark.slow
def test_many_processes_write_what_one_does(folder: Path, tmp_path: Path) -> None:
    generate(tmp_path, **SMALL, jobs=2)
    assert contents(tmp_path) == contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_other_speakers_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"is of other speakers \(seed 3, not 4\); choose"):
        generate(folder, **{**SMALL, "seed": 4})


def test_without_anything_hidden_the_speaker_is_always_seen(tmp_path: Path) -> None:
    found = generate(tmp_path, clips=3, people=6, seconds=4, hidden=0, offscreen=0)["videos"]
    assert all(not video["hidden"] for video in found.values())


def test_a_contact_sheet_shows_some(folder: Path) -> None:
    from PIL import Image

    with Image.open(contact_sheet(folder, clips=3, moments=4)) as sheet:
        assert sheet.size == (4 * 192, 3 * 108)
        assert len(sheet.getcolors(1 << 20) or []) > 1000
    (folder / "contact.png").unlink()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"clips": 2}, "clips is 2"),
        ({"people": 4}, "people is 4"),
        ({"hidden": 0.9}, "hidden is 0.9"),
        ({"languages": ("tlh",)}, "speaks 'tlh'"),
        ({"languages": ("en", "en")}, "once each"),
        ({"val": 0.0}, "must be positive"),
    ],
)
def test_settings_that_cannot_be(wrong: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        generate(tmp_path / "new", **{**SMALL, **wrong})
    assert not (tmp_path / "new").exists()


def test_an_absent_extra_is_named_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    speech.voices.cache_clear()
    with pytest.raises(ImportError, match=r"weaksync\[tts\]"):
        generate(tmp_path / "new", **SMALL)
    assert not (tmp_path / "new").exists()


def test_a_pool_says_what_no_clip_says_in_the_words_of_the_clips(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    generate(tmp_path, **SMALL, pool=18)
    assert {path: data for path, data in contents(tmp_path).items() if not path.startswith("pool")} == contents(folder)
    videos = json.loads((tmp_path / "speakers.json").read_text())["videos"].values()
    pool = json.loads((tmp_path / "pool.json").read_text())
    texts = [cue["text"] for text in pool.values() for cue in text["cues"]]
    assert len(set(texts)) == len(texts)
    assert not set(texts) & {cue["text"] for video in videos for cue in video["cues"]}
    assert {split_of(text, 0.1, 0.2) for text in texts} == {"test"}
    for name, text in pool.items():
        read = captions.read(tmp_path / "pool" / text["language"] / f"{name}.srt", notes=(notes := []))
        assert not notes
        assert [(c.text, c.start, c.end) for c in read] == [(c["text"], c["start"], c["end"]) for c in text["cues"]]
        assert read[-1].end >= SMALL["seconds"] - 2  # as long as a clip
    for language in LANGUAGES:  # nothing is said in the one that could not be said in the other
        said = {word.strip(",.") for text in texts_of(language, videos) for word in text.split()}
        known = {word.strip(",.") for topic in TOPICS for each in lines(language, topic) for word in each.text.split()}
        pooled = {word.strip(",.") for text in texts_of(language, pool.values()) for word in text.split()}
        assert said <= known and pooled <= known and len(said & pooled) > 0.4 * len(said)


def texts_of(language: str, spoken: Any) -> list[str]:
    return [cue["text"] for each in spoken if each["language"] == language for cue in each["cues"]]


def test_a_pool_can_be_added_and_grow_and_is_refused_where_there_is_too_little_to_say(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    generate(tmp_path, **SMALL, pool=2)
    first = contents(tmp_path / "pool")
    calls: list[tuple[int, int]] = []
    generate(tmp_path, **SMALL, pool=2, pooled=lambda done, total: calls.append((done, total)))
    assert not calls
    generate(tmp_path, **SMALL, pool=3)
    grown = contents(tmp_path / "pool")
    assert len(grown) == 3 and {path: grown[path] for path in first} == first
    with pytest.raises(ValueError, match="pool of 3, more than 1"):
        generate(tmp_path, **SMALL, pool=1)
    with pytest.raises(ValueError, match="pool of 100000 wants more sentences"):
        generate(tmp_path, **SMALL, pool=100_000)
    scarce = Settings(3, 6, 0, ("en",), 4, 0, 0, 0.1, 0.0002)
    with pytest.raises(ValueError, match=r"no sentence about \w+ in en is left"):
        write_pool(tmp_path / "scarce", scarce, 8, [])

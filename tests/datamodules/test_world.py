"""A world on disc: what is written, that it can be read back, resumed and repeated, and that it never changes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import av
import numpy as np
import pytest

from weaksync.datamodules import captions, msymon
from weaksync.datamodules.world import LANGUAGES, VERSION, generate, plot, record
from weaksync.datamodules.world.film import HEIGHT, WIDTH, frames
from weaksync.datamodules.world.generate import Settings, splits
from weaksync.datamodules.world.story import FPS


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    generate(folder, stories=3, sentences=5, seed=7)
    return folder


def decoded(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_films_hold_every_frame_and_cut_where_they_say(world: Path) -> None:
    shots = json.loads((world / "shots.json").read_text())
    for index in range(3):
        story = plot(7, index, sentences=5)
        pixels = decoded(world / "videos" / f"{story.id}.mp4")
        assert pixels.shape == (round(story.duration * FPS), HEIGHT, WIDTH, 3)
        cuts = [round(start * FPS) for start, _ in shots[story.id]][1:]
        change = np.abs(np.diff(pixels.astype(np.int16), axis=0)).mean(axis=(1, 2, 3))
        within = np.delete(change, [cut - 1 for cut in cuts])
        assert np.median(change[[cut - 1 for cut in cuts]]) > 2.5 * np.quantile(within, 0.9)


def test_compression_keeps_the_picture(world: Path) -> None:
    story = plot(7, 0, sentences=5)
    drawn = np.stack(list(frames(7, story))).astype(np.int16)
    assert np.abs(drawn - decoded(world / "videos" / "story-0000.mp4")).mean() < 4


def test_the_same_seed_gives_the_same_pixels_and_another_does_not() -> None:
    story = plot(1, 2, sentences=4)
    first, again = (hashlib.sha256(b"".join(f.tobytes() for f in frames(1, story))).digest() for _ in range(2))
    assert first == again
    assert first != hashlib.sha256(b"".join(f.tobytes() for f in frames(2, story))).digest()


def test_a_film_does_not_depend_on_what_was_filmed_before(world: Path, tmp_path: Path) -> None:
    generate(tmp_path, stories=3, sentences=5, seed=7, jobs=2)
    for index in range(3):
        name = f"videos/story-{index:04d}.mp4"
        assert (tmp_path / name).read_bytes() == (world / name).read_bytes()


@pytest.mark.parametrize("language", LANGUAGES)
def test_readers_return_what_was_written(world: Path, language: str) -> None:
    videos = msymon.read_file(world / "annotations" / f"{language}.json", language=language)
    assert [video.id for video in videos] == ["story-0000", "story-0001", "story-0002"]
    for index, video in enumerate(videos):
        truth = record(7, plot(7, index, sentences=5), language)
        assert [s.text for s in video.sentences] == [s.text for s in truth.sentences]
        assert np.allclose(video.segments(), truth.segments(), equal_nan=True, atol=1e-6)
        cues = captions.read(world / "subtitles" / language / f"{video.id}.srt", language=language)
        placed = captions.locate([s.text for s in video.sentences], cues)
        assert np.allclose(np.array(placed), truth.narrations(), atol=1e-3)


@pytest.mark.parametrize("language", LANGUAGES)
def test_subtitles_split_into_the_sentences(world: Path, language: str) -> None:
    truth = record(7, plot(7, 0, sentences=5), language)
    found = captions.sentences(captions.read(world / "subtitles" / language / "story-0000.srt"), language)
    assert [s.text for s in found] == [s.text for s in truth.sentences]


def test_splits_share_no_story(world: Path) -> None:
    parts = json.loads((world / "splits.json").read_text())
    assert sorted(name for names in parts.values() for name in names) == sorted(
        path.stem for path in (world / "videos").glob("*.mp4")
    )
    counts = {part: len(names) for part, names in splits(Settings(140, 0, ("en",), 22, 0.085, 0.2)).items()}
    assert counts == {"train": 100, "val": 12, "test": 28}


def test_a_stopped_world_goes_on(world: Path) -> None:
    first, second = world / "videos" / "story-0000.mp4", world / "videos" / "story-0001.mp4"
    kept, lost = first.stat().st_mtime_ns, second.read_bytes()
    second.unlink()
    seen: list[tuple[int, int]] = []
    generate(world, stories=3, sentences=5, seed=7, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(2, 3), (3, 3)]
    assert first.stat().st_mtime_ns == kept and second.read_bytes() == lost
    assert not list(world.rglob(".*"))


def test_another_world_is_not_mixed_in(world: Path) -> None:
    with pytest.raises(ValueError, match=r"is of another world \(seed 7, not 8\); choose"):
        generate(world, stories=3, sentences=5, seed=8)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"stories": 2}, "stories is 2"),
        ({"sentences": 3}, "sentences is 3"),
        ({"seed": -1}, "seed is -1"),
        ({"languages": ["en", "xx"]}, "'xx'"),
        ({"languages": []}, "none"),
        ({"val": 0.6, "test": 0.5}, "leave something"),
        ({"stories": 3, "val": 0.4, "test": 0.5}, "leave none to train on"),
    ],
)
def test_impossible_settings_write_nothing(tmp_path: Path, settings: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        generate(tmp_path / "world", **settings)
    assert not (tmp_path / "world").exists()


def test_the_world_is_frozen() -> None:
    """Words, times and plots of version 1.  If this fails, raise VERSION: results name the world they come from."""
    records = [record(3, plot(3, index, sentences=22), code).to_dict() for index in range(4) for code in LANGUAGES]
    written = json.dumps(records, ensure_ascii=False, sort_keys=True)
    assert VERSION == 1
    assert (
        hashlib.sha256(written.encode()).hexdigest()
        == "26caeece164f785b5d01ce2db805b83da5b8ce661126397384bd07fc162678f1"
    )

"""Write a world to a folder: films, subtitles, annotations, splits."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..files import write_whole
from ..generating import run_tasks, write_settings
from ..records import AnnotatedVideo, Sentence
from ..srt import srt_cue
from .film import encode
from .language import LANGUAGES, load, tell
from .narrate import narrate
from .story import Story, plot

#: raised whenever a seed would give other stories, words, times or pictures; results name it
VERSION = 1


@dataclass(frozen=True)
class Settings:
    """What a world depends on: the same settings and version give the same world."""

    stories: int
    seed: int
    languages: tuple[str, ...]
    sentences: int
    val: float
    test: float

    def __post_init__(self) -> None:
        if self.stories < 3:
            raise ValueError(f"stories is {self.stories}, but train, val and test need one each: ask for 3 or more")
        if self.sentences < 4:
            raise ValueError(f"sentences is {self.sentences}, but a story needs at least 4")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}, but must not be negative")
        if min(self.val, self.test) <= 0 or self.val + self.test >= 1:
            raise ValueError(f"val {self.val} and test {self.test} must be positive and leave something for train")
        if not self.languages or len(set(self.languages)) < len(self.languages):
            raise ValueError(f"languages must be named once each, got {', '.join(self.languages) or 'none'}")
        for code in self.languages:
            load(code)


def generate(
    folder: str | Path,
    *,
    stories: int = 140,
    seed: int = 0,
    languages: Sequence[str] = LANGUAGES,
    sentences: int = 22,
    val: float = 0.085,
    test: float = 0.2,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a synthetic story world under `folder`.

    Written are ``videos/<story>.mp4``, ``subtitles/<language>/<story>.srt``, ``annotations/<language>.json``,
    ``splits.json``, ``shots.json`` (the exact cuts) and ``world.json`` (version and settings).  Annotations are in the
    layout of M-SyMoN, in decimal seconds.  A call that was stopped goes on where it stopped: every file is written
    whole, and films that are there are kept.

    Args:
        folder: made if need be; a world of other settings in it is refused.
        stories: how many films, about 85 s each with `sentences` of 22.
        seed: of everything.
        languages: codes out of ``en zh es fr pt hi ru``; a story has the same sentences in each, in the same order.
        sentences: how many a story has on average.
        val, test: shares of the stories that are kept from training.
        jobs: processes that film at once.
        progress: called with (films done, films in all).

    Raises:
        ValueError: for settings that cannot be, or a folder that holds another world.
    """
    settings = Settings(stories, seed, tuple(languages), sentences, val, test)
    folder = Path(folder)
    parts = splits(settings)
    write_settings(folder / "world.json", VERSION, asdict(settings), others="another world")
    plots = [plot(seed, index, sentences=sentences) for index in range(stories)]
    records = {code: [record(seed, story, code) for story in plots] for code in languages}
    for code, videos in records.items():
        (folder / "subtitles" / code).mkdir(parents=True, exist_ok=True)
        for video in videos:
            write_whole(folder / "subtitles" / code / f"{video.id}.srt", _srt(video).encode())
        _write_json(folder / "annotations" / f"{code}.json", {video.id: _rows(video) for video in videos})
    _write_json(folder / "splits.json", parts)
    _write_json(folder / "shots.json", {story.id: story.clips().round(3).tolist() for story in plots})
    _film(folder / "videos", settings, jobs, progress)


def record(seed: int, story: Story, language: str) -> AnnotatedVideo:
    """A story with its words and its times, as a reader would return it; the clips are the exact shots."""
    texts = tell(seed, story, language)
    spoken = narrate(seed, story, language, texts)
    shown = story.segments().round(3)
    return AnnotatedVideo(
        id=story.id,
        url=f"{story.id}.mp4",
        duration=round(story.duration, 3),
        sentences=[
            Sentence(text, None if np.isnan(seen[0]) else (float(seen[0]), float(seen[1])), (float(a), float(b)))
            for text, seen, (a, b) in zip(texts, shown, spoken, strict=True)
        ],
        clips=[(float(a), float(b)) for a, b in story.clips().round(3)],
        language=language,
    )


def splits(settings: Settings) -> dict[str, list[str]]:
    """Which story belongs where; at least one story in each part."""
    names = [f"story-{index:04d}" for index in range(settings.stories)]
    val = max(1, round(settings.stories * settings.val))
    test = max(1, round(settings.stories * settings.test))
    train = settings.stories - val - test
    if train < 1:
        raise ValueError(f"{settings.stories} stories leave none to train on after {val} for val and {test} for test")
    return {"train": names[:train], "val": names[train : train + val], "test": names[train + val :]}


def _film(folder: Path, settings: Settings, jobs: int, progress: Callable[[int, int], None] | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    missing = [index for index in range(settings.stories) if not (folder / f"story-{index:04d}.mp4").exists()]
    done = settings.stories - len(missing)
    tasks = [(folder, settings.seed, index, settings.sentences) for index in missing]
    for number in run_tasks(_film_one, tasks, jobs):
        if progress:
            progress(done + number, settings.stories)


def _film_one(task: tuple[Path, int, int, int]) -> None:
    folder, seed, index, sentences = task
    story = plot(seed, index, sentences=sentences)
    encode(folder / f"{story.id}.mp4", seed, story)


def _rows(video: AnnotatedVideo) -> list[dict[str, Any]]:
    return [
        {
            "id": video.id,
            "begin_time": sentence.segment[0] if sentence.segment else 0,
            "end_time": sentence.segment[1] if sentence.segment else 0,
            "matched": "yes" if sentence.segment else "no",
            "text": sentence.text,
        }
        for sentence in video.sentences
    ]


def _srt(video: AnnotatedVideo) -> str:
    cues = []
    for number, sentence in enumerate(video.sentences, start=1):
        assert sentence.narration is not None
        cues.append(srt_cue(number, *sentence.narration, sentence.text))
    return "\n".join(cues)


def _write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(content, ensure_ascii=False, indent=1).encode())

"""Raw story videos and their subtitles to a shard set.

Every video becomes parts, small tars of its own, one for each language; parts are joined to shards at the end.  A
part's name holds a hash of all that went into it, so a build that was stopped goes on where it was, and a change of
settings or of a file makes its part anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...datamodules import captions, msymon, shards
from ...datamodules.files import write_whole
from ...datamodules.manifest import MANIFEST
from ...datamodules.records import AnnotatedVideo, Sentence
from .shots import Cutter
from .sources import Narration, Story, find_stories
from .splits import assign, read_splits
from .story_clips import Pictures, cut_video
from .workers import each

PARTS, REPORT = ".parts", "build.json"
#: part of every key: raise it where the same input would now give other parts
VERSION = 3


@dataclass(frozen=True)
class Settings:
    """How videos are built; all of it is part of every part's key and kept in the manifest."""

    cutter: Cutter
    pictures: Pictures
    sentences: captions.Cut = "auto"
    encoding: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values; TransNetV2's weights by their hash."""
        weights = self.cutter.weights
        return {
            "version": VERSION,
            "shots": self.cutter.method,
            "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest() if weights else None,
            **asdict(self.pictures),
            "sentences": self.sentences,
            "encoding": self.encoding,
        }


@dataclass
class Failure:
    """A video that could not be built, and why."""

    video: str
    reason: str


@dataclass
class Report:
    """What a build came to; written to `build.json` beside the shards.

    Attributes:
        settings: how it was made.
        counts: split -> videos, clips, sentences.
        built: parts made now.
        resumed: parts that an earlier run had made.
        failures: videos that are not in the set, or lack a language.
        notes: video -> what was repaired or doubtful in it.
        absent: language -> annotated videos that are not there.
        untold: language -> videos of the set that have no subtitles in it.
    """

    settings: dict[str, Any]
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    built: int = 0
    resumed: int = 0
    failures: list[Failure] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)
    absent: dict[str, list[str]] = field(default_factory=dict)
    untold: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Task:
    """One video, decoded once for all the languages that it still needs."""

    story: Story
    parts: dict[str, Path]  # language -> the part to write
    annotations: dict[str, AnnotatedVideo]
    settings: Settings
    threads: int


def build_story(
    videos: Path,
    narrations: list[Narration],
    out: Path,
    settings: Settings,
    *,
    splits: Path | None = None,
    seed: int = 0,
    jobs: int | None = None,
    replace: bool = False,
    started: Callable[[int], None] | None = None,
    advance: Callable[[], None] | None = None,
) -> Report:
    """Build a shard set from a folder of videos.

    Args:
        videos: folder; each file in it is a video, its stem the story's name.
        narrations: for each language the subtitles and annotations.
        out: folder of the set.
        settings: how clips, pictures and sentences are made.
        splits: JSON file of split -> story names; without it annotated stories go 20/20/60 to train, val and test,
            evenly over languages, and the others to train.
        seed: of that division.
        jobs: processes; default one for each core.
        replace: put a new set in place of one that is there.
        started: told how many videos there are to do.
        advance: called after each.

    Raises:
        ValueError: settings that cannot be, or nothing to build; faults of single videos are in the report instead.
        OSError: the disk is full, or `out` cannot be written.
    """
    check_out(out, replace)
    many = len(narrations) > 1
    annotations = {n.language: _annotations(n) for n in narrations}
    stories, failures = find_stories(videos, narrations)
    assigned = assign(
        {story.name: [code for code, videos in annotations.items() if story.name in videos] for story in stories},
        read_splits(splits) if splits else None,
        seed,
    )
    divided = len({name for videos in annotations.values() for name in videos} & set(assigned))
    report = Report(settings.to_dict() | {"splits": str(splits) if splits else _rule(divided, seed)})
    report.failures = [Failure(*failure) for failure in failures]
    for code, annotated in annotations.items():
        if absent := sorted(set(annotated) - {story.name for story in stories}):
            report.absent[code] = absent
        if untold := [story.name for story in stories if code not in story.subtitles]:
            report.untold[code] = untold

    folder = out / PARTS
    folder.mkdir(parents=True, exist_ok=True)
    jobs = max(1, min(jobs or os.cpu_count() or 1, len(stories)))
    tasks, done = _plan(stories, annotations, settings, folder, many, jobs)
    report.resumed = len(done)
    if started is not None:
        started(len(tasks))
    for task, outcome in each(_build, tasks, jobs, folder):
        if advance is not None:
            advance()
        for code, part in task.parts.items():
            reason = outcome if isinstance(outcome, str) else outcome.get(code)
            if reason is None:
                done[part] = task.story.name
                report.built += 1
            else:
                report.failures.append(Failure(part.stem.rpartition(".")[0], reason))
    if not done:
        write_report(out, report)
        reasons = "; ".join(f"{failure.video}: {failure.reason}" for failure in report.failures[:3])
        raise ValueError(f"no video could be built from {videos} ({len(report.failures)} failed: {reasons})")

    by_split: dict[str, list[Path]] = {}
    for part in sorted(done, key=lambda part: part.name):
        by_split.setdefault(assigned[done[part]], []).append(part)
        if notes := _notes(part):
            report.notes[part.stem.rpartition(".")[0]] = notes
    manifest = shards.pack(out, by_split, report.settings, replace=replace)
    report.counts = {split: asdict(count) for split, count in sorted(manifest.counts.items())}
    report.failures.sort(key=lambda failure: failure.video)
    write_report(out, report)
    if not report.failures:  # otherwise they are kept, for the run that follows when the fault is mended
        shutil.rmtree(folder)
    return report


def check_out(out: Path, replace: bool) -> None:
    """Raises ValueError where a set is in `out` that is not to be replaced, and as `shards.check_free`."""
    if (out / MANIFEST).exists() and not replace:
        raise ValueError(
            f"{out} holds a shard set already; --replace builds it again, using what has not changed; "
            "or choose another folder"
        )
    shards.check_free(out, replace=replace)


def _rule(annotated: int, seed: int) -> str:
    """How stories are divided without a file that says so; see `assign`."""
    if not annotated:
        return "all to train, as none is annotated"
    return f"20/20/60 of the {annotated} annotated videos to train, val and test, seed {seed}; the others train"


def _annotations(narration: Narration) -> dict[str, AnnotatedVideo]:
    if narration.annotations is None:
        return {}
    videos = msymon.read_file(
        narration.annotations, language=narration.language, time_format=narration.time_format, deduplicate=True
    )
    return {video.id: video for video in videos}


def _plan(
    stories: list[Story],
    annotations: dict[str, dict[str, AnnotatedVideo]],
    settings: Settings,
    folder: Path,
    many: bool,
    jobs: int,
) -> tuple[list[_Task], dict[Path, str]]:
    """What is to do, and the parts that are there: part -> story."""
    common = settings.to_dict()
    threads = max(1, (os.cpu_count() or 1) // jobs)
    tasks, done = [], {}
    for story in stories:
        parts = {}
        known = {}
        for code, subtitles in story.subtitles.items():
            annotated = annotations[code].get(story.name)
            if annotated is not None:
                known[code] = annotated
            name = f"{code}_{story.id}" if many else story.id
            files = stat_of(story.video), stat_of(subtitles)
            key = key_of(common, name, code, *files, annotated and annotated.to_dict())
            part = folder / f"{name}.{key}.tar"
            if part.exists():
                done[part] = story.name
            else:
                parts[code] = part
        if parts:
            tasks.append(_Task(story, parts, known, settings, threads))
    return tasks, done


def _build(task: _Task) -> dict[str, str]:
    """Write the parts of one video.  Returns language -> reason for those that failed."""
    reasons: dict[str, str] = {}
    spoken: dict[str, tuple[list[Sentence], list[str]]] = {}
    for code in task.parts:
        try:
            spoken[code] = _sentences(task, code)
        except (ValueError, FileNotFoundError) as fault:
            reasons[code] = str(fault)
    if not spoken:
        return reasons
    settings = task.settings
    clips = cut_video(task.story.video, settings.cutter, settings.pictures, threads=task.threads)
    for code, (sentences, notes) in spoken.items():
        part = task.parts[code]
        video = AnnotatedVideo(
            id=part.stem.rpartition(".")[0],
            url=task.story.video.name,
            duration=clips.duration,
            sentences=sentences,
            clips=clips.spans,
            language=code,
            annotated=code in task.annotations,
            movie=task.annotations[code].movie if code in task.annotations else None,
            notes=task.story.notes + notes + _beyond(sentences, clips.duration),
        )
        shards.write_video(part, video, clips.pictures)
    return reasons


def _sentences(task: _Task, code: str) -> tuple[list[Sentence], list[str]]:
    """Sentences with their times, and notes: those of the annotation where there is one, else of the subtitles."""
    notes: list[str] = []
    settings = task.settings
    found = captions.read(task.story.subtitles[code], language=code, encoding=settings.encoding, notes=notes)
    annotated = task.annotations.get(code)
    if annotated is None:
        spoken = captions.sentences(found, code, cut=settings.sentences, notes=notes)
        return with_words(spoken, notes), notes
    spans = captions.locate([sentence.text for sentence in annotated.sentences], found)
    if missing := sum(span is None for span in spans):
        notes.append(f"{missing} of {len(spans)} annotated sentences are not in the subtitles: no narration time")
    sentences = [
        Sentence(sentence.text, sentence.segment, span)
        for sentence, span in zip(annotated.sentences, spans, strict=True)
    ]
    return with_words(sentences, notes), annotated.notes + notes


def with_words(sentences: list[Sentence], notes: list[str]) -> list[Sentence]:
    """Without those of marks alone ("...", a note of music), which no model can read; `notes` says how many."""
    worded = [sentence for sentence in sentences if any(letter.isalnum() for letter in sentence.text)]
    if not worded:
        raise ValueError("none of its sentences has a word")
    if bare := len(sentences) - len(worded):
        notes.append(f"{bare} sentences without a word left out")
    return worded


def _beyond(sentences: list[Sentence], duration: float) -> list[str]:
    notes = []
    for what, spans in (
        ("annotated segments", [sentence.segment for sentence in sentences]),
        ("sentences", [sentence.narration for sentence in sentences]),
    ):
        late = sum(span is not None and span[0] >= duration for span in spans)
        if late:
            notes.append(f"{late} {what} begin after the end of the video: another cut of it?")
    return notes


def _notes(part: Path) -> list[str]:
    with tarfile.open(part) as tar:
        record = tar.extractfile(tar.next() or "")
        return AnnotatedVideo.from_dict(json.loads(record.read())).notes if record else []


def stat_of(path: Path) -> list[Any]:
    """What tells whether a file is still the same, without reading it."""
    stat = path.stat()
    return [path.name, stat.st_size, stat.st_mtime_ns]


def key_of(*inputs: Any) -> str:
    """A name for all that went into a part."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


def write_report(out: Path, report: Any) -> None:
    """Write what a build came to, a dataclass, beside the shards, whole."""
    write_whole(out / REPORT, (json.dumps(asdict(report), indent=1, ensure_ascii=False) + "\n").encode())

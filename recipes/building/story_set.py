"""Raw story videos and their subtitles to a shard set.

Every video becomes parts, small tars of its own, one for each language; parts are joined to shards at the end.  A
part's name holds a hash of all that went into it, so a build that was stopped goes on where it was, and a change of
settings or of a file makes its part anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...datamodules import captions, msymon, shards
from ...datamodules.records import AnnotatedVideo, Sentence
from . import parts
from .parts import Failure, check_out, finish, key_of, part_id, parts_folder, processes, stat_of, write_report
from .shots import Cutter
from .sources import Narration, Story, find_stories
from .splits import assign, read_splits
from .story_clips import Pictures, cut_video
from .workers import each

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
class Report(parts.Report):
    """What a build came to; written to ``build.json`` beside the shards.

    Attributes:
        counts: split -> videos, clips, sentences.
        built: parts made now.
        resumed: parts that an earlier run had made.
        failures: videos that are not in the set, or lack a language.
        notes: video -> what was repaired or doubtful in it.
        absent: language -> annotated videos that are not there.
        untold: language -> videos of the set that have no subtitles in it.
    """

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
    annotations = {narration.language: _annotations(narration) for narration in narrations}
    stories, failures = find_stories(videos, narrations)
    assigned = assign(
        {story.name: [code for code, videos in annotations.items() if story.name in videos] for story in stories},
        read_splits(splits) if splits else None,
        seed,
    )
    rule = str(splits) if splits else _rule(annotations, assigned, seed)
    report = Report(settings.to_dict() | {"splits": rule}, failures=failures)
    report.absent = _absent(stories, annotations)
    report.untold = _untold(stories, narrations)

    folder = parts_folder(out)
    jobs = processes(jobs, len(stories))
    tasks, done = _plan(stories, annotations, settings, folder, many=len(narrations) > 1, jobs=jobs)
    report.resumed = len(done)
    if started is not None:
        started(len(tasks))
    for task, outcome in each(_build, tasks, jobs, folder):
        done |= _built(task, outcome, report)
        if advance is not None:
            advance()
    if not done:
        write_report(out, report)
        reasons = "; ".join(f"{failure.video}: {failure.reason}" for failure in report.failures[:3])
        raise ValueError(f"no video could be built from {videos} ({len(report.failures)} failed: {reasons})")

    report.notes = {part_id(part): notes for part in sorted(done) if (notes := _notes(part))}
    manifest = shards.pack(out, _by_split(done, assigned), report.settings, replace=replace)
    report.counts = {split: asdict(count) for split, count in sorted(manifest.counts.items())}
    finish(out, report)
    return report


def _rule(annotations: dict[str, dict[str, AnnotatedVideo]], stories: Iterable[str], seed: int) -> str:
    """How stories are divided without a file that says so; see `assign`."""
    annotated = len({name for videos in annotations.values() for name in videos} & set(stories))
    if not annotated:
        return "all to train, as none is annotated"
    return f"20/20/60 of the {annotated} annotated videos to train, val and test, seed {seed}; the others train"


def _absent(stories: list[Story], annotations: dict[str, dict[str, AnnotatedVideo]]) -> dict[str, list[str]]:
    """Language -> annotated videos that are not among the stories."""
    names = {story.name for story in stories}
    return {code: absent for code, videos in annotations.items() if (absent := sorted(set(videos) - names))}


def _untold(stories: list[Story], narrations: list[Narration]) -> dict[str, list[str]]:
    """Language -> stories that have no subtitles in it."""
    lacking = {
        narration.language: [story.name for story in stories if narration.language not in story.subtitles]
        for narration in narrations
    }
    return {code: names for code, names in lacking.items() if names}


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
    *,
    many: bool,
    jobs: int,
) -> tuple[list[_Task], dict[Path, str]]:
    """What is to do, and the parts that are there: part -> story."""
    common = settings.to_dict()
    threads = max(1, (os.cpu_count() or 1) // jobs)
    tasks, done = [], {}
    for story in stories:
        missing = {}
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
                missing[code] = part
        if missing:
            tasks.append(_Task(story, missing, known, settings, threads))
    return tasks, done


def _built(task: _Task, outcome: dict[str, str] | str, report: Report) -> dict[Path, str]:
    """Enter one video's outcome, reasons by language or one for all, in the report.  Returns its parts -> story."""
    written = {}
    for code, part in task.parts.items():
        reason = outcome if isinstance(outcome, str) else outcome.get(code)
        if reason is None:
            written[part] = task.story.name
            report.built += 1
        else:
            report.failures.append(Failure(part_id(part), reason))
    return written


def _by_split(done: dict[Path, str], assigned: dict[str, str]) -> dict[str, list[Path]]:
    """Split -> its parts, in order of their names."""
    by_split: dict[str, list[Path]] = {}
    for part in sorted(done):
        by_split.setdefault(assigned[done[part]], []).append(part)
    return by_split


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
            id=part_id(part),
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
        return captions.drop_wordless(spoken, notes), notes
    spans = captions.locate([sentence.text for sentence in annotated.sentences], found)
    if missing := sum(span is None for span in spans):
        notes.append(f"{missing} of {len(spans)} annotated sentences are not in the subtitles: no narration time")
    sentences = [
        Sentence(sentence.text, sentence.segment, span)
        for sentence, span in zip(annotated.sentences, spans, strict=True)
    ]
    return captions.drop_wordless(sentences, notes), annotated.notes + notes


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

"""Videos and their subtitles to a set of conversational clips, resumable, every decision kept.

Every group of sentences that may become a clip is one piece of work.  It leaves a decision, and where it is kept a
part; the names of both hold a hash of all that went into them, so a build that was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...datamodules import captions, media, shards
from ...datamodules.files import write_whole
from ...datamodules.groups import Grouping, group
from ...datamodules.languages import check_words
from ...datamodules.records import Cue
from ...datamodules.spoken import CLIPS, TUBE_FPS
from ...zoo.speaking import ScoreSpeaking
from . import parts
from .conversation import STEPS, Decision, Rules, Source, build, started
from .faces import DetectFaces, KnownFaces
from .parts import REPORT, Failure, check_out, finish, key_of, parts_folder, processes, stat_of, write_report
from .sources import Narration, Story, find_stories
from .splits import read_splits
from .workers import each

#: part of every key: raise it where the same input would now give other parts
VERSION = 1
#: shares of the videos that validate and test, where no file says which
VAL, TEST = 0.1, 0.1


@dataclass(frozen=True)
class Settings:
    """How clips are built; all of it is part of every part's key and kept in the manifest."""

    rules: Rules
    grouping: Grouping
    speaking: ScoreSpeaking
    detect: DetectFaces | None = None
    known: dict[str, KnownFaces] | None = None
    domain: str = ""
    sentences: captions.Cut = "auto"
    encoding: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values; detectors by their names."""
        return {
            "kind": CLIPS,
            "version": VERSION,
            "faces": "known" if self.detect is None else self.detect.producer,
            "speaking": self.speaking.producer,
            **asdict(self.rules),
            "grouping": asdict(self.grouping),
            "sentences": self.sentences,
            "encoding": self.encoding,
        }


@dataclass
class Report(parts.Report):
    """What a build came to; written to ``build.json`` beside the shards.

    Attributes:
        counts: split -> clips and sentences.
        built: groups that were decided now.
        resumed: groups that an earlier run had decided.
        failures: videos that gave no group, and groups whose work broke off.
        funnel: what is left after every step, see `funnel`.
        decisions: what became of every group.
    """

    funnel: dict[str, Any] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)


@dataclass
class Sentences:
    """What became of the sentences of a build before any picture was looked at."""

    videos: dict[str, float] = field(default_factory=dict)  # name -> seconds
    all: int = 0
    lone: int = 0
    left: int = 0


@dataclass(frozen=True)
class _Task:
    """One group, and the two files that it leaves: the decision is written last."""

    source: Source
    part: Path
    decision: Path
    rules: Rules
    detect: DetectFaces | None
    speaking: ScoreSpeaking


def build_clips(
    videos: Path,
    narrations: list[Narration],
    out: Path,
    settings: Settings,
    *,
    splits: Path | None = None,
    seed: int = 0,
    jobs: int | None = None,
    replace: bool = False,
    looked: Callable[[int, int], None] | None = None,
    decided: Callable[[int, int], None] | None = None,
) -> Report:
    """Build a set of conversational clips from a folder of videos.

    Args:
        videos: folder; each file in it is a video.
        narrations: for each language the subtitles.
        out: folder of the set.
        settings: how clips are found and kept.
        splits: JSON file of split -> names of videos; without it videos go 80/10/10 to train, val and test.
        seed: of that division.
        jobs: processes; default one for each core.
        replace: put a new set in place of one that is there.
        looked: called with (videos whose subtitles are read, videos).
        decided: called with (groups decided, groups).

    Raises:
        ValueError: settings that cannot be, or nothing is kept; faults of single videos are in the report instead.
        OSError: the disk is full, or `out` cannot be written.
    """
    check_out(out, replace)
    stories, failures = find_stories(videos, narrations)
    assigned = _assigned([story.name for story in stories], splits, seed)
    rule = str(splits) if splits else f"80/10/10 of {len(stories)} videos to train, val and test, seed {seed}"
    report = Report(settings.to_dict() | {"splits": rule}, failures=failures)
    folder = parts_folder(out)

    sentences = Sentences()
    tasks: list[_Task] = []
    for number, story in enumerate(stories, start=1):
        tasks += _tasks(story, settings, folder, sentences, report.failures, many=len(narrations) > 1)
        if looked is not None:
            looked(number, len(stories))
    unread = list(report.failures)
    broken = _decide(tasks, report, folder, jobs, decided)
    report.failures += [Failure(name, reason) for name, reason in broken.items()]

    kept: dict[str, list[Path]] = {}
    for task in tasks:
        decision = _decision(task, broken)
        decision.split = assigned[task.source.video.stem]
        report.decisions.append(decision)
        if decision.step == "kept":
            kept.setdefault(decision.split, []).append(task.part)
    report.funnel = funnel(report.decisions, unread, sentences)
    if not kept:
        write_report(out, report)
        raise ValueError(f"no clip could be made from {videos}: {_why_none(report)}; see {out / REPORT}")
    by_split = {split: sorted(files) for split, files in kept.items()}
    manifest = shards.pack(out, by_split, report.settings | {"funnel": report.funnel}, replace=replace)
    report.counts = {
        split: {"clips": count.videos, "sentences": count.sentences} for split, count in sorted(manifest.counts.items())
    }
    finish(out, report)
    return report


def funnel(decisions: Iterable[Decision], unread: Iterable[Failure], sentences: Sentences) -> dict[str, Any]:
    """How many fell at which step, and why.

    Args:
        decisions: on all groups.
        unread: videos that gave no group.
        sentences: of the others.

    Returns:
        ``videos``, ``seconds`` and ``sentences`` that were read, ``lone`` sentences of talks that are too short and
        ``left`` ones that fit into no group; ``failures`` and for every step of `conversation.STEPS` but the last
        ``fell``: reason -> how many; ``groups`` and ``kept``.
    """
    decisions = list(decisions)
    fell = {
        step: dict(Counter(one.reason for one in decisions if one.step == step).most_common())
        for step in STEPS
        if step != "kept"
    }
    return {
        "videos": len(sentences.videos),
        "seconds": round(sum(sentences.videos.values()), 1),
        "sentences": sentences.all,
        "lone": sentences.lone,
        "left": sentences.left,
        "failures": dict(Counter(_without_names(failure) for failure in unread).most_common()),
        "groups": len(decisions),
        "fell": fell,
        "kept": sum(one.step == "kept" for one in decisions),
    }


def _assigned(names: list[str], splits: Path | None, seed: int) -> dict[str, str]:
    """Video -> split.  Raises ValueError where a file is given and lacks a video."""
    if splits is not None:
        given = read_splits(splits)
        if lost := [name for name in names if name not in given]:
            raise ValueError(f"{splits}: {len(lost)} videos are in no split, such as {lost[0]!r}; add them to the file")
        return {name: given[name] for name in names}
    order = sorted(names, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    val, test = round(VAL * len(order)), round(TEST * len(order))
    return {
        name: "val" if number < val else "test" if number < val + test else "train" for number, name in enumerate(order)
    }


def _tasks(
    story: Story, settings: Settings, folder: Path, sentences: Sentences, failures: list[Failure], *, many: bool
) -> list[_Task]:
    """The groups of one video in all its languages; a language that cannot be read goes to `failures`."""
    tasks: list[_Task] = []
    for language in story.subtitles:
        try:
            sources = _sources(story, language, settings, sentences, many=many)
            tasks += [_task(source, story, settings, folder) for source in sources]
        except (ValueError, OSError) as fault:
            failures.append(Failure(story.video.name, str(fault)))
    return tasks


def _sources(story: Story, language: str, settings: Settings, sentences: Sentences, *, many: bool) -> list[Source]:
    """The groups of one video in one language.  Raises ValueError where its subtitles or its faces cannot be read."""
    notes = list(story.notes)
    path = story.subtitles[language]
    read = captions.dialogue(captions.read(path, language=language, encoding=settings.encoding, notes=notes), notes)
    check_words(" ".join(caption.text for caption in read), language, str(path))
    lines = captions.drop_wordless(captions.sentences(read, language, cut=settings.sentences, notes=notes), notes)
    spans = [(one.narration or (0.0, 0.0)) for one in lines]
    known = None
    if settings.known is not None:
        known = settings.known.get(story.name)
        if known is None:
            raise ValueError(f"{story.video.name}: the file of known faces does not have it")
    info = media.probe(story.video)
    duration = info.duration or spans[-1][1]
    found = group(spans, duration, settings.grouping)
    sentences.videos[story.name] = duration
    sentences.all += len(lines)
    sentences.lone += len(found.lone)
    sentences.left += len(found.left)
    name = f"{language}_{story.id}" if many else story.id
    sources = []
    for number, one in enumerate(found.groups):
        start, end = (round(time * TUBE_FPS) / TUBE_FPS for time in (one.start, one.end))
        cues = [
            Cue(lines[at].text, round(max(0.0, spans[at][0] - start), 3), round(min(end, spans[at][1]) - start, 3))
            for at in range(one.first, one.last)
        ]
        sources.append(
            Source(f"{name}_{number:04d}", story.video, language, start, end, cues, known, settings.domain, list(notes))
        )
    return sources


def _task(source: Source, story: Story, settings: Settings, folder: Path) -> _Task:
    known = source.known
    key = key_of(
        settings.to_dict(),
        source.id,
        source.language,
        source.start,
        source.end,
        [asdict(cue) for cue in source.cues],
        source.domain,
        stat_of(story.video),
        [known.fps, known.cuts, known.domain, known.speaker, known.hidden, known.offscreen] if known else None,
        {name: hashlib.sha256(boxes.tobytes()).hexdigest() for name, boxes in known.boxes.items()} if known else None,
    )
    stem = folder / f"{source.id}.{key}"
    return _Task(
        source,
        stem.with_name(f"{stem.name}.tar"),
        stem.with_name(f"{stem.name}.json"),
        settings.rules,
        settings.detect,
        settings.speaking,
    )


def _decide(
    tasks: list[_Task], report: Report, folder: Path, jobs: int | None, decided: Callable[[int, int], None] | None
) -> dict[str, str]:
    """Do what is not done yet; returns group -> reason of those whose work broke off: the next call does them again."""
    todo = [task for task in tasks if not task.decision.exists()]
    report.resumed = len(tasks) - len(todo)
    jobs = processes(jobs, len(todo))
    if decided is not None:
        decided(report.resumed, len(tasks))
    broken: dict[str, str] = {}
    for number, (task, outcome) in enumerate(each(_work, todo, jobs, folder), start=1):
        if isinstance(outcome, str):
            broken[task.source.id] = outcome
        else:
            report.built += 1
        if decided is not None:
            decided(report.resumed + number, len(tasks))
    return broken


def _decision(task: _Task, broken: dict[str, str]) -> Decision:
    """What was decided of a group; one whose work broke off fell at its pictures."""
    if (reason := broken.get(task.source.id)) is not None:
        return started(task.source).fall("pictures", reason)
    return Decision(**json.loads(task.decision.read_text(encoding="utf-8")))


def _work(task: _Task) -> bool:
    decision = build(task.source, task.part, task.rules, task.detect, task.speaking)
    write_whole(task.decision, json.dumps(asdict(decision), ensure_ascii=False).encode())
    return True


def _without_names(failure: Failure) -> str:
    """A reason as it is counted: without the video's name and the paths of its files, which are different in each."""
    stem = Path(failure.video).stem
    return " ".join(
        word for word in failure.reason.split() if failure.video not in word and not ("/" in word and stem in word)
    )


def _why_none(report: Report) -> str:
    reasons = Counter(one.reason for one in report.decisions) + Counter(_without_names(one) for one in report.failures)
    if reasons:
        return "; ".join(f"{reason} ({count})" for reason, count in reasons.most_common(3))
    return f"of {report.funnel['sentences']} sentences none are part of a talk of the length of a clip"

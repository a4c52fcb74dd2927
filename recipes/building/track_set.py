"""Videos of which it is known whose face is where and who speaks when, to a set of face tracks; resumable."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...datamodules import media, shards
from ...datamodules.batches import SPEECH_RATE
from ...datamodules.face_tracks import TRACKS, write_track
from ...datamodules.files import safe_id, write_whole
from ...datamodules.records import SpokenClip
from ...datamodules.spoken import SAMPLES_A_FRAME, TUBE_FPS
from ...datamodules.tracks import link
from ...datamodules.waveforms import read_sound
from .conversation import cut_tubes
from .faces import KnownFaces, read_known
from .parts import Failure, Report, finish, key_of, parts_folder, processes, stat_of
from .sources import video_files
from .splits import read_splits
from .workers import each

#: part of every key: raise it where the same input would now give other parts
VERSION = 1
#: frames of the shortest track
SHORTEST = 25
#: a face may be away for so many frames in a track
GAP = 12
#: what `speakers.json` and files like it must say of a video for this
FORM = (
    '{"videos": {"NAME": {"fps": 25, "faces": {"ann": [[x0, y0, x1, y1], null, ...]}, '
    '"cues": [{"start": 0.5, "end": 2.1, "person": "ann"}]}}}'
)


@dataclass(frozen=True)
class _Task:
    """One video; `done` is written when all its tracks are."""

    video: Path
    known: KnownFaces
    spoken: dict[str, list[tuple[float, float]]]
    size: int
    folder: Path
    done: Path


def build_tracks(
    videos: Path,
    truth: Path,
    out: Path,
    *,
    splits: Path,
    size: int = 64,
    jobs: int | None = None,
    decided: Callable[[int, int], None] | None = None,
) -> Report:
    """Build a set of face tracks.

    Args:
        videos: folder; each file in it is a video.
        truth: JSON file of `FORM`: faces by name, as `weaksync data build subtitles --faces` reads them, and who says
            something from when to when, whether seen or not.
        out: folder of the set.
        splits: JSON file of split -> names of videos.
        size: side of the tubes in pixels.
        jobs: processes; default one for each core.
        decided: called with (videos done, videos).

    Returns:
        The report: it counts videos that were done now and by an earlier run, and for each split tracks, frames, and
        frames in which the face speaks.

    Raises:
        FileNotFoundError: a file or a folder is missing.
        ValueError: files that say something else, or no track; faults of single videos are in the report instead.
    """
    shards.check_free(out)
    if size < 16 or size % 2:
        raise ValueError(f"tubes of {size} pixels: an even number, 16 or more")
    known, spoken, assigned = read_known(truth), _spoken(truth), read_splits(splits)
    files = [path for path in video_files(videos) if path.stem in known and path.stem in assigned]
    if not files:
        raise ValueError(f"no video of {videos} is both in {truth} and in {splits}")
    report = Report({"kind": TRACKS, "version": VERSION, "size": size, "truth": str(truth)})
    folder = parts_folder(out)
    tasks = [_task(file, known[file.stem], spoken[file.stem], size, folder) for file in files]
    _cut(tasks, report, folder, jobs, decided)

    parts: dict[str, list[Path]] = {}
    for task in tasks:
        if task.done.exists():
            split = assigned[task.video.stem]
            parts.setdefault(split, []).extend(sorted(task.folder.glob("*.tar")))
            count = report.counts.setdefault(split, {"tracks": 0, "frames": 0, "speaking": 0})
            for name, more in json.loads(task.done.read_text()).items():
                count[name] += more
    if not any(parts.values()):
        reason = report.failures[0].reason if report.failures else f"no face is seen for {SHORTEST} frames"
        raise ValueError(f"no face track could be made from {videos}: {reason}")
    shards.pack(out, {split: files for split, files in parts.items() if files}, report.settings)
    finish(out, report)
    return report


def _spoken(truth: Path) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Video -> person -> seconds in which they speak."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for name, said in json.loads(truth.read_text(encoding="utf-8"))["videos"].items():
        try:
            found[name] = {}
            for cue in said["cues"]:
                found[name].setdefault(str(cue["person"]), []).append((float(cue["start"]), float(cue["end"])))
        except (KeyError, TypeError, ValueError) as fault:
            raise ValueError(
                f"{truth}: who speaks in {name!r} cannot be read ({fault}); it should be {FORM}"
            ) from fault
    return found


def _task(
    video: Path, known: KnownFaces, spoken: dict[str, list[tuple[float, float]]], size: int, folder: Path
) -> _Task:
    faces = {name: boxes.tobytes().hex() for name, boxes in known.boxes.items()}
    key = key_of(VERSION, size, stat_of(video), faces, spoken)
    tracks = folder / f"{safe_id(video.stem)}.{key}"
    return _Task(video, known, spoken, size, tracks, tracks.with_name(f"{tracks.name}.json"))


def _cut(
    tasks: list[_Task], report: Report, folder: Path, jobs: int | None, decided: Callable[[int, int], None] | None
) -> None:
    todo = [task for task in tasks if not task.done.exists()]
    report.resumed = len(tasks) - len(todo)
    jobs = processes(jobs, len(todo))
    for number, (task, outcome) in enumerate(each(_work, todo, jobs, folder), start=1):
        if isinstance(outcome, str):
            report.failures.append(Failure(task.video.name, outcome))
        else:
            report.built += 1
        if decided is not None:
            decided(report.resumed + number, len(tasks))


def _work(task: _Task) -> bool:
    task.folder.mkdir(exist_ok=True)
    counts = {"tracks": 0, "frames": 0, "speaking": 0}
    with media.open_video(task.video, threads=1) as reader:
        frames = int(reader.info.duration * TUBE_FPS + 1e-3)
        times = [number / TUBE_FPS for number in range(frames)]
        cuts = task.known.shots_from(times)
        tracks = [
            (name, track)
            for name, boxes in task.known.boxes.items()
            for track in link(_seen(boxes, task.known.fps, times), gap=GAP, cuts=cuts, shortest=SHORTEST)
        ]
        tubes = cut_tubes(reader, times, [track for _, track in tracks], task.size)
        size = reader.info.width, reader.info.height
    sound = read_sound(task.video, SPEECH_RATE, seconds=frames / TUBE_FPS)
    for (name, track), tube in zip(tracks, tubes, strict=True):
        speaks = np.zeros(frames, bool)
        for start, end in task.spoken.get(name, []):
            speaks[round(start * TUBE_FPS) : round(end * TUBE_FPS)] = True
        speaks = speaks[track.first : track.last]
        heard = sound[track.first * SAMPLES_A_FRAME : track.last * SAMPLES_A_FRAME]
        clip = SpokenClip(
            id=f"{safe_id(task.video.stem)}-{safe_id(name)}-{track.first:05d}",
            video=task.video.name,
            start=track.first / TUBE_FPS,
            end=track.last / TUBE_FPS,
            language="",
            cues=[],
            fps=TUBE_FPS,
            frames=len(track.boxes),
            faces=track.boxes,
            size=size,
            domain=task.known.domain,
            speaker=name,
        )
        write_track(task.folder / f"{clip.id}.tar", clip, tube, heard, speaks)
        counts["tracks"] += 1
        counts["frames"] += len(speaks)
        counts["speaking"] += int(speaks.sum())
    write_whole(task.done, json.dumps(counts).encode())
    return True


def _seen(boxes: NDArray[np.float32], fps: float, times: list[float]) -> list[NDArray[np.float32]]:
    """The one face of each frame, (1, 4), or (0, 4) where it is not seen."""
    numbers = [int(time * fps + 1e-3) for time in times]
    rows = [boxes[number : number + 1] for number in numbers]
    return [row[~np.isnan(row).any(axis=1)] for row in rows]

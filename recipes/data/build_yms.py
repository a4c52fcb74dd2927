"""`weaksync data build yms`: the videos of YMS with their published clips and annotations to shards."""

from __future__ import annotations

import bisect
import dataclasses
import itertools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import get_args
from urllib.parse import parse_qs, urlparse

import click
from av.video.frame import VideoFrame

from ...datamodules import captions, media, shards, yms
from ...datamodules.records import SPLITS, AnnotatedVideo, Interval
from ..building.parts import PARTS, Failure, check_out, finish, key_of, stat_of, write_report
from ..building.sources import video_files
from ..building.story_clips import Clips, Pictures
from ..building.story_set import Report
from ..building.workers import each
from ..console import progress
from ..published import release
from .build_options import exit_if_failed

#: how much shorter than its published clips a file may be; the last clip ends there then
SLACK_SECONDS = 2.0
#: part of every part's key: raise it where the same input would now give other parts
VERSION = 1


@dataclass(frozen=True)
class _Task:
    """One video of a split, its file, and the part to write."""

    split: str
    video: AnnotatedVideo
    file: Path
    part: Path


def build_yms(
    videos: Path,
    root: Path,
    out: Path,
    *,
    variant: yms.Variant = "phrases",
    pictures: Pictures | None = None,
    replace: bool = False,
    started: Callable[[int], None] | None = None,
    advance: Callable[[], None] | None = None,
) -> Report:
    """Build a shard set of YMS, in its own splits; the narrations have no times, all videos are annotated.

    Args:
        videos: folder of files named by their number in the release (``0001.mp4``) or by their YouTube id.
        root: folder of the release.
        out: folder of the set.
        variant: sentences, or the phrases that others report on.
        pictures: how clips are kept.
        replace: put a new set in place of one that is there.
        started: told how many videos there are to do.
        advance: called after each.

    Raises:
        FileNotFoundError: a folder or a file of the release is missing.
        ValueError: nothing to build, or a set is there; faults of single videos are in the report instead.
    """
    check_out(out, replace)
    pictures = pictures or Pictures()
    settings = {"version": VERSION, "shots": "published", "variant": variant, **asdict(pictures)}
    report = Report(settings | {"splits": "published"})
    listed = [(split, video) for split in SPLITS for video in yms.read(root, split, variant=variant)]
    files = {path.stem: path for path in video_files(videos)}
    folder = out / PARTS
    tasks = [
        _Task(split, video, file, folder / f"{video.id}.{key_of(settings, stat_of(file), video.to_dict())}.tar")
        for split, video in listed
        if (file := _file(video, files)) is not None
    ]
    if not tasks:
        raise ValueError(f"none of the videos of YMS is in {videos}; name them 0001.mp4, or by their YouTube id")
    here = {task.video.id for task in tasks}
    if absent := [video.id for _, video in listed if video.id not in here]:
        report.absent["en"] = absent

    folder.mkdir(parents=True, exist_ok=True)
    if started is not None:
        started(len(tasks))
    by_split: dict[str, list[Path]] = {}
    for task, outcome in each(partial(_build, pictures=pictures), tasks, 1, folder):
        if isinstance(outcome, str):
            report.failures.append(Failure(task.video.id, outcome))
        else:
            report.built += outcome
            report.resumed += not outcome
            by_split.setdefault(task.split, []).append(task.part)
            if task.video.notes:
                report.notes[task.video.id] = task.video.notes
        if advance is not None:
            advance()
    if not by_split:
        write_report(out, report)
        raise ValueError(f"no video could be built from {videos}: {report.failures[0].reason}")
    manifest = shards.pack(out, by_split, report.settings, replace=replace)
    report.counts = {split: asdict(count) for split, count in sorted(manifest.counts.items())}
    finish(out, report)
    return report


def _build(task: _Task, pictures: Pictures) -> bool:
    """Write the part of one video, unless an earlier run did.  Returns whether it was written."""
    video = task.video
    if task.part.exists():
        return False
    cut = cut_at(task.file, video.clips or [], pictures)
    sentences = captions.drop_wordless(video.sentences, video.notes)
    built = dataclasses.replace(video, url=task.file.name, clips=cut.spans, duration=cut.duration, sentences=sentences)
    shards.write_video(task.part, built, cut.pictures)
    return True


def cut_at(video: Path, spans: list[Interval], pictures: Pictures) -> Clips:
    """Pictures at the centres of `pictures.frames` equal parts of clips that are known, in order: decoded once.

    Raises ValueError where the file ends more than `SLACK_SECONDS` before its clips do, and as `media.open_video`.
    """
    count = pictures.frames
    times = [start + (part + 0.5) * (end - start) / count for start, end in spans for part in range(count)]
    kept: list[bytes] = []
    shown: VideoFrame | None = None
    with media.open_video(video, quick=True) as reader:
        size = reader.info.fit(pictures.size)
        for time, frame in itertools.chain(reader, [(inf, None)]):
            reached = bisect.bisect_left(times, time)
            if shown is not None and reached > len(kept):
                kept += [reader.jpeg(shown, size, pictures.quality)] * (reached - len(kept))
            shown = frame
        end = reader.end
    if spans[-1][1] > end + SLACK_SECONDS:
        raise ValueError(f"{video}: its clips end at {spans[-1][1]:.1f} s, the file at {end:.1f} s: another cut of it?")
    inside = [(start, min(stop, end)) for start, stop in spans if start < end]
    return Clips(inside, [kept[place * count : (place + 1) * count] for place in range(len(inside))], end)


def _file(video: AnnotatedVideo, files: dict[str, Path]) -> Path | None:
    """The file of a video: by its number, or by the id in its address."""
    address = urlparse(video.url)
    names = [video.id, *parse_qs(address.query).get("v", []), address.path.rpartition("/")[2]]
    return next((files[name] for name in names if name in files), None)


@click.command()
@click.option("--videos", type=click.Path(path_type=Path), required=True, help="Folder of 0001.mp4, or YouTube ids.")
@click.option("--data", "root", type=click.Path(path_type=Path), required=True, help="Folder with yms/, or itself it.")
@click.option("--variant", type=click.Choice(get_args(yms.Variant)), default="phrases", show_default=True,
              help="Which annotations; others report on phrases.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the shard set.")
@click.option("--frames", default=5, show_default=True, help="Candidate pictures of each clip.")
@click.option("--size", default=256, show_default=True, help="Short side of the pictures at most, in pixels.")
@click.option("--quality", default=90, show_default=True, help="JPEG quality, 1 to 100.")
@click.option("--replace", is_flag=True, help="Put the new set in place of one that is in --out.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    videos: Path,
    root: Path,
    variant: yms.Variant,
    out: Path,
    frames: int,
    size: int,
    quality: int,
    replace: bool,
    as_json: bool,
) -> None:
    """YouTube Movie Summaries: the published clips, annotations and splits, with pictures from your copies.

    The narrations have no times, so training takes people's annotations: data.pairs=annotated.
    """
    from .build import show  # which imports this file

    release_folder = release(root, "yms", "clip_segmentation.txt")
    if release_folder is None:
        raise FileNotFoundError(f"neither {root / 'yms'} nor {root} holds clip_segmentation.txt")
    with progress("videos") as bar:
        task = bar.add_task("building", total=None)
        report = build_yms(
            videos,
            release_folder,
            out,
            variant=variant,
            pictures=Pictures(frames, size, quality),
            replace=replace,
            started=lambda total: bar.update(task, total=total),
            advance=lambda: bar.advance(task),
        )
    show(report, out, as_json)
    exit_if_failed(report.failures, out)

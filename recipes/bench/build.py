"""`weaksync bench build`: how near cutting a video into shots and pictures comes to bare decoding."""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

import av
import click
import torch

from ...datamodules.world import generate
from ..building.shots import Cutter, choose
from ..building.sources import video_files
from ..building.story_clips import Pictures, cut_video
from ..console import print_table, progress
from .timing import processor_seconds

REPEATS = 5
LEAST_RATIO = 0.8
STORIES = 3


@dataclass
class BuildSpeed:
    """What `measure` found of one video; rates are medians over interleaved repeats, in CPU time.

    Attributes:
        video: name of the file.
        frames: how many it has.
        pictures: JPEG pictures that were kept of it.
        bare: frames per second of decoding alone.
        build: frames per second of decoding, finding shots by content and encoding pictures.
    """

    video: str
    frames: int
    pictures: int
    bare: float
    build: float

    @property
    def ratio(self) -> float:
        return self.build / self.bare


def measure(video: Path, repeats: int = REPEATS) -> BuildSpeed:
    """Measure one video, in this process, on one thread.  Raises as `media.open_video` does.

    CPU time is what counts: a build runs a process on every core.  The frames are decoded once on both sides, so the
    ratio is decoding / (decoding + shots + pictures).  It falls with the size of the frames, for the pictures of a
    clip are as many, and encoding one takes as long as decoding several frames of its size.
    """
    cutter = choose("content")
    frames, pictures = _decode(video), _build(video, cutter)  # the file lies in the page cache from here on
    bare, build = [], []
    for _ in range(repeats):
        bare.append(processor_seconds(lambda: _decode(video)))
        build.append(processor_seconds(lambda: _build(video, cutter)))
    return BuildSpeed(video.name, frames, pictures, frames / statistics.median(bare), frames / statistics.median(build))


def _decode(video: Path) -> int:
    count = 0
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = 1
        for _ in container.decode(stream):
            count += 1
    return count


def _build(video: Path, cutter: Cutter) -> int:
    return sum(len(set(clip)) for clip in cut_video(video, cutter, Pictures(), threads=1).pictures)


@click.command()
@click.option("--videos", type=click.Path(path_type=Path), help="A folder of videos; default: a few made-up stories.")
@click.option("--repeats", default=REPEATS, show_default=True, type=click.IntRange(1), help="Of each measurement.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(videos: Path | None, repeats: int, as_json: bool) -> None:
    """Measure `data build` beside bare decoding of the same videos, on one core.

    Both decode every frame.  The made-up stories are tiny (192 x 108) and cut often, so that pictures take as long as
    decoding; real videos come nearer to 1.  Give a folder of them to know.
    """
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="weaksync-bench-") as temporary:
        if videos is None:
            generate(Path(temporary), stories=STORIES, seed=0, languages=["en"])
            videos = Path(temporary) / "videos"
        paths = video_files(videos)
        speeds = []
        with progress("videos") as bar:
            task = bar.add_task("measuring", total=len(paths))
            for path in paths:
                speeds.append(measure(path, repeats))
                bar.advance(task)
    rows: list[tuple[str | int | float | None, ...]] = [
        (speed.video, speed.frames, speed.pictures, speed.bare, speed.build, speed.ratio, f">= {LEAST_RATIO}")
        for speed in speeds
    ]
    columns = ["video", "frames", "pictures", "decoding, frames/s", "build, frames/s", "build / decoding", "target"]
    print_table("build, one core, CPU time", columns, rows, as_json=as_json)

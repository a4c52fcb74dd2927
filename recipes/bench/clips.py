"""`weaksync bench clips`: how near building clips comes to the speed of the face detector alone."""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch

from ...datamodules import media
from ...datamodules.files import safe_id
from ...datamodules.records import Cue
from ...datamodules.speakers import generate
from ...datamodules.spoken import TUBE_FPS
from ...zoo.speaking import LipsAndVoice
from ..building import faces
from ..building.conversation import Rules, Source, build
from ..building.sources import video_files
from ..console import print_table, progress
from .timing import processor_seconds

REPEATS = 3
LEAST_RATIO = 0.5
SECONDS = 8.0
#: nothing falls, so that every step is done on every frame
KEEP_ALL = Rules(conversational=0.0, crowded=1.0, speaking=0.0)


@dataclass
class ClipSpeed:
    """What `measure` found of one video; rates are medians over interleaved repeats, in CPU time on one thread.

    Attributes:
        video: name of the file.
        frames: how many were looked at, 25 a second.
        tubes: face tubes that were found in them.
        detector: frames a second of finding faces in pictures that are decoded and small already.
        build: frames a second of all of it: decoding, finding faces, tubes, who speaks, encoding, writing.
    """

    video: str
    frames: int
    tubes: int
    detector: float
    build: float

    @property
    def ratio(self) -> float:
        return self.build / self.detector


def measure(video: Path, detect: faces.DetectFaces, *, seconds: float = SECONDS, repeats: int = REPEATS) -> ClipSpeed:
    """Measure one video, in this process.  Raises ValueError where it cannot be read, or there is no face in it."""
    frames = int(min(seconds, media.probe(video).duration or seconds) * TUBE_FPS)
    whole = frames / TUBE_FPS
    source = Source(safe_id(video.stem), video, "en", 0.0, whole, [Cue("Measured.", 0.0, whole)])
    pictures = _pictures(video, source.times())
    alone, built = [], []
    with tempfile.TemporaryDirectory(prefix="weaksync-bench-") as folder:
        part = Path(folder) / "part.tar"
        decision = build(source, part, KEEP_ALL, detect, LipsAndVoice())  # everything is loaded from here on
        if decision.step != "kept":
            raise ValueError(f"{video}: no clip to measure ({decision.reason})")
        for _ in range(repeats):
            alone.append(processor_seconds(lambda: _find(detect, pictures)))
            built.append(processor_seconds(lambda: build(source, part, KEEP_ALL, detect, LipsAndVoice())))
    detector, speed = (frames / statistics.median(times) for times in (alone, built))
    return ClipSpeed(video.name, frames, len(decision.tubes), detector, speed)


def _pictures(video: Path, times: list[float]) -> list[np.ndarray]:
    """The pictures as the detector gets them, in stacks."""
    with media.open_video(video, threads=1) as reader:
        size = reader.info.fit(faces.SHORT_SIDE)
        small = [reader.picture(frame, size) for frame in reader.at(times)]
    return [np.stack(small[at : at + faces.AT_ONCE]) for at in range(0, len(small), faces.AT_ONCE)]


def _find(detect: faces.DetectFaces, pictures: list[np.ndarray]) -> None:
    for stack in pictures:
        detect(stack)


@click.command()
@click.option(
    "--videos", type=click.Path(path_type=Path), help="A folder of videos; default: three synthetic speakers."
)
@click.option("--seconds", default=SECONDS, show_default=True, help="Of each video.")
@click.option("--repeats", default=REPEATS, show_default=True, type=click.IntRange(1), help="Of each measurement.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(videos: Path | None, seconds: float, repeats: int, as_json: bool) -> None:
    """Measure `data build subtitles` beside MTCNN alone on the same frames, on one core.

    The build decodes every frame twice, finds the faces, cuts the tubes, scores who speaks, encodes tube, scene and
    sound and writes them.  Nothing is left out: no clip falls here.
    """
    torch.set_num_threads(1)
    detect = faces.choose()
    with tempfile.TemporaryDirectory(prefix="weaksync-bench-") as temporary:
        if videos is None:
            generate(temporary, clips=3, people=6, seconds=max(4.0, seconds), val=0.2, test=0.2)
            videos = Path(temporary) / "videos"
        paths = video_files(videos)
        speeds = []
        with progress("videos") as bar:
            task = bar.add_task("measuring", total=len(paths))
            for path in paths:
                speeds.append(measure(path, detect, seconds=seconds, repeats=repeats))
                bar.advance(task)
    rows: list[tuple[str | int | float | None, ...]] = [
        (one.video, one.frames, one.tubes, one.detector, one.build, one.ratio, f">= {LEAST_RATIO}") for one in speeds
    ]
    columns = ["video", "frames", "tubes", "detector, frames/s", "build, frames/s", "build / detector", "target"]
    print_table("clips, one core, CPU time", columns, rows, as_json=as_json)

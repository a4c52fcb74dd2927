"""`weaksync data build`: raw video and subtitles to shards."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import click

from ...datamodules.captions import Cut
from ...datamodules.msymon import TimeFormat
from ..building.parts import REPORT
from ..building.shots import METHODS, Method, choose
from ..building.story_clips import Pictures
from ..building.story_set import Report, Settings, build_story
from ..console import counted, err, print_table, progress
from . import build_speaking, build_subtitles, build_yms
from .build_options import exit_if_failed, narrations_of

#: what a set cannot do that lacks a split
WITHOUT = {
    "train": "there is nothing to train on",
    "val": "drop costs cannot be tuned",
    "test": "there is nothing to score a model on",
}
_PATH = click.Path(path_type=Path)


@click.group()
def command() -> None:
    """Raw video and subtitles to shards."""


@command.command()
@click.option("--videos", type=_PATH, required=True, help="Folder of videos.")
@click.option("--subtitles", type=_PATH, multiple=True, required=True, help="Folder of subtitles, named as the videos.")
@click.option("--language", multiple=True, required=True, help="Their language; one for each --subtitles.")
@click.option("--annotations", type=_PATH, multiple=True, help="M-SyMoN annotation file; none, or one per language.")
@click.option("--out", type=_PATH, required=True, help="Folder of the shard set.")
@click.option("--splits", type=_PATH, help='JSON {"train": [...], "val": [...], "test": [...]} of video names.')
@click.option("--time-format", type=click.Choice(get_args(TimeFormat)), default="auto", show_default=True,
              help="Of annotations: decimal is seconds; frames30 seconds and frames at 30 a second, 3.21 being 3 s and "
                   "21 frames, as M-SyMoN has it; auto tells by the digits.")  # fmt: skip
@click.option("--shots", "method", type=click.Choice(METHODS), default="auto", show_default=True,
              help="How videos are cut into clips.")  # fmt: skip
@click.option("--weights", type=_PATH, help="TransNetV2 weights, if not those of the package.")
@click.option("--sentences", type=click.Choice(get_args(Cut)), default="auto", show_default=True,
              help="Where sentences end; captions: each is one, in any language.")  # fmt: skip
@click.option("--encoding", help="Encoding of the subtitles, where they are not Unicode.")
@click.option("--frames", default=5, show_default=True, help="Candidate pictures of each clip.")
@click.option("--size", default=256, show_default=True, help="Short side of the pictures at most, in pixels.")
@click.option("--quality", default=90, show_default=True, help="JPEG quality, 1 to 100.")
@click.option("--jobs", type=click.IntRange(1), help="Processes; default one for each core.")
@click.option("--seed", default=0, show_default=True, help="Of the 20/20/60 division without --splits.")
@click.option("--replace", is_flag=True, help="Put the new set in place of one that is in --out.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def story(
    videos: Path,
    subtitles: tuple[Path, ...],
    language: tuple[str, ...],
    annotations: tuple[Path, ...],
    out: Path,
    splits: Path | None,
    time_format: TimeFormat,
    method: Method,
    weights: Path | None,
    sentences: Cut,
    encoding: str | None,
    frames: int,
    size: int,
    quality: int,
    jobs: int | None,
    seed: int,
    replace: bool,
    as_json: bool,
) -> None:
    """Cut story videos into clips and sentences, and write them as shards.

    A video that fails is reported, in build.json too, and the rest goes on; the exit code is then 1.  A build that was
    stopped goes on where it was.
    """
    narrations = narrations_of(subtitles, language, sentences, annotations, time_format)
    cutter = choose(method, weights)
    err.print(cutter.reason, highlight=False)
    with progress("videos") as bar:
        task = bar.add_task("building", total=None)
        report = build_story(
            videos,
            narrations,
            out,
            Settings(cutter, Pictures(frames, size, quality), sentences, encoding),
            splits=splits,
            seed=seed,
            jobs=jobs,
            replace=replace,
            started=lambda total: bar.update(task, total=total),
            advance=lambda: bar.advance(task),
        )
    print_splits(report)
    show(report, out, as_json)
    exit_if_failed(report.failures, out)


command.add_command(build_speaking.command, "speaking")
command.add_command(build_subtitles.command, "subtitles")
command.add_command(build_yms.command, "yms")


def print_splits(report: Report) -> None:
    """Print by which rule the stories were divided, and what cannot be done where a split is empty."""
    err.print(f"splits: {report.settings['splits']}", highlight=False, markup=False, soft_wrap=True)
    if lacking := [f"no {split}, so {what}" for split, what in WITHOUT.items() if split not in report.counts]:
        err.print(f"{'; '.join(lacking)} (--splits names some)", highlight=False, soft_wrap=True)


def show(report: Report, out: Path, as_json: bool) -> None:
    """Print what a build came to: counts as a result, troubles on standard error."""
    if as_json:
        click.echo(json.dumps(asdict(report), ensure_ascii=False, indent=2))
    else:
        rows = [[split, *count.values()] for split, count in report.counts.items()]
        print_table(f"{out}", ["split", "videos", "clips", "sentences"], rows)
    if report.resumed:
        err.print(f"from an earlier run: {counted(report.resumed, 'video')}; new: {report.built}", highlight=False)
    for code, names in report.absent.items():
        err.print(f"{code}: {counted(len(names), 'annotated video')} not among the files", highlight=False)
    for code, names in report.untold.items():
        err.print(
            f"{code}: {counted(len(names), 'video')} without subtitles in it, such as {names[0]}", highlight=False
        )
    if report.notes:
        err.print(f"notes on {counted(len(report.notes), 'video')}: see {out / REPORT}", highlight=False)

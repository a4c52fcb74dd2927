"""`weaksync data build speaking`: videos of which it is known who speaks, to a set of face tracks."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from ..building.parts import Report
from ..building.track_set import build_tracks
from ..console import counted, err, print_table, progress
from .build_options import exit_if_failed

_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--videos", type=_PATH, required=True, help="Folder of videos.")
@click.option("--faces", "truth", type=_PATH, required=True, help="JSON of faces and who speaks: speakers.json.")
@click.option("--splits", type=_PATH, required=True, help='JSON {"train": [...], "val": [...]} of video names.')
@click.option("--out", type=_PATH, required=True, help="Folder of the set.")
@click.option("--size", default=64, show_default=True, help="Side of the face tubes, in pixels.")
@click.option("--jobs", type=click.IntRange(1), help="Processes; default one for each core.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(videos: Path, truth: Path, splits: Path, out: Path, size: int, jobs: int | None, as_json: bool) -> None:
    """Cut every face out of videos, with what is heard meanwhile and when it speaks: what subtitles/speaking learns.

    The truth is that of `weaksync data speakers`, or a file like it: faces by name, and cues with the person who says
    them, seen or not.  A build that was stopped goes on where it was.
    """
    with progress("videos") as bar:
        task = bar.add_task("tracks", total=None)
        report = build_tracks(
            videos,
            truth,
            out,
            splits=splits,
            size=size,
            jobs=jobs,
            decided=lambda done, total: bar.update(task, completed=done, total=total),
        )
    show(report, out, as_json)
    exit_if_failed(report.failures, out)


def show(report: Report, out: Path, as_json: bool) -> None:
    """Print what a build came to: counts as a result, troubles on standard error."""
    if as_json:
        click.echo(json.dumps(asdict(report), ensure_ascii=False, indent=2))
    else:
        rows = [
            [split, count["tracks"], round(count["frames"] / 25 / 60, 1), count["speaking"] / count["frames"]]
            for split, count in report.counts.items()
        ]
        print_table(f"{out}", ["split", "tracks", "minutes", "speaking"], rows)
    if report.resumed:
        err.print(f"from an earlier run: {counted(report.resumed, 'video')}; new: {report.built}", highlight=False)

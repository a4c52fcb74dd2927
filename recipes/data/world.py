"""`weaksync data world`: generate the synthetic story world."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from ...datamodules.world import LANGUAGES, generate, measure, plot, record
from ..console import err, out, progress


@click.command()
@click.option(
    "--out", "folder", required=True, type=click.Path(path_type=Path), help="Folder to write; made if need be."
)
@click.option(
    "--stories",
    default=140,
    show_default=True,
    help="How many films; one in twelve is for validation, one in five for test.",
)
@click.option("--sentences", default=22, show_default=True, help="Sentences of a story, on average (4 s of film each).")
@click.option("--seed", default=0, show_default=True, help="Seed of everything.")
@click.option("--language", "languages", multiple=True, default=LANGUAGES, show_default=True, help="Of a narration.")
@click.option("--jobs", default=os.cpu_count() or 1, show_default="all cores", help="Processes that film at once.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def command(
    folder: Path, stories: int, sentences: int, seed: int, languages: tuple[str, ...], jobs: int, as_json: bool
) -> None:
    """Generate the synthetic story world.

    Short animated films with hard cuts, narrations in seven languages that drift ahead of the picture and behind it,
    and exact annotations beside.  The same seed gives the same world; a call that was stopped goes on.
    """
    with progress("stories") as bar:
        task = bar.add_task("filming", total=stories)
        generate(
            folder,
            stories=stories,
            seed=seed,
            languages=languages,
            sentences=sentences,
            jobs=jobs,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    videos = [record(seed, plot(seed, index, sentences=sentences), languages[0]) for index in range(stories)]
    shape = measure(videos)
    minutes = sum(video.duration for video in videos) / 60
    if as_json:
        figures = {"stories": stories, "minutes": minutes, "languages": languages, **asdict(shape)}
        click.echo(json.dumps(figures, indent=2))
    else:
        out.print(f"{folder}: {stories} stories, {minutes:.0f} minutes, {', '.join(languages)}", soft_wrap=True)
        out.print(
            f"clips of {shape.clip_seconds:.1f} s, {shape.matched:.0%} of sentences matched, "
            f"{shape.unmatched_time:.0%} of the time untold; {shape.agreement:.0%} of what the {languages[0]} "
            "narration says over a clip is what it shows",
            soft_wrap=True,
        )
    err.print("next, to make a shard set of it:", highlight=False)
    err.print(building(folder, languages), highlight=False, markup=False, soft_wrap=True)


def building(folder: Path, languages: Sequence[str]) -> str:
    """The command that builds a world in all its languages, as a shell reads it."""
    words = ["weaksync", "data", "build", "story", "--videos", folder / "videos"]
    for code in languages:
        words += ["--subtitles", folder / "subtitles" / code, "--language", code]
        words += ["--annotations", folder / "annotations" / f"{code}.json"]
    return shlex.join(map(str, [*words, "--splits", folder / "splits.json", "--out", folder.parent / "shards"]))

"""`weaksync data world`: generate the synthetic story world."""

from __future__ import annotations

import os
import shlex
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
@click.option(
    "--languages", default=",".join(LANGUAGES), show_default=True, help="Codes of the narrations, with commas."
)
@click.option("--jobs", default=os.cpu_count() or 1, show_default="all cores", help="Processes that film at once.")
def command(folder: Path, stories: int, sentences: int, seed: int, languages: str, jobs: int) -> None:
    """Generate the synthetic story world.

    Short animated films with hard cuts, narrations in seven languages that drift ahead of the picture and behind it,
    and exact annotations beside.  The same seed gives the same world; a call that was stopped goes on.
    """
    codes = [code.strip() for code in languages.split(",") if code.strip()]
    with progress("stories") as bar:
        task = bar.add_task("filming", total=stories)
        generate(
            folder,
            stories=stories,
            seed=seed,
            languages=codes,
            sentences=sentences,
            jobs=jobs,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    videos = [record(seed, plot(seed, index, sentences=sentences), codes[0]) for index in range(stories)]
    shape = measure(videos)
    minutes = sum(video.duration for video in videos) / 60
    out.print(f"{folder}: {stories} stories, {minutes:.0f} minutes, {', '.join(codes)}", soft_wrap=True)
    out.print(
        f"clips of {shape.clip_seconds:.1f} s, {shape.matched:.0%} of sentences matched, {shape.unmatched_time:.0%} of "
        f"the time untold; {shape.agreement:.0%} of what the {codes[0]} narration says over a clip is what it shows",
        soft_wrap=True,
    )
    err.print("next, to make a shard set of it:", highlight=False)
    err.print(building(folder, codes), highlight=False, markup=False, soft_wrap=True)


def building(folder: Path, languages: list[str]) -> str:
    """The command that builds a world in all its languages, as a shell reads it."""
    words = ["weaksync", "data", "build", "story", "--videos", folder / "videos"]
    for code in languages:
        words += ["--subtitles", folder / "subtitles" / code, "--language", code]
        words += ["--annotations", folder / "annotations" / f"{code}.json"]
    return shlex.join(map(str, [*words, "--splits", folder / "splits.json", "--out", folder.parent / "shards"]))

"""`weaksync data speakers`: generate the synthetic speakers."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from ...datamodules.records import SPLITS
from ...datamodules.speakers import DOMAINS, LANGUAGES, contact_sheet, generate
from ..console import err, print_table, progress


@click.command()
@click.option(
    "--out", "folder", required=True, type=click.Path(path_type=Path), help="Folder to write; made if need be."
)
@click.option("--clips", default=400, show_default=True, help="How many videos; each is one conversation.")
@click.option("--people", default=100, show_default=True, help="How many there are to speak; nobody is in two splits.")
@click.option("--seed", default=0, show_default=True, help="Seed of everything.")
@click.option("--language", "languages", multiple=True, default=["en"], show_default=True, metavar="CODE",
              help=f"One of {', '.join(LANGUAGES)}; repeatable.")  # fmt: skip
@click.option("--seconds", default=16.0, show_default=True, help="That a clip lasts at least.")
@click.option("--hidden", default=0.4, show_default=True, help="Share of frames whose lips are covered, on average.")
@click.option("--offscreen", default=0.2, show_default=True, help="Share of frames without the speaker, on average.")
@click.option("--val", default=0.1, show_default=True, help="Share of the clips for validation.")
@click.option("--test", default=0.2, show_default=True, help="Share of the clips for test.")
@click.option("--pool", default=0, show_default=True, help="Further subtitle files, of what nobody says in a video.")
@click.option("--nets", is_flag=True, help="Also teach two small networks to see things and rooms, in OUT/nets.")
@click.option("--jobs", default=os.cpu_count() or 1, show_default="all cores", help="Processes that film at once.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
def command(
    folder: Path,
    clips: int,
    people: int,
    seed: int,
    languages: tuple[str, ...],
    seconds: float,
    hidden: float,
    offscreen: float,
    val: float,
    test: float,
    pool: int,
    nets: bool,
    jobs: int,
    as_json: bool,
) -> None:
    """Generate the synthetic speakers: drawn people whose lips follow what a speech synthesiser says.

    Videos with sound, subtitles, and in speakers.json the exact truth: faces, who speaks when, whose lips are hidden.
    With --nets two networks learn drawn things and rooms from other pictures, as those of ImageNet and Places365 know
    real ones: object.net and scene.net of a matcher take them.

    Needs eSpeak NG: pip install 'weaksync[tts]'.  The same seed gives the same videos; a call that was stopped goes on.
    """
    with progress("clips") as bar:
        task = bar.add_task("filming", total=clips)
        texts = bar.add_task("pool", total=pool, visible=pool > 0, unit="texts")
        whole = generate(
            folder,
            clips=clips,
            people=people,
            seed=seed,
            languages=list(languages),
            seconds=seconds,
            hidden=hidden,
            offscreen=offscreen,
            val=val,
            test=test,
            pool=pool,
            jobs=jobs,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            pooled=lambda done, total: bar.update(texts, completed=done, total=total),
        )
        if nets:
            from ..training.picture_nets import picture_nets  # imports torch

            steps = bar.add_task("seeing", total=None, unit="steps")
            seen = picture_nets(
                folder / "nets", seed=seed, track=lambda done, total: bar.update(steps, completed=done, total=total)
            )
            for net in seen:
                bar.console.print(f"{folder / 'nets' / net.cue}: right on {net.right:.0%} of pictures it has not seen")
    videos = list(whole["videos"].values())
    columns = ["split", "domain", "clips", "people", "minutes", "sentences", "words/min", "hidden", "unseen"]
    groups = [(split, domain) for split in SPLITS for domain in DOMAINS]
    rows = [
        [split, domain, *_count([v for v in videos if (v["split"], v["domain"]) == (split, domain)])]
        for split, domain in groups
    ]
    print_table(f"{folder}: {', '.join(languages)}", columns, [row for row in rows if row[2]], as_json=as_json)
    err.print(f"contact sheet: {contact_sheet(folder)}", highlight=False, soft_wrap=True)


def _count(videos: list[dict[str, Any]]) -> list[Any]:
    """Clips, people, minutes, sentences, words a minute; shares of frames and of speech that cannot be seen."""
    if not videos:
        return [0, 0, 0.0, 0, 0, 0.0, 0.0]
    frames = sum(video["frames"] for video in videos)
    cues = [cue for video in videos for cue in video["cues"]]
    spoken = sum(cue["end"] - cue["start"] for cue in cues)
    return [
        len(videos),
        len({video["speaker"] for video in videos}),
        round(sum(video["frames"] / video["fps"] for video in videos) / 60, 1),
        len(cues),
        round(sum(len(cue["text"].split()) for cue in cues) * 60 / spoken),
        _total((first, last) for video in videos for first, last, _ in video["hidden"]) / frames,
        _total(span for video in videos for span in video["offscreen"]) / spoken,
    ]


def _total(spans: Iterable[tuple[float, float]]) -> float:
    return float(sum(end - start for start, end in spans))

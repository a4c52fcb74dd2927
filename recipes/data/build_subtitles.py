"""`weaksync data build subtitles`: raw video and subtitles to conversational clips."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import click

from ...datamodules.captions import Cut
from ...datamodules.groups import Grouping
from ...datamodules.records import SPLITS
from ..building import faces, speaking
from ..building.conversation import Rules
from ..building.conversation_set import Report, Settings, build_clips
from ..console import err, print_table, progress
from ..counting.clips import FUNNEL, funnel_rows
from ..options import DEVICES, Device, chosen_device
from .build_options import exit_if_failed, narrations_of

MTCNN = "mtcnn"
_PATH = click.Path(path_type=Path)
_RULES, _GROUPING = Rules(), Grouping()


@click.command()
@click.option("--videos", type=_PATH, required=True, help="Folder of videos.")
@click.option("--subtitles", type=_PATH, multiple=True, required=True, help="Folder of subtitles, named as the videos.")
@click.option("--language", multiple=True, required=True, help="Their language; one for each --subtitles.")
@click.option("--out", type=_PATH, required=True, help="Folder of the set.")
@click.option("--faces", "given", default=MTCNN, show_default=True,
              help="mtcnn finds them; or a JSON file of known boxes, such as speakers.json.")  # fmt: skip
@click.option("--splits", type=_PATH, help='JSON {"train": [...], "val": [...], "test": [...]} of video names.')
@click.option("--domain", default="", help="What these videos are, such as movie, where no file says so.")
@click.option("--sentences", type=click.Choice(get_args(Cut)), default="auto", show_default=True,
              help="Where sentences end; captions: each is one, in any language.")  # fmt: skip
@click.option("--encoding", help="Encoding of the subtitles, where they are not Unicode.")
@click.option("--shortest", default=_GROUPING.shortest, show_default=True, help="Clip, in seconds.")
@click.option("--longest", default=_GROUPING.longest, show_default=True, help="Clip, in seconds.")
@click.option("--silence", default=_GROUPING.silence, show_default=True, help="That ends a clip, in seconds.")
@click.option("--margin", default=_GROUPING.margin, show_default=True,
              help="Of silence on each side, in seconds, that a clip may take in to be long enough.")  # fmt: skip
@click.option("--conversational", default=_RULES.conversational, show_default=True,
              help="Least share of frames with a face.")  # fmt: skip
@click.option("--crowded", default=_RULES.crowded, show_default=True,
              help="Greatest share of frames with three faces or more.")  # fmt: skip
@click.option("--speaking", "scorer", default=speaking.BASELINE, show_default=True,
              help="What tells who speaks: lip motion times voice, or a run of subtitles/speaking.")  # fmt: skip
@click.option("--speaks", default=_RULES.speaking, show_default=True, help="Score, over a second, of a face that does.")
@click.option("--size", default=_RULES.size, show_default=True, help="Side of the face tubes, in pixels.")
@click.option("--scene", default=_RULES.scene, show_default=True, help="Short side of the scenes at most, in pixels.")
@click.option("--device", type=DEVICES, default="auto", show_default=True, help="Where faces are found.")
@click.option("--jobs", type=click.IntRange(1), help="Processes; default one for each core.")
@click.option("--seed", default=0, show_default=True, help="Of the 80/10/10 division without --splits.")
@click.option("--replace", is_flag=True, help="Put the new set in place of one that is in --out.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    videos: Path,
    subtitles: tuple[Path, ...],
    language: tuple[str, ...],
    out: Path,
    given: str,
    splits: Path | None,
    domain: str,
    sentences: Cut,
    encoding: str | None,
    shortest: float,
    longest: float,
    silence: float,
    margin: float,
    conversational: float,
    crowded: float,
    scorer: str,
    speaks: float,
    size: int,
    scene: int,
    device: Device,
    jobs: int | None,
    seed: int,
    replace: bool,
    as_json: bool,
) -> None:
    """Find the conversations in videos, and write them as clips: a face, the scene, the sound and what is said.

    Sentences are put into groups of 15 to 30 s; of these the ones are kept that show a face most of the time, and one
    that speaks.  What fell, at which step and why is printed and stands in build.json.  A build that was stopped goes
    on where it was.  MTCNN needs: pip install --no-deps facenet-pytorch
    """
    settings = Settings(
        Rules(conversational=conversational, crowded=crowded, speaking=speaks, size=size, scene=scene),
        Grouping(shortest, longest, silence, margin),
        speaking.choose(scorer),
        detect=faces.choose(chosen_device(device)) if given == MTCNN else None,
        known=None if given == MTCNN else faces.read_known(Path(given)),
        domain=domain,
        sentences=sentences,
        encoding=encoding,
    )
    with progress("groups") as bar:
        looking, deciding = bar.add_task("subtitles", total=None), bar.add_task("clips", total=None)
        report = build_clips(
            videos,
            narrations_of(subtitles, language, sentences),
            out,
            settings,
            splits=splits,
            seed=seed,
            jobs=jobs,
            replace=replace,
            looked=lambda done, total: bar.update(looking, completed=done, total=total),
            decided=lambda done, total: bar.update(deciding, completed=done, total=total),
        )
    show(report, out, as_json)
    exit_if_failed(report.failures, out)


def show(report: Report, out: Path, as_json: bool) -> None:
    """Print what a build came to: the funnel and the counts as a result, troubles on standard error."""
    if as_json:
        click.echo(json.dumps(asdict(report), ensure_ascii=False, indent=2))
    else:
        print_table("from videos to clips", FUNNEL, funnel_rows(report.funnel))
        rows = [[split, *count.values()] for split, count in report.counts.items()]
        print_table(f"{out}", ["split", "clips", "sentences"], rows)
    err.print(f"splits: {report.settings['splits']}", highlight=False, markup=False, soft_wrap=True)
    if lacking := [split for split in SPLITS if split not in report.counts]:
        err.print(f"no clip in {', '.join(lacking)} (--splits says which video is where)", highlight=False)
    if report.resumed:
        err.print(f"from an earlier run: {report.resumed} groups; new: {report.built}", highlight=False)

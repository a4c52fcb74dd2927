"""`weaksync reproduce story ceilings`: what M-SyMoN's tables can be without any model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ...datamodules import msymon, yms
from ...datamodules.records import SPLITS, AnnotatedVideo
from ..console import err, print_table
from ..published import languages_present, release
from ..scoring import paper
from ..scoring.ceilings import Ceilings, ceilings


@click.command("ceilings")
@click.option("--data", "root", type=click.Path(path_type=Path), required=True, help="Folder with m-symon/ and yms/.")
@click.option("--split", type=click.Choice(SPLITS), default="test", show_default=True, help="Which videos.")
@click.option(
    "--time-format",
    type=click.Choice(["auto", "frames30", "decimal"]),
    default="decimal",
    show_default=True,
    help="How M-SyMoN's times are read; the paper most likely took them as decimals.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def ceilings_command(root: Path, split: str, time_format: msymon.TimeFormat, as_json: bool) -> None:
    """What needs no model: floors, oracles on a 2.4 s grid (YMS: on its own clips), and the monotone ceiling.

    Neither release carries the times of the narration, so the transcript baseline is for shards that have them.
    """
    found = {name: ceilings(videos) for name, videos in data_sets(root, split, time_format)}
    if as_json:
        plain = {name: {**asdict(each), "paper": published(name)} for name, each in found.items()}
        click.echo(json.dumps(plain, indent=2))
        return
    show(found, split)


def data_sets(root: Path, split: str, time_format: msymon.TimeFormat) -> Iterator[tuple[str, list[AnnotatedVideo]]]:
    """Every annotated data set below `root`, by name; what is not there is said.

    Raises FileNotFoundError where there is neither.
    """
    folder = release(root, "m-symon", "annotations")
    if folder is not None:
        for language in languages_present(folder):
            videos = msymon.read(folder, language, split, time_format=time_format)
            if videos:
                yield language, videos
            else:
                err.print(f"m-symon {language}: {split} was withheld")
    folder_yms = release(root, "yms", "clip_segmentation.txt")
    if folder_yms is not None:
        yield "yms sentences", yms.read(folder_yms, split, variant="sentences")
        yield "yms phrases", yms.read(folder_yms, split, variant="phrases")
    if folder is None and folder_yms is None:
        raise FileNotFoundError(f"{root} holds neither m-symon/annotations nor yms/clip_segmentation.txt")


def published(name: str) -> dict[str, float] | None:
    """The paper's best model on that data set, as fractions; its F1 is absent for YMS."""
    best = "two_stage_supervision"
    if name == "yms phrases":
        clip, sentence = (share / 100 for share in paper.TABLE_5.rows[best] if share is not None)
        return {"clip_accuracy": clip, "sentence_iou": sentence}
    if name not in paper.LANGUAGES:
        return None
    figures = {
        "clip_accuracy": paper.TABLE_14.cell(best, f"{name} {paper.CLIP}"),
        "sentence_iou": paper.TABLE_14.cell(best, f"{name} {paper.SENTENCE}"),
        "f1": paper.TABLE_3.cell(best, name),
        "transcript_f1": paper.TABLE_4.cell("transcript", name),
    }
    return {key: share / 100 for key, share in figures.items() if share is not None}


def show(found: dict[str, Ceilings], split: str) -> None:
    """Print the two tables: scores by label rule, and how well stories keep their order."""
    rows: list[list[Any]] = []
    for name, each in found.items():
        label = f"{name} ({each.videos})"
        for row in each.rows:
            rows.append([label, row.labels, row.clip_accuracy, row.credited, row.sentence_iou, row.f1])
            label = ""
        if figures := published(name):
            rows.append(["", "paper, best", figures["clip_accuracy"], None, figures["sentence_iou"], figures.get("f1")])
            if "transcript_f1" in figures:
                rows.append(["", "paper, times", None, None, None, figures["transcript_f1"]])
    columns = ["data (videos)", "labels", "clip acc.", "credited", "sent. IoU", "F1"]
    print_table(f"Without a model, {split}", columns, rows)
    print_table(
        f"Annotated time on the best monotone chain, {split}",
        ["data", "videos", "share"],
        [[name, each.videos, each.in_order] for name, each in found.items()],
    )

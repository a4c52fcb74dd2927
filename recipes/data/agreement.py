"""`weaksync data agreement`: how far two people who annotated the same videos agree (M-SyMoN, Table 6)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from math import nan
from pathlib import Path
from typing import get_args

import click

from ...datamodules.msymon import TimeFormat, read_file
from ...datamodules.records import AnnotatedVideo, Interval, Sentence
from ...zoo.metrics import Interval as Estimate
from ...zoo.metrics import bootstrap
from ..console import counted, err, print_table

#: Table 6: the publishers' own annotations against a student's
PAPER = {"en": 0.832, "zh": 0.788, "ch": 0.788, "es": 0.844, "fr": 0.813, "pt": 0.889, "hi": 0.844, "ru": 0.808}


@dataclass(frozen=True)
class VideoAgreement:
    """Two annotations of one video.

    Attributes:
        sentences: that stand in both.
        matched: that one of the two matched, or both: the IoU is theirs.
        iou: mean intersection over union of the two segments of those; 0 where only one gave a segment; None where
            `matched` is 0.
        same_answer: share of the sentences that both matched, or neither; None where there are no sentences.
        apart: sentences that stand in one of the two alone; they are left out.
    """

    sentences: int
    matched: int
    iou: float | None
    same_answer: float | None
    apart: int


@dataclass(frozen=True)
class Agreement:
    """Two annotations of one language's videos.

    Attributes:
        videos: those that stand in both, by id.
        alone: ids that stand in one of the two alone.
        iou: mean over videos, with its bootstrap interval.
        same_answer: likewise.
    """

    videos: dict[str, VideoAgreement]
    alone: list[str]
    iou: Estimate
    same_answer: Estimate


def agreement(first: Sequence[AnnotatedVideo], second: Sequence[AnnotatedVideo]) -> Agreement:
    """Compare two annotations of the same videos, sentence by sentence; sentences are joined by their text, in order.

    Raises ValueError where they have no video in common, or no sentence that somebody matched.
    """
    one, other = ({video.id: video for video in videos} for videos in (first, second))
    shared = sorted(set(one) & set(other))
    if not shared:
        raise ValueError("the two annotations have no video in common")
    videos = {name: _compare(one[name].sentences, other[name].sentences) for name in shared}
    if not any(each.matched for each in videos.values()):
        raise ValueError("neither annotation matches a sentence that stands in both; there is nothing to compare")
    iou, same_answer = (
        bootstrap({name: (nan if value is None else value,) for name, value in figure.items()})[0]
        for figure in (
            {name: each.iou for name, each in videos.items()},
            {name: each.same_answer for name, each in videos.items()},
        )
    )
    return Agreement(videos, sorted(set(one) ^ set(other)), iou, same_answer)


def _compare(first: Sequence[Sentence], second: Sequence[Sentence]) -> VideoAgreement:
    one, other = ([" ".join(sentence.text.split()).casefold() for sentence in each] for each in (first, second))
    blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    pairs = [(first[b.a + k].segment, second[b.b + k].segment) for b in blocks for k in range(b.size)]
    ious = [_iou(a, b) for a, b in pairs if a is not None or b is not None]
    agreed = sum((a is None) == (b is None) for a, b in pairs)
    return VideoAgreement(
        sentences=len(pairs),
        matched=len(ious),
        iou=sum(ious) / len(ious) if ious else None,
        same_answer=agreed / len(pairs) if pairs else None,
        apart=len(first) + len(second) - 2 * len(pairs),
    )


def _iou(first: Interval | None, second: Interval | None) -> float:
    if first is None or second is None:
        return 0.0
    both = max(0.0, min(first[1], second[1]) - max(first[0], second[0]))
    return both / (first[1] - first[0] + second[1] - second[0] - both)


def pairs_of(first: Path, second: Path) -> dict[str, tuple[Path, Path]]:
    """Two files under the first one's name, or the files that two folders have in common under theirs.

    Raises FileNotFoundError where one is absent, ValueError where there is nothing in common.
    """
    for path in (first, second):
        if not path.exists():
            raise FileNotFoundError(f"no such file or folder: {path}")
    if first.is_file() and second.is_file():
        return {first.stem: (first, second)}
    if first.is_file() or second.is_file():
        raise ValueError("give two annotation files, or two folders of them")
    names = [path.relative_to(first) for path in sorted(first.rglob("*.json"))]
    shared = {str(name.with_suffix("")): (first / name, second / name) for name in names if (second / name).is_file()}
    if not shared:
        raise ValueError(f"{first} and {second} have no annotation file of the same name")
    return shared


@click.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--time-format", type=click.Choice(get_args(TimeFormat)), default="auto", show_default=True,
              help="How annotated times are written.")  # fmt: skip
@click.option("--videos", "each", is_flag=True, help="Also print every video.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(first: Path, second: Path, time_format: TimeFormat, each: bool, as_json: bool) -> None:
    """How far FIRST and SECOND agree: two annotation files in the layout of M-SyMoN, or two folders with one for each
    language.

    IoU is that of the two segments of a sentence, 0 where only one of the two gave it a segment; it is averaged over
    the sentences of a video, and then over videos.
    """
    found: dict[str, Agreement] = {}
    refused: list[str] = []
    for name, files in pairs_of(first, second).items():
        one, other = (read_file(path, language=name, time_format=time_format) for path in files)
        try:
            found[name] = agreement(one, other)
        except ValueError as fault:  # an empty file, such as the validation sets that were withheld
            refused.append(f"{name}: {fault}")
    if not found:
        raise ValueError("; ".join(refused))
    for words in refused:
        err.print(words, highlight=False)
    if as_json:
        plain = {name: asdict(language) for name, language in found.items()}
        click.echo(json.dumps(plain, ensure_ascii=False, indent=2))
        return
    columns = ["", "videos", "sentences", "IoU", "95 % interval", "same answer", "paper"]
    print_table("Agreement of two annotations", columns, [_line(name, each) for name, each in found.items()])
    if each:
        columns = ["", "video", "sentences", "matched", "IoU", "same answer", "apart"]
        rows = [[name, *row] for name, language in found.items() for row in _videos(language)]
        print_table("Every video", columns, rows)
    for name, language in found.items():
        if language.alone:
            err.print(f"{name}: in one of the two alone: {counted(len(language.alone), 'video')}", highlight=False)
        if apart := sum(video.apart for video in language.videos.values()):
            err.print(f"{name}: in one of the two alone: {counted(apart, 'sentence')}", highlight=False)


def _line(name: str, found: Agreement) -> list[object]:
    sentences = sum(video.sentences for video in found.videos.values())
    iou = found.iou
    span = f"{iou.low:.3f} to {iou.high:.3f}"
    return [
        name,
        len(found.videos),
        sentences,
        iou.value,
        span,
        found.same_answer.value,
        PAPER.get(Path(name).parts[0]),
    ]


def _videos(found: Agreement) -> list[list[object]]:
    return [
        [name, each.sentences, each.matched, each.iou, each.same_answer, each.apart]
        for name, each in found.videos.items()
    ]

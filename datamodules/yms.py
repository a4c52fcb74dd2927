"""YouTube Movie Summaries (Dogan et al. 2018): sentences or phrases with their segments, on the published clips.

The folder holds ``annotations_{sentences,phrases}.txt``, ``clip_segmentation.txt``, ``url_list.txt``,
``movie_list.txt`` and three split lists.  94 videos are listed, 93 are in splits: 0087 is the same video as 0032.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, get_args

from .records import AnnotatedVideo, Interval, Sentence

Variant = Literal["sentences", "phrases"]
#: "all" is every listed video, in a split or not
SPLITS = {
    "train": "training_split.txt",
    "val": "val_split.txt",
    "test": "test_split.txt",
    "all": "url_list.txt",
}

_SPAN = re.compile(
    r"(?:\d+/)?(?P<video>\d+)_(?P<start>\d\d\.\d\d\.\d\d\.\d{3})-(?P<end>\d\d\.\d\d\.\d\d\.\d{3})(?:\t(?P<text>.*))?"
)


def read(root: str | Path, split: str, *, variant: Variant = "sentences") -> list[AnnotatedVideo]:
    """The videos of a split, in the order of its list, with clips.

    A row ``UNMATCHED`` marks a part of the video without text and gives no sentence; what no matched row covers is
    unmatched anyway, and gaps between rows are common.  A row ``UNMATCHED: text`` gives a sentence without a segment.

    Args:
        root: the folder of the release.
        split: ``train``, ``val``, ``test`` or ``all``.
        variant: which annotation file.

    Raises:
        ValueError: for an unknown split or variant, or a malformed line, naming file and line.
        FileNotFoundError: where a file of the release is missing.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
    if variant not in get_args(Variant):
        raise ValueError(f"variant must be one of {', '.join(get_args(Variant))}, not {variant!r}")
    root = Path(root)
    titles, urls = _listed(root / "movie_list.txt"), _listed(root / "url_list.txt")
    clips: dict[str, list[Interval]] = {}
    for video, span, _ in rows(root / "clip_segmentation.txt"):
        clips.setdefault(video, []).append(span)
    sentences, notes = _sentences(root / f"annotations_{variant}.txt")
    videos = []
    for video in _listed(root / SPLITS[split]):
        for table, name in ((clips, "clip_segmentation.txt"), (titles, "movie_list.txt"), (urls, "url_list.txt")):
            if video not in table:
                raise ValueError(f"{root / name}: nothing about video {video}, which {SPLITS[split]} lists")
        own = sentences.get(video, [])
        videos.append(
            AnnotatedVideo(
                id=video,
                url=urls[video],
                duration=max([clips[video][-1][1], *(one.segment[1] for one in own if one.segment is not None)]),
                sentences=own,
                clips=clips[video],
                language="en",
                annotated=True,
                movie=titles[video],
                notes=notes.get(video, []),
            )
        )
    return videos


def _sentences(path: Path) -> tuple[dict[str, list[Sentence]], dict[str, list[str]]]:
    """The sentences of an annotation file, and notes on its rows, by video."""
    sentences: dict[str, list[Sentence]] = {}
    notes: dict[str, list[str]] = {}
    for video, span, text in rows(path):
        if text == "UNMATCHED":
            continue
        if not text:
            notes.setdefault(video, []).append(f"a row at {span[0]:g} s has no text; left out")
            continue
        label, _, rest = text.partition(":")
        sentence = Sentence(rest.strip(), None) if label == "UNMATCHED" else Sentence(text, span)
        sentences.setdefault(video, []).append(sentence)
    return sentences, notes


def seconds(stamp: str) -> float:
    """``HH.MM.SS.mmm`` in seconds."""
    hours, minutes, whole, thousandths = stamp.split(".")
    return int(hours) * 3600 + int(minutes) * 60 + int(whole) + int(thousandths) / 1000


def rows(path: Path) -> list[tuple[str, Interval, str]]:
    """The lines of an annotation or clip file as they stand: video, span in seconds, text (empty for a clip)."""
    found_rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        found = _SPAN.fullmatch(line)
        if not found:
            raise ValueError(f"{path}, line {number}: expected VID_HH.MM.SS.mmm-HH.MM.SS.mmm, not {line[:80]!r}")
        span = seconds(found["start"]), seconds(found["end"])
        found_rows.append((found["video"], span, (found["text"] or "").strip()))
    return found_rows


def _listed(path: Path) -> dict[str, str]:
    """``number words`` lines by number; a line that begins with # is a comment."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").split("\n"))
    pairs = (line.split(None, 1) for line in lines if line and not line.startswith("#"))
    return {pair[0]: pair[1] if len(pair) > 1 else "" for pair in pairs}

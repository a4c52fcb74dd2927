"""M-SyMoN's published annotations and URL lists, with what is wrong in them repaired and said.

The release holds, for each language, ``annotations/<language>/{train,val,test}.json`` and two URL lists; Chinese is
called ``ch`` there and ``zh`` here.  The validation sets were withheld for most languages: those files hold nothing.
The same layout serves annotations of one's own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import parse_qs, urlparse

from .records import AnnotatedVideo, Interval, Sentence

TimeFormat = Literal["auto", "frames30", "decimal"]

LANGUAGES = ("en", "zh", "es", "fr", "pt", "hi", "ru")
SPLITS = ("train", "val", "test")
_FOLDERS = {"zh": "ch"}

FRAMES_PER_SECOND = 30
#: with more than this share of two-digit fractions past 29, a video's times are decimals
_DECIMAL_SHARE = 0.3
#: a segment longer than this, in seconds, is kept and doubted
_LONG_SEGMENT = 200.0
#: a sentence list in which this share of the texts comes twice is doubted
_REPEATED_SHARE = 0.1


def read(
    root: str | Path,
    language: str,
    split: str,
    *,
    time_format: TimeFormat = "auto",
    deduplicate: bool = True,
) -> list[AnnotatedVideo]:
    """The annotated videos of one language and split, in the order of the file; empty where it was withheld.

    Args:
        root: the folder that holds ``annotations``.
        language: one of `LANGUAGES` (``ch`` is taken as ``zh``).
        split: ``train``, ``val`` or ``test``.
        time_format: see `read_file`.
        deduplicate: see `read_file`.

    Raises:
        ValueError: for an unknown language or split, or a malformed file.
        FileNotFoundError: where the release lies elsewhere.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
    folder = Path(root) / "annotations" / _folder(language)
    return read_file(
        folder / f"{split}.json", language=_code(language), time_format=time_format, deduplicate=deduplicate
    )


def read_file(
    path: str | Path, *, language: str, time_format: TimeFormat = "auto", deduplicate: bool = True
) -> list[AnnotatedVideo]:
    """The videos of one annotation file: ``{"<video id>": [{"begin_time", "end_time", "matched", "text"}, ...]}``.

    What was repaired or is doubtful stands in each video's `notes`.  A row that ends no later than it begins loses its
    segment: its text was spoken, so it stays in the narration, unmatched.  Segments over 200 s are kept and noted.

    Args:
        path: a JSON file in the layout above.
        language: code for the records.
        time_format: how to read times.  ``frames30``: the two digits after the point count frames at 30 per second
            (3.21 is 3 s and 21 frames), except where they are past 29.  ``decimal``: seconds as they stand.  ``auto``
            decides for each video: decimal where more than 0.3 of its values are past 29, frames elsewhere.
        deduplicate: keep the first half of a list of sentences that was written twice over.

    Raises:
        ValueError: for a malformed file, naming the video and the row.
        FileNotFoundError: where there is no such file.
    """
    if time_format not in get_args(TimeFormat):
        raise ValueError(f"time_format must be one of {', '.join(get_args(TimeFormat))}, not {time_format!r}")
    path = Path(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as fault:
        raise ValueError(f"{path}: not a JSON file in UTF-8 ({fault})") from fault
    if not isinstance(data, dict) or not all(isinstance(rows, list) for rows in data.values()):
        raise ValueError(f"{path}: expected one list of sentences for each video id")
    return [
        _video(name, [_row(f"{path}: {name}, row {k}", row) for k, row in enumerate(rows)], language, time_format,
               deduplicate)
        for name, rows in data.items()
    ]  # fmt: skip


def urls(root: str | Path, language: str, *, annotated: bool = True) -> dict[str, str]:
    """The release's list of videos: address by video id, in the order of the file.

    Raises ValueError for an unknown language or a line that is no address, FileNotFoundError for an absent list.
    """
    folder = f"url list of {'annotated' if annotated else 'unannotated'} videos"
    path = Path(root) / folder / f"{_folder(language)}.txt"
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        name = parse_qs(urlparse(line.strip()).query).get("v")
        if not name:
            raise ValueError(f"{path}, line {number}: no YouTube address: {line[:80]!r}")
        found[name[0]] = line.strip()
    return found


Row = tuple[str, Interval | None]


def _row(place: str, row: Any) -> Row:
    """Text and, for a matched row, its times as they were written.  Raises ValueError that begins with `place`."""
    try:
        text, answer = str(row["text"]), str(row["matched"]).strip().lower()
        if answer not in ("yes", "no"):
            raise ValueError(f"{place}: matched must be yes or no, not {row['matched']!r}")
        if not text.strip():
            raise ValueError(f"{place}: the text is empty")
        if answer == "no":
            return text, None
        span = float(row["begin_time"]), float(row["end_time"])
    except (KeyError, TypeError) as fault:
        raise ValueError(f"{place}: expected begin_time, end_time, matched and text ({fault!r})") from fault
    if not all(math.isfinite(value) and value >= 0 for value in span):
        raise ValueError(f"{place}: times must be seconds from 0 on, not {span}")
    return text, span


def _video(name: str, rows: list[Row], language: str, time_format: TimeFormat, deduplicate: bool) -> AnnotatedVideo:
    notes = []
    if deduplicate:
        rows, notes = _deduplicated(rows)
    frames = time_format == "frames30" or (time_format == "auto" and _counts_frames(rows))
    if time_format == "auto" and not frames and any(span for _, span in rows):
        notes.append("times read as decimal seconds")
    sentences = []
    for place, (text, span) in enumerate(rows):
        segment = span
        if span is not None and frames:
            segment = _seconds(span[0]), _seconds(span[1])
        if segment is not None and segment[1] <= segment[0]:
            notes.append(f"sentence {place}: segment {_written(span)} ends no later than it begins; unmatched")
            segment = None
        if segment is not None and segment[1] - segment[0] > _LONG_SEGMENT:
            notes.append(f"sentence {place}: segment {_written(span)} is {segment[1] - segment[0]:.0f} s long; kept")
        sentences.append(Sentence(text, segment))
    url = f"https://www.youtube.com/watch?v={name}"
    return AnnotatedVideo(name, url, 0.0, sentences, None, language, annotated=True, notes=notes)


def _deduplicated(rows: list[Row]) -> tuple[list[Row], list[str]]:
    """One copy of a list that comes exactly twice (by its texts), and what there is to say about repetition."""
    texts = [text for text, _ in rows]
    half = len(rows) // 2
    if half and texts[:half] == texts[half:]:
        differ = sum(first != second for first, second in zip(rows[:half], rows[half:], strict=True))
        times = f"; {differ} of them had other times the second time" if differ else ""
        return rows[:half], [f"all {half} sentences came twice; the first copy is kept{times}"]
    repeated = len(texts) - len(set(texts))
    if repeated > _REPEATED_SHARE * len(texts):
        return rows, [f"{repeated} of {len(texts)} sentences repeat an earlier one; kept"]
    return rows, []


def fraction(value: float) -> int:
    """The two digits after the point, 0 to 99; values with more digits are rounded to two first."""
    return round(value * 100) % 100


def _counts_frames(rows: Sequence[Row]) -> bool:
    digits = [fraction(value) for _, span in rows if span is not None for value in span]
    return sum(two >= FRAMES_PER_SECOND for two in digits) <= _DECIMAL_SHARE * len(digits)


def _seconds(value: float) -> float:
    """A value read as seconds and frames; one that cannot be is left as it stands."""
    digits = fraction(value)
    if digits >= FRAMES_PER_SECOND:
        return value
    return round(value * 100) // 100 + digits / FRAMES_PER_SECOND


def _written(span: Interval | None) -> str:
    return "" if span is None else f"{span[0]:g} to {span[1]:g}"


def _code(language: str) -> str:
    code = {folder: code for code, folder in _FOLDERS.items()}.get(language, language)
    if code not in LANGUAGES:
        raise ValueError(f"language must be one of {', '.join(LANGUAGES)}, not {language!r}")
    return code


def _folder(language: str) -> str:
    code = _code(language)
    return _FOLDERS.get(code, code)

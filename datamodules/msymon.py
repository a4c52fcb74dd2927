"""M-SyMoN's published annotations and URL lists; their errors are repaired and noted.

The release holds, for each language, ``annotations/<language>/{train,val,test}.json`` and two URL lists.  The
validation sets were withheld for most languages: those files hold nothing.  The same layout serves annotations of
one's own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args
from urllib.parse import parse_qs, urlparse

from .languages import LANGUAGES
from .records import SPLITS, AnnotatedVideo, Interval, Sentence

TimeFormat = Literal["auto", "frames30", "decimal"]

_FOLDERS = {"zh": "ch"}

FRAMES_PER_SECOND = 30
#: with more than this share of two-digit fractions past 29, a video's times are decimals
_DECIMAL_SHARE = 0.3
#: a segment longer than this, in seconds, is kept and doubted
LONG_SEGMENT = 200.0
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
        language: ``en``, ``zh`` (``ch`` is taken for it), ``es``, ``fr``, ``pt``, ``hi`` or ``ru``.
        split: ``train``, ``val`` or ``test``.
        time_format: see `read_file`.
        deduplicate: see `read_file`.

    Raises:
        ValueError: for an unknown language or split, or a malformed file.
        FileNotFoundError: where the release lies elsewhere.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
    path = Path(root) / "annotations" / folder_of(language) / f"{split}.json"
    return read_file(path, language=_code(language), time_format=time_format, deduplicate=deduplicate)


def read_file(
    path: str | Path, *, language: str, time_format: TimeFormat = "auto", deduplicate: bool = True
) -> list[AnnotatedVideo]:
    """The videos of one annotation file: ``{"<video id>": [{"begin_time", "end_time", "matched", "text"}, ...]}``.

    Repairs and doubts are in each video's `notes`. A row that ends no later than it begins keeps its text, without a
    segment.  Segments over 200 s are kept and noted.

    Args:
        path: a JSON file in the layout above.
        language: code for the records.
        time_format: how to read times.  ``frames30``: the two digits after the point count frames at 30 per second
            (3.21 is 3 s and 21 frames), except where they are past 29.  ``decimal``: seconds as they stand.  ``auto``
            decides: decimal for a whole file with a time that two digits cannot write, or of whose values more than 0.3
            are past 29; in other files decimal for each video of whose values more than 0.3 are; frames elsewhere.
        deduplicate: keep the first half of a list of sentences that was written twice over.

    Raises:
        ValueError: for a malformed file, naming the video and the row.
        FileNotFoundError: where there is no such file.
    """
    if time_format not in get_args(TimeFormat):
        raise ValueError(f"time_format must be one of {', '.join(get_args(TimeFormat))}, not {time_format!r}")
    videos = read_rows(path)
    if time_format == "auto" and not _may_count_frames([row for rows in videos.values() for row in rows]):
        time_format = "decimal"
    return [_video(name, rows, language, time_format, deduplicate) for name, rows in videos.items()]


class Row(NamedTuple):
    """A sentence as it was written: its text, the answer (``yes``, `` no``, ...) and, where that is yes, its times."""

    text: str
    answer: str
    span: Interval | None


def read_rows(path: str | Path) -> dict[str, list[Row]]:
    """The rows of an annotation file by video, nothing repaired.  Raises as `read_file`."""
    path = Path(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_once)
    except (json.JSONDecodeError, UnicodeDecodeError) as fault:
        raise ValueError(f"{path}: not a JSON file in UTF-8 ({fault})") from fault
    except ValueError as fault:
        raise ValueError(f"{path}: {fault}") from fault
    if not isinstance(data, dict) or not all(isinstance(rows, list) for rows in data.values()):
        raise ValueError(f"{path}: expected one list of sentences for each video id")
    return {
        name: [_row(f"{path}: {name}, row {place}", row) for place, row in enumerate(rows)]
        for name, rows in data.items()
    }


def urls(root: str | Path, language: str, *, annotated: bool = True) -> dict[str, str]:
    """The release's list of videos: address by video id, in the order of the file.

    Raises ValueError for an unknown language or a line that is no address, FileNotFoundError for an absent list.
    """
    folder = f"url list of {'annotated' if annotated else 'unannotated'} videos"
    path = Path(root) / folder / f"{folder_of(language)}.txt"
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        name = parse_qs(urlparse(line.strip()).query).get("v")
        if not name:
            raise ValueError(f"{path}, line {number}: no YouTube address: {line[:80]!r}")
        found[name[0]] = line.strip()
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose names are all different; json itself would keep the last of two without a word."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is there twice in one object")
    return found


def _row(place: str, row: Any) -> Row:
    """Text and, for a matched row, its times as they were written.  Raises ValueError that begins with `place`."""
    try:
        text, answer = str(row["text"]), str(row["matched"])
        matched = answer.strip().lower() == "yes"
        span = (float(row["begin_time"]), float(row["end_time"])) if matched else None
    except (KeyError, TypeError, ValueError) as fault:
        raise ValueError(f"{place}: expected begin_time, end_time, matched and text ({fault!r})") from fault
    if answer.strip().lower() not in ("yes", "no"):
        raise ValueError(f"{place}: matched must be yes or no, not {answer!r}")
    if not text.strip():
        raise ValueError(f"{place}: the text is empty")
    if span is not None and not all(math.isfinite(value) and value >= 0 for value in span):
        raise ValueError(f"{place}: times must be seconds from 0 on, not {span}")
    return Row(text, answer, span)


def _video(name: str, rows: list[Row], language: str, time_format: TimeFormat, deduplicate: bool) -> AnnotatedVideo:
    notes: list[str] = []
    if deduplicate:
        rows, notes = _deduplicated(rows)
    frames = time_format == "frames30" or (time_format == "auto" and _counts_frames(rows))
    if time_format == "auto" and frames and (odd := sum(not _is_frames(value) for value in _values(rows))):
        notes.append(f"times read as seconds and frames; {odd} that cannot be were kept as decimals")
    sentences = []
    for place, (text, _, span) in enumerate(rows):
        segment = span
        if span is not None and frames:
            segment = _seconds(span[0]), _seconds(span[1])
        if segment is not None and segment[1] <= segment[0]:
            notes.append(f"sentence {place}: segment {_written(span)} ends no later than it begins; unmatched")
            segment = None
        if segment is not None and segment[1] - segment[0] > LONG_SEGMENT:
            notes.append(f"sentence {place}: segment {_written(span)} is {segment[1] - segment[0]:.0f} s long; kept")
        sentences.append(Sentence(text, segment))
    url = f"https://www.youtube.com/watch?v={name}"
    return AnnotatedVideo(name, url, 0.0, sentences, None, language, annotated=True, notes=notes)


def _deduplicated(rows: list[Row]) -> tuple[list[Row], list[str]]:
    """One copy of a list that comes exactly twice (by its texts), and what there is to say about repetition."""
    texts = [row.text for row in rows]
    half = len(rows) // 2
    if half and texts[:half] == texts[half:]:
        differ = sum(first.span != second.span for first, second in zip(rows[:half], rows[half:], strict=True))
        times = f"; {differ} of them had other times the second time" if differ else ""
        return rows[:half], [f"all {half} sentences came twice; the first copy is kept{times}"]
    repeated = len(texts) - len(set(texts))
    if repeated > _REPEATED_SHARE * len(texts):
        return rows, [f"{repeated} of {len(texts)} sentences repeat an earlier one; kept"]
    return rows, []


def fraction(value: float) -> int:
    """The two digits after the point, 0 to 99; values with more digits are rounded to two first."""
    return round(value * 100) % 100


def _values(rows: Sequence[Row]) -> list[float]:
    return [value for row in rows if row.span is not None for value in row.span]


def _is_frames(value: float) -> bool:
    """Whether the two digits after the point can count frames."""
    return fraction(value) < FRAMES_PER_SECOND


def _may_count_frames(rows: Sequence[Row]) -> bool:
    """Whether a file may hold times whose two digits count frames: some annotators wrote such, others decimals."""
    return all(_two_digits(value) for value in _values(rows)) and _counts_frames(rows)


def _two_digits(value: float) -> bool:
    return math.isclose(value * 100, round(value * 100), abs_tol=1e-6)


def _counts_frames(rows: Sequence[Row]) -> bool:
    values = _values(rows)
    return sum(not _is_frames(value) for value in values) <= _DECIMAL_SHARE * len(values)


def _seconds(value: float) -> float:
    """A value read as seconds and frames; one that cannot be is left as it stands."""
    if not _is_frames(value):
        return value
    return round(value * 100) // 100 + fraction(value) / FRAMES_PER_SECOND


def _written(span: Interval | None) -> str:
    return "" if span is None else f"{span[0]:g} to {span[1]:g}"


def _code(language: str) -> str:
    code = {folder: code for code, folder in _FOLDERS.items()}.get(language, language)
    if code not in LANGUAGES:
        raise ValueError(f"language must be one of {', '.join(LANGUAGES)}, not {language!r}")
    return code


def folder_of(language: str) -> str:
    """What the release calls a language.  Raises ValueError for one that it does not have."""
    code = _code(language)
    return _FOLDERS.get(code, code)

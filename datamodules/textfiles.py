"""Text files of unknown encoding.

Unicode is recognised for certain.  The old single- and double-byte encodings are not: where the language is known it
says which, else the bytes are weighed, and either way a note tells what was assumed.
"""

from __future__ import annotations

import codecs
from pathlib import Path

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: what files that are not Unicode are written in
_LEGACY = {"ru": "cp1251", "zh": "gb18030", "en": "cp1252", "es": "cp1252", "fr": "cp1252", "pt": "cp1252"}


def read_text(
    path: str | Path, *, language: str | None = None, encoding: str | None = None, notes: list[str] | None = None
) -> str:
    """A text file's content.

    Args:
        path: of the file.
        language: code of its language, which tells an old encoding apart.
        encoding: its encoding where that is known; nothing else is tried.
        notes: an assumed encoding is added here.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: its bytes are no text in the encoding; the message names the option that sets another.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    data = path.read_bytes()
    assumed = None
    if encoding is None:
        encoding = _unicode(data)
        if encoding is None:
            encoding = assumed = _LEGACY.get(language or "") or _weigh(data)
    try:
        text = data.decode(encoding)
    except LookupError as fault:
        raise ValueError(f"no encoding {encoding!r} is known; try utf-8, cp1251, gb18030 or latin-1") from fault
    except UnicodeDecodeError as fault:
        raise ValueError(
            f"{path}: byte {fault.start} is not text in {encoding}; name the file's encoding with --encoding"
        ) from fault
    if "\0" in text:
        raise ValueError(f"{path}: not a text file (a zero byte in it); if it is one, name it with --encoding")
    if assumed and notes is not None:
        notes.append(f"not Unicode: read as {assumed} (--encoding names another)")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _unicode(data: bytes) -> str | None:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    zeros = data[:4096].count(0)
    if zeros > len(data[:4096]) // 4:  # UTF-16 without its mark: every other byte of plain letters is zero
        return "utf-16-le" if data[:4096:2].count(0) < zeros / 2 else "utf-16-be"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return "utf-8"


def _weigh(data: bytes) -> str:
    """The likeliest of three old encodings, by which bytes stand together."""
    high = sum(byte >= 0x80 for byte in data)
    common = 0  # pairs that are everyday Chinese characters (GB 2312, first level) or its punctuation
    place = 0
    while place < len(data) - 1:
        if data[place] < 0x80:
            place += 1
            continue
        common += 2 * (0xA1 <= data[place] <= 0xD7 and data[place + 1] >= 0xA1)
        place += 2
    if common > 0.9 * high:
        return "gb18030"
    latin = sum(chr(byte).isalpha() for byte in data if byte < 0x80)
    return "cp1251" if high > latin else "cp1252"

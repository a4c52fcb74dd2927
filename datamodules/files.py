"""Files that appear whole or not at all, even if the machine stops; and the ids that their names give."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


@contextmanager
def whole_path(path: Path, *, suffix: str = ".tmp") -> Iterator[Path]:
    """A path beside another to write a file to, which gets its name when the block ends; nothing is left of a failure.

    Args:
        path: of the file; one that is there is replaced.
        suffix: of the path that is given, for writers that choose a format by it.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}{suffix}")
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that appears whole under its name when the block ends, or not at all."""
    with whole_path(path) as part, part.open("wb") as file:
        yield file


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write a file, whole: beside its place, flushed to disk, then renamed."""
    with whole_file(path) as file:
        file.write(content)


def safe_id(stem: str) -> str:
    """`stem` in letters, digits, '-' and '_'; a hash tells it apart where letters beyond ASCII had to go."""
    plain = _UNSAFE.sub("_", stem).strip("_")
    if stem.isascii() and plain:
        return plain
    return "_".join(filter(None, (plain, hashlib.sha256(stem.encode()).hexdigest()[:8])))

"""Folders that appear whole or not at all, with a hash of every file."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

#: what lists the hashes of a folder, as sha256sum reads it
SUMS = "SHA256SUMS"
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@contextmanager
def replace_folder(folder: Path, *, is_ours: Callable[[Path], bool]) -> Iterator[Path]:
    """A temporary folder beside `folder`, which takes its place when the block ends without an error.

    The swap is atomic and comes after fsync: at every moment `folder` is the old one or the new one.

    Args:
        is_ours: whether a folder that is there may be replaced; an empty one always may.

    Raises:
        ValueError: something else is there.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100  `resolve` would follow a link and write behind it
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ValueError(f"{folder} is a file or a link: name a folder")
    if folder.is_dir() and any(folder.iterdir()) and not is_ours(folder):
        raise ValueError(f"{folder} holds something else: name a new folder, or an earlier checkpoint to replace it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    try:
        temporary.chmod(0o777 & ~_umask())
        yield temporary
        for path in (*temporary.rglob("*"), temporary):
            _sync(path)
        if folder.exists():
            _exchange(temporary, folder)
        else:
            temporary.rename(folder)
        _sync(folder.parent)
    finally:
        # the unfinished folder, or the one that was replaced
        shutil.rmtree(temporary, ignore_errors=True)


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_hash(folder: Path) -> str:
    """SHA-256 of the names and hashes of the files in a folder, those of its folders left out, in hexadecimal."""
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        whole.update(f"{path.name} {file_hash(path)}\n".encode())
    return whole.hexdigest()


def write_sums(folder: Path, names: Iterable[str]) -> None:
    """Write the hashes of a folder's files."""
    lines = [f"{file_hash(folder / name)}  {name}\n" for name in names]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def read_sums(folder: Path) -> dict[str, str]:
    """Name -> hash of a folder's files.  Raises ValueError where there is no list."""
    path = folder / SUMS
    if not path.is_file():
        raise ValueError(f"{path}: missing, so nothing in the folder can be trusted: copy it again from where it came")
    lines = [line.partition("  ") for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    return {name: digest for digest, _, name in lines if name}


def _exchange(first: Path, second: Path) -> None:
    """Swap two folders in one step, where the system can; else in two, with the old one kept in between."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 and renameat2(_AT_FDCWD, bytes(first), _AT_FDCWD, bytes(second), _RENAME_EXCHANGE) == 0:
        return
    aside = first.with_name(first.name + ".old")
    second.rename(aside)
    first.rename(second)
    aside.rename(first)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

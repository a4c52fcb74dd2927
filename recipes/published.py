"""Where a published data set lies below the folder that a user names."""

from __future__ import annotations

from pathlib import Path

from ..datamodules.languages import LANGUAGES
from ..datamodules.msymon import folder_of


def release(root: Path, name: str, mark: str) -> Path | None:
    """The folder of release `name`: ``root/name`` or `root` itself, whichever holds `mark`; None where neither does."""
    return next((folder for folder in (root / name, root) if (folder / mark).exists()), None)


def languages_present(msymon_root: Path) -> list[str]:
    """Languages of the M-SyMoN release whose annotations are there, in the paper's order."""
    return [code for code in LANGUAGES if (msymon_root / "annotations" / folder_of(code)).is_dir()]

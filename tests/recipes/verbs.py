"""A verb of the command line in this process, for the tests."""

from __future__ import annotations

from weaksync.recipes.cli import main


def weaksync(*words: object) -> int:
    """The exit code of ``weaksync WORDS``."""
    try:
        main([str(word) for word in words])
    except SystemExit as end:
        return int(end.code or 0)
    return 0

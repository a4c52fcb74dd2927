"""Work that is interrupted half way, for the tests."""

from __future__ import annotations

from types import ModuleType

import pytest


def interrupt_after(monkeypatch: pytest.MonkeyPatch, module: ModuleType, writer: str, files: int) -> None:
    """Have the function of that name in `module` write so many files, and then raise KeyboardInterrupt."""
    write, written = getattr(module, writer), []

    def dies(*arguments: object) -> None:
        if len(written) == files:
            raise KeyboardInterrupt
        written.append(arguments)
        write(*arguments)

    monkeypatch.setattr(module, writer, dies)

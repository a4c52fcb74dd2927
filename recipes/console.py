"""What every verb shows: progress bars, tables that are also JSON, and errors for an absent extra."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

#: results go to standard output, everything about the way there to standard error
out = Console()
err = Console(stderr=True)


class MissingExtra(ImportError):
    """A job needs a package that is not installed; the message names the extra that brings it."""


def require(module: str, extra: str) -> ModuleType:
    """Import `module`, or raise MissingExtra with the pip line that installs it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as absent:
        if absent.name and absent.name.partition(".")[0] != module.partition(".")[0]:
            raise
        raise MissingExtra(f"this needs {module}, which is not installed: pip install 'weaksync[{extra}]'") from absent


def progress(unit: str) -> Progress:
    """A progress bar on standard error with count, rate in `unit`s and time left; silent where that is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
        disable=not err.is_terminal,
    )


class _Rate(TextColumn):
    def __init__(self, unit: str) -> None:
        super().__init__("")
        self.unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} {self.unit}/s", style="progress.data.speed")


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, as_json: bool = False) -> None:
    """Print rows as a table, or with `as_json` as a list of objects keyed by column."""
    lines = [list(row) for row in rows]
    if as_json:
        json.dump([dict(zip(columns, line, strict=True)) for line in lines], sys.stdout, ensure_ascii=False, indent=2)
        sys.stdout.write("\n")
        return
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify=_side(lines, number), overflow="fold")
    for line in lines:
        table.add_row(*(escape(cell(value)) for value in line))
    out.print(table)


def cell(value: Any) -> str:
    """A value as a table shows it: floats to three places, or none from a thousand on; nothing for None."""
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:.0f}"


def _side(lines: list[list[Any]], column: int) -> Literal["left", "right"]:
    return "right" if any(isinstance(line[column], int | float) for line in lines) else "left"

"""What every verb shows: progress bars, tables that are also JSON, and errors for an absent extra."""

from __future__ import annotations

import importlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any, Literal

from rich.cells import cell_len
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

BYTES = "bytes"

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


#: seconds between two lines about the same work, where nobody watches a bar
PATIENCE = 30.0


class Pace:
    """Whether it is time for another line."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def due(self) -> bool:
        """Whether `PATIENCE` has passed since the last time that it had, or since the beginning."""
        now = time.monotonic()
        if now - self.last < PATIENCE:
            return False
        self.last = now
        return True


def progress(unit: str) -> Progress:
    """A progress bar on standard error with count, rate in `unit`s and time left.

    Where that is no terminal: a line when a task begins, one every half minute, and one at the end of a long one.
    Bytes are shown as such.  A task of something else says so: `add_task(..., unit="steps")`.
    """
    if not err.is_terminal:
        return _Lines(unit)
    count = (DownloadColumn(), TransferSpeedColumn()) if unit == BYTES else (MofNCompleteColumn(), _Rate(unit))
    columns = (TextColumn("{task.description}"), BarColumn(), *count, TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=err)


#: what long work calls: with what is done, how much of it, and how much there is
Track = Callable[[str, int, int], None]


def no_track(what: str, done: int, total: int) -> None:
    """A `Track` for work that nobody watches."""


def tracker(bar: Progress, **units: str) -> Track:
    """What adds a line to a progress bar for everything that is done; `units` are of what is none of the bar's."""
    tasks: dict[str, TaskID] = {}

    def track(what: str, done: int, total: int) -> None:
        if what not in tasks:
            own: dict[str, Any] = {"unit": units[what]} if what in units else {}
            tasks[what] = bar.add_task(what, total=total, **own)
        bar.update(tasks[what], completed=done, total=total)

    return track


class _Lines(Progress):
    """Progress as lines of a log."""

    def __init__(self, unit: str) -> None:
        super().__init__(console=err, disable=True, auto_refresh=False)
        self.unit = unit
        self.pace: dict[TaskID, Pace] = {}

    def add_task(self, *words: Any, **settings: Any) -> TaskID:
        number = super().add_task(*words, **settings)
        self._tell(number)
        return number

    def update(self, task_id: TaskID, **settings: Any) -> None:
        super().update(task_id, **settings)
        self._tell(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        super().advance(task_id, advance)
        self._tell(task_id)

    def _tell(self, number: TaskID) -> None:
        task = self._tasks[number]
        pace = self.pace.get(number)
        if pace is None and task.total:
            self.pace[number] = Pace()
            self._say(f"{task.description}: {self._total(task)}")
        elif pace is not None and (self._ends(task, pace) if task.finished else pace.due()):
            self._say(
                f"{task.description}: {self._count(task.completed)} of {self._count(task.total)}{self._rate(task)}"
            )

    def _ends(self, task: Task, pace: Pace) -> bool:
        """Whether a task that has come to its end took long, and that was not said."""
        if (task.finished_time or 0.0) < PATIENCE or pace.last == math.inf:
            return False
        pace.last = math.inf
        return True

    def _count(self, value: float | None) -> str:
        if value is None:
            return "?"
        return decimal(int(value)) if self.unit == BYTES else f"{value:,.0f}"

    def _total(self, task: Task) -> str:
        unit, total = task.fields.get("unit", self.unit), int(task.total or 0)
        if unit == BYTES:
            return decimal(total)
        return f"{total:,} {unit.removesuffix('s') if total == 1 else unit}"

    def _rate(self, task: Task) -> str:
        speed, left = task.finished_speed or task.speed, task.time_remaining
        unit = task.fields.get("unit", self.unit)
        rate = "" if not speed else f", {decimal(int(speed)) if unit == BYTES else f'{speed:.1f} {unit}'}/s"
        return rate + ("" if not left else f", {_duration(left)} left")

    def _say(self, line: str) -> None:
        self.console.print(line, highlight=False, soft_wrap=True)


def _duration(seconds: float) -> str:
    """In the largest unit of which there are two at least."""
    for name, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"


class _Rate(TextColumn):
    def __init__(self, unit: str) -> None:
        super().__init__("")
        self.unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        unit = task.fields.get("unit", self.unit)
        return Text("" if speed is None else f"{speed:.1f} {unit}/s", style="progress.data.speed")


def counted(number: int, noun: str) -> str:
    """A number of things, ``1 video`` or ``1,200 videos``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, as_json: bool = False) -> None:
    """Print rows as a table, or with `as_json` as a list of objects keyed by column."""
    lines = [list(row) for row in rows]
    if as_json:
        json.dump([dict(zip(columns, line, strict=True)) for line in lines], sys.stdout, ensure_ascii=False, indent=2)
        sys.stdout.write("\n")
        return
    for number, part in enumerate(_parts(columns, lines)):
        out.print(_table(title if number == 0 else None, columns, lines, part))


#: characters that words want beside figures; with less they go below
_READABLE = 30


def _table(title: str | None, columns: Sequence[str], lines: list[list[Any]], shown: Sequence[int]) -> Table:
    """The columns whose numbers are `shown`: figures as wide as they are, words folded into what is left."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for number in shown:
        side = _side(lines, number)
        table.add_column(columns[number], justify=side, no_wrap=side == "right", overflow="fold")
    for line in lines:
        table.add_row(*(escape(cell(line[number])) for number in shown))
    return table


def _parts(columns: Sequence[str], lines: list[list[Any]]) -> list[list[int]]:
    """Which columns stand together: what is too much beside figures for one width goes below, no figure is broken.

    Each part begins with the words that say what a row is.  A table of words alone stays one.
    """
    every = list(range(len(columns)))
    figures = [number for number in every[1:] if _side(lines, number) == "right"]
    if not figures:
        return [every]  # words fold
    names = every[: figures[0]]
    parts = [[*names]]
    for number in every[figures[0] :]:
        wide = sum(_needed(columns, lines, each) for each in [*parts[-1], number]) + 1  # and the last edge
        if wide > out.width and len(parts[-1]) > len(names):
            parts.append([*names])
        parts[-1].append(number)
    return parts


def _needed(columns: Sequence[str], lines: list[list[Any]], number: int) -> int:
    """Characters that a column needs, with its left edge and the space around."""
    widest = max(
        cell_len(line)
        for value in (columns[number], *(cell(row[number]) for row in lines))
        for line in str(value).splitlines() or [""]
    )
    return 3 + (widest if _side(lines, number) == "right" else min(widest, _READABLE))


def cell(value: Any) -> str:
    """A value as a table shows it: floats to three places, or none from a thousand on; nothing for None."""
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:.0f}"


def _side(lines: list[list[Any]], column: int) -> Literal["left", "right"]:
    return "right" if any(isinstance(line[column], int | float) for line in lines) else "left"

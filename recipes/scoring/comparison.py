"""A table of the paper with our own figures in it: as text, as CSV, as Markdown and as a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ...datamodules.files import write_whole
from ...zoo.metrics import Interval
from .paper import AVERAGE, Table

#: after a printed figure that cannot be right, or cannot be relied on
MARK = "†"
MISSING = "–"


Draw = Callable[["Comparison", Path], Path]


@dataclass(frozen=True)
class Comparison:
    """Our figures in the places of the paper's; averages are over the same languages on both sides.

    Attributes:
        table: of the paper.
        ours: (row, column) -> our figure, in the units of the table; with an interval where there is one.
        names: row -> what it is called; the rows in the order in which they are shown.  Ours may have more than the
            paper, or fewer.
        columns: of ours, which may be some of the paper's.
        notes: what a reader must know, below the table.
        chance: column -> what guessing gives, which is in no paper; a line of its own.
    """

    table: Table
    ours: Mapping[tuple[str, str], Interval | float]
    names: Mapping[str, str]
    columns: tuple[str, ...]
    notes: list[str] = field(default_factory=list)
    chance: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def theirs(self) -> Table:
        """The paper's figures, its average taken over the languages that are shown."""
        return self.table.over(self._averaged)

    @property
    def average_note(self) -> str | None:
        """Which languages the averages are over; None where that is as in the paper, or there is no average."""
        shown, printed = self._averaged, self.table.languages
        if not shown or not printed or set(shown) == set(printed):
            return None
        if absent := [language for language in shown if language not in printed]:
            return f"{AVERAGE}: ours, over {', '.join(shown)}; the paper has no {', '.join(absent)}, so none to compare"
        return f"{AVERAGE}: ours and the paper's over {', '.join(shown)} alone, not over its {len(printed)} languages"

    @property
    def _averaged(self) -> tuple[str, ...]:
        return tuple(column for column in self.columns if column != AVERAGE) if AVERAGE in self.columns else ()

    def value(self, row: str, column: str) -> float | None:
        """Our figure there; None where we have none."""
        found = self.ours.get((row, column))
        return found.value if isinstance(found, Interval) else found

    def difference(self, row: str, column: str) -> float | None:
        """Ours less the paper's; None where either is absent."""
        ours, theirs = self.value(row, column), self.theirs.cell(row, column)
        return None if ours is None or theirs is None else ours - theirs

    def marked(self, row: str, column: str) -> bool:
        """Whether the paper's figure there cannot be relied on."""
        return (row, column) in self.theirs.misprints

    def text(self) -> str:
        """The layout of the paper, with three lines for each row: the paper's figures, ours, and the difference."""
        lines = [["", *self.columns]]
        for row, name in self.names.items():
            lines.append([name])
            lines.append(["  paper", *(self._paper(row, column) for column in self.columns)])
            lines.append(["  ours", *(self._shown(self.value(row, column)) for column in self.columns)])
            lines.append(["  difference", *(self._shown(self.difference(row, column), "+") for column in self.columns)])
        if self.chance:
            lines.append(["chance", *(shown_chance(self.chance[column]) for column in self.columns)])
        first = max(len(line[0]) for line in lines)
        widths = [max(len(line[place]) for line in lines if len(line) > 1) for place in range(1, len(lines[0]))]
        rows = [
            "  ".join(
                [line[0].ljust(first), *(text.rjust(width) for text, width in zip(line[1:], widths, strict=False))]
            )
            for line in lines
        ]
        return "\n".join([self.title, *(row.rstrip() for row in rows), *self.remarks()])

    def remarks(self) -> list[str]:
        """The notes, which languages an average is over, then each marked cell that is shown, with its reason."""
        reasons: dict[str, list[str]] = {}
        for (row, column), reason in self.theirs.misprints.items():
            if row in self.names and column in self.columns:
                reasons.setdefault(reason, []).append(f"{self.names[row]}, {column}")
        averaged = [] if self.average_note is None else [self.average_note]
        return [*self.notes, *averaged, *(f"{MARK} {'; '.join(cells)}: {reason}" for reason, cells in reasons.items())]

    @property
    def title(self) -> str:
        """The table's name and what it shows."""
        name = self.table.name
        cut = len(name.rstrip("0123456789"))
        return f"{name[:cut].capitalize()} {name[cut:]}: {self.table.title}"

    def write(self, folder: Path, draw: Draw | None = None) -> list[Path]:
        """Write ``<table>.csv``, ``.md`` and ``.png`` to `folder`; returns their paths.

        Args:
            draw: makes the picture, a function of this and of its path; by default `report.comparison`'s.
        """
        from ..report.comparison import comparison_figure  # matplotlib takes longer to import than the rest

        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{self.table.name}{suffix}" for suffix in (".csv", ".md", ".png")]
        write_whole(paths[0], self.csv().encode())
        write_whole(paths[1], self.markdown().encode())
        (draw or comparison_figure)(self, paths[2])
        return paths

    def csv(self) -> str:
        """One line for each cell; that of an average names the languages that it is over."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["row", "column", "paper", "ours", "low", "high", "difference", "misprint", "over"])
        for row in self.names:
            for column in self.columns:
                found = self.ours.get((row, column))
                low, high = (found.low, found.high) if isinstance(found, Interval) else (None, None)
                figures = (self.theirs.cell(row, column), self.value(row, column), low, high)
                reason = self.theirs.misprints.get((row, column), "")
                over = " ".join(self._averaged) if column == AVERAGE else ""
                writer.writerow([row, column, *map(_exact, (*figures, self.difference(row, column))), reason, over])
        for column, value in self.chance.items():
            writer.writerow(["chance", column, "", _exact(value), *[""] * 5])
        return text.getvalue()

    def markdown(self) -> str:
        """The layout of the paper: in each cell ours, the paper's, and the difference."""
        lines = [f"# {self.title}", "", "In each cell: ours / the paper's (the difference).", ""]
        lines.append("| | " + " | ".join(self.columns) + " |")
        lines.append("|---|" + "---:|" * len(self.columns))
        for row, name in self.names.items():
            lines.append(f"| {name} | " + " | ".join(self._cell(row, column) for column in self.columns) + " |")
        if self.chance:
            lines.append("| *chance* | " + " | ".join(f"*{shown_chance(self.chance[c])}*" for c in self.columns) + " |")
        remarks = self.remarks()
        return "\n".join([*lines, *([""] if remarks else []), *(f"- {remark}" for remark in remarks), ""])

    def _cell(self, row: str, column: str) -> str:
        difference = self.difference(row, column)
        end = "" if difference is None else f" ({self._shown(difference, '+')})"
        return f"**{self._shown(self.value(row, column)) or MISSING}** / {self._paper(row, column) or MISSING}{end}"

    def _paper(self, row: str, column: str) -> str:
        text = self._shown(self.theirs.cell(row, column))
        return text + MARK if text and self.marked(row, column) else text

    def _shown(self, value: float | None, sign: str = "") -> str:
        if value is None:
            return ""
        whole = float(value).is_integer() and self.table.digits != 1
        return f"{value:{sign},.{0 if whole else self.table.digits}f}".replace("-", "−")


def shown(value: Interval | float) -> str:
    """A figure for a table, with its interval where it has one; none where all that was resampled agrees."""
    if not isinstance(value, Interval):
        return f"{value:g}"
    return f"{value.value:.1f}" + (f" [{value.low:.1f}, {value.high:.1f}]" if value.low != value.high else "")


def shown_chance(value: float) -> str:
    """What guessing gives, to one place; of less than that, what there is."""
    return f"{value:,.1f}" if value >= 0.05 else f"{value:.1g}"


def _exact(value: Any) -> Any:
    return "" if value is None else round(float(value), 6)

"""`weaksync cross`: every model on the test videos of every language, as tables and as heat maps."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from ..datamodules.files import write_whole
from ..datamodules.index import open_set
from ..zoo.evaluation import Row
from ..zoo.models.dual_encoder import DualEncoder
from .console import print_table, progress
from .scoring.paper import in_order
from .scoring.scores import ALONE, run_scores, score
from .scoring.similarities import similarities
from .texts import translated_to, translations_for
from .training.launch import is_rank_zero, say

#: figure -> its name, in the order of Figure 4 and Tables 15 and 16
FIGURES = {"f1": "F1", "clip_accuracy": "Clip Accuracy", "sentence_iou": "Sentence IoU"}
TRANSLATED = "translated"


@dataclass(frozen=True)
class CrossLingual:
    """What every model scores in every language, decoded by similarity alone, as the paper does.

    Attributes:
        models: names of the rows, such as the language that each was trained on.
        languages: codes of the columns.
        rows: (model, language) -> figures with their intervals over videos.
    """

    models: tuple[str, ...]
    languages: tuple[str, ...]
    rows: Mapping[tuple[str, str], Row]

    def table(self, figure: str) -> list[list[float]]:
        """One of `FIGURES`: a list of values for each model."""
        return [
            [getattr(self.rows[model, language], figure).value for language in self.languages] for model in self.models
        ]

    def csv(self) -> str:
        """A line for each cell and figure."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["model", "language", "figure", "value", "low", "high", "videos"])
        for (model, language), row in self.rows.items():
            for figure in FIGURES:
                found = getattr(row, figure)
                numbers = (round(value, 6) for value in (found.value, found.low, found.high))
                writer.writerow([model, language, figure, *numbers, len(row.per_video)])
        return text.getvalue()

    def markdown(self) -> str:
        """A table for each figure; the best model of a language is bold."""
        lines: list[str] = []
        for figure, words in FIGURES.items():
            table = self.table(figure)
            best = [max(column) for column in zip(*table, strict=True)]
            lines += [f"## {words}", "", f"| | {' | '.join(self.languages)} |", f"|---|{'---:|' * len(best)}"]
            for model, values in zip(self.models, table, strict=True):
                cells = (f"**{v:.3f}**" if v == top else f"{v:.3f}" for v, top in zip(values, best, strict=True))
                lines.append(f"| {model} | {' | '.join(cells)} |")
            lines.append("")
        return "\n".join(lines)

    def write(self, folder: str | Path) -> list[Path]:
        """Write cross_lingual.csv, .md and .png (heat maps) to `folder`; returns their paths."""
        from .report.cross_lingual import heat_maps  # matplotlib takes longer to import than the rest

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"cross_lingual{suffix}" for suffix in (".csv", ".md", ".png")]
        write_whole(paths[0], self.csv().encode())
        write_whole(paths[1], self.markdown().encode())
        heat_maps(self, paths[2])
        return paths


def matrix(
    models: Mapping[str, DualEncoder | str | Path],
    shards: str | Path,
    languages: Sequence[str],
    *,
    translations: Mapping[str, str | Path] | None = None,
    split: str = "test",
    workers: int = 0,
    track: Callable[[], None] = lambda: None,
) -> CrossLingual:
    """Score every model on the annotated videos of every language.

    Args:
        models: name of the row -> a model, or the folder of a run or a checkpoint, whose scores are kept beside it.
        shards: folder of a shard set.
        languages: codes of its languages.
        translations: name of a model -> derived set whose texts it gets to read instead.
        workers: reading processes.
        track: called after every cell.

    Raises:
        ValueError: no model, a language that the set lacks or in which nothing is annotated, or translations for a
            model that is not there.
    """
    if not models:
        raise ValueError("no model to score; give one for each language at least")
    given = dict(translations or {})
    if strange := sorted(set(given) - set(models)):
        raise ValueError(f"translations for {', '.join(strange)}, which is none of the models: {', '.join(models)}")
    open_set(shards).manifest.check_languages(list(languages), shards)
    rows: dict[tuple[str, str], Row] = {}
    for name, model in models.items():
        for language in languages:
            if isinstance(model, DualEncoder):
                videos = similarities(
                    model, shards, split=split, languages=[language], translations=given.get(name), workers=workers
                )
                found = score(model, videos, [], f"{split} of {shards} in {language}")
            else:
                found = run_scores(model, shards, language, translations=given.get(name), split=split, workers=workers)
            rows[name, language] = found.mean(ALONE)
            track()
    return CrossLingual(tuple(models), tuple(languages), rows)


def named(models: Sequence[str]) -> dict[str, str | Path]:
    """``name=folder`` pairs; a folder alone is named by what follows its last dash, as runs of a language are.

    Raises ValueError where two have one name.
    """
    found: dict[str, str | Path] = {}
    for text in models:
        name, mark, folder = text.partition("=")
        if not mark:
            name, folder = Path(text).name.rpartition("-")[2], text
        if name in found:
            raise ValueError(f"{found[name]} and {folder} would both be {name!r}; name them: NAME=FOLDER")
        found[name] = Path(folder)
    return found


def read_by(
    rows: Mapping[str, str | Path], shards: Path, languages: Sequence[str], translations: Path | None
) -> dict[str, str]:
    """Name of a run -> the translations that it gets to read: those that are given, or its own.

    Raises ValueError where a run reads translations that nobody knows, or where translations are given to none.
    """
    found: dict[str, str] = {}
    for name, run in rows.items():
        reads = translated_to(run)
        given = translations if reads is not None or name == TRANSLATED else None
        if reads is None and given is None and name == TRANSLATED:
            raise ValueError(
                f"{run} was not trained on translations: give those that it shall read with --translations"
            )
        texts = translations_for(run, reads, shards, languages, given)
        if texts is not None:
            found[name] = texts
    if translations is not None and not found:
        raise ValueError(f"none of {', '.join(map(str, rows.values()))} reads translations: leave --translations out")
    return found


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="[NAME=]RUN...")
@click.option("--shards", required=True, type=click.Path(path_type=Path), help="Folder of a shard set.")
@click.option("--translated", type=click.Path(path_type=Path), help="A run that reads translations: a row above.")
@click.option(
    "--translations", type=click.Path(path_type=Path), help="For rows that read them; by default each run's own."
)
@click.option("--language", "languages", multiple=True, help="Test languages.  [default: all of the set]")
@click.option("--workers", default=1, show_default=True, help="Reading processes.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for cross_lingual.csv, .md and .png.")
@click.option("--json", "as_json", is_flag=True, help="Print F1 as JSON.")
def command(
    models: tuple[str, ...],
    shards: Path,
    translated: Path | None,
    translations: Path | None,
    languages: tuple[str, ...],
    workers: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Score the model of every source language in every target language (Figure 4, Tables 15 and 16 of M-SyMoN).

    Each RUN is a row: runs/two_stage-en is named en.  Decoded by similarity alone, as the paper does.
    """
    rows: dict[str, str | Path] = {} if translated is None else {TRANSLATED: translated}
    rows |= named(models)
    targets = in_order(list(languages) or open_set(shards).manifest.languages)
    texts = read_by(rows, shards, targets, translations)
    with progress("cells") as bar:
        task = bar.add_task("scoring", total=len(rows) * len(targets))
        found = matrix(
            rows,
            shards,
            targets,
            translations=texts,
            workers=workers,
            track=lambda: bar.advance(task),
        )
    if not is_rank_zero():
        return
    for figure, words in list(FIGURES.items())[: 1 if as_json else None]:
        lines = [[model, *values] for model, values in zip(found.models, found.table(figure), strict=True)]
        print_table(f"{words}: model by test language", ["", *targets], lines, as_json=as_json)
    if out is not None:
        say(f"wrote {', '.join(map(str, found.write(out)))}")

"""`weaksync data translate`: a shard set's sentences in another language, as a set that is derived from it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from ...datamodules.index import BUILD_STORY
from ...datamodules.manifest import Manifest
from ...datamodules.world.translate import WorldTranslator
from ..console import err, print_table, progress
from ..derived.translations import Report, translate_set
from ..derived.translator import NLLB, Seq2Seq, our_code
from ..options import DEVICES, Device

#: stands for the synthetic world's own translator
WORLD = "world"
_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("shards", type=_PATH)
@click.option("--out", type=_PATH, required=True, help="Folder of the derived set.")
@click.option("--to", default="en", show_default=True, help="Language of the translations.")
@click.option("--model", default=NLLB, show_default=True, help="Hub id or folder of a translation model; or world.")
@click.option("--language", "languages", multiple=True, help="Keep these languages alone; may be given several times.")
@click.option("--beams", type=click.IntRange(1), default=1, show_default=True, help="Of beam search; 1 is greedy.")
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Sentences at once.")
@click.option("--max-tokens", type=click.IntRange(8), help="Split longer sentences; by default what the model takes.")
@click.option("--device", type=DEVICES, default="auto", show_default=True)
@click.option("--bf16", is_flag=True, help="Compute in bfloat16.")
@click.option("--errors", type=click.FloatRange(0, 1), help="world: the share of sentences that come out wrong.")
@click.option("--seed", type=click.IntRange(0), help="world: of its errors.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    shards: Path,
    out: Path,
    to: str,
    model: str,
    languages: tuple[str, ...],
    beams: int,
    batch_size: int,
    max_tokens: int | None,
    device: Device,
    bf16: bool,
    errors: float | None,
    seed: int | None,
    as_json: bool,
) -> None:
    """Translate the sentences of the shard set SHARDS, for data.translations of a recipe.

    Each sentence keeps its original beside it.  Translation that was stopped goes on where it was.  `--model world`
    reads the sentences of the synthetic world and tells them in the other language, with errors at a stated rate.
    """
    if model != WORLD and (errors is not None or seed is not None):
        raise click.UsageError("--errors and --seed belong to --model world")
    Manifest.read(shards, maker=BUILD_STORY)  # that there is a set at all is known before a model is sought
    translator: Seq2Seq | WorldTranslator
    if model == WORLD:
        translator = WorldTranslator(errors or 0.0, seed or 0)
    else:
        translator = Seq2Seq(model, device=device, bf16=bf16, beams=beams, batch_size=batch_size, max_tokens=max_tokens)
    with progress("sentences") as bar:
        task = bar.add_task("translating", total=None)
        report = translate_set(
            shards,
            out,
            translator,
            to=our_code(to),
            languages=languages or None,
            started=lambda total: bar.update(task, total=total),
            advance=lambda count: bar.advance(task, count),
        )
    show(report, out, as_json)


def show(report: Report, out: Path, as_json: bool) -> None:
    """Print what a translation came to: a row for each language, and what is doubtful on standard error."""
    rows = [[code, *asdict(tally).values()] for code, tally in report.tallies.items()]
    if as_json:
        click.echo(json.dumps(asdict(report), ensure_ascii=False, indent=2))
    else:
        columns = ["from", "sentences", "translated", "copied", "kept", "split", "endless"]
        print_table(f"{out}: to {report.to}, by {report.producer}", columns, rows)
    if report.resumed:
        err.print(f"from an earlier run: {report.resumed} distinct sentences", highlight=False)
    kept = sum(tally.kept for tally in report.tallies.values())
    endless = sum(tally.endless for tally in report.tallies.values())
    if kept:
        err.print(f"{kept} sentences came out without a word, and stay as they were", highlight=False)
    if endless:
        err.print(f"{endless} translations have no end: they may repeat themselves, or lack theirs", highlight=False)

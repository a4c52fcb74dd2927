"""`weaksync eval`: a trained model on whole videos, beside all-drop, uniform, the transcript and the oracle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ..datamodules.story import StoryDataModule
from ..zoo.decoding import DEFAULT, Decoder
from ..zoo.evaluation import Evaluation, Row
from ..zoo.evaluation import evaluate as score
from ..zoo.models.dual_encoder import DualEncoder
from ..zoo.story import StoryAlignment
from . import config as recipes
from .checkpointing import replace
from .config import TrainerConfig
from .console import err, print_table
from .launch import answering_sigterm, leads, progress_bar, say, trainer
from .report.evaluation import evaluation_figure, evaluation_page
from .runs import RECIPE, model_folder

VARIANTS = {
    "credit": "Clip Accuracy with credit for unmatched time that was dropped",
    "matched": "Clip Accuracy over annotated time alone",
}


def evaluate(
    model: DualEncoder,
    shards: str | Path,
    *,
    split: str = "test",
    languages: list[str] | None = None,
    translations: str | Path | None = None,
    decoder: Decoder | None = None,
    workers: int = 1,
    settings: TrainerConfig | None = None,
) -> Evaluation:
    """Score a model on the annotated videos of a split; under several processes each takes its share of them.

    Args:
        model: of `zoo.load` or `zoo.create`.
        shards: folder of a shard set.
        translations: folder of `weaksync data translate`, whose texts the model gets to read instead of the set's own.
        decoder: how similarities become labels; the one that came with the model if None.

    Returns:
        The figures of all videos, the same in every process.

    Raises:
        ValueError: no such split or language, no annotated video in it, or a model that was never given a decoder.
    """
    data = StoryDataModule(
        shards,
        model.preprocess,
        model.tokenize,
        global_batch=1,
        languages=languages,
        translations=translations,
        test_split=split,
        workers=workers,
    )
    runner = trainer(settings or TrainerConfig(), logger=False, enable_checkpointing=False, callbacks=progress_bar())
    task = StoryAlignment(model)
    with answering_sigterm():
        runner.test(task, datamodule=data, verbose=False)
    return score(task.videos, decoder or model_decoder(model))


def model_decoder(model: DualEncoder) -> Decoder:
    """The decoder that was tuned with the weights; a stated default for a model that saw no annotated video."""
    if model.decoder:
        return Decoder.from_dict(model.decoder)
    say(f"this model saw no annotated video that could tune its drop costs: decoding with {DEFAULT}")
    return DEFAULT


def table(rows: list[Row]) -> list[list[Any]]:
    """A line for each row: F1 with its interval, then its two parts."""
    return [
        [
            row.name,
            row.f1.value,
            f"{row.f1.low:.3f} to {row.f1.high:.3f}",
            row.clip_accuracy.value,
            row.sentence_iou.value,
        ]
        for row in rows
    ]


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--shards", type=click.Path(), help="Folder of a shard set; by default the one of the run.")
@click.option("--translations", type=click.Path(), help="Folder of translations of the shards; by default the run's.")
@click.option("--originals", is_flag=True, help="Read the sentences as told, though the model reads translations.")
@click.option("--split", default="test", show_default=True, help="Which videos.")
@click.option("--language", "languages", multiple=True, help="Keep these languages alone; may be given several times.")
@click.option("--workers", default=1, show_default=True, help="Reading processes.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for evaluation.json, report.html and f1.png.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    model: Path,
    shards: str | None,
    translations: str | None,
    originals: bool,
    split: str,
    languages: tuple[str, ...],
    workers: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Score MODEL (a run's folder, or a checkpoint folder) beside the baselines and the oracle."""
    if not model.is_dir():
        raise FileNotFoundError(f"{model}: no such run or checkpoint folder")
    settings = TrainerConfig()
    if (model / RECIPE).is_file():
        recipe = recipes.load(str(model / RECIPE))
        shards, settings = shards or recipe.data.shards, recipe.trainer
        translations = translations or recipe.data.translations
    if shards is None:
        raise click.UsageError(f"{model} is no run, so nobody knows its data: give --shards")
    loaded = DualEncoder.from_pretrained(model_folder(model))
    if loaded.translated is not None and translations is None and not originals:
        raise click.UsageError(
            f"{model} reads translations to {loaded.translated['to']}: give those of {shards} with --translations "
            "(weaksync data translate makes them), or --originals to read the sentences as they were told"
        )
    evaluation = evaluate(
        loaded,
        shards,
        split=split,
        languages=list(languages) or None,
        translations=None if originals else translations,
        workers=workers,
        settings=settings,
    )
    if not leads():
        return
    plain = evaluation.to_dict()
    if as_json:
        click.echo(json.dumps(plain, indent=2, ensure_ascii=False))
    else:
        show(evaluation, f"{model} on {split} of {shards}")
    if evaluation.doubt:
        err.print(f"note: {evaluation.doubt}", style="yellow", highlight=False)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        replace(out / "evaluation.json", json.dumps(plain, indent=2, ensure_ascii=False).encode())
        evaluation_page(plain, out / "report.html", title=str(model), facts={"data": str(shards), "split": split})
        evaluation_figure(plain, out / "f1.png", title=f"{model}, {split}")
        say(f"wrote {out / 'report.html'}")


def show(evaluation: Evaluation, title: str) -> None:
    """Print an evaluation as tables, with the readings of Clip Accuracy that the paper leaves open."""
    columns = ["", "F1", "95 % interval", "clip accuracy", "sentence IoU"]
    print_table(f"{title}: {evaluation.videos} videos", columns, table(evaluation.rows))
    gap = evaluation.gap_closed
    click.echo(f"of the way from the best baseline to the oracle: {gap.value:.3f} ({gap.low:.3f} to {gap.high:.3f})")
    for variant, words in VARIANTS.items():
        rows = [[row.name, row.clip_accuracy.value, row.f1.value] for row in evaluation.variants[variant]]
        print_table(words, ["", "clip accuracy", "F1"], rows)
    if evaluation.skipped:
        click.echo(f"nothing to score in {len(evaluation.skipped)} videos: {', '.join(evaluation.skipped[:5])}")

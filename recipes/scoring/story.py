"""A run or a checkpoint of story alignment, scored as `weaksync eval` is asked to, and shown."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click

from ... import zoo
from ...datamodules.files import write_whole
from ...zoo.decoding import Decoder, Policy
from ...zoo.evaluation import Evaluation
from ...zoo.metrics import Interval
from ...zoo.models.dual_encoder import DualEncoder
from ...zoo.models.neumatch import NeuMATCH
from ..console import err
from ..evaluate import evaluate
from ..report.evaluation import evaluation_figure, evaluation_page
from ..runs import RECIPE, check_path, model_folder
from ..settings import config as recipes
from ..settings.config import Recipe, TrainerConfig
from ..settings.features import FeatureRecipe
from ..settings.story import StoryRecipe
from ..texts import translated_to, translations_for
from ..training.launch import is_rank_zero, say
from .similarities import model_decoder
from .tables import show, shown_gain


@dataclass(frozen=True)
class EvalOptions:
    """What to score a model on, and how; the options of `weaksync eval`."""

    shards: str | None
    translations: str | None
    features: str | None
    originals: bool
    split: str
    languages: tuple[str, ...]
    policy: Policy | None
    contiguous: bool | None
    drops: tuple[float, float] | None
    within: float | None
    workers: int


def evaluate_run(model: Path, options: EvalOptions) -> tuple[Evaluation, EvalOptions]:
    """Score a run or a checkpoint folder.

    Returns:
        The figures, and the options, with the shards and languages of the run, where they were left to it.

    Raises:
        ValueError, FileNotFoundError: as `evaluate.evaluate`, and where the model aligns no stories.
        click.UsageError: an option is missing, or has no meaning for such a model.
    """
    settings = TrainerConfig()
    if (model / RECIPE).is_file():
        recipe = recipes.load(str(model / RECIPE))
        settings = recipe.trainer if isinstance(recipe, Recipe) else settings
        if isinstance(recipe, StoryRecipe | FeatureRecipe) and options.shards is None:
            languages = options.languages or tuple(recipe.data.languages or ())  # on other shards they may not be there
            check_path(model, "data.shards", recipe.data.shards, "give --shards, where they are now")
            options = replace(options, shards=recipe.data.shards, languages=languages)
        if isinstance(recipe, FeatureRecipe):
            options = replace(options, features=options.features or recipe.data.features)
    if options.shards is None:
        raise click.UsageError(f"{model} is no run, so nobody knows its data: give --shards")
    loaded = zoo.load(model_folder(model))
    if isinstance(loaded, NeuMATCH):
        return _by_labels(loaded, options.shards, options, settings), options
    if isinstance(loaded, DualEncoder):
        return _by_similarity(model, loaded, options.shards, options, settings), options
    raise ValueError(f"{model} is a {type(loaded).__name__}, which does not align stories")


def _by_similarity(
    folder: Path, model: DualEncoder, shards: str, options: EvalOptions, settings: TrainerConfig
) -> Evaluation:
    kept = list(options.languages) or None
    translations = None
    if not options.originals:
        otherwise = ", or --originals to read the sentences as they were told"
        given = options.translations
        translations = translations_for(folder, model.translated, shards, kept, given, otherwise=otherwise)
    policy, contiguous, decoder = options.policy, options.contiguous, None
    if options.drops is not None:
        own = model_decoder(model)
        whole = own.contiguous if contiguous is None else contiguous
        decoder, policy, contiguous = Decoder(*options.drops, policy or own.policy, whole), None, None
    return evaluate(
        model,
        shards,
        split=options.split,
        languages=kept,
        translations=translations,
        decoder=decoder,
        policy=policy,
        contiguous=contiguous,
        within=options.within,
        workers=options.workers,
        settings=settings,
    )


def _by_labels(model: NeuMATCH, shards: str, options: EvalOptions, settings: TrainerConfig) -> Evaluation:
    """A model that labels clips by itself, from features."""
    from .features import evaluate as evaluate_features  # trains through this file's neighbours

    decoding = {name: getattr(options, name) for name in ("policy", "contiguous", "drops", "within")}
    if given := [f"--{name}" for name, value in decoding.items() if value is not None]:
        raise click.UsageError(f"this model labels clips by itself, nothing is decoded: leave {', '.join(given)} out")
    if options.features is None:
        raise click.UsageError("this model reads features, not pictures: give those of the shards with --features")
    languages = list(options.languages) or None
    return evaluate_features(
        model, shards, options.features, split=options.split, languages=languages, settings=settings
    )


def gain_over(against: Path, evaluation: Evaluation, options: EvalOptions) -> Interval:
    """By how much F1 is above that of another model on the same videos, paired by film.

    A run reads its own texts and features; a bare checkpoint, which has none, those that were asked for.

    Raises ValueError where its videos are others.
    """
    bare = not (against / RECIPE).is_file()
    translations = options.translations if bare and translated_to(against) is not None else None
    features = options.features if bare else None
    other, _ = evaluate_run(against, replace(options, translations=translations, features=features))
    try:
        return evaluation.gain(other)
    except ValueError as fault:
        raise ValueError(f"{against} was scored on other videos: {fault}") from None


def present(
    evaluation: Evaluation,
    model: Path,
    options: EvalOptions,
    gain: tuple[Path, Interval] | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Print an evaluation, and write its files to `out`; the first process alone.

    Args:
        gain: over which model, and how much.
    """
    if not is_rank_zero():
        return
    plain: dict[str, Any] = evaluation.to_dict()
    if gain is not None:
        plain["gain"] = {"against": str(gain[0]), **asdict(gain[1])}
    if as_json:
        click.echo(json.dumps(plain, indent=2, ensure_ascii=False))
    else:
        show(evaluation, f"{model} on {options.split} of {options.shards}")
        if gain is not None:
            click.echo(f"F1 over {gain[0]}, paired by film: {shown_gain(gain[1])}")
    if evaluation.doubt:
        err.print(f"note: {evaluation.doubt}", style="yellow", highlight=False)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / "evaluation.json", json.dumps(plain, indent=2, ensure_ascii=False).encode())
        facts = {"Data": str(options.shards), "Split": options.split}
        evaluation_page(plain, out / "report.html", title=str(model), facts=facts)
        evaluation_figure(plain, out / "f1.png", title=f"{model}, {options.split}")
        say(f"wrote {out / 'report.html'}")

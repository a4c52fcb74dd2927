"""`weaksync eval`: a trained model on whole videos, beside all-drop, uniform, the transcript and the oracle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import click

from .. import zoo
from ..datamodules.index import open_set
from ..datamodules.story import StoryDataModule
from ..zoo.decoding import DEFAULT, Decoder, Policy, VideoSimilarity
from ..zoo.evaluation import Evaluation
from ..zoo.evaluation import evaluate as score
from ..zoo.matcher import CONFIG as MATCHER
from ..zoo.models.dual_encoder import DualEncoder
from ..zoo.models.neumatch import NeuMATCH
from ..zoo.story import StoryAlignment
from ..zoo.tuning import tune
from . import config as recipes
from .checkpointing import replace as write
from .config import TrainerConfig
from .console import err
from .feature_config import FeatureRecipe
from .launch import answering_sigterm, leads, progress_bar, say, trainer
from .report.evaluation import evaluation_figure, evaluation_page
from .runs import MODEL, RECIPE, model_folder
from .score_tables import show
from .texts import translations_for


def evaluate(
    model: DualEncoder,
    shards: str | Path,
    *,
    split: str = "test",
    languages: list[str] | None = None,
    translations: str | Path | None = None,
    decoder: Decoder | None = None,
    policy: Policy | None = None,
    contiguous: bool | None = None,
    within: float | None = None,
    workers: int = 1,
    settings: TrainerConfig | None = None,
) -> Evaluation:
    """Score a model on the annotated videos of a split; under several processes each takes its share of them.

    Args:
        model: of `zoo.load` or `zoo.create`.
        shards: folder of a shard set.
        translations: folder of `weaksync data translate`, whose texts the model gets to read instead of the set's own.
        decoder: how similarities become labels; the one that came with the model if None.
        policy, contiguous: decode so instead, with drop costs that are tuned on the validation split again.
        within: also decode with clips that may take only sentences spoken at most so many seconds away, by similarity
            alone (M-SyMoN section 6.5): a row of its own, tuned on validation if there is one.

    Returns:
        The figures of all videos, the same in every process.

    Raises:
        ValueError: no such split or language, no annotated video in it, none in validation where drop costs should be
            tuned, or no narration with times for `within`.
    """

    def read(which: str) -> list[VideoSimilarity]:
        return similarities(
            model,
            shards,
            split=which,
            languages=languages,
            translations=translations,
            workers=workers,
            settings=settings,
        )

    chosen = decoder or model_decoder(model)
    again = policy is not None or contiguous is not None
    validation = read("val") if (again or within is not None) and "val" in open_set(shards).splits else []
    validation = [video for video in validation if video.annotated]
    if again:
        if not validation:
            raise ValueError(f"{shards} has no annotated validation video to tune drop costs by: give them instead")
        whole = chosen.contiguous if contiguous is None else contiguous
        chosen = tune(validation, policies=(policy or chosen.policy,), contiguous=whole)
    others = {} if within is None else {f"within {within:g} s": limited(chosen, within, validation)}
    return score(read(split), chosen, others=others, seek=True)


def similarities(
    model: DualEncoder,
    shards: str | Path,
    *,
    split: str,
    languages: list[str] | None = None,
    translations: str | Path | None = None,
    workers: int = 1,
    settings: TrainerConfig | None = None,
) -> list[VideoSimilarity]:
    """Similarities and vectors of every video of a split, of all processes; arguments and errors as `evaluate`."""
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
    return task.videos


def limited(decoder: Decoder, within: float, validation: Sequence[VideoSimilarity]) -> Decoder:
    """The decoder that also keeps clips `within` seconds of the narration, by similarity alone.

    Its drop costs are tuned on annotated validation videos; without any they are those of `decoder`, which is said.
    """
    if any(video.timed for video in validation):
        policies = (decoder.policy,)
        return tune(validation, policies=policies, timings=(0.0,), contiguous=decoder.contiguous, within=within)
    say(f"no annotated validation video with narration times: within {within:g} s the drop costs stay as they are")
    return replace(decoder.without_times(), within=within)


def model_decoder(model: DualEncoder) -> Decoder:
    """The decoder that was tuned with the weights; a stated default for a model that saw no annotated video."""
    if model.decoder:
        return Decoder.from_dict(model.decoder)
    say(f"this model saw no annotated video that could tune its drop costs: decoding with {DEFAULT}")
    return DEFAULT


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--shards", type=click.Path(), help="Folder of a shard set; by default the one of the run.")
@click.option("--translations", type=click.Path(), help="Folder of translations of the shards; by default the run's.")
@click.option("--features", type=click.Path(), help="Of the shards, for a model that reads them; by default the run's.")
@click.option("--originals", is_flag=True, help="Read the sentences as told, though the model reads translations.")
@click.option("--split", default="test", show_default=True, help="Which videos.")
@click.option("--language", "languages", multiple=True, help="Keep these alone; repeatable.  [default: the run's]")
@click.option("--policy", type=click.Choice(get_args(Policy)), help="Drop policy.  [default: the model's]")
@click.option("--contiguous/--not-contiguous", default=None, help="Whether a sentence's clips must be neighbours.")
@click.option("--drops", type=(float, float), metavar="CLIP SENTENCE", help="Drop costs, instead of tuned ones.")
@click.option("--within", type=click.FloatRange(0), metavar="SECONDS", help="Also decode so near to the narration.")
@click.option("--pool", multiple=True, type=click.Path(path_type=Path),
              help="Further subtitles to choose from, as features; repeatable.")  # fmt: skip
@click.option("--against", type=click.Path(path_type=Path), help="Another run of subtitle matching, on the same clips.")
@click.option("--workers", default=1, show_default=True, help="Reading processes.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for evaluation.json, a report and pictures.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(
    context: click.Context,
    model: Path,
    shards: str | None,
    translations: str | None,
    features: str | None,
    originals: bool,
    split: str,
    languages: tuple[str, ...],
    policy: Policy | None,
    contiguous: bool | None,
    drops: tuple[float, float] | None,
    within: float | None,
    pool: tuple[Path, ...],
    against: Path | None,
    workers: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Score MODEL: a run's folder, or a checkpoint folder.

    Story alignment is scored beside the baselines and the oracle; subtitle matching by the place of each clip's own
    subtitle among those of the whole split, and of a --pool; a matcher by its place in the index that --pool names.

    Drop costs are those that were tuned with the model.  With --policy or --not-contiguous they are tuned on validation
    again, by similarity and times; --drops gives them, and decodes by similarity alone.
    """
    if not model.is_dir():
        raise FileNotFoundError(f"{model}: no such run or checkpoint folder")
    settings = TrainerConfig()
    if (model / MATCHER).is_file() or (model / MODEL / MATCHER).is_file():
        refuse_others(context, {"shards", "split", "pool", "out", "as_json"}, "a matcher")
        from .evaluate_matching import evaluate_command

        evaluate_command(model, shards, pool, split, out, as_json)
        return
    if (model / RECIPE).is_file():
        recipe = recipes.load_any(str(model / RECIPE))
        if recipes.task_of(recipe) == "subtitles":
            refuse_others(context, {"split", "pool", "against", "out", "as_json"}, "subtitle matching")
            from .evaluate_subtitles import evaluate_run
            from .evaluate_subtitles import present as present_ranks

            present_ranks(evaluate_run(model, split, pool, against), split, out, as_json)
            return
        if recipes.task_of(recipe) in ("syncnet", "speaking"):
            raise click.UsageError(
                f"{model} trained a {recipes.task_of(recipe)} model, which is scored at the end of its training: its "
                f"figures on validation and test are in {model / MODEL / 'README.md'}"
            )
        settings = recipe.trainer
        if isinstance(recipe, recipes.StoryRecipe | FeatureRecipe):
            if shards is None:  # on other shards its languages may not be there
                languages = languages or tuple(recipe.data.languages or ())
            shards = shards or recipe.data.shards
        if isinstance(recipe, FeatureRecipe):
            features = features or recipe.data.features
    if pool or against is not None:
        raise click.UsageError("--pool and --against are for runs of subtitle matching")
    if shards is None:
        raise click.UsageError(f"{model} is no run, so nobody knows its data: give --shards")
    loaded = zoo.load(model_folder(model))
    if isinstance(loaded, NeuMATCH):
        decoding = {"--policy": policy, "--contiguous": contiguous, "--drops": drops, "--within": within}
        labelled = evaluate_labels(loaded, shards, features, split, list(languages) or None, settings, decoding)
        present(labelled, model, shards, split, out, as_json)
        return
    if not isinstance(loaded, DualEncoder):
        raise ValueError(f"{model} is a {type(loaded).__name__}, which does not align stories")
    kept = list(languages) or None
    if originals:
        translations = None
    else:
        otherwise = ", or --originals to read the sentences as they were told"
        translations = translations_for(model, loaded.translated, shards, kept, translations, otherwise=otherwise)
    decoder = None
    if drops is not None:
        own = model_decoder(loaded)
        decoder = Decoder(*drops, policy or own.policy, own.contiguous if contiguous is None else contiguous)
    evaluation = evaluate(
        loaded,
        shards,
        split=split,
        languages=kept,
        translations=translations,
        decoder=decoder,
        policy=policy if decoder is None else None,
        contiguous=contiguous if decoder is None else None,
        within=within,
        workers=workers,
        settings=settings,
    )
    present(evaluation, model, shards, split, out, as_json)


def refuse_others(context: click.Context, allowed: set[str], what: str) -> None:
    """Raises UsageError where an option was given that has no meaning for what is scored."""
    given = click.core.ParameterSource.COMMANDLINE
    names = {parameter.name: parameter.opts[0] for parameter in context.command.params}
    if others := [
        shown
        for name, shown in names.items()
        if name not in allowed | {"model"} and context.get_parameter_source(str(name)) is given
    ]:
        raise click.UsageError(f"{', '.join(others)}: not for {what}")


def evaluate_labels(
    model: NeuMATCH,
    shards: str,
    features: str | None,
    split: str,
    languages: list[str] | None,
    settings: TrainerConfig,
    decoding: dict[str, Any],
) -> Evaluation:
    """Score a model that labels clips by itself, from features; `decoding` holds options that do not apply to it."""
    from .evaluate_features import evaluate as evaluate_features  # trains through this file's neighbours

    if given := [name for name, value in decoding.items() if value is not None]:
        raise click.UsageError(f"this model labels clips by itself, nothing is decoded: leave {', '.join(given)} out")
    if features is None:
        raise click.UsageError("this model reads features, not pictures: give those of the shards with --features")
    return evaluate_features(model, shards, features, split=split, languages=languages, settings=settings)


def present(evaluation: Evaluation, model: Path, shards: str, split: str, out: Path | None, as_json: bool) -> None:
    """Print an evaluation, and write its files to `out`; the first process alone."""
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
        write(out / "evaluation.json", json.dumps(plain, indent=2, ensure_ascii=False).encode())
        evaluation_page(plain, out / "report.html", title=str(model), facts={"data": str(shards), "split": split})
        evaluation_figure(plain, out / "f1.png", title=f"{model}, {split}")
        say(f"wrote {out / 'report.html'}")

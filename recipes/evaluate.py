"""`weaksync eval`: a trained model on whole videos, beside all-drop, uniform, the transcript and the oracle."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from ..datamodules.index import open_set
from ..zoo.checkpoint import CONFIG, WEIGHTS
from ..zoo.decoding import Decoder, Policy, VideoSimilarity
from ..zoo.evaluation import Evaluation
from ..zoo.evaluation import evaluate as score
from ..zoo.matcher import CONFIG as MATCHER
from ..zoo.models.dual_encoder import DualEncoder
from ..zoo.tuning import tune
from .runs import MODEL, RECIPE, model_folder
from .scoring.similarities import limited, model_decoder, similarities
from .settings import config as recipes
from .settings.config import TrainerConfig


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


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--shards", type=click.Path(), help="Folder of a shard set, for a matcher of clips; by default the run's."
)
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
@click.option(
    "--against", type=click.Path(path_type=Path), help="Another run, on the same data: the gain over it, paired."
)
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
    for folder in filter(None, (model, against)):
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such run or checkpoint folder")
        model_folder(folder)  # a run that has not ended says how it goes on
    known = (RECIPE, CONFIG, WEIGHTS, MATCHER, "open_clip_config.json", MODEL)
    if not any((model / name).exists() for name in known):
        raise ValueError(f"{model} is no run and no checkpoint: it has neither {RECIPE} nor {CONFIG}")
    if (model / MATCHER).is_file() or (model / MODEL / MATCHER).is_file():
        alone = "; score each matcher in its own index, and compare the ranks of each clip in evaluation.json of --out"
        more = alone if against is not None else ""
        refuse_others(context, {"shards", "split", "pool", "out", "as_json"}, f"a matcher{more}")
        from .scoring.matching import evaluate_command

        evaluate_command(model, shards, pool, split, out, as_json)
        return
    task = recipes.load(str(model / RECIPE)).task if (model / RECIPE).is_file() else None
    if task == "subtitles":
        refuse_others(context, {"split", "pool", "against", "out", "as_json"}, "subtitle matching")
        from .scoring.subtitles import evaluate_run as rank_run
        from .scoring.subtitles import present as present_ranks

        present_ranks(rank_run(model, split, pool, against), split, out, as_json)
        return
    if task in ("syncnet", "speaking"):
        raise click.UsageError(
            f"{model} trained a {task} model, which is scored at the end of its training: its figures on validation "
            f"and test are in {model / MODEL / 'README.md'}"
        )
    if pool:
        raise click.UsageError(f"--pool is for matchers and runs of subtitle matching; {model} is neither")
    from .scoring.story import EvalOptions, evaluate_run, gain_over, present

    options = EvalOptions(
        shards, translations, features, originals, split, languages, policy, contiguous, drops, within, workers
    )
    evaluation, options = evaluate_run(model, options)
    gain = None if against is None else (against, gain_over(against, evaluation, options))
    present(evaluation, model, options, gain, out, as_json)


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

"""Training a whole matcher: SyncNet, the front end that aligns lips with speech, the global cues, and their fusion."""

from __future__ import annotations

from pathlib import Path

from ... import zoo
from ...datamodules.speech_set import open_speech
from ...datamodules.streams import TEXT_STREAMS, VIDEO_STREAMS, open_stream, producer_of
from ...zoo.checkpoint import Pretrained
from ...zoo.fusion import tune_weights
from ...zoo.glove import HashedWords, read
from ...zoo.matcher import ALIGNMENT, GlobalCue, Matcher
from ...zoo.models.gsm import GSM
from ...zoo.models.lipspeech import LipSpeech
from ...zoo.pool import pool_ranks
from ...zoo.word_files import Words
from ..derived.streams import HASHED
from ..matching.costs import CueModel, split_costs
from ..matching.indexing import voice_of
from ..matching.narrowing import kept_recall
from ..runs import MODEL, RECIPE
from ..settings.matching import MatchingRecipe
from .launch import part, processes, resumed_by, say
from .run import changes, known_run, prepare, refuse_run
from .stages import Stages
from .subtitles import digest


def train(recipe: MatchingRecipe, *, resume: bool = False, force: bool = False) -> Path:
    """Make every part of a matcher that is not there, tune the fusion on validation clips, and save the whole.

    Args:
        recipe: of `config.load`.
        resume: go on where the run was stopped; a run that has ended is left as it is.
        force: replace a run of that name.

    Returns:
        The run's folder: ``recipe.yaml``, a folder for each stage, and ``model/``.

    Raises:
        FileNotFoundError: there is no run to resume.
        ConfigError: what is wrong with any stage; see `Stages.check`.
        ValueError: a run of that name is there, and neither `resume` nor `force` is set, or it was begun with other
            settings; several processes were started; or a part does not fit the others.
    """
    if processes() > 1:
        raise ValueError(
            "the stages of a matcher run one after the other in one process; to train a stage on several, give it its "
            "own run (weaksync train subtitles/soft_dsta ...), and name that here: alignment.model=FOLDER"
        )
    stages = Stages(recipe)
    begin(recipe, resume=resume, force=force)
    folder = recipe.folder / MODEL
    if folder.is_dir():
        say(f"{recipe.folder} is trained already (--force trains it anew)")
        return recipe.folder
    with resumed_by(f"weaksync train {recipe.folder / RECIPE} --resume"):
        parts = {ALIGNMENT: stages.alignment(), **{name: stages.cue(name) for name in recipe.cues}}
        with part("stage fusion"):
            matcher = assemble(stages, parts)
    matcher.save_pretrained(folder)
    show(stages, matcher)
    return recipe.folder


def begin(recipe: MatchingRecipe, *, resume: bool, force: bool) -> None:
    """Check every stage, make the run's folder and note the recipe in it, or find that it is the same.

    Raises as `train`.
    """
    folder = recipe.folder
    Stages(recipe).check(anew=force)
    if resume:
        known_run(recipe)
        if changed := changes(folder, recipe):
            raise ValueError(
                f"{folder} was begun with other settings: {'; '.join(changed.values())}. Take them back, or start "
                "another run: name=OTHER; syncnet.model, alignment.model and the like take what this one has learnt"
            )
        return
    if not force:
        refuse_run(folder)
    prepare(folder, recipe, force=force)


def assemble(stages: Stages, parts: dict[str, str | Path]) -> Matcher:
    """The matcher of trained parts, its weights tuned on the validation clips.

    Args:
        stages: whose features the parts were trained on.
        parts: ``alignment``, and each global cue, to the checkpoint of its model.

    Raises:
        ValueError: parts that do not belong together, or clips without a validation split.
    """
    recipe = stages.recipe
    models = {name: cue_model(stages, name, zoo.load(folder)) for name, folder in parts.items()}
    for name, each in models.items():
        _check_features(name, each)
    found = split_costs(models, "val", among="train")  # as in use, the own subtitle is one of many
    fusion = tune_weights(found.costs, found.right)
    alone = float(pool_ranks(found.costs[ALIGNMENT], found.right).expected().mean())
    cues = {name: GlobalCue(models[name].model, zoo.load(stages.net(name))) for name in recipe.cues}  # type: ignore[arg-type]
    words: Words | None = None
    if cues:
        words = HashedWords() if recipe.data.words == HASHED else read(recipe.data.words)
    return Matcher.of(
        zoo.load(stages.syncnet()),  # type: ignore[arg-type]
        models[ALIGNMENT].model,  # type: ignore[arg-type]
        cues=cues,
        words=words,
        weights=fusion.weights,
        voice=voice_of(open_speech(stages.speech())),
        languages=models[ALIGNMENT].model.languages,
        kept_recall=kept_recall(found.costs, found.right, fusion.weights) if cues else {},
        metrics={f"val/{name}": value for name, value in vars(fusion.metrics).items()}
        | {"val/alignment_mean_rank": alone},
    )


def cue_model(stages: Stages, name: str, model: Pretrained) -> CueModel:
    """A part of the matcher with the streams that it was trained on.  Raises ValueError for another kind of model."""
    if name == ALIGNMENT:
        if not isinstance(model, LipSpeech):
            raise ValueError(f"{name} is a {type(model).__name__}, not a LipSpeech: alignment.model names another")
        return CueModel(model.eval(), stages.lips(), stages.spoken())
    if not isinstance(model, GSM):
        raise ValueError(f"{name} is a {type(model).__name__}, not a GSM: {name}.model names another")
    return CueModel(model.eval(), stages.pictures(name), stages.words())


def _check_features(name: str, cue: CueModel) -> None:
    """Raises ValueError where a model that was taken has learnt from features of another network."""
    streams = {
        "video": open_stream(cue.video, None, VIDEO_STREAMS),
        "text": open_stream(cue.text, None, TEXT_STREAMS),
    }
    for side, stream in streams.items():
        learnt, found = (cue.model.preprocess.producers or {}).get(side), producer_of(stream)
        if learnt and digest(learnt) != digest(found):
            raise ValueError(
                f"{name}.model was trained on features of {learnt}, and those of this run are of {found}: name that "
                f"network too ({'syncnet.model' if name == ALIGNMENT else f'{name}.net'}), or train {name} here"
            )


def show(stages: Stages, matcher: Matcher) -> None:
    """Say what was tuned, how long each stage took, and what comes next."""
    weights = ", ".join(f"{name} {weight:g}" for name, weight in matcher.weights.items())
    found = matcher.metrics
    say(
        f"fused by {weights}: R@1 {found['val/r1']:.3f}, median rank {found['val/median_rank']:g} "
        f"of {found['val/queries']} validation clips among {found['val/pool']} subtitles"
    )
    if matcher.doubt:
        say(f"note: {matcher.doubt}")
    took = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in stages.seconds.items())
    say(f"{sum(stages.seconds.values()):.0f} s in all: {took}")
    folder = stages.folder
    say(f"saved {folder / MODEL}: weaksync index POOL --model {folder}, then weaksync match --model {folder} VIDEO")

"""Training on clips and their subtitles: a recipe to a run, as `train` does for dual encoders.

They are streams of cached features, or pictures and sound whose features a SyncNet makes, which then learns too.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import lightning as L

from ... import zoo
from ...datamodules.spoken_subtitles import SpokenDataModule, SpokenInput
from ...datamodules.streams import LIPS, SPEECH, WORDS
from ...datamodules.subtitle_steps import PairedDataModule
from ...datamodules.subtitles import SubtitleDataModule
from ...zoo.inputs import FeatureInput
from ...zoo.models.gsm import GSM
from ...zoo.models.lipspeech import LipSpeech
from ...zoo.models.syncnet import SyncNet, lip_steps, speech_steps
from ...zoo.registry import model_class
from ...zoo.subtitles import SubtitleMatching
from ..derived.streams import producer_name
from ..runs import SYNCNET, source_of
from ..settings.config import ModelConfig
from ..settings.subtitles import SubtitleRecipe
from .launch import say
from .run import Training, run, save
from .syncnet import build_model as build_syncnet

#: what validation chooses the weights by: of few clips it tells more than R@1
MONITOR = "val/mrr"


def train(recipe: SubtitleRecipe, *, resume: bool = False, force: bool = False) -> Path:
    """Run a recipe; arguments, the run's folder and errors as `recipes.train.train`.

    Without an epoch to train, the model is validated and saved as it is: aligners that learn nothing are runs too.

    Raises:
        ValueError: also where the streams are of other clips, or of another width or producer than the model's; or
            where SyncNet is not the one whose features the model knows.
    """
    return run(recipe, build, finish, resume=resume, force=force)


def build(recipe: SubtitleRecipe) -> Training[SubtitleMatching, PairedDataModule]:
    """What a recipe names.  Raises FileNotFoundError and ValueError where it is absent, or does not fit together."""
    syncnet, data = build_data(recipe)
    model = build_model(recipe, data)
    data.least = least_steps(model)
    task = build_task(recipe, model, syncnet)
    say_left_out(data)
    return Training(task, data, "val" in data.video.splits, MONITOR)


def build_data(recipe: SubtitleRecipe) -> tuple[SyncNet | None, PairedDataModule]:
    """The recipe's clips as streams; or as pictures and sound, and the SyncNet that takes them.

    Raises:
        ValueError: the sets do not belong together, or there is no such SyncNet.
    """
    chosen = recipe.syncnet
    if chosen is None:
        return None, clips_of(recipe)
    name, arguments = chosen.name, {"checkpoint_activations": True, **chosen.arguments}
    known = name in {row.name for row in zoo.list_models()}
    plain = None if known else build_syncnet(ModelConfig(name))  # as features that were made by it have its name
    syncnet = build_syncnet(ModelConfig(name, arguments))
    return syncnet, clips_of(recipe, syncnet, producer_name(plain or syncnet, name))


def clips_of(
    recipe: SubtitleRecipe, syncnet: SyncNet | None = None, producer: str = "", **more: Any
) -> PairedDataModule:
    """The recipe's clips: streams, or what a SyncNet takes.

    Args:
        producer: name of the SyncNet, as `producer_name` gives it.
        more: settings of `PairedDataModule` that a recipe does not have.
    """
    data = recipe.data
    settings: dict[str, Any] = {
        "global_batch": data.global_batch,
        "domain": data.domain,
        "languages": data.languages,
        "workers": data.workers,
        "seed": recipe.seed,
        **more,
    }
    if syncnet is None:
        assert data.video is not None and data.text is not None  # a recipe without them is refused
        return SubtitleDataModule(data.clips, data.speech, data.video, data.text, **settings)
    config = syncnet.config
    network = SpokenInput(
        preprocess=syncnet.preprocess,
        lip_steps=partial(lip_steps, stride=config.stride),
        speech_steps=partial(speech_steps, stride=config.stride),
        width=config.feature_dim,
        per_second=config.fps / config.stride,
        producer=producer,
    )
    return SpokenDataModule(data.clips, data.speech, network, **settings)


def build_model(recipe: SubtitleRecipe, data: PairedDataModule) -> LipSpeech | GSM:
    """The recipe's model, as wide as the streams.

    Raises:
        ValueError: it cannot be had, does not fit the streams, or is another model than their kind needs.
    """
    name, arguments = recipe.model.name, recipe.model.arguments
    named = name in {row.name for row in zoo.list_models()}
    if named:
        kind = model_class(name)
    else:
        model = zoo.load(source_of(name), **arguments)
        kind = type(model)
    streams = data.names
    if kind not in (LipSpeech, GSM):
        raise ValueError(f"{name} is a {kind.__name__}: LipSpeech and GSM match subtitles, see `weaksync ls models`")
    if (kind is LipSpeech) != (streams == (LIPS, SPEECH)) or (kind is GSM) != (streams[1] == WORDS):
        reads = "lips with speech" if kind is LipSpeech else "objects, scenes or actions with words"
        raise ValueError(
            f"{name} reads {reads}; {data.video.folder} holds {streams[0]}, and {data.text.folder} {streams[1]}"
        )
    if named:
        video, text = data.widths()
        its = {"cue": streams[0], "video_dim": video, "text_dim": text} if kind is GSM else {"feature_dim": video}
        model = zoo.create(name, **{**its, "per_second": data.per_second, **arguments})
    assert isinstance(model, LipSpeech | GSM)
    check_streams(model, data)
    model.preprocess = FeatureInput(*data.widths(), data.per_second, data.producers)
    model.languages = sorted({*model.languages, *(data.languages or data.video.manifest.languages)})
    return model


def build_task(recipe: SubtitleRecipe, model: LipSpeech | GSM, syncnet: SyncNet | None = None) -> SubtitleMatching:
    """What trains the model.  Raises ValueError for an alignment loss where nothing is aligned."""
    if recipe.loss.alignment and isinstance(model, GSM):
        raise ValueError("loss.alignment is for lips with speech; set loss.alignment=0 for a global cue")
    return SubtitleMatching(
        model,
        margin=recipe.loss.margin,
        directions=recipe.loss.directions,
        alignment_weight=recipe.loss.alignment,
        optim=recipe.optim,
        syncnet=syncnet,
        syncnet_lr=recipe.syncnet.lr if recipe.syncnet else 0.0,
    )


def least_steps(model: LipSpeech | GSM) -> int:
    """Steps that a stream must have for the model to make something of it."""
    return 2**model.lips.groups if isinstance(model, LipSpeech) else 1


def check_streams(model: LipSpeech | GSM, data: PairedDataModule) -> None:
    """Raises ValueError where a model was made for streams of another width, pace or producer."""
    wants = model.preprocess
    has = FeatureInput(*data.widths(), data.per_second, data.producers)
    if (wants.video, wants.text) != (has.video, has.text):
        raise ValueError(
            f"the model wants steps of {wants.video} and {wants.text} dimensions, these have {has.video} and {has.text}"
        )
    if abs(wants.per_second - has.per_second) > 1e-6:
        raise ValueError(f"the model wants {wants.per_second:g} steps a second of the video, not {has.per_second:g}")
    for side in ("video", "text"):
        made, found = (wants.producers or {}).get(side), data.producers[side]
        if made and digest(made) != digest(found):
            raise ValueError(f"the model was trained on features of {made}; {getattr(data, side).folder} has {found}'s")


def digest(producer: str) -> str:
    """The hash that a producer's name ends in: a model may have moved."""
    return producer.rpartition(" ")[2]


def say_left_out(data: PairedDataModule) -> None:
    """Say how many clips of training have no subtitle, or are too short."""
    left = data.split("train").left_out
    if left:
        first = next(iter(left.items()))
        say(f"{len(left)} training clips are left out, such as {first[0]}: {first[1]}")


def finish(runner: L.Trainer, training: Training[SubtitleMatching, PairedDataModule]) -> None:
    """Score the best weights on validation, and save them as a checkpoint folder; a SyncNet that learnt, beside it."""
    task, metrics, folder = training.task, training.scores(runner), Path(runner.default_root_dir)
    if task.syncnet is not None and runner.is_global_zero:
        its = task.syncnet.save_pretrained(folder / SYNCNET, metrics=metrics)
        task.model.preprocess.producers = dict.fromkeys(("video", "text"), producer_name(task.syncnet, str(its)))
        clips = training.data.clips.folder
        say(f"saved {its}: weaksync data features {clips} --stream lips --model {its} --out lips")
    save(runner, task.model, metrics, then=f"weaksync eval {folder}")

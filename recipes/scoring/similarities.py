"""What a dual encoder says of whole videos: similarities, and how they are decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ...datamodules.story import StoryDataModule
from ...zoo.decoding import DEFAULT, Decoder, VideoSimilarity
from ...zoo.models.dual_encoder import DualEncoder
from ...zoo.story import StoryAlignment
from ...zoo.tuning import tune
from ..settings.config import TrainerConfig
from ..training.launch import progress_bar, say, signal_exit_codes, trainer


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
    with signal_exit_codes():
        runner.test(task, datamodule=data, verbose=False)
    return task.videos


def limited(decoder: Decoder, within: float, validation: Sequence[VideoSimilarity]) -> Decoder:
    """The decoder that also keeps clips `within` seconds of the narration, by similarity alone.

    Its drop costs are tuned on annotated validation videos; without any they are those of `decoder`, which is said.
    """
    if any(video.has_times for video in validation):
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

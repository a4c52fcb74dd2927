"""The six strategies on a synthetic world: films are made, told, translated and learnt from; nothing is downloaded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ...datamodules.world.translate import WorldTranslator
from ...zoo.checkpoint import CONFIG
from ..console import progress
from ..derived.translations import translate_set
from ..training.launch import say
from .story_runs import Runs, languages_in
from .world_base import STEPS, base_model
from .world_set import WORLD, WorldSize, world_set

BASE = "base"
#: the share of sentences that the world's translator gets wrong
ERRORS = 0.15

#: from random weights, negatives from all videos of a step teach faster than same-video ones; one frame of a clip shows
#: what three do here, at half the cost of a step
_LEARNING = (
    *("data.global_batch=32", "data.group_size=2", "data.workers=0"),
    *("loss.negatives=batch", "loss.false_negatives=multi_positive", "model.arguments.augment=none"),
    "model.arguments.frames=1",
    *("trainer.precision=32-true", "trainer.accelerator=cpu", "trainer.gradient_clip_val=1.0"),
    *("trainer.check_val_every_n_epoch=4",),
)
#: strategy -> rate and epochs
_SCHEDULE = {
    "multilingual": (1e-3, 8),
    "individual": (1e-3, 8),
    "translate": (1e-3, 8),
    "two_stage": (5e-4, 8),
    "translate_supervision": (2e-4, 8),
    "two_stage_supervision": (2e-4, 8),
}


def world_runs(
    folder: Path,
    size: WorldSize,
    languages: Sequence[str] = (),
    overrides: Sequence[str] = (),
    *,
    root: Path | None = None,
) -> Runs:
    """Make what is missing of a world below `folder`: films, shards, translations, and the model to start from.

    Args:
        folder: of the world.
        size: how large it is, and in which languages.
        languages: those of the tables; by default all of the world.
        overrides: ``key=value`` for every recipe.
        root: folder of the runs; by default ``runs`` in `folder`.

    Raises:
        ValueError: `folder` holds a world of another size, or in other languages.
    """

    def building(videos: int) -> None:
        say(f"shards: {videos} films")
        bar.update(clips, total=videos)

    count = size.stories * len(size.languages)
    say(f"films: {count}, told in {', '.join(size.languages)}: {folder / WORLD}")
    with progress("films") as bar:
        films = bar.add_task("filming", total=None)
        clips = bar.add_task("building", total=None)
        shards = world_set(
            folder,
            size,
            jobs=os.cpu_count() or 1,
            filmed=lambda done, total: bar.update(films, completed=done, total=total),
            started=building,
            built=lambda: bar.advance(clips),
        )
        base = folder / BASE
        if not (base / CONFIG).is_file():
            say(f"base model: {STEPS} steps of reading, in every language of any world")
            steps = bar.add_task("reading", total=STEPS, unit="steps")
            base_model(base, seed=size.seed, track=lambda: bar.advance(steps))
    translations = folder / "translations"
    say(f"translations: {translations}")
    translate_set(shards, translations, WorldTranslator(ERRORS, size.seed))
    return Runs(
        shards,
        root or folder / "runs",
        languages_in(shards, languages),
        translations=translations,
        model=str(base),
        overrides=(f"seed={size.seed}", *overrides),
        preset=world_preset,
    )


def world_preset(strategy: str) -> list[str]:
    """What a recipe is overridden with, so that cclm-tiny learns the world, and all fit in half an hour."""
    if strategy == "neumatch":
        return ["trainer.accelerator=cpu", "trainer.max_epochs=80"]
    rate, epochs = _SCHEDULE[strategy]
    return [*_LEARNING, f"optim.lr={rate}", f"trainer.max_epochs={epochs}"]

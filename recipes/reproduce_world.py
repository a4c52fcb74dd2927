"""The six strategies on a synthetic world: films are made, told, translated and learnt from; nothing is downloaded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..datamodules.world.translate import WorldTranslator
from .console import progress
from .reproduce_runs import Runs, languages_in
from .translating import translate_set
from .world_base import STEPS, base_model
from .world_set import WorldSize, world_set

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


def world_runs(folder: Path, size: WorldSize, languages: Sequence[str] = (), overrides: Sequence[str] = ()) -> Runs:
    """Make what is missing of a world below `folder`: films, shards, translations, and the model to start from.

    Its runs lie in ``runs``.

    Raises:
        ValueError: `folder` holds a world of another size.
    """
    with progress("story") as bar:
        films = bar.add_task("filming", total=None)
        clips = bar.add_task("building", total=None)
        shards = world_set(
            folder,
            size,
            jobs=os.cpu_count() or 1,
            filmed=lambda done, total: bar.update(films, completed=done, total=total),
            started=lambda total: bar.update(clips, total=total),
            built=lambda: bar.advance(clips),
        )
        steps = bar.add_task("reading", total=STEPS)
        base = base_model(folder / "base", seed=size.seed, track=lambda: bar.advance(steps))
    translations = folder / "translations"
    translate_set(shards, translations, WorldTranslator(ERRORS, size.seed))
    return Runs(
        shards,
        folder / "runs",
        languages_in(shards, languages),
        translations=translations,
        model=str(base),
        overrides=(f"seed={size.seed}", *overrides),
        preset=world_preset,
    )


def world_preset(strategy: str) -> list[str]:
    """What a recipe is overridden with, so that cclm-tiny learns the world, and all fit in half an hour."""
    rate, epochs = _SCHEDULE[strategy]
    return [*_LEARNING, f"optim.lr={rate}", f"trainer.max_epochs={epochs}"]

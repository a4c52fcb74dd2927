"""Which texts a model gets to read: one that was trained on translations is never given the originals unasked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..datamodules.derived import mismatch
from ..datamodules.index import open_set
from ..zoo.checkpoint import CONFIG
from .runs import RECIPE, model_folder
from .settings import config as recipes
from .settings.story import StoryRecipe

Reads = Mapping[str, Any] | None  # `Pretrained.translated`


def translations_for(
    model: str | Path,
    reads: Reads,
    shards: str | Path,
    languages: Sequence[str] | None = None,
    translations: str | Path | None = None,
    *,
    otherwise: str = "",
) -> str | None:
    """The translations of a shard set that a model is to read: those that are given, else those of its own run.

    Args:
        model: the run, folder or hub id, as it was named.
        reads: `translated` of the model; None where it reads texts as they were told.
        shards: folder of the shard set.
        languages: of its videos, those that are kept; None keeps all.
        translations: those that are given.
        otherwise: another way out than ``--translations``, for the message.

    Returns:
        Folder of the translations; None where the texts are to be read as they were told, be it that they are in the
        model's language already.

    Raises:
        ValueError: the model reads translations and nobody knows those of this set.
    """
    if translations is not None:
        return str(translations)
    if reads is None:
        return None
    own, parent = own_translations(model), open_set(shards)
    made_of = open_set(own).manifest.origin if own is not None else None
    if made_of is not None and not mismatch(made_of, parent.manifest):
        return own
    if set(languages or parent.manifest.languages) == {reads["to"]}:
        return None
    why = f", and those of its run, {own}, are of another set" if own is not None else ""
    raise ValueError(
        f"{model} reads translations to {reads['to']}{why}: give those of {shards} with --translations "
        f"(weaksync data translate makes them){otherwise}"
    )


def own_translations(model: str | Path) -> str | None:
    """The translations that a run was trained on; None for a bare checkpoint, and where it read none."""
    if not (Path(model) / RECIPE).is_file():
        return None
    recipe = recipes.load(str(Path(model) / RECIPE))
    return recipe.data.translations if isinstance(recipe, StoryRecipe) else None


def translated_to(model: str | Path) -> Reads:
    """`translated` of a run or a checkpoint folder, without reading its weights."""
    path = model_folder(model) / CONFIG
    reads: Reads = json.loads(path.read_text(encoding="utf-8")).get("translated") if path.is_file() else None
    return reads

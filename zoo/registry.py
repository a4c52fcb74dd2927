"""Which models there are, and where weights for them come from.  Rows are plain data: listing imports no torch."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from .rows import ModelRow, WeightsRow, shots, story, subtitles

if TYPE_CHECKING:
    from .checkpoint import Pretrained

MODELS = (*story.MODELS, *subtitles.MODELS, *shots.MODELS)
WEIGHTS = (*story.WEIGHTS, *subtitles.WEIGHTS, *shots.WEIGHTS)


def list_models(family: str | None = None) -> list[ModelRow]:
    """Every model that `create` knows, or those of one family."""
    return [row for row in MODELS if family in (None, row.family)]


def list_weights(model: str | None = None) -> list[WeightsRow]:
    """Where weights come from, for every model or for one, and what to do to get them."""
    return [row for row in WEIGHTS if model in (None, row.model)]


def find_model(name: str) -> ModelRow:
    """The row of a name.  Raises ValueError with the nearest known name."""
    for row in MODELS:
        if row.name == name:
            return row
    names = [row.name for row in MODELS]
    raise ValueError(f"no model {name!r}{did_you_mean(name, names)}; known: {', '.join(names)}")


def model_class(name: str) -> Any:
    """The class that a name's models are of: a `Pretrained`.  Raises ValueError as `find_model` does."""
    row = find_model(name)
    return getattr(importlib.import_module(f".models.{row.module}", __package__), row.model)


def create(name: str, **overrides: Any) -> Pretrained:
    """A model with random weights.

    Args:
        name: of a `ModelRow`.
        overrides: fields of the model's `config_class` that shall differ from the row.

    Raises:
        ValueError: unknown name or override, or arguments that do not fit each other.
    """
    row = find_model(name)
    kind = model_class(name)
    check_arguments(name, overrides)
    model: Pretrained = kind(kind.config_class(**{**row.arguments, **overrides}))
    model.registry_name = row.name
    model.languages = list(row.languages)
    return model


def check_arguments(name: str, arguments: Iterable[str]) -> None:
    """Raises ValueError for arguments that a registered model does not take, with the nearest of those that it does."""
    known = [each.name for each in fields(model_class(name).config_class)]
    unknown = [key for key in arguments if key not in known]
    if unknown:
        faults = "; ".join(f"{name} takes no {key!r}{did_you_mean(key, known)}" for key in unknown)
        raise ValueError(f"{faults}; it takes: {', '.join(known)}")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` (did you mean 'cclm-tiny'?)`` where something known is near `word`, else nothing."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""

"""What the registry knows of each model and of weights for it; a file for each family.  No row imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: the languages of M-SyMoN
STORY_LANGUAGES = ("en", "zh", "es", "fr", "pt", "hi", "ru")


@dataclass(frozen=True)
class ModelRow:
    """A named size of a model.

    Attributes:
        name: ``family-size``.
        module: file of `weaksync.zoo.models` that defines it.
        model: class in that file; its `config_class` is a dataclass of its arguments.
        arguments: what differs from the defaults of `config_class`.
        family: the job it does, ``story``, ``subtitles`` or ``shots``.
        parameters: how many it has.
        description: one line for people.
        languages: codes of the languages that its vocabulary covers; empty where there is no text.
    """

    name: str
    module: str
    model: str
    family: str
    parameters: int
    description: str
    arguments: dict[str, Any] = field(default_factory=dict)
    languages: tuple[str, ...] = ()


@dataclass(frozen=True)
class WeightsRow:
    """Where weights for a model come from.

    Attributes:
        name: ``model.tag``: what it is, and which training made the weights.
        model: name of the `ModelRow` they fit.
        source: page of the people who published them.
        licence: as that page states it; empty where it states none that we could read.
        how: what to do to get a checkpoint folder.
        languages: codes.
    """

    name: str
    model: str
    source: str
    how: str
    licence: str = ""
    languages: tuple[str, ...] = ()

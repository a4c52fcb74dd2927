"""Recipes to runs: a file for each task, of which `train` runs a recipe, and `build` makes what one names."""

from __future__ import annotations

import importlib
from types import ModuleType

from ..settings.config import Settings


def module_of(recipe: Settings) -> ModuleType:
    """The file of this package that trains a recipe."""
    return importlib.import_module(f".{recipe.task}", __package__)

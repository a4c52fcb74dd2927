"""The synthetic story world: the default data set, generated from a seed.

``generate`` writes films, subtitles in seven languages, and annotations; see `weaksync.datamodules.world.generate`.
"""

from __future__ import annotations

from .generate import VERSION, generate, record
from .language import LANGUAGES
from .shape import Shape, measure
from .story import Story, plot

__all__ = ["LANGUAGES", "VERSION", "Shape", "Story", "generate", "measure", "plot", "record"]

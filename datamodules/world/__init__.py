"""The synthetic story world: the default data set, generated from a seed.

``generate`` writes films, subtitles in seven languages, and annotations; see `weaksync.datamodules.world.generate`.
"""

from __future__ import annotations

from .generate import VERSION, generate, record
from .language import LANGUAGES
from .story import plot

__all__ = ["LANGUAGES", "VERSION", "generate", "plot", "record"]

"""Synthetic speakers: the default data set of subtitle matching, generated from a seed.

Drawn people whose lips follow the phonemes of a speech synthesiser, with sound, subtitles and exact truth; see
`weaksync.datamodules.speakers.generate`.
"""

from __future__ import annotations

from .generate import VERSION, contact_sheet, generate
from .script import DOMAINS, FPS
from .topics import LANGUAGES, TOPICS

__all__ = ["DOMAINS", "FPS", "LANGUAGES", "TOPICS", "VERSION", "contact_sheet", "generate"]

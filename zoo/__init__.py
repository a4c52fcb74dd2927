"""What a model is: models, losses, metrics, the registry, weights and checkpoints.

Names are imported when they are first used, so that `import weaksync.zoo` and listing stay free of torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import (
        baselines,
        checkpoint,
        decoding,
        evaluation,
        losses,
        metrics,
        models,
        optim,
        preprocess,
        registry,
        tokenizers,
    )
    from .active_speaker import ActiveSpeakerDetection
    from .checkpoint import load, verify
    from .converters import convert
    from .lipsync import LipSync
    from .matcher import Matcher
    from .neumatch import ActionAlignment
    from .registry import create, list_models, list_weights
    from .story import StoryAlignment
    from .subtitles import SubtitleMatching

_HOMES = {
    "convert": "converters",
    "create": "registry",
    "list_models": "registry",
    "list_weights": "registry",
    "load": "checkpoint",
    "verify": "checkpoint",
    "ActionAlignment": "neumatch",
    "ActiveSpeakerDetection": "active_speaker",
    "LipSync": "lipsync",
    "Matcher": "matcher",
    "StoryAlignment": "story",
    "SubtitleMatching": "subtitles",
}
_MODULES = (
    "baselines",
    "checkpoint",
    "decoding",
    "evaluation",
    "losses",
    "metrics",
    "models",
    "optim",
    "preprocess",
    "registry",
    "tokenizers",
)

__all__ = [
    "ActionAlignment",
    "ActiveSpeakerDetection",
    "LipSync",
    "Matcher",
    "StoryAlignment",
    "SubtitleMatching",
    "baselines",
    "checkpoint",
    "convert",
    "create",
    "decoding",
    "evaluation",
    "list_models",
    "list_weights",
    "load",
    "losses",
    "metrics",
    "models",
    "optim",
    "preprocess",
    "registry",
    "tokenizers",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

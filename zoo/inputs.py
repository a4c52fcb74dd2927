"""What a model reads that is fed with features made beforehand, so that weights and features never part."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class FeatureInput:
    """Which features a model was made for.

    Attributes:
        video: width of a video step.
        text: width of a text step.
        per_second: video steps a second; 0 where nobody said.
        producers: what made them, ``video`` and ``text`` to a name or hash; empty where nobody said.
    """

    video: int
    text: int
    per_second: float = 0.0
    producers: dict[str, str] | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> FeatureInput:
        """Raises TypeError that names an unknown field."""
        return cls(**data)

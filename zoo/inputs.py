"""Which cached features a model was trained on, so that weights and features never part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from .plain import Plain


@dataclass
class FeatureInput(Plain):
    """Which features a model was made for.

    Attributes:
        video: width of a video step; 0 where nobody said.
        text: width of a text step; likewise.
        per_second: video steps a second; 0 where nobody said.
        producers: what made them, ``video`` and ``text`` to a name or hash; empty where nobody said.
    """

    video: int = 0
    text: int = 0
    per_second: float = 0.0
    producers: dict[str, str] | None = None

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """As of `Plain`; NeuMATCH's were saved with their one producer alone before it had widths to say."""
        if set(data) == {"producer"}:
            data = {"producers": dict.fromkeys(("video", "text"), data["producer"]) if data["producer"] else None}
        return super().from_dict(data)

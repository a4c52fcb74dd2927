"""The report of an alignment: clips above, sentences below, and the similarity that joined them."""

from __future__ import annotations

import base64
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from .page import assemble, data_uri

if TYPE_CHECKING:
    from ..alignment import Alignment


def render(alignment: Alignment, *, source: str | None = None) -> str:
    """The page as one string.  `source` is the address of the video as seen from it; None leaves the player out."""
    name = PurePath(alignment.video).name
    data = {
        "video": name,
        "source": source,
        "model": alignment.model,
        "language": alignment.language,
        "notes": alignment.notes,
        "doubt": alignment.doubt,
        "within": alignment.decoder.get("within"),
        "band": alignment.decoder.get("band"),
        "duration": max([alignment.duration, *alignment.clips[-1:, 1].tolist()]),
        "matched": alignment.matched_share(),
        "annotated": alignment.annotated,
        "clips": alignment.clips.round(3).tolist(),
        "labels": alignment.labels.tolist(),
        "pictures": [data_uri(picture, "jpeg") for picture in alignment.pictures],
        "sentences": [
            {
                "text": sentence.text,
                "spans": spans,
                "score": score,
                "spoken": sentence.narration,
                "truth": sentence.segment,
            }
            for sentence, spans, score in zip(alignment.sentences, alignment.spans(), alignment.scores(), strict=True)
        ],
        "similarity": _bytes(alignment),
    }
    scripts = ("alignment", "timeline", "matrix")
    return assemble("alignment", scripts=scripts, title=f"{name}: alignment", data=data)


def _bytes(alignment: Alignment) -> dict[str, Any]:
    """The similarity matrix in one byte per cell: a picture needs no more, and a long video has 75,000 cells."""
    similarity = alignment.similarity.astype(np.float64)
    low, high = (float(similarity.min()), float(similarity.max())) if similarity.size else (0.0, 1.0)
    scaled = np.rint((similarity - low) / max(high - low, 1e-9) * 255).astype(np.uint8)
    return {"low": low, "high": high, "cells": base64.b64encode(scaled.tobytes()).decode()}

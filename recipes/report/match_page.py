"""The report of a match: the clip with what each candidate would say, their places, and the alignment."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from .page import assemble

if TYPE_CHECKING:
    from ..matching.matches import Match


def render(
    match: Match,
    *,
    clip: bytes,
    sound: bool,
    speech: Sequence[bytes],
    kind: str = "match",
    origin: int = 1,
    roles: Mapping[str, str] | None = None,
) -> str:
    """The page as one string, which holds all that it plays.

    Args:
        clip: the part of the video, as MP4.
        sound: whether that has sound.
        speech: how the first candidates would say it in step with the clip, as MP4.
        kind: what the page is called.
        origin: what places count from; those of the candidates are shown as they are.
        roles: id -> what to call a candidate.
    """
    every = [each.similarity for each in match.candidates]
    low, high = min(float(each.min()) for each in every), max(float(each.max()) for each in every)
    candidates = []
    for number, each in enumerate(match.candidates):
        scaled = np.rint((each.similarity - low) / max(high - low, 1e-9) * 255).astype(np.uint8)
        fields = each.to_dict()
        candidates.append(
            {
                **{name: fields[name] for name in ("id", "language", "ranks", "costs", "sentences")},
                "role": (roles or {}).get(each.id, ""),
                "labels": each.labels.tolist(),
                "textTimes": each.text_times.round(3).tolist(),
                "spoken": each.spoken,
                "similarity": _text(scaled.tobytes()),
                "speech": _text(speech[number]) if number < len(speech) else None,
            }
        )
    name = PurePath(match.video).name
    data: dict[str, Any] = {
        "kind": kind,
        "origin": origin,
        "video": name,
        "model": match.model,
        "start": match.start,
        "end": match.end,
        "duration": match.duration,
        "subtitles": match.subtitles,
        "aligned": match.aligned,
        "loss": match.loss,
        "weights": match.weights,
        "speaking": match.speaking,
        "notes": match.notes,
        "doubt": match.doubt,
        "clip": _text(clip),
        "sound": sound,
        "low": low,
        "high": high,
        "candidates": candidates,
        "variants": {
            group: [{"name": one.name, "chosen": one.chosen, "labels": one.labels.tolist()} for one in variants]
            for group, variants in match.variants.items()
        },
    }
    return assemble("match", scripts=("match", "match_matrix"), title=f"{name}: {kind}", data=data)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()

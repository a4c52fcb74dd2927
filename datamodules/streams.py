"""Streams of subtitle matching: features of one kind for every clip, or every subtitle, kept as a derived set.

A set holds one stream, which its manifest names.  Beside a text record lie the stream itself, ``lips.npy`` (L, D), and
for lips and speech ``times.npy`` (L,), the seconds that each step stands for.  Speech also has ``spans.npy`` (K, 2),
when in it each of the record's sentences is spoken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .derived import FEATURES, open_derived
from .features import Arrays, read_features
from .index import ShardSet, open_set
from .records import AnnotatedVideo

LIPS, OBJECT, SCENE, ACTION = "lips", "object", "scene", "action"
SPEECH, WORDS = "speech", "words"
#: of clips, and of their subtitles
VIDEO_STREAMS, TEXT_STREAMS = (LIPS, OBJECT, SCENE, ACTION), (SPEECH, WORDS)
TIMES, SPANS = "times", "spans"
#: what a set of one is called
WHAT = "stream of features"


@dataclass(frozen=True)
class StreamInfo:
    """What the record of a clip says of it; None, or empty, where nobody said.

    Attributes:
        id: of the clip, or of the subtitle.
        language: code of what is said.
        steps: of the stream.
        domain: such as ``movie``.
        hidden: share of the frames whose lips cannot be seen.
        offscreen: share of the speech whose speaker is not in the picture.
    """

    id: str
    language: str
    steps: int
    domain: str = ""
    hidden: float | None = None
    offscreen: float | None = None


def open_stream(folder: str | Path, parent: ShardSet | None, streams: Sequence[str]) -> ShardSet:
    """Open a set of features that holds one of `streams`, made of `parent` (None: of any set).

    Raises:
        FileNotFoundError: there is no set.
        ValueError: it holds something else, or was made of another set.
    """
    kinds = {"CLIPS": VIDEO_STREAMS, "SPEECH": TEXT_STREAMS}
    made_of = next((kind for kind, its in kinds.items() if set(streams) <= set(its)), "SET")
    maker = f"weaksync data features {made_of if parent is None else parent.folder} --stream {'|'.join(streams)}"
    if parent is None:
        shards = open_set(folder, what=WHAT, maker=maker)
    else:
        shards = open_derived(folder, parent, FEATURES, what=WHAT, maker=maker)
    found = shards.manifest.settings.get("stream")
    if found not in streams:
        held = f"a stream of {found}" if found else "no stream of subtitle matching"
        raise ValueError(f"{folder} holds {held}: make one with `{maker}`")
    return shards


def stream_of(features: ShardSet) -> str:
    """The name of the stream that a set of `open_stream` holds."""
    return str(features.manifest.settings["stream"])


def producer_of(features: ShardSet) -> str:
    """Who made a set of features."""
    return features.manifest.origin.producer if features.manifest.origin else ""


def stream_info(features: ShardSet, name: str, steps: Callable[[Any], int] = itemgetter("steps")) -> StreamInfo:
    """What the record of a clip or subtitle says.

    Args:
        steps: of its record; by default those that a stream's record counts.

    Raises:
        BadSample: it cannot be read, or counts no steps.
    """
    record = features.stored_record(name)
    said: dict[str, Any] = record.get("clip", {})
    try:
        return StreamInfo(
            id=name,
            language=str(record["language"]),
            steps=int(steps(record)),
            domain=said.get("domain", ""),
            hidden=said.get("hidden"),
            offscreen=said.get("offscreen"),
        )
    except (KeyError, TypeError, ValueError) as fault:
        raise features.bad(name, None, "json", f"not the record of a clip or a subtitle ({fault})") from fault


def narrations(features: ShardSet, name: str) -> NDArray[np.float64]:
    """(K, 2) seconds of the clip in which each sentence of a subtitle is said; NaN where nobody knows."""
    return AnnotatedVideo.from_dict(features.stored_record(name)).narrations()


def read_stream(features: ShardSet, name: str) -> Arrays:
    """The arrays of a clip or subtitle, float32 and times float64: its stream by that name, `TIMES`, `SPANS`.

    Raises:
        ValueError: the set has none of it.
        BadSample: they cannot be read, or do not fit each other.
    """
    arrays, stream = read_features(features, name), stream_of(features)
    steps = arrays.get(stream)
    if steps is None or steps.ndim != 2:
        shape = "absent" if steps is None else str(steps.shape)
        raise features.bad(name, None, f"{stream}.npy", f"should be (steps, width), and is {shape}")
    if TIMES in arrays and arrays[TIMES].shape != steps.shape[:1]:
        raise features.bad(name, None, f"{TIMES}.npy", f"{arrays[TIMES].shape} times of {len(steps)} steps")
    return {key: array.astype("f4" if key == stream else "f8") for key, array in arrays.items()}

"""Sets of face tracks labelled with when the face speaks, for training active speaker detection.

A set is a shard set like any other.  Each track is a text record, ``TRACK/story.json``, in the form of a clip's without
sentences, with ``speaking``, the [first, last) frames in which this face speaks; beside it are ``face.mp4``, the tube,
and ``flac``, what is heard meanwhile, whoever says it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from .batches import TubeBatch
from .index import ShardSet, open_set
from .records import SpokenClip
from .spoken import StoredClip, read_clip, write_clip
from .tubes import TubeDataModule, Tubes, Window, collate
from .waveforms import Samples

#: what settings of a manifest say of such a set under ``kind``
TRACKS = "face tracks"


def write_track(
    path: Path, clip: SpokenClip, face: Iterable[NDArray[np.uint8]], sound: Samples, speaking: NDArray[np.bool_]
) -> None:
    """Write one track as a part that `shards.pack` joins to a set.

    Args:
        path: of the file to write, whole or not at all.
        clip: its record, without cues.
        face, sound: as for `write_clip`.
        speaking: (T,) whether this face speaks in each frame.
    """
    write_clip(path, clip, face, None, sound, speaking=_spans(speaking))


def open_tracks(folder: str | Path) -> ShardSet:
    """Open a set of face tracks.

    Raises:
        FileNotFoundError: there is no set.
        ValueError: it is a set of another kind.
    """
    shards = open_set(folder, what="set of face tracks", maker="weaksync data build speaking")
    if shards.manifest.settings.get("kind") != TRACKS:
        raise ValueError(f"{folder} holds no face tracks: make them with `weaksync data build speaking`")
    return shards


def speaking(shards: ShardSet, track: str) -> Tensor:
    """(T,) bool, whether the face speaks in each frame of a track.

    Raises:
        ValueError: there is no such track in the set.
        BadSample: its record cannot be read.
    """
    return _speaking(read_clip(shards, track))


def _speaking(track: StoredClip) -> Tensor:
    try:
        known = torch.zeros(track.record["clip"]["frames"], dtype=torch.bool)
        for first, last in track.record["speaking"]:
            known[first:last] = True
    except (KeyError, TypeError, ValueError) as fault:
        raise track.bad("json", f"no record of a face track ({fault})") from fault
    return known


class FaceTracks(Tubes):
    """The tracks of a split, as `Tubes`, with what is known of them."""

    def part(self, clip: StoredClip, first: int, count: int, generator: Generator | None) -> Window:
        found = super().part(clip, first, count, generator)
        found.speaking = _speaking(clip)[first : first + count]
        return found

    def whole(self, place: int) -> TubeBatch:
        """A track as a batch of one, with (1, 640 T) of sound."""
        record = self.records[place]
        return collate([record], [self.window(place, 0, record.frames)])


class SpeakingDataModule(TubeDataModule):
    """Face tracks of which it is known when they speak; arguments, order and state are those of `TubeDataModule`."""

    kind: ClassVar[type[Tubes]] = FaceTracks

    @staticmethod
    def open(folder: str | Path) -> ShardSet:
        return open_tracks(folder)


def _spans(speaking: Sequence[bool] | NDArray[np.bool_]) -> list[list[int]]:
    """[first, last) of every stretch that is True."""
    edges: NDArray[np.int64] = np.flatnonzero(np.diff([False, *speaking, False]))
    return [[int(first), int(last)] for first, last in edges.reshape(-1, 2)]

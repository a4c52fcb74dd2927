"""Sets of conversational clips: a face, the scene, the sound, and what is said.

A set is a shard set like any other.  Each clip is a text record, ``CLIP/story.json`` (`SpokenClip.to_dict`), and beside
it ``face.mp4``, the face tube (squares, 25 a second), ``scene.mp4``, the whole pictures made small, and ``flac``, its
own sound at 16 kHz.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .batches import SPEECH_RATE
from .h264 import decode_h264, encode_h264
from .index import ShardSet, open_set
from .manifest import CLIPS as CLIPS
from .records import SpokenClip
from .shards import write_record
from .tarscan import BadSample
from .waveforms import Samples, decode_flac, encode_flac

#: frames a second of tubes and scenes
TUBE_FPS = 25
#: samples of sound to a frame of a tube
SAMPLES_A_FRAME = SPEECH_RATE // TUBE_FPS
#: `encode_h264` of tubes, which are read for lips, and of scenes
FACE_CRF, SCENE_CRF = 18, 23
_FACE, _SCENE, _SOUND = "face.mp4", "scene.mp4", "flac"


def write_clip(
    path: Path,
    clip: SpokenClip,
    face: Iterable[NDArray[np.uint8]],
    scene: Iterable[NDArray[np.uint8]] | bytes | None,
    sound: Samples,
    **more: Any,
) -> None:
    """Write one clip as a part that `shards.pack` joins to a set; the same clip gives the same bytes.

    Args:
        path: of the file to write, whole or not at all.
        clip: its record.
        face: the tube, `clip.frames` squares of uint8 RGB (S, S, 3), S even.
        scene: as many pictures of the whole scene, uint8 RGB (H, W, 3), H and W even; or the MP4 that they are;
            None for a track of a face alone.
        sound: (S,) int16 at 16 kHz, 640 samples for each frame.
        more: kept in the record beside ``clip``; plain JSON values.

    Raises:
        ValueError: the sound does not last as long as the tube, or sides are odd.
    """
    if len(sound) != clip.frames * SAMPLES_A_FRAME:
        raise ValueError(
            f"{clip.id}: {len(sound)} samples of sound to {clip.frames} frames, not {clip.frames * SAMPLES_A_FRAME}"
        )
    members = {_FACE: encode_h264(face, clip.fps, crf=FACE_CRF)}
    if scene is not None:
        members[_SCENE] = scene if isinstance(scene, bytes) else encode_h264(scene, clip.fps, crf=SCENE_CRF)
    members[_SOUND] = encode_flac(sound, SPEECH_RATE)
    write_record(path, {**clip.to_dict(), **more}, members)


def open_clips(folder: str | Path) -> ShardSet:
    """Open a set of conversational clips.

    Raises:
        FileNotFoundError: there is no set.
        ValueError: it is a set of another kind.
    """
    maker = "weaksync data build subtitles"
    shards = open_set(folder, what="set of conversational clips", maker=maker)
    if shards.manifest.origin is not None or shards.manifest.settings.get("kind") != CLIPS:
        what = f"{shards.manifest.origin.kind}" if shards.manifest.origin else "story videos"
        raise ValueError(f"{folder} holds {what}, and no conversational clips: make them with `{maker}`")
    return shards


class StoredClip:
    """A clip as it was read, once: its members, still encoded; of `read_clip`.

    Attributes:
        id: of the clip.
        record: its text record as it is stored.
    """

    def __init__(self, shards: ShardSet, clip: str) -> None:
        self.id = clip
        self._shards = shards
        self._members = shards.read(clip, None)
        try:
            self.record: dict[str, Any] = dict(json.loads(self._members["json"]))
            self._frames, self._fps = int(self.record["clip"]["frames"]), float(self.record["clip"]["fps"])
        except (KeyError, TypeError, ValueError) as fault:
            raise self.bad("json", f"no conversational clip ({fault})") from fault

    def clip(self) -> SpokenClip:
        """Its record, checked."""
        try:
            return SpokenClip.from_dict(self.record)
        except (KeyError, ValueError) as fault:
            raise self.bad("json", f"no conversational clip ({fault})") from fault

    def tube(self, *, first: int = 0, count: int | None = None) -> Tensor:
        """See `tube`."""
        last = self._frames if count is None else first + count
        if not 0 <= first <= last <= self._frames:
            raise ValueError(f"{self.id} has {self._frames} frames; {first} to {last} are asked for")
        return self._decoded(_FACE, list(range(first, last)))

    def scene(self, *, fps: float = TUBE_FPS) -> Tensor:
        """See `scene`."""
        if fps <= 0:
            raise ValueError(f"fps is {fps}, but must be positive")
        count = max(1, round(self._frames * fps / self._fps))
        return self._decoded(
            _SCENE, [min(self._frames - 1, round(number * self._fps / fps)) for number in range(count)]
        )

    def sound(self) -> Tensor:
        """See `sound`."""
        try:
            samples, _ = decode_flac(self._members[_SOUND])
        except (KeyError, ValueError) as fault:
            raise self.bad(_SOUND, f"no sound that can be read ({fault})") from fault
        return torch.from_numpy(samples)

    def bad(self, member: str, reason: str) -> BadSample:
        """A fault of one member, ready to raise."""
        return self._shards.bad(self.id, None, member, reason)

    def _decoded(self, name: str, numbers: list[int]) -> Tensor:
        try:
            pictures = decode_h264(self._members[name], numbers)
        except (KeyError, ValueError) as fault:
            raise self.bad(name, f"no pictures that can be read ({fault})") from fault
        return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()


def read_clip(shards: ShardSet, clip: str) -> StoredClip:
    """A clip with all that belongs to it.

    Raises:
        ValueError: there is no such clip in the set.
        BadSample: it cannot be read.
    """
    if clip not in shards.entries:
        raise ValueError(f"{shards.folder} has no clip {clip!r}")
    return StoredClip(shards, clip)


def spoken_clip(shards: ShardSet, clip: str) -> SpokenClip:
    """The record of a clip.  Raises as `read_clip`."""
    return read_clip(shards, clip).clip()


def tube(shards: ShardSet, clip: str, *, first: int = 0, count: int | None = None) -> Tensor:
    """The face tube of a clip, uint8 RGB (T, 3, S, S), 25 frames a second.

    Args:
        shards: of `open_clips`.
        clip: its id.
        first: frame to begin with.
        count: how many frames; None for all that follow.

    Raises:
        ValueError: there is no such clip, or it has not so many frames.
        BadSample: the video cannot be read.
    """
    return read_clip(shards, clip).tube(first=first, count=count)


def at_rate(frames: Tensor, fps: int) -> Tensor:
    """Frames of a tube (T, ...) at another rate: of each time the one that is nearest."""
    if fps == TUBE_FPS:
        return frames
    numbers = torch.arange(frames_at_rate(len(frames), fps)) * TUBE_FPS / fps
    return frames[numbers.round().long()]


def frames_at_rate(frames: int, fps: int) -> int:
    """How many frames a tube of so many has at another rate."""
    return frames * fps // TUBE_FPS


def scene(shards: ShardSet, clip: str, *, fps: float = TUBE_FPS) -> Tensor:
    """The whole pictures of a clip, uint8 RGB (T, 3, H, W), `fps` a second: each the nearest to its time.

    Raises as `tube`.
    """
    return read_clip(shards, clip).scene(fps=fps)


def sound(shards: ShardSet, clip: str) -> Tensor:
    """The clip's own sound, (S,) int16 at 16 kHz, 640 samples for each frame of its tube.  Raises as `tube`."""
    return read_clip(shards, clip).sound()

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


def spoken_clip(shards: ShardSet, clip: str) -> SpokenClip:
    """The record of a clip.

    Raises:
        ValueError: there is no such clip in the set.
        BadSample: its record cannot be read.
    """
    try:
        return SpokenClip.from_dict(json.loads(_members(shards, clip)["json"]))
    except (KeyError, ValueError) as fault:
        if clip not in shards.entries:
            raise
        raise shards.bad(clip, None, "json", f"no conversational clip ({fault})") from fault


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
    members = _members(shards, clip)
    frames = json.loads(members["json"])["clip"]["frames"]
    last = frames if count is None else first + count
    if not 0 <= first <= last <= frames:
        raise ValueError(f"{clip} has {frames} frames; {first} to {last} are asked for")
    return _decoded(shards, clip, members, _FACE, list(range(first, last)))


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
    if fps <= 0:
        raise ValueError(f"fps is {fps}, but must be positive")
    members = _members(shards, clip)
    known = json.loads(members["json"])["clip"]
    frames, rate = known["frames"], known["fps"]
    count = max(1, round(frames * fps / rate))
    numbers = [min(frames - 1, round(number * rate / fps)) for number in range(count)]
    return _decoded(shards, clip, members, _SCENE, numbers)


def sound(shards: ShardSet, clip: str) -> Tensor:
    """The clip's own sound, (S,) int16 at 16 kHz, 640 samples for each frame of its tube.  Raises as `tube`."""
    try:
        samples, _ = decode_flac(_members(shards, clip)[_SOUND])
    except (KeyError, ValueError) as fault:
        if clip not in shards.entries:
            raise
        raise shards.bad(clip, None, _SOUND, f"no sound that can be read ({fault})") from fault
    return torch.from_numpy(samples)


def _members(shards: ShardSet, clip: str) -> dict[str, bytes]:
    if clip not in shards.entries:
        raise ValueError(f"{shards.folder} has no clip {clip!r}")
    return shards.read(clip, None)


def _decoded(shards: ShardSet, clip: str, members: dict[str, bytes], name: str, numbers: list[int]) -> Tensor:
    try:
        pictures = decode_h264(members[name], numbers)
    except (KeyError, ValueError) as fault:
        raise shards.bad(clip, None, name, f"no pictures that can be read ({fault})") from fault
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()

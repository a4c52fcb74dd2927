"""Where faces are: by a detector, or as somebody knows already.

A file of known faces is JSON, and the ``speakers.json`` of ``weaksync data speakers`` is one::

    {"videos": {"NAME": {"fps": 25, "faces": {"ann": [[x0, y0, x1, y1], null, ...], "bob": [...]}}}}

NAME is the stem of the video's file, and each face has a box for every frame, in pixels of the upright picture, or null
where it is not to be seen.  A video may also have ``cuts`` (numbers of frames that begin a shot), ``domain``,
``speaker``, ``hidden`` ([[first, last], ...] frames in which the speaker's lips cannot be seen, the last excluded) and
``offscreen`` ([[start, end], ...] seconds in which somebody speaks who is not seen).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ...datamodules.records import Interval
from ...datamodules.tracks import Boxes
from ...zoo.converters import mtcnn
from ...zoo.folders import file_hash
from ...zoo.models.mtcnn import MTCNN
from ..console import MissingExtra

#: faces are looked for in pictures of so many pixels on the short side at most, so many pictures at once
SHORT_SIDE, AT_ONCE = 360, 16


@dataclass(frozen=True)
class Face:
    """A face in a picture: x0 y0 x1 y1 in pixels, and how sure it is, from 0 to 1."""

    box: tuple[float, float, float, float]
    score: float


class DetectFaces(Protocol):
    """What finds faces.  Picklable.

    Attributes:
        producer: what it is, with the hash of its weights: a build is kept and found under it.
    """

    @property
    def producer(self) -> str: ...

    def __call__(self, frames: NDArray[np.uint8]) -> list[list[Face]]:
        """The faces of each of `frames`, uint8 RGB (N, H, W, 3)."""
        ...


@dataclass(frozen=True)
class Mtcnn:
    """MTCNN with the weights that facenet-pytorch carries, none of whose code is used.

    Attributes:
        weights: folder of them.
        smallest: side of the smallest face that is looked for, in pixels.
        device: where it runs.
    """

    weights: Path
    smallest: int = 20
    device: str = "cpu"

    @property
    def producer(self) -> str:
        hashes = "".join(file_hash(self.weights / f"{name}.pt")[:8] for name in mtcnn.NETWORKS)
        return f"MTCNN {hashes}, faces from {self.smallest} pixels"

    def __call__(self, frames: NDArray[np.uint8]) -> list[list[Face]]:
        pixels = torch.from_numpy(frames).to(self.device).permute(0, 3, 1, 2)
        found = _detector(str(self.weights), self.smallest, self.device)(pixels)
        return [[Face((a, b, c, d), score) for a, b, c, d, score in faces.tolist()] for faces in found]


def choose(device: str = "cpu", smallest: int = 20) -> Mtcnn:
    """The detector that is used where nobody knows the faces.  Raises MissingExtra where its weights are not there."""
    if (weights := mtcnn.packaged_weights()) is None:
        raise MissingExtra(
            f"faces are found by MTCNN, whose weights are not installed: {mtcnn.INSTALL}; or give known boxes with "
            "--faces FILE.json"
        )
    return Mtcnn(weights, smallest, device)


@lru_cache(maxsize=1)
def _detector(weights: str, smallest: int, device: str) -> MTCNN:
    return mtcnn.read(weights, smallest=smallest).to(device)


@dataclass(frozen=True)
class KnownFaces:
    """What is known of one video: its faces, and what else its file says.

    Attributes:
        fps: frames a second that boxes are given at.
        boxes: name -> (T, 4) float32, a NaN row where that face is not to be seen.
        cuts: numbers of frames that begin a shot.
        hidden: [first, last) frames in which the speaker's lips cannot be seen; None where nobody says.
        offscreen: [start, end) seconds in which somebody speaks who is not seen; None where nobody says.
    """

    fps: float
    boxes: dict[str, Boxes]
    cuts: list[int] = field(default_factory=list)
    domain: str = ""
    speaker: str = ""
    hidden: list[Interval] | None = None
    offscreen: list[Interval] | None = None

    def at(self, times: Sequence[float]) -> list[Boxes]:
        """The boxes (k, 4) at each of `times` in seconds."""
        numbers = [int(time * self.fps + 1e-3) for time in times]
        shown: list[Boxes] = []
        for number in numbers:
            present = [boxes[number] for boxes in self.boxes.values() if number < len(boxes)]
            shown.append(np.array([box for box in present if not np.isnan(box).any()], np.float32).reshape(-1, 4))
        return shown

    def shots_from(self, times: Sequence[float]) -> set[int]:
        """Which of `times`, by number, are the first of a shot."""
        shots = [int(np.searchsorted(sorted(self.cuts), int(time * self.fps + 1e-3), side="right")) for time in times]
        return {number for number in range(1, len(shots)) if shots[number] != shots[number - 1]}

    def hidden_share(self, start: float, end: float) -> float | None:
        """The share of a part of the video in which lips cannot be seen; None where nobody says."""
        if self.hidden is None:
            return None
        return _shared([(first / self.fps, last / self.fps) for first, last in self.hidden], [(start, end)])

    def offscreen_share(self, spoken: Sequence[Interval]) -> float | None:
        """The share of what is said in `spoken` whose speaker is not in the picture; None where nobody says."""
        return None if self.offscreen is None else _shared(self.offscreen, spoken)


def read_known(path: Path) -> dict[str, KnownFaces]:
    """The faces of a file, by the name of the video.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not as this module says, naming the video.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        videos = json.loads(path.read_text(encoding="utf-8"))["videos"].items()
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, KeyError, TypeError) as fault:
        raise ValueError(
            f'{path}: should be {{"videos": {{"NAME": {{"fps": 25, "faces": {{"ann": [[x0, y0, x1, y1], null, ...]}}}}'
            f"}}}} ({type(fault).__name__}: {fault})"
        ) from fault
    known = {}
    for name, said in videos:
        try:
            known[name] = _known(said)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as fault:
            raise ValueError(f"{path}: faces of {name!r} cannot be read ({type(fault).__name__}: {fault})") from fault
    return known


def _known(said: dict[str, Any]) -> KnownFaces:
    nowhere = [np.nan] * 4
    boxes = {
        str(face): np.array([nowhere if box is None else box for box in rows], np.float32).reshape(len(rows), 4)
        for face, rows in said["faces"].items()
    }
    spans = {
        name: [(float(span[0]), float(span[1])) for span in said[name]] if name in said else None
        for name in ("hidden", "offscreen")
    }
    if not (fps := float(said["fps"])) > 0:
        raise ValueError(f"fps is {fps:g}")
    cuts = [int(cut) for cut in said.get("cuts", [])]
    return KnownFaces(fps, boxes, cuts, str(said.get("domain", "")), str(said.get("speaker", "")), **spans)


def _shared(spans: Sequence[Interval], whole: Sequence[Interval]) -> float:
    """The share of `whole` that lies in `spans`."""
    length = sum(end - start for start, end in whole)
    inside = sum(max(0.0, min(a[1], b[1]) - max(a[0], b[0])) for a in spans for b in whole)
    return min(1.0, inside / length) if length > 0 else 0.0

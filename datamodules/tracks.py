"""Faces of single pictures to face tubes: linked by overlap, gaps filled, the camera's and the detector's jitter gone.

Pure geometry, as in the pipeline of SyncNet: boxes are x0 y0 x1 y1 in pixels of the picture.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Boxes = NDArray[np.float32]  # (k, 4)

#: grey beyond the edges of the picture
PADDING = 110
#: how much wider a tube is than its face, as a share of half the face
CONTEXT = 0.4


@dataclass
class Track:
    """One face over some pictures, without a gap.

    Attributes:
        first: number of the first picture.
        boxes: (n, 4) float32.
        seen: (n,) bool, False where the box was filled in.
    """

    first: int
    boxes: Boxes
    seen: NDArray[np.bool_]

    @property
    def last(self) -> int:
        """Number of the picture after its last one."""
        return self.first + len(self.boxes)


def overlap(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Intersection over union of boxes (k, 4) and (l, 4): shape (k, l), 0 where both are empty."""
    a, b = np.asarray(first, np.float64)[:, None], np.asarray(second, np.float64)[None]
    shared = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None).prod(axis=-1)
    areas = [np.clip(box[..., 2:] - box[..., :2], 0, None).prod(axis=-1) for box in (a, b)]
    union = areas[0] + areas[1] - shared
    return np.divide(shared, union, out=np.zeros_like(union), where=union > 0)


def link(
    faces: Sequence[Boxes], *, least: float = 0.5, gap: int = 25, cuts: Collection[int] = (), shortest: int = 1
) -> list[Track]:
    """Link the faces of pictures to tracks.

    From picture to picture those that overlap most are joined first, and nothing is ever in two tracks.

    Args:
        faces: the boxes of each picture.
        least: overlap, as intersection over union, that must be exceeded.
        gap: pictures without the face that a track may go over; there its box is interpolated.
        cuts: numbers of pictures that begin a shot; no track goes over one.
        shortest: tracks of fewer pictures are left out.

    Returns:
        Tracks in order of their first picture.
    """
    done: list[_Open] = []
    running: list[_Open] = []
    for number, boxes in enumerate(faces):
        alive = [one for one in running if number not in cuts and number - one.numbers[-1] <= gap + 1]
        done += [one for one in running if one not in alive]
        boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
        taken: set[int] = set()
        if alive and len(boxes):
            shares = overlap(np.stack([one.boxes[-1] for one in alive]), boxes)
            joined: set[int] = set()
            for place in np.argsort(-shares, axis=None, kind="stable"):
                track, face = divmod(int(place), len(boxes))
                if shares[track, face] <= least:
                    break
                if track not in joined and face not in taken:
                    joined.add(track)
                    taken.add(face)
                    alive[track].numbers.append(number)
                    alive[track].boxes.append(boxes[face])
        running = alive + [_Open([number], [box]) for face, box in enumerate(boxes) if face not in taken]
    tracks = [_filled(one) for one in done + running]
    return sorted((track for track in tracks if len(track.boxes) >= shortest), key=lambda track: track.first)


@dataclass(eq=False)
class _Open:
    """A track that grows: where it was seen, and where it was."""

    numbers: list[int]
    boxes: list[NDArray[np.float32]]


def _filled(one: _Open) -> Track:
    numbers = np.arange(one.numbers[0], one.numbers[-1] + 1)
    known = np.stack(one.boxes)
    boxes = np.stack([np.interp(numbers, one.numbers, known[:, edge]) for edge in range(4)], axis=1)
    return Track(one.numbers[0], boxes.astype(np.float32), np.isin(numbers, one.numbers))


def smooth(boxes: Boxes, window: int = 13) -> Boxes:
    """(n, 3) float32: centre x and y and half the longer side of boxes (n, 4), each median filtered over `window`.

    At the ends the first and the last box count as often as the window reaches beyond them.

    Raises ValueError for a window that is even.
    """
    if window < 1 or window % 2 == 0:
        raise ValueError(f"a median over {window} pictures has no middle: take an odd number")
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    values = np.concatenate([centre, np.maximum(width, height)[:, None] / 2], axis=1)
    padded = np.pad(values, ((window // 2, window // 2), (0, 0)), mode="edge")
    return np.median(sliding_window_view(padded, window, axis=0), axis=-1).astype(np.float32)


def square(x: float, y: float, half: float) -> tuple[int, int, int]:
    """Left and upper edge and side, in whole pixels, of the square that a tube shows of a face: more below than above.

    SyncNet's: rows y - s to y + 1.8 s and columns x - 1.4 s to x + 1.4 s, s being half the face.
    """
    side = max(1, round(half * (2 + 2 * CONTEXT)))
    return round(x - half * (1 + CONTEXT)), round(y - half), side


def crop(picture: NDArray[np.uint8], left: int, upper: int, side: int) -> NDArray[np.uint8]:
    """A square (side, side, 3) out of a picture (H, W, 3), grey where it reaches beyond."""
    height, width = picture.shape[:2]
    inside = picture[max(0, upper) : max(0, upper + side), max(0, left) : max(0, left + side)]
    if inside.shape[:2] == (side, side):
        return inside
    out = np.full((side, side, 3), PADDING, np.uint8)
    row, column = max(0, -upper), max(0, -left)
    if left < width and upper < height:
        out[row : row + inside.shape[0], column : column + inside.shape[1]] = inside
    return out

"""A contact sheet of conversational clips: what was kept, at a glance."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ...datamodules.index import ShardSet
from ...datamodules.records import SpokenClip
from ...datamodules.spoken import open_clips, scene, spoken_clip, tube
from .plots import ACCENT, canvas, save

#: clips on a sheet, moments of each, and the height of its pictures in pixels
SHOWN, MOMENTS, HEIGHT = 8, 5, 150


def contact_sheet(folder: str | Path, out: str | Path, *, clips: int = SHOWN, moments: int = MOMENTS) -> Path:
    """Draw some clips of a set, evenly out of all of it: at some moments the scene, with the face framed, and its tube.

    Args:
        folder: of the set.
        out: a picture, of the format that its suffix names.

    Raises:
        ValueError: for a suffix that no picture has, and another set.
        BadSample: for a clip that cannot be read.
    """
    shards = open_clips(folder)
    names = list(shards.entries)
    chosen = [names[place] for place in np.linspace(0, len(names) - 1, min(clips, len(names))).astype(int)]
    records = [spoken_clip(shards, name) for name in chosen]
    rows = [_row(shards, clip, moments) for clip in records]
    widest = max(row.shape[1] for row in rows)
    with canvas(widest / 100, len(rows) * (HEIGHT / 100 + 0.45)) as (figure, axes):
        axes.remove()
        for place, (row, clip) in enumerate(zip(rows, records, strict=True)):
            ax = figure.add_subplot(len(rows), 1, place + 1)
            ax.imshow(row)
            ax.set_axis_off()
            ax.set_title(_caption(clip, shards.entries[clip.id].split, widest // 7), loc="left", fontsize=8)
        return save(figure, out)


def _row(shards: ShardSet, clip: SpokenClip, moments: int) -> NDArray[np.uint8]:
    numbers = np.linspace(0, clip.frames - 1, moments + 2).astype(int)[1:-1]
    scenes, faces = scene(shards, clip.id), tube(shards, clip.id)
    pieces = []
    for number in numbers:
        whole = Image.fromarray(scenes[number].permute(1, 2, 0).numpy())
        whole = whole.resize((round(whole.width * HEIGHT / whole.height), HEIGHT))
        _frame(whole, clip.faces[number].tolist(), clip.size)
        face = Image.fromarray(faces[number].permute(1, 2, 0).numpy()).resize((HEIGHT, HEIGHT))
        pieces += [np.asarray(whole), np.asarray(face), np.full((HEIGHT, 8, 3), 255, np.uint8)]
    return np.concatenate(pieces[:-1], axis=1)


def _frame(picture: Image.Image, box: Sequence[float], size: tuple[int, int]) -> None:
    if not np.isnan(box).any():
        across, down = picture.width / size[0], picture.height / size[1]
        edges = [box[0] * across, box[1] * down, box[2] * across, box[3] * down]
        ImageDraw.Draw(picture).rectangle(edges, outline=ACCENT, width=2)


def _caption(clip: SpokenClip, split: str, letters: int) -> str:
    said = " ".join(cue.text for cue in clip.cues)
    score = "" if clip.score is None else f", speaks {clip.score:.2f}"
    head = ", ".join(filter(None, [clip.id, split, clip.domain, f"{clip.duration:.1f} s"]))
    return f"{head}{score}: {textwrap.shorten(said, letters, placeholder=' ...')}"

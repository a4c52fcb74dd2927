"""Where people speak: a background for each topic, with the things that are spoken of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from ..world.places import paint as outdoors
from .objects import thing

WIDTH, HEIGHT = 384, 216


def paint(topic: str, rng: np.random.Generator) -> Image.Image:
    """An empty background of the topic, RGB; `rng` chooses its details and its light."""
    picture = _PAINT[topic](rng).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    light = rng.uniform(0.9, 1.08) * rng.uniform(0.95, 1.05, 3)
    return Image.fromarray(np.clip(np.asarray(picture) * light, 0, 255).astype(np.uint8))


def furnish(background: Image.Image, topic: str, things: Sequence[int], rng: np.random.Generator) -> Image.Image:
    """The background with things at its sides, clear of the middle, where the speaker is."""
    picture = background.copy()
    for place, number in enumerate(things[:THINGS_SHOWN]):
        side = int(rng.integers(58, 76))
        left = rng.integers(2, 30) if place % 2 == 0 else WIDTH - side - rng.integers(2, 30)
        top = HEIGHT - side - rng.integers(2, 16) if place < 2 else rng.integers(8, 36)
        drawn = thing(topic, number, side)
        picture.paste(drawn, (int(left), int(top)), drawn)
    return picture


#: most things that are seen at once
THINGS_SHOWN = 4


def close_up(background: Image.Image, topic: str, number: int, grown: float) -> Image.Image:
    """One thing fills the picture; `grown`, from 0 to 1, is how far the camera has come to it."""
    picture = background.copy()
    side = 2 * round(75 + 15 * grown)
    drawn = thing(topic, number, side)
    picture.paste(drawn, ((WIDTH - side) // 2, (HEIGHT - side) // 2), drawn)
    return picture


class _Room:
    """A wall and a floor, three times as large; coordinates are shares of width and height."""

    def __init__(self, wall: str, floor: str, line: float = 0.78) -> None:
        self.image = Image.new("RGB", (WIDTH * 2, HEIGHT * 2), wall)
        self.draw = ImageDraw.Draw(self.image)
        self.box(0, line, 1, 1 - line, floor)

    def box(self, x: float, y: float, w: float, h: float, fill: str) -> None:
        wide, tall = self.image.size
        self.draw.rectangle([x * wide, y * tall, (x + w) * wide, (y + h) * tall], fill=fill)

    def disc(self, x: float, y: float, r: float, fill: str) -> None:
        wide, tall = self.image.size
        self.draw.ellipse([x * wide - r * tall, (y - r) * tall, x * wide + r * tall, (y + r) * tall], fill=fill)

    def shape(self, points: list[tuple[float, float]], fill: str) -> None:
        wide, tall = self.image.size
        self.draw.polygon([(x * wide, y * tall) for x, y in points], fill=fill)


def _one(rng: np.random.Generator, *colours: str) -> str:
    return str(rng.choice(colours))


def _kitchen(rng: np.random.Generator) -> Image.Image:
    room = _Room(_one(rng, "#f4e7cf", "#e3efe4", "#fbe3d2"), "#b98d5f")
    for x in np.arange(0, 1, 0.06):
        for y in np.arange(0.36, 0.62, 0.07):
            room.box(x, y, 0.054, 0.06, _one(rng, "#ffffff", "#f3f6f5", "#e6eeec"))
    cupboard = _one(rng, "#8c5a33", "#4d7d78", "#c9594a")
    for x in (0.02, 0.2, 0.64, 0.82):
        room.box(x, 0.0, 0.16, 0.28, cupboard)
        room.box(x + 0.125, 0.14, 0.012, 0.07, "#e8e2d4")
    room.box(0, 0.62, 1, 0.05, "#6d6660")
    room.box(0, 0.67, 1, 0.33, cupboard)
    return room.image


def _stage(rng: np.random.Generator) -> Image.Image:
    room = _Room("#2a1740", "#5b3b24", 0.84)
    for x in np.arange(0, 1, 0.1):
        room.box(x, 0, 0.05, 0.84, "#3b205a")
    for x in (0.15, 0.5, 0.85):
        glow = _one(rng, "#7a4fd0", "#d04f9a", "#4f8ad0")
        room.shape([(x, 0), (x - 0.14, 0.84), (x + 0.14, 0.84)], glow)
        room.disc(x, 0.02, 0.04, "#fff7c8")
    return room.image


def _classroom(rng: np.random.Generator) -> Image.Image:
    room = _Room(_one(rng, "#e9e2cf", "#dfe7ee"), "#a97c50", 0.86)
    room.box(0.08, 0.08, 0.84, 0.5, "#8a6237")
    room.box(0.1, 0.11, 0.8, 0.44, "#2f5a46")
    for row in range(4):
        start = rng.uniform(0.12, 0.2)
        room.box(start, 0.18 + 0.09 * row, rng.uniform(0.2, 0.6), 0.012, "#dfe8e0")
    return room.image


def _office(rng: np.random.Generator) -> Image.Image:
    room = _Room(_one(rng, "#cfd8e3", "#d8d5cf"), "#5d6672", 0.84)
    room.box(0.05, 0.08, 0.9, 0.56, "#8fbbe6")
    for x in np.arange(0.06, 0.94, 0.09):
        tall = rng.uniform(0.15, 0.45)
        room.box(x, 0.64 - tall, 0.075, tall, _one(rng, "#5b6f8f", "#6f83a3", "#475a78"))
    for x in (0.05, 0.345, 0.64, 0.935):
        room.box(x, 0.06, 0.015, 0.6, "#eef1f5")
    room.box(0, 0.8, 1, 0.06, "#7a5536")
    return room.image


def _bedroom(rng: np.random.Generator) -> Image.Image:
    room = _Room(_one(rng, "#f7d9e3", "#e9dcf5", "#fbe7e0"), "#d9b48f", 0.86)
    for x in (0.1, 0.9):
        for y in np.arange(0.08, 0.7, 0.12):
            room.disc(x, y, 0.035, "#fff6c9")
    room.box(0.16, 0.05, 0.68, 0.6, "#ffffff")
    room.box(0.18, 0.08, 0.64, 0.54, "#cfe6f1")
    room.box(0, 0.8, 1, 0.08, "#ffffff")
    return room.image


def _gym(rng: np.random.Generator) -> Image.Image:
    room = _Room(_one(rng, "#dfe3e6", "#f0e9d6"), "#c77f3c", 0.74)
    room.box(0, 0.5, 1, 0.05, _one(rng, "#d9363e", "#2f6fd0", "#2f9d58"))
    for x in (0.12, 0.78):
        room.box(x, 0.1, 0.012, 0.64, "#8c6a45")
        room.box(x + 0.1, 0.1, 0.012, 0.64, "#8c6a45")
        for y in np.arange(0.14, 0.72, 0.08):
            room.box(x, y, 0.11, 0.02, "#a98456")
    room.shape([(0.2, 1), (0.36, 0.78), (0.64, 0.78), (0.8, 1)], "#d99350")
    return room.image


_PAINT: dict[str, Callable[[np.random.Generator], Image.Image]] = {
    "cooking": _kitchen,
    "garden": lambda rng: outdoors("village", rng),
    "music": _stage,
    "school": _classroom,
    "travel": lambda rng: outdoors("beach", rng),
    "money": _office,
    "beauty": _bedroom,
    "sport": _gym,
}

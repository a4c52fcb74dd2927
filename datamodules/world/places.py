"""The eight places: backgrounds in layers, each story with its own light and its own trees."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

#: backgrounds are painted larger than a frame, so that a camera can move over them and close up
PAINTED = (480, 270)

Colour = tuple[int, int, int]


def paint(place: str, rng: np.random.Generator) -> Image.Image:
    """A background, RGB, PAINTED large, smooth; `rng` chooses its light and its details."""
    canvas = _PAINT[place](rng)
    canvas = canvas.resize(PAINTED, Image.Resampling.LANCZOS)
    light = rng.uniform(0.93, 1.06, 3)
    pixels = np.clip(np.asarray(canvas, dtype=np.float32) * light, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels)


class _Canvas:
    """Twice PAINTED, for smooth edges; coordinates are shares of width and height."""

    def __init__(self, top: Colour, bottom: Colour) -> None:
        self.width, self.height = PAINTED[0] * 2, PAINTED[1] * 2
        ramp = np.linspace(0, 1, self.height)[:, None, None] ** 0.9
        sky = (1 - ramp) * np.array(top) + ramp * np.array(bottom)
        self.image = Image.fromarray(np.broadcast_to(sky, (self.height, self.width, 3)).astype(np.uint8))
        self.draw = ImageDraw.Draw(self.image)

    def oval(self, x: float, y: float, rx: float, ry: float, fill: Colour | str) -> None:
        w, h = self.width, self.height
        self.draw.ellipse([(x - rx) * w, (y - ry) * h, (x + rx) * w, (y + ry) * h], fill=fill)

    def disc(self, x: float, y: float, r: float, fill: Colour | str) -> None:
        self.oval(x, y, r * self.height / self.width, r, fill)

    def shape(self, points: list[tuple[float, float]], fill: Colour | str) -> None:
        self.draw.polygon([(x * self.width, y * self.height) for x, y in points], fill=fill)

    def box(self, x: float, y: float, w: float, h: float, fill: Colour | str) -> None:
        self.draw.rectangle([x * self.width, y * self.height, (x + w) * self.width, (y + h) * self.height], fill=fill)

    def hills(self, rng: np.random.Generator, y: float, swell: float, fill: Colour | str, waves: float = 2.0) -> None:
        start = rng.uniform(0, math.tau)
        line = [(x, y + swell * math.sin(start + waves * math.tau * x)) for x in np.linspace(0, 1, 60)]
        self.shape([*line, (1, 1), (0, 1)], fill)

    def cloud(self, x: float, y: float, size: float, fill: Colour | str = "#ffffff") -> None:
        for dx, dy, r in ((-0.9, 0.1, 0.5), (0, -0.2, 0.75), (0.9, 0.1, 0.55), (0.3, 0.25, 0.6)):
            self.disc(x + dx * size * 0.56, y + dy * size, r * size, fill)

    def glow(self, x: float, y: float, r: float, colour: Colour, strength: float = 0.6) -> None:
        """A soft light, added to what is there."""
        rows, columns = np.mgrid[0 : self.height : 4, 0 : self.width : 4]
        far = np.hypot(columns - x * self.width, rows - y * self.height) / (r * self.height)
        light = Image.fromarray((255 * strength * np.clip(1 - far, 0, 1) ** 2).astype(np.uint8))
        light = light.resize(self.image.size, Image.Resampling.BILINEAR)
        self.image.paste(Image.new("RGB", self.image.size, colour), (0, 0), light)


def _spread(rng: np.random.Generator, count: int) -> list[float]:
    """`count` places across the picture, even with a shake."""
    return [float((step + rng.uniform(0.15, 0.85)) / count) for step in range(count)]


def _fir(canvas: _Canvas, x: float, foot: float, tall: float, fill: str, trunk: str = "#5a3d28") -> None:
    canvas.box(x - 0.008, foot - 0.03, 0.016, 0.05, trunk)
    for level in range(3):
        top, wide = foot - tall * (0.42 + 0.29 * level), 0.34 * tall * (1 - 0.24 * level)
        base = foot - tall * 0.26 * level
        canvas.shape([(x, top), (x - wide * 0.56, base), (x + wide * 0.56, base)], fill)


def _forest(rng: np.random.Generator) -> Image.Image:
    canvas = _Canvas((164, 218, 190), (226, 244, 205))
    canvas.glow(rng.uniform(0.2, 0.8), 0.12, 0.7, (255, 250, 205), 0.8)
    for x in _spread(rng, 12):
        _fir(canvas, x, 0.68, rng.uniform(0.42, 0.6), "#7fb593")
    for x in _spread(rng, 9):
        _fir(canvas, x, 0.73, rng.uniform(0.5, 0.75), "#3f8a5f")
    canvas.hills(rng, 0.74, 0.008, "#5f9f4e")
    canvas.hills(rng, 0.84, 0.012, "#4c8a43", 3)
    for x in (rng.uniform(0.0, 0.12), rng.uniform(0.88, 1.0)):
        _fir(canvas, x, 0.86, 0.95, "#256b48")
    for x in _spread(rng, 6):
        canvas.disc(x, rng.uniform(0.88, 0.96), 0.013, "#ffd6e8")
    return canvas.image


def _beach(rng: np.random.Generator) -> Image.Image:
    canvas = _Canvas((92, 190, 240), (214, 243, 255))
    sun = rng.uniform(0.15, 0.85)
    canvas.glow(sun, 0.16, 0.4, (255, 246, 196), 0.9)
    canvas.disc(sun, 0.16, 0.07, "#fff1a6")
    for x in _spread(rng, 3):
        canvas.cloud(x, rng.uniform(0.1, 0.3), 0.05)
    canvas.box(0, 0.46, 1, 0.3, "#1f8fcf")
    canvas.box(0, 0.52, 1, 0.3, "#29a3dd")
    canvas.hills(rng, 0.62, 0.008, "#45bfe8", 4)
    for _ in range(16):
        canvas.oval(rng.uniform(), rng.uniform(0.48, 0.64), 0.02, 0.003, "#c8f1ff")
    canvas.hills(rng, 0.71, 0.010, "#f3fbff", 3)
    canvas.hills(rng, 0.73, 0.010, "#f5dfa6", 3)
    canvas.hills(rng, 0.87, 0.010, "#ecd08a", 2)
    sail = rng.uniform(0.2, 0.8)
    canvas.shape([(sail, 0.33), (sail, 0.47), (sail + 0.06, 0.47)], "#ffffff")
    canvas.shape([(sail - 0.05, 0.48), (sail + 0.07, 0.48), (sail + 0.045, 0.52), (sail - 0.025, 0.52)], "#b5523b")
    for x in _spread(rng, 4):
        canvas.disc(x, rng.uniform(0.9, 0.97), 0.014, "#ff9e80")
    return canvas.image


def _city(rng: np.random.Generator) -> Image.Image:
    canvas = _Canvas((18, 20, 58), (82, 60, 130))
    for _ in range(60):
        canvas.disc(rng.uniform(), rng.uniform(0, 0.5), rng.uniform(0.002, 0.005), "#ffffff")
    moon = rng.uniform(0.15, 0.85)
    canvas.glow(moon, 0.15, 0.3, (220, 225, 255), 0.5)
    canvas.disc(moon, 0.15, 0.065, "#f4f1d8")
    for row, (count, fill, low, high) in enumerate(((14, "#2b2a66", 0.3, 0.5), (10, "#1c1b48", 0.2, 0.42))):
        for x in _spread(rng, count):
            wide, tall = rng.uniform(0.05, 0.09), rng.uniform(low, high)
            left, top = x - wide / 2, 0.76 - tall
            canvas.box(left, top, wide, tall, fill)
            for wx in np.arange(left + 0.008, left + wide - 0.012, 0.016):
                for wy in np.arange(top + 0.02, 0.72, 0.036):
                    if rng.random() < (0.35, 0.5)[row]:
                        canvas.box(wx, wy, 0.008, 0.016, "#ffd97a" if rng.random() < 0.8 else "#8fe3ff")
    canvas.box(0, 0.75, 1, 0.25, "#3a3a5c")
    canvas.box(0, 0.75, 1, 0.02, "#6a6a92")
    for x in np.arange(0.02, 1, 0.12):
        canvas.box(x, 0.9, 0.06, 0.014, "#f2e394")
    return canvas.image


def _desert(rng: np.random.Generator) -> Image.Image:
    canvas = _Canvas((255, 176, 94), (255, 232, 176))
    sun = rng.uniform(0.2, 0.8)
    canvas.glow(sun, 0.2, 0.5, (255, 250, 220), 0.9)
    canvas.disc(sun, 0.2, 0.09, "#fff6d0")
    for x in _spread(rng, 2):
        tall = rng.uniform(0.2, 0.32)
        canvas.shape([(x, 0.66 - tall), (x - tall * 0.65, 0.68), (x + tall * 0.65, 0.68)], "#d99a52")
        canvas.shape([(x, 0.66 - tall), (x + tall * 0.15, 0.68), (x + tall * 0.65, 0.68)], "#b97b3c")
    canvas.hills(rng, 0.65, 0.03, "#eab464", 1.3)
    canvas.hills(rng, 0.74, 0.015, "#dc9f4c", 1.0)
    canvas.hills(rng, 0.87, 0.015, "#cc8b3c", 1.5)
    for x in (rng.uniform(0.04, 0.2), rng.uniform(0.8, 0.96)):
        canvas.box(x - 0.012, 0.5, 0.024, 0.26, "#4d8b4a")
        canvas.box(x - 0.045, 0.56, 0.012, 0.09, "#4d8b4a")
        canvas.box(x - 0.045, 0.63, 0.04, 0.022, "#4d8b4a")
        canvas.box(x + 0.033, 0.54, 0.012, 0.08, "#4d8b4a")
        canvas.box(x + 0.005, 0.6, 0.04, 0.022, "#4d8b4a")
        canvas.disc(x, 0.5, 0.021, "#4d8b4a")
    return canvas.image


def _castle(rng: np.random.Generator) -> Image.Image:
    canvas = _Canvas((150, 170, 240), (252, 214, 226))
    for x in _spread(rng, 3):
        canvas.cloud(x, rng.uniform(0.1, 0.25), 0.05, "#fff4fa")
    canvas.hills(rng, 0.62, 0.03, "#b9c88f", 1.5)
    left = rng.uniform(0.2, 0.4)
    stone, dark = "#b8b4c8", "#8f8aa6"
    canvas.box(left, 0.34, 0.42, 0.4, stone)
    for step in range(8):
        canvas.box(left + 0.055 * step, 0.3, 0.03, 0.05, stone)
    for x, top in ((left - 0.05, 0.2), (left + 0.17, 0.12), (left + 0.37, 0.2)):
        canvas.box(x, top, 0.1, 0.56, dark)
        canvas.shape([(x - 0.015, top), (x + 0.05, top - 0.17), (x + 0.115, top)], "#c2475f")
        canvas.box(x + 0.035, top + 0.08, 0.03, 0.08, "#4a4563")
        canvas.shape([(x + 0.05, top - 0.17), (x + 0.095, top - 0.15), (x + 0.05, top - 0.12)], "#ffd23f")
    canvas.box(left + 0.17, 0.56, 0.1, 0.2, "#5b3a29")
    canvas.oval(left + 0.22, 0.56, 0.05, 0.07, "#5b3a29")
    canvas.hills(rng, 0.74, 0.006, "#8fbf62")
    canvas.shape([(left + 0.17, 0.73), (left + 0.27, 0.73), (left + 0.45, 1), (left, 1)], "#e3cfa4")
    return canvas.image


def _mountains(rng: np.random.Generator) -> Image.Image:
    canvas = _Canvas((126, 176, 226), (232, 242, 252))
    for scale, rock, snow in ((0.55, "#8aa3c6", "#dfeaf7"), (0.42, "#6681ab", "#ffffff")):
        for x in _spread(rng, 4):
            tall = scale * rng.uniform(0.75, 1.1)
            canvas.shape([(x, 0.74 - tall), (x - tall * 0.5, 0.76), (x + tall * 0.5, 0.76)], rock)
            cap = 0.74 - tall * 0.62
            edge = [
                (x - tall * 0.19, cap),
                (x - tall * 0.08, cap - 0.03),
                (x, cap + 0.02),
                (x + tall * 0.09, cap - 0.03),
            ]
            canvas.shape([(x, 0.74 - tall), *edge, (x + tall * 0.19, cap)], snow)
    canvas.hills(rng, 0.72, 0.015, "#f2f7fd", 1.4)
    canvas.hills(rng, 0.86, 0.012, "#dfeaf6", 2)
    for x in (rng.uniform(0.03, 0.2), rng.uniform(0.8, 0.97)):
        _fir(canvas, x, 0.78, 0.42, "#5d8f8a")
    for _ in range(70):
        canvas.disc(rng.uniform(), rng.uniform(), rng.uniform(0.003, 0.008), "#ffffff")
    return canvas.image


def _village(rng: np.random.Generator) -> Image.Image:
    canvas = _Canvas((120, 196, 250), (226, 245, 255))
    for x in _spread(rng, 3):
        canvas.cloud(x, rng.uniform(0.1, 0.25), 0.06)
    canvas.hills(rng, 0.55, 0.04, "#a5d37a", 1.4)
    walls, roofs = ("#fff0d2", "#ffdfc0", "#f6e6ff", "#e2f4ff"), ("#d9534f", "#c9713b", "#b3446c", "#4f7cac")
    for x in _spread(rng, 4):
        wide, tall = rng.uniform(0.14, 0.18), rng.uniform(0.2, 0.27)
        top = 0.74 - tall
        canvas.box(x - wide / 2, top, wide, tall, walls[rng.integers(4)])
        roof = roofs[rng.integers(4)]
        canvas.shape([(x - wide * 0.62, top), (x, top - 0.15), (x + wide * 0.62, top)], roof)
        canvas.box(x - 0.018, 0.63, 0.036, 0.12, "#7a4a2a")
        for side in (-0.05, 0.05):
            canvas.box(x + side - 0.015, top + 0.04, 0.03, 0.055, "#5aa9e6")
    canvas.hills(rng, 0.74, 0.006, "#83c155")
    canvas.hills(rng, 0.86, 0.01, "#e7cf9b", 1.2)
    canvas.hills(rng, 0.95, 0.008, "#83c155", 1.6)
    return canvas.image


def _cave(rng: np.random.Generator) -> Image.Image:
    canvas = _Canvas((36, 28, 44), (74, 58, 72))
    canvas.glow(rng.uniform(0.35, 0.65), 0.5, 0.75, (150, 108, 120), 0.7)
    for x in _spread(rng, 12):
        tall, wide = rng.uniform(0.1, 0.34), rng.uniform(0.02, 0.05)
        canvas.shape([(x - wide, 0), (x + wide, 0), (x + rng.uniform(-0.01, 0.01), tall)], "#2a2033")
    canvas.hills(rng, 0.74, 0.01, "#54424f", 2)
    canvas.hills(rng, 0.87, 0.012, "#463642", 3)
    for x in _spread(rng, 7):
        colour = ("#59e0d8", "#c77dff", "#ff8fd0")[rng.integers(3)]
        foot, tall = rng.uniform(0.68, 0.78), rng.uniform(0.08, 0.16)
        canvas.glow(x, foot - tall / 2, 0.16, (150, 220, 240), 0.35)
        for lean in (-0.018, 0.0, 0.018):
            top = foot - tall * (1 if lean == 0 else 0.7)
            canvas.shape([(x + lean - 0.01, foot), (x + lean * 1.8, top), (x + lean + 0.01, foot)], colour)
    return canvas.image.filter(ImageFilter.GaussianBlur(0.6))


_PAINT: dict[str, Callable[[np.random.Generator], Image.Image]] = {
    "forest": _forest,
    "beach": _beach,
    "city": _city,
    "desert": _desert,
    "castle": _castle,
    "mountains": _mountains,
    "village": _village,
    "cave": _cave,
}

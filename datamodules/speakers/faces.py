"""A face, drawn: hair, eyes that blink, and a mouth of any shape; what hides it; and where exactly it is."""

from __future__ import annotations

from functools import lru_cache

from PIL import Image, ImageDraw

from ..world.puppets import Pen
from .cast import Person

#: of a picture of a person, in shares of its side: the middle of the face and half its width and height
FACE = (0.5, 0.42, 0.19, 0.25)
MOUTH = (0.5, 0.565)
#: half the patch that a mouth is drawn into
_PATCH = (0.13, 0.1)
#: steps that the shape of a mouth is rounded to
OPEN_STEPS, WIDE_STEPS = 16, 6
_FINE = 2


def box(person: Person, side: int) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 of the face in a picture of `side` pixels: from forehead to chin."""
    x, y, half_width, half_height = FACE
    half_width *= person.width
    return (x - half_width) * side, (y - half_height) * side, (x + half_width) * side, (y + half_height) * side


@lru_cache(maxsize=512)
def portrait(person: Person, side: int, opened: int, wide: int, blink: bool) -> Image.Image:
    """Head and shoulders, RGBA, `side` square, facing us, the mouth `opened` of OPEN_STEPS and `wide` of WIDE_STEPS."""
    picture = _head(person, side, blink).resize((side, side), Image.Resampling.BOX)
    left, top, right, bottom = _patch(side)
    fine = _head(person, side, blink).crop((_FINE * left, _FINE * top, _FINE * right, _FINE * bottom))
    _mouth(fine, person, side * _FINE, opened / OPEN_STEPS, wide / WIDE_STEPS)
    picture.paste(fine.resize((right - left, bottom - top), Image.Resampling.BOX), (left, top))
    return picture


@lru_cache(maxsize=64)
def turned(person: Person, side: int, right: bool) -> Image.Image:
    """The same person looking away: hair and an ear, no lips."""
    pen = _shoulders(person, side)
    x, y, half_width, half_height = FACE
    lean = 0.07 if right else -0.07
    pen.oval(x, y, half_width * person.width, half_height, person.skin)
    pen.oval(x + lean * 1.9, y + 0.03, 0.035, 0.03, person.skin)
    pen.oval(x - lean * 0.7, y - 0.05, 0.205, 0.24, person.hair)
    pen.oval(x + lean * 0.3, y + 0.04, 0.028, 0.05, person.skin)
    pen.oval(x + lean * 0.3, y + 0.04, 0.014, 0.03, person.lips)
    return pen.image.resize((side, side), Image.Resampling.BOX)


@lru_cache(maxsize=64)
def cover(person: Person, side: int, kind: str) -> Image.Image:
    """What is held before the mouth, RGBA, `side` square: ``hand`` or ``microphone``."""
    pen = Pen(side * _FINE)
    x, y = MOUTH
    if kind == "microphone":
        pen.limb((x + 0.04, y + 0.1), (x + 0.1, y + 0.5), 0.06, "#23252b")
        pen.oval(x, y, 0.125, 0.105, "#3b3e47")
        for row in range(-3, 4):
            pen.limb((x - 0.09, y + 0.025 * row), (x + 0.09, y + 0.025 * row), 0.006, "#585c68")
    else:
        pen.limb((x + 0.08, y + 0.1), (x + 0.2, y + 0.5), 0.13, person.clothes)
        pen.oval(x + 0.03, y + 0.05, 0.13, 0.1, person.skin)
        for finger in range(4):
            height = y - 0.055 + 0.042 * finger
            pen.limb((x - 0.11, height), (x + 0.1, height + 0.01), 0.045, person.skin)
            pen.limb((x - 0.11, height + 0.021), (x + 0.06, height + 0.03), 0.006, person.lips)
    return pen.image.resize((side, side), Image.Resampling.BOX)


def _patch(side: int) -> tuple[int, int, int, int]:
    (x, y), (wide, tall) = MOUTH, _PATCH
    return (
        round((x - wide) * side),
        round((y - tall) * side),
        round((x + wide) * side),
        round((y + tall) * side),
    )


@lru_cache(maxsize=16)
def _head(person: Person, side: int, blink: bool) -> Image.Image:
    """Everything but the mouth, _FINE times as large."""
    pen = _shoulders(person, side)
    x, y, half_width, half_height = FACE
    half_width *= person.width
    if person.long_hair:
        pen.oval(x, y + 0.02, half_width + 0.065, half_height + 0.075, person.hair)
        for lean in (-1, 1):
            pen.box(x + lean * (half_width + 0.005) - 0.05, y, 0.1, 0.36, person.hair, 0.05)
    else:
        pen.oval(x, y - 0.05, half_width + 0.03, half_height + 0.01, person.hair)
    for lean in (-1, 1):
        pen.oval(x + lean * half_width, y + 0.02, 0.03, 0.05, person.skin)
    pen.oval(x, y, half_width, half_height, person.skin)
    if person.beard:
        pen.draw.chord(_edges(pen, x, y + 0.03, half_width, half_height - 0.03), 15, 165, fill=person.hair)
        pen.oval(MOUTH[0], MOUTH[1], 0.105, 0.06, person.skin)
    pen.draw.chord(_edges(pen, x, y - 0.01, half_width + 0.01, half_height + 0.01), 205, 335, fill=person.hair)
    for lean in (-1, 1):
        eye = x + lean * 0.08
        pen.curve(eye, y - 0.06, 0.045, 0.03, (200, 340), 0.014, person.hair)
        if blink:
            pen.curve(eye, y - 0.02, 0.035, 0.02, (20, 160), 0.01, "#3a2a24")
        else:
            pen.oval(eye, y - 0.01, 0.036, 0.024, "#ffffff")
            pen.oval(eye, y - 0.01, 0.02, 0.022, "#3d2c22")
        if person.glasses:
            pen.curve(eye, y - 0.01, 0.062, 0.048, (0, 360), 0.011, "#22242b")
    pen.curve(x, y + 0.055, 0.032, 0.03, (20, 160), 0.012, person.lips)
    return pen.image


def _shoulders(person: Person, side: int) -> Pen:
    pen = Pen(side * _FINE)
    pen.oval(0.5, 1.06, 0.42, 0.3, person.clothes)
    pen.box(0.42, 0.6, 0.16, 0.2, person.skin, 0.05)
    pen.oval(0.5, 0.8, 0.1, 0.05, person.skin)
    return pen


def _edges(pen: Pen, x: float, y: float, rx: float, ry: float) -> list[float]:
    return [pen.side * value for value in (x - rx, y - ry, x + rx, y + ry)]


def _mouth(patch: Image.Image, person: Person, side: int, opened: float, wide: float) -> None:
    draw = ImageDraw.Draw(patch)
    x, y = patch.width / 2, patch.height / 2
    half, gap = side * (0.042 + 0.045 * wide), side * 0.062 * opened
    lip = side * (0.02 - 0.006 * wide)

    def oval(rx: float, ry: float, fill: str, shift: float = 0.0) -> None:
        draw.ellipse((x - rx, y + shift - ry, x + rx, y + shift + ry), fill=fill)

    oval(half + lip * 0.6, gap + lip, person.lips)
    if gap < side * 0.004:
        draw.line((x - half, y, x + half, y), fill="#5a2426", width=max(1, round(side * 0.007)))
        return
    oval(half, gap, "#2e0b10")
    if opened > 0.15:
        draw.chord((x - half * 0.8, y - gap * 0.95, x + half * 0.8, y + gap * 0.5), 200, 340, fill="#f7f4ee")
    if opened > 0.5:
        oval(half * 0.55, gap * 0.3, "#b3545c", gap * 0.6)

"""Objects and effects, drawn: what characters hold, and what shows that they cry, sleep, fight or love."""

from __future__ import annotations

import math
from collections.abc import Callable

from PIL import Image

from .puppets import Pen


def prop(name: str, pose: str = "") -> Image.Image:
    """An object or an effect, RGBA, square; `pose` picks the phase of an effect that moves."""
    pen = Pen()
    _DRAW[name](pen, int(pose or 0))
    return pen.image if name in _SOFT else pen.outlined()


def _key(pen: Pen, _: int) -> None:
    pen.oval(0.27, 0.5, 0.19, 0.19, "#ffc21a")
    pen.oval(0.27, 0.5, 0.09, 0.09, "#8a5f00")
    pen.box(0.42, 0.44, 0.48, 0.12, "#ffc21a", 0.02)
    pen.box(0.66, 0.5, 0.09, 0.2, "#ffc21a", 0.02)
    pen.box(0.8, 0.5, 0.1, 0.24, "#ffc21a", 0.02)


def _balloon(pen: Pen, _: int) -> None:
    pen.limb((0.5, 0.6), (0.5, 0.95), 0.025, "#fdfdfd")
    pen.oval(0.5, 0.34, 0.26, 0.31, "#ef2b3d")
    pen.shape([(0.5, 0.62), (0.44, 0.7), (0.56, 0.7)], "#ef2b3d")
    pen.oval(0.41, 0.24, 0.06, 0.09, "#ff8f99")


def _lantern(pen: Pen, _: int) -> None:
    pen.curve(0.5, 0.24, 0.16, 0.16, (180, 360), 0.05, "#5b4636")
    pen.box(0.28, 0.22, 0.44, 0.1, "#5b4636")
    pen.box(0.3, 0.3, 0.4, 0.5, "#fff2a8", 0.05)
    pen.oval(0.5, 0.56, 0.11, 0.17, "#ff9f1c")
    pen.box(0.25, 0.78, 0.5, 0.12, "#5b4636")
    for x in (0.3, 0.66):
        pen.box(x, 0.3, 0.04, 0.5, "#5b4636", 0.0)


def _book(pen: Pen, _: int) -> None:
    pen.shape([(0.06, 0.26), (0.5, 0.36), (0.94, 0.26), (0.94, 0.8), (0.5, 0.9), (0.06, 0.8)], "#2266dd")
    pen.shape([(0.12, 0.2), (0.5, 0.31), (0.5, 0.82), (0.12, 0.72)], "#ffffff")
    pen.shape([(0.88, 0.2), (0.5, 0.31), (0.5, 0.82), (0.88, 0.72)], "#eaeaf4")
    for line in (0.36, 0.46, 0.56):
        pen.limb((0.2, line), (0.42, line + 0.06), 0.025, "#9aa5c0")
        pen.limb((0.58, line + 0.06), (0.8, line), 0.025, "#9aa5c0")


def _flower(pen: Pen, _: int) -> None:
    pen.limb((0.5, 0.45), (0.5, 0.95), 0.06, "#3a9d4a")
    pen.oval(0.63, 0.74, 0.12, 0.06, "#3a9d4a")
    for step in range(6):
        turn = math.tau * step / 6
        pen.oval(0.5 + 0.19 * math.cos(turn), 0.33 + 0.19 * math.sin(turn), 0.13, 0.13, "#ff6fb5")
    pen.oval(0.5, 0.33, 0.12, 0.12, "#ffe14d")


def _umbrella(pen: Pen, _: int) -> None:
    pen.limb((0.5, 0.3), (0.5, 0.85), 0.05, "#6b4a2f")
    pen.curve(0.57, 0.85, 0.07, 0.08, (0, 180), 0.05, "#6b4a2f")
    pen.draw.pieslice([pen.side * v for v in (0.05, 0.08, 0.95, 0.92)], 180, 360, fill="#7b2cbf")
    pen.draw.pieslice([pen.side * v for v in (0.33, 0.08, 0.67, 0.92)], 180, 360, fill="#f7c6ff")
    pen.limb((0.5, 0.04), (0.5, 0.12), 0.04, "#6b4a2f")


def _sword(pen: Pen, _: int) -> None:
    pen.shape([(0.43, 0.62), (0.43, 0.14), (0.5, 0.02), (0.57, 0.14), (0.57, 0.62)], "#e8f1fa")
    pen.limb((0.5, 0.14), (0.5, 0.6), 0.02, "#a5b4c6")
    pen.box(0.28, 0.62, 0.44, 0.08, "#e0a526")
    pen.box(0.455, 0.7, 0.09, 0.2, "#7a3b1d")
    pen.oval(0.5, 0.92, 0.06, 0.06, "#e0a526")


def _apple(pen: Pen, _: int) -> None:
    pen.oval(0.38, 0.58, 0.25, 0.29, "#d7263d")
    pen.oval(0.62, 0.58, 0.25, 0.29, "#d7263d")
    pen.oval(0.33, 0.48, 0.07, 0.1, "#ff8c94")
    pen.limb((0.5, 0.34), (0.54, 0.16), 0.05, "#5a3a1c")
    pen.shape([(0.54, 0.26), (0.7, 0.1), (0.84, 0.16), (0.7, 0.28)], "#5cb338")


def _heart(pen: Pen, _: int) -> None:
    for x in (0.33, 0.67):
        pen.oval(x, 0.36, 0.2, 0.2, "#ff4d7e")
    pen.shape([(0.145, 0.44), (0.855, 0.44), (0.5, 0.88)], "#ff4d7e")


def _note(pen: Pen, phase: int) -> None:
    colour = ("#ff5fa2", "#ffd23f", "#57e0d5")[phase % 3]
    pen.oval(0.32, 0.76, 0.17, 0.13, colour)
    pen.box(0.42, 0.14, 0.08, 0.64, colour, 0.01)
    pen.shape([(0.42, 0.14), (0.8, 0.26), (0.8, 0.44), (0.46, 0.32)], colour)


def _zed(pen: Pen, _: int) -> None:
    pen.box(0.18, 0.14, 0.64, 0.16, "#ffffff", 0.01)
    pen.box(0.18, 0.7, 0.64, 0.16, "#ffffff", 0.01)
    pen.shape([(0.6, 0.2), (0.82, 0.26), (0.4, 0.8), (0.18, 0.74)], "#ffffff")


def _tear(pen: Pen, _: int) -> None:
    pen.oval(0.5, 0.62, 0.25, 0.27, "#45b6ff")
    pen.shape([(0.5, 0.08), (0.28, 0.52), (0.72, 0.52)], "#45b6ff")
    pen.oval(0.42, 0.62, 0.07, 0.09, "#d8f1ff")


def _star(pen: Pen, phase: int, fill: str = "#fff3a3") -> None:
    points = []
    for step in range(8):
        turn = math.tau * (step + 0.25 * phase) / 8
        reach = 0.46 if step % 2 == 0 else 0.13
        points.append((0.5 + reach * math.cos(turn), 0.5 + reach * math.sin(turn)))
    pen.shape(points, fill)


def _burst(pen: Pen, phase: int) -> None:
    for scale, fill in ((0.49, "#ff7b1c"), (0.34, "#ffe14d"), (0.16, "#ffffff")):
        points = []
        for step in range(20):
            turn = math.tau * (step + 0.5 * phase) / 20
            reach = scale if step % 2 == 0 else scale * 0.6
            points.append((0.5 + reach * math.cos(turn), 0.5 + reach * math.sin(turn)))
        pen.shape(points, fill)


def _fire(pen: Pen, phase: int) -> None:
    lean = 0.06 * (phase % 2) - 0.03
    for x in (0.24, 0.5):
        pen.limb((x, 0.93), (x + 0.26, 0.84), 0.09, "#6b4226")
        pen.limb((x + 0.26, 0.93), (x, 0.84), 0.09, "#6b4226")
    for width, top, fill in ((0.3, 0.08, "#ff6a1a"), (0.2, 0.32, "#ffb020"), (0.1, 0.52, "#fff0a0")):
        pen.oval(0.5, 0.72, width, 0.17, fill)
        pen.shape([(0.5 - width, 0.7), (0.5 + lean * 2, top), (0.5 + width, 0.7)], fill)


def _smoke(pen: Pen, phase: int) -> None:
    swell = 1 + 0.12 * (phase % 3)
    for x, y, r in ((0.3, 0.62, 0.2), (0.68, 0.6, 0.22), (0.5, 0.4, 0.24), (0.44, 0.72, 0.2), (0.62, 0.78, 0.16)):
        pen.oval(x, y, r * swell, r * swell, "#e4def2")
    for x, y, r in ((0.36, 0.56, 0.12), (0.6, 0.48, 0.13)):
        pen.oval(x, y, r, r, "#ffffff")


def _dust(pen: Pen, _: int) -> None:
    for x, y, r in ((0.25, 0.7, 0.16), (0.5, 0.6, 0.2), (0.74, 0.7, 0.15)):
        pen.oval(x, y, r, r, "#f1e4cc")


def _wings(pen: Pen, phase: int) -> None:
    for feather in range(5):
        turn = math.radians((-38, 22)[phase % 2] + 17 * feather)
        reach = 0.47 - 0.055 * feather
        for side in (-1, 1):
            tip = (0.5 + side * reach * math.cos(turn), 0.52 + reach * math.sin(turn))
            pen.limb((0.5 + side * 0.05, 0.52), tip, 0.11, ("#ffffff", "#e3edff")[feather % 2])


def _streak(pen: Pen, _: int) -> None:
    pen.limb((0.5, 0.06), (0.5, 0.94), 0.09, "#ffffff")


def _bush(pen: Pen, _: int) -> None:
    for x, y, r in ((0.22, 0.76, 0.2), (0.42, 0.6, 0.24), (0.64, 0.64, 0.24), (0.8, 0.78, 0.18), (0.5, 0.8, 0.2)):
        pen.oval(x, y, r, r, "#2f8f4e")
    for x, y, r in ((0.36, 0.52, 0.1), (0.6, 0.54, 0.11), (0.2, 0.7, 0.08), (0.76, 0.72, 0.08)):
        pen.oval(x, y, r, r, "#54b86a")
    for x, y in ((0.44, 0.7), (0.66, 0.76), (0.28, 0.82)):
        pen.oval(x, y, 0.03, 0.03, "#ff5d6c")


def _bubble(pen: Pen, phase: int) -> None:
    pen.oval(0.5, 0.42, 0.46, 0.34, "#ffffff")
    pen.shape([(0.3, 0.66), (0.5, 0.7), (0.28, 0.94)], "#ffffff")
    for step in range(3):
        pen.oval(0.28 + 0.22 * step, 0.42, 0.07, 0.07, "#3b82f6" if step == phase % 3 else "#b7c4d8")


def _glow(pen: Pen, phase: int) -> None:
    for step in range(12):
        turn = math.tau * (step + 0.5 * (phase % 2)) / 12
        wide = 0.09
        tip = [(0.5 + 0.48 * math.cos(turn + side), 0.5 + 0.48 * math.sin(turn + side)) for side in (-wide, wide)]
        pen.shape([(0.5, 0.5), *tip], "#fff1a0")
    pen.oval(0.5, 0.5, 0.27, 0.27, "#fff9d6")


def _arrow(pen: Pen, _: int) -> None:
    pen.shape(
        [(0.5, 0.06), (0.88, 0.48), (0.64, 0.48), (0.64, 0.94), (0.36, 0.94), (0.36, 0.48), (0.12, 0.48)], "#b9ff66"
    )


def _shadow(pen: Pen, _: int) -> None:
    pen.draw.ellipse([pen.side * v for v in (0.1, 0.4, 0.9, 0.6)], fill=(30, 24, 50, 80))


_DRAW: dict[str, Callable[[Pen, int], None]] = {
    "key": _key,
    "balloon": _balloon,
    "lantern": _lantern,
    "book": _book,
    "flower": _flower,
    "umbrella": _umbrella,
    "sword": _sword,
    "apple": _apple,
    "heart": _heart,
    "note": _note,
    "zed": _zed,
    "tear": _tear,
    "star": _star,
    "burst": _burst,
    "fire": _fire,
    "smoke": _smoke,
    "dust": _dust,
    "wings": _wings,
    "streak": _streak,
    "bush": _bush,
    "bubble": _bubble,
    "glow": _glow,
    "arrow": _arrow,
    "shadow": _shadow,
}
_SOFT = ("shadow", "smoke", "dust", "glow", "streak")

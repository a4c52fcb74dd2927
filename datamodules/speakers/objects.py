"""Four things of each topic, drawn; those that the text names are seen beside the speaker."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from PIL import Image

from ..world.props import prop
from ..world.puppets import Pen


@lru_cache(maxsize=128)
def thing(topic: str, number: int, side: int) -> Image.Image:
    """Thing `number` of a topic, as `texts.json` orders them; RGBA, `side` square."""
    drawn = _THINGS[topic][number]
    if isinstance(drawn, str):
        picture = prop(drawn, "")
    else:
        pen = Pen()
        drawn(pen)
        picture = pen.outlined()
    return picture.resize((side, side), Image.Resampling.LANCZOS)


def _pot(pen: Pen) -> None:
    pen.box(0.08, 0.42, 0.84, 0.08, "#4a4f5a", 0.03)
    pen.box(0.18, 0.38, 0.64, 0.5, "#c2453d", 0.08)
    pen.box(0.16, 0.32, 0.68, 0.09, "#8c2f2b", 0.04)
    pen.oval(0.5, 0.28, 0.06, 0.05, "#2c2f36")


def _bread(pen: Pen) -> None:
    pen.oval(0.5, 0.55, 0.42, 0.26, "#c98a3d")
    pen.oval(0.5, 0.5, 0.38, 0.2, "#dfa659")
    for x in (0.3, 0.46, 0.62):
        pen.limb((x, 0.42), (x + 0.07, 0.58), 0.035, "#f3d49b")


def _knife(pen: Pen) -> None:
    pen.shape([(0.1, 0.2), (0.62, 0.5), (0.56, 0.64), (0.2, 0.42)], "#dfe6ee")
    pen.limb((0.62, 0.6), (0.88, 0.8), 0.12, "#3b2b20")


def _watering_can(pen: Pen) -> None:
    pen.curve(0.68, 0.5, 0.22, 0.24, (270, 90), 0.06, "#3c8d5a")
    pen.box(0.34, 0.38, 0.38, 0.44, "#4fae73", 0.04)
    pen.limb((0.36, 0.7), (0.1, 0.36), 0.08, "#4fae73")
    pen.oval(0.1, 0.33, 0.09, 0.05, "#3c8d5a")


def _shovel(pen: Pen) -> None:
    pen.limb((0.5, 0.12), (0.5, 0.6), 0.07, "#8a5a32")
    pen.box(0.34, 0.06, 0.32, 0.08, "#8a5a32")
    pen.shape([(0.3, 0.55), (0.7, 0.55), (0.66, 0.82), (0.5, 0.96), (0.34, 0.82)], "#9aa5b4")


def _guitar(pen: Pen) -> None:
    pen.limb((0.55, 0.5), (0.88, 0.12), 0.07, "#5b3a22")
    pen.oval(0.36, 0.7, 0.24, 0.22, "#d1822f")
    pen.oval(0.52, 0.54, 0.17, 0.16, "#d1822f")
    pen.oval(0.43, 0.63, 0.08, 0.08, "#3b2416")
    pen.limb((0.3, 0.76), (0.84, 0.15), 0.012, "#f5f0e6")


def _drum(pen: Pen) -> None:
    pen.box(0.14, 0.38, 0.72, 0.46, "#c3312f", 0.06)
    pen.oval(0.5, 0.4, 0.36, 0.12, "#f4eee0")
    pen.limb((0.3, 0.3), (0.08, 0.08), 0.04, "#a87542")
    pen.limb((0.68, 0.3), (0.92, 0.08), 0.04, "#a87542")


def _trumpet(pen: Pen) -> None:
    pen.limb((0.08, 0.42), (0.72, 0.42), 0.07, "#f0b428")
    pen.shape([(0.66, 0.4), (0.94, 0.2), (0.94, 0.64), (0.66, 0.46)], "#f0b428")
    pen.curve(0.44, 0.52, 0.2, 0.14, (0, 360), 0.06, "#d1961a")
    for x in (0.36, 0.45, 0.54):
        pen.box(x, 0.28, 0.04, 0.14, "#b97f10", 0.01)


def _pencil(pen: Pen) -> None:
    pen.limb((0.26, 0.74), (0.78, 0.22), 0.16, "#f2c230")
    pen.shape([(0.2, 0.68), (0.32, 0.8), (0.1, 0.9)], "#f0d9b0")
    pen.shape([(0.14, 0.8), (0.2, 0.86), (0.1, 0.9)], "#26262c")
    pen.oval(0.8, 0.2, 0.09, 0.09, "#e5738a")


def _globe(pen: Pen) -> None:
    pen.box(0.34, 0.86, 0.32, 0.07, "#7a4d2b")
    pen.oval(0.5, 0.48, 0.36, 0.36, "#3f8fd6")
    for x, y, r in ((0.38, 0.36, 0.13), (0.6, 0.5, 0.15), (0.42, 0.66, 0.1), (0.66, 0.26, 0.06)):
        pen.oval(x, y, r, r * 0.8, "#57b05a")


def _ruler(pen: Pen) -> None:
    pen.shape([(0.04, 0.68), (0.86, 0.2), (0.96, 0.36), (0.14, 0.84)], "#f4d06a")
    for step in range(9):
        x = 0.12 + 0.085 * step
        pen.limb((x, 0.67 - 0.05 * step), (x + 0.03, 0.72 - 0.05 * step), 0.014, "#4a3a1a")


def _suitcase(pen: Pen) -> None:
    pen.curve(0.5, 0.3, 0.14, 0.14, (180, 360), 0.06, "#3b2a1c")
    pen.box(0.1, 0.3, 0.8, 0.56, "#a8642c", 0.06)
    for x in (0.24, 0.68):
        pen.box(x, 0.3, 0.08, 0.56, "#6b3d18", 0.0)


def _camera(pen: Pen) -> None:
    pen.box(0.3, 0.2, 0.3, 0.16, "#2b2e36", 0.03)
    pen.box(0.08, 0.3, 0.84, 0.5, "#3a3e49", 0.06)
    pen.oval(0.5, 0.55, 0.21, 0.21, "#c7ccd6")
    pen.oval(0.5, 0.55, 0.16, 0.16, "#1a2b4a")
    pen.oval(0.8, 0.39, 0.04, 0.04, "#ff5a4d")


def _coin(pen: Pen) -> None:
    pen.oval(0.5, 0.5, 0.4, 0.4, "#d99a16")
    pen.oval(0.5, 0.5, 0.33, 0.33, "#ffcb3d")
    pen.box(0.46, 0.28, 0.08, 0.44, "#b97f10", 0.02)


def _chart(pen: Pen) -> None:
    pen.box(0.06, 0.1, 0.88, 0.8, "#ffffff", 0.03)
    for x, tall, fill in (
        (0.16, 0.2, "#4d8fe0"),
        (0.34, 0.34, "#4d8fe0"),
        (0.52, 0.28, "#4d8fe0"),
        (0.7, 0.56, "#3fb56b"),
    ):
        pen.box(x, 0.82 - tall, 0.13, tall, fill, 0.0)
    pen.limb((0.16, 0.5), (0.84, 0.18), 0.035, "#e0443e")


def _calculator(pen: Pen) -> None:
    pen.box(0.2, 0.06, 0.6, 0.88, "#3c4250", 0.06)
    pen.box(0.28, 0.14, 0.44, 0.18, "#bfe3c4", 0.02)
    for row in range(4):
        for column in range(3):
            fill = "#f29b38" if column == 2 else "#e6e8ee"
            pen.box(0.28 + 0.16 * column, 0.4 + 0.13 * row, 0.12, 0.09, fill, 0.02)


def _mirror(pen: Pen) -> None:
    pen.limb((0.5, 0.66), (0.5, 0.94), 0.1, "#c76a9c")
    pen.oval(0.5, 0.38, 0.33, 0.34, "#c76a9c")
    pen.oval(0.5, 0.38, 0.26, 0.27, "#cfeaf7")
    pen.limb((0.38, 0.42), (0.54, 0.24), 0.04, "#ffffff")


def _brush(pen: Pen) -> None:
    pen.limb((0.14, 0.88), (0.54, 0.46), 0.08, "#26262c")
    pen.limb((0.52, 0.48), (0.62, 0.38), 0.13, "#cfd3da")
    pen.shape([(0.56, 0.34), (0.66, 0.44), (0.92, 0.28), (0.88, 0.1), (0.72, 0.1)], "#e58aa6")


def _lipstick(pen: Pen) -> None:
    pen.box(0.34, 0.54, 0.32, 0.4, "#1f1f26", 0.03)
    pen.box(0.38, 0.4, 0.24, 0.18, "#e3c05a", 0.02)
    pen.shape([(0.41, 0.42), (0.41, 0.16), (0.59, 0.06), (0.59, 0.42)], "#d61f4c")


def _perfume(pen: Pen) -> None:
    pen.box(0.2, 0.4, 0.6, 0.52, "#b68ae0", 0.08)
    pen.box(0.42, 0.24, 0.16, 0.18, "#e3c05a", 0.02)
    pen.oval(0.5, 0.18, 0.12, 0.1, "#e3c05a")
    pen.box(0.3, 0.56, 0.4, 0.2, "#f6efff", 0.02)


def _ball(pen: Pen) -> None:
    pen.oval(0.5, 0.5, 0.42, 0.42, "#f7f7f7")
    pen.shape([(0.5, 0.34), (0.65, 0.45), (0.6, 0.62), (0.4, 0.62), (0.35, 0.45)], "#22242b")
    for x, y in ((0.5, 0.11), (0.86, 0.4), (0.72, 0.82), (0.28, 0.82), (0.14, 0.4)):
        pen.oval(x, y, 0.08, 0.07, "#22242b")


def _weights(pen: Pen) -> None:
    pen.limb((0.14, 0.5), (0.86, 0.5), 0.08, "#9aa0ac")
    for x in (0.1, 0.72):
        pen.box(x, 0.24, 0.1, 0.52, "#2c2f38", 0.03)
        pen.box(x + 0.1 if x < 0.5 else x - 0.02, 0.32, 0.08, 0.36, "#454a57", 0.02)


def _medal(pen: Pen) -> None:
    pen.shape([(0.24, 0.04), (0.42, 0.04), (0.56, 0.5), (0.44, 0.54)], "#2f6fd0")
    pen.shape([(0.76, 0.04), (0.58, 0.04), (0.44, 0.5), (0.56, 0.54)], "#d9363e")
    pen.oval(0.5, 0.68, 0.26, 0.26, "#e5a91c")
    pen.oval(0.5, 0.68, 0.18, 0.18, "#ffd04a")


def _whistle(pen: Pen) -> None:
    pen.box(0.1, 0.34, 0.6, 0.18, "#e0443e", 0.03)
    pen.oval(0.64, 0.56, 0.25, 0.25, "#e0443e")
    pen.oval(0.64, 0.56, 0.12, 0.12, "#6b1714")
    pen.curve(0.64, 0.2, 0.12, 0.12, (0, 360), 0.03, "#2c2f38")


_THINGS: dict[str, tuple[str | Callable[[Pen], None], ...]] = {
    "cooking": ("apple", _pot, _bread, _knife),
    "garden": ("flower", "bush", _watering_can, _shovel),
    "music": (_guitar, _drum, "note", _trumpet),
    "school": ("book", _pencil, _globe, _ruler),
    "travel": ("umbrella", _suitcase, _camera, "lantern"),
    "money": (_coin, _chart, "key", _calculator),
    "beauty": (_mirror, _brush, _lipstick, _perfume),
    "sport": (_ball, _weights, _medal, _whistle),
}

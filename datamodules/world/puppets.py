"""The cast, drawn: one jointed puppet for all, dressed by a table, posed by angles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFilter

#: side of the square that a picture is drawn on; the ground is at GROUND of its height
CANVAS = 256
GROUND = 0.96
OUTLINE = (46, 38, 58)
BROW = "#2e263a"

Point = tuple[float, float]


class Pen:
    """Draws on a transparent square in units of its side."""

    def __init__(self, side: int = CANVAS) -> None:
        self.side = side
        self.image = Image.new("RGBA", (side, side), (0, 0, 0, 0))
        self.draw = ImageDraw.Draw(self.image)

    def oval(self, x: float, y: float, rx: float, ry: float, fill: str) -> None:
        self.draw.ellipse([self.side * v for v in (x - rx, y - ry, x + rx, y + ry)], fill=fill)

    def shape(self, points: Sequence[Point], fill: str) -> None:
        self.draw.polygon([(self.side * x, self.side * y) for x, y in points], fill=fill)

    def box(self, x: float, y: float, w: float, h: float, fill: str, radius: float = 0.03) -> None:
        edges = [self.side * v for v in (x, y, x + w, y + h)]
        self.draw.rounded_rectangle(edges, radius=self.side * radius, fill=fill)

    def limb(self, start: Point, end: Point, width: float, fill: str) -> None:
        self.draw.line([self.side * v for v in (*start, *end)], fill=fill, width=max(1, round(self.side * width)))
        for x, y in (start, end):
            self.oval(x, y, width / 2, width / 2, fill)

    def curve(
        self, x: float, y: float, rx: float, ry: float, span: tuple[float, float], width: float, fill: str
    ) -> None:
        edges = [self.side * v for v in (x - rx, y - ry, x + rx, y + ry)]
        self.draw.arc(edges, span[0], span[1], fill=fill, width=max(1, round(self.side * width)))

    def outlined(self) -> Image.Image:
        """The picture inside a thin dark line, so that it stands out from any background."""
        alpha = self.image.getchannel("A")
        line = Image.new("RGBA", self.image.size, (*OUTLINE, 0))
        line.putalpha(alpha.filter(ImageFilter.MaxFilter(5)))
        return Image.alpha_composite(line, self.image)


@dataclass(frozen=True)
class Look:
    """How a character is dressed: colours, and the parts that only some have."""

    skin: str
    body: str
    limbs: str
    belly: str | None = None
    muzzle: str | None = None
    ears: str = ""
    hat: str = ""
    hair: str | None = None
    tail: str | None = None
    beard: str | None = None
    head: str = "round"


LOOKS = {
    "fox": Look("#ec6b2d", "#ec6b2d", "#c9501b", "#fff3e0", "#fff3e0", ears="pointed", tail="#ec6b2d"),
    "robot": Look("#4f8ff0", "#3f78d8", "#2f5fb5", "#a9d4ff", head="box", hat="antenna"),
    "king": Look("#f4c9a3", "#b3263a", "#8c1c2e", "#f7efe2", hat="crown", beard="#f2f2f2"),
    "girl": Look("#f9cfae", "#ffd23f", "#f9cfae", hair="#7a3f1d", hat="bow"),
    "frog": Look("#4fb84a", "#4fb84a", "#37923a", "#d6f2a2", ears="eyes", head="wide"),
    "rabbit": Look("#fbfbff", "#fbfbff", "#dcdcea", "#ffe3ec", "#ffffff", ears="long", tail="#ffffff"),
    "bear": Look("#8a5a32", "#8a5a32", "#6e4424", "#c99a66", "#d9b083", ears="round"),
    "witch": Look("#b7dd8b", "#5b2a86", "#3d1a5e", hair="#e0662a", hat="pointed"),
    "knight": Look("#aab4c2", "#8d99aa", "#6d7889", "#d64545", head="helmet", hat="plume"),
    "penguin": Look("#2b3348", "#2b3348", "#2b3348", "#ffffff", ears="beak"),
}


@dataclass(frozen=True)
class Pose:
    """Angles in degrees from straight down, towards the way the puppet looks; and the mood of its face."""

    arms: tuple[float, float] = (-18.0, 18.0)
    legs: tuple[float, float] = (-6.0, 6.0)
    mood: str = "calm"


POSES = {
    "stand": Pose(),
    "step0": Pose((55, -55), (-48, 48), "joy"),
    "step1": Pose((40, -40), (-30, 30), "joy"),
    "step2": Pose((-55, 55), (48, -48), "joy"),
    "step3": Pose((-40, 40), (30, -30), "joy"),
    "scared0": Pose((-150, 160), (-48, 48), "fear"),
    "scared1": Pose((-165, 145), (-30, 30), "fear"),
    "scared2": Pose((-150, 160), (48, -48), "fear"),
    "scared3": Pose((-165, 145), (30, -30), "fear"),
    "up": Pose((-155, 155), (-20, 20), "joy"),
    "wave": Pose((-18, 150), (-6, 6), "joy"),
    "dance0": Pose((-150, 70), (-30, 8), "joy"),
    "dance1": Pose((-70, 150), (-8, 30), "joy"),
    "asleep": Pose((-10, 10), (-4, 4), "sleep"),
    "cry": Pose((163, -163), (-6, 6), "cry"),
    "fly": Pose((-165, 165), (-8, 8), "joy"),
    "fallen": Pose((-125, 125), (-40, 40), "fear"),
    "reach": Pose((80, 70), (-8, 8), "joy"),
    "sit": Pose((60, 55), (70, 82), "calm"),
    "punch0": Pose((95, 40), (-26, 26), "angry"),
    "punch1": Pose((40, 95), (-26, 26), "angry"),
    "hug": Pose((88, 78), (-6, 6), "joy"),
}


def puppet(name: str, pose: str) -> Image.Image:
    """A character in a pose, RGBA, CANVAS square, looking to the right."""
    look, stance, pen = LOOKS[name], POSES[pose], Pen()
    sitting = pose == "sit"
    drop = 0.1 if sitting else 0.0
    if look.tail:
        _tail(pen, name, look.tail, drop)
    hips, shoulders = 0.79 + drop, 0.60 + drop
    _limb(pen, (0.45, hips), stance.legs[0], 0.15, 0.085, look.limbs, foot=True)
    _limb(pen, (0.38, shoulders), stance.arms[0], 0.22, 0.07, look.limbs)
    _torso(pen, name, look, drop)
    _limb(pen, (0.55, hips), stance.legs[1], 0.15, 0.085, look.limbs, foot=True)
    _head(pen, look, stance.mood, drop)
    _limb(pen, (0.62, shoulders), stance.arms[1], 0.22, 0.07, look.limbs)
    return pen.outlined()


def _limb(pen: Pen, joint: Point, angle: float, length: float, width: float, fill: str, foot: bool = False) -> None:
    turn = math.radians(angle)
    end = joint[0] + length * math.sin(turn), joint[1] + length * math.cos(turn)
    pen.limb(joint, end, width, fill)
    if foot:
        pen.oval(end[0] + 0.02, end[1] - 0.002, 0.06, 0.04, fill)


def _torso(pen: Pen, name: str, look: Look, drop: float) -> None:
    if name == "robot":
        pen.box(0.36, 0.54 + drop, 0.28, 0.28, look.body, 0.05)
        pen.box(0.42, 0.61 + drop, 0.16, 0.12, look.belly or look.body, 0.02)
        pen.oval(0.46, 0.67 + drop, 0.02, 0.02, "#ff6b6b")
        pen.oval(0.54, 0.67 + drop, 0.02, 0.02, "#ffe066")
        return
    if name in ("king", "girl", "witch"):  # a robe or a dress
        pen.shape([(0.42, 0.5 + drop), (0.58, 0.5 + drop), (0.7, 0.86 + drop), (0.3, 0.86 + drop)], look.body)
        pen.oval(0.5, 0.86 + drop, 0.2, 0.04, look.body)
        if look.belly:
            pen.box(0.31, 0.84 + drop, 0.38, 0.05, look.belly, 0.02)
            pen.box(0.475, 0.5 + drop, 0.05, 0.36, look.belly, 0.01)
        return
    pen.oval(0.5, 0.67 + drop, 0.165, 0.18, look.body)
    if look.belly and name == "knight":
        pen.box(0.46, 0.56 + drop, 0.08, 0.22, look.belly, 0.01)
        pen.box(0.4, 0.62 + drop, 0.2, 0.07, look.belly, 0.01)
    elif look.belly:
        pen.oval(0.52, 0.69 + drop, 0.115, 0.135, look.belly)


def _tail(pen: Pen, name: str, colour: str, drop: float) -> None:
    if name == "fox":
        pen.shape([(0.42, 0.8 + drop), (0.24, 0.72 + drop), (0.1, 0.5 + drop), (0.2, 0.82 + drop)], colour)
        pen.oval(0.22, 0.7 + drop, 0.09, 0.11, colour)
        pen.oval(0.13, 0.56 + drop, 0.055, 0.07, "#fff3e0")
    else:
        pen.oval(0.33, 0.78 + drop, 0.06, 0.06, colour)


def _head(pen: Pen, look: Look, mood: str, drop: float) -> None:
    y = 0.37 + drop
    _ears(pen, look, y)
    if look.hair:
        pen.oval(0.49, y - 0.01, 0.215, 0.205, look.hair)
        pen.oval(0.31, y + 0.1, 0.06, 0.13, look.hair)
        pen.oval(0.67, y + 0.1, 0.06, 0.13, look.hair)
    if look.head == "box":
        pen.box(0.3, y - 0.17, 0.4, 0.33, look.skin, 0.07)
        pen.box(0.36, y - 0.09, 0.3, 0.16, "#16294f", 0.05)
    elif look.head == "wide":
        pen.oval(0.5, y + 0.02, 0.22, 0.165, look.skin)
    else:
        pen.oval(0.5, y, 0.19, 0.18, look.skin)
    if look.head == "helmet":
        pen.box(0.38, y - 0.06, 0.3, 0.12, "#2e3440", 0.04)
    if look.beard:
        pen.shape([(0.37, y + 0.04), (0.69, y + 0.04), (0.62, y + 0.2), (0.53, y + 0.27), (0.43, y + 0.2)], look.beard)
    if look.muzzle:
        pen.oval(0.57, y + 0.07, 0.1, 0.08, look.muzzle)
        pen.oval(0.61, y + 0.035, 0.025, 0.02, "#2b2030")
    if look.ears == "beak":
        pen.oval(0.55, y + 0.03, 0.13, 0.13, "#ffffff")
        pen.shape([(0.55, y + 0.02), (0.72, y + 0.06), (0.55, y + 0.1)], "#ffa62b")
    _face(pen, look, mood, y)
    _hat(pen, look.hat, y)


def _ears(pen: Pen, look: Look, y: float) -> None:
    if look.ears == "pointed":
        for x, lean in ((0.36, -0.04), (0.63, 0.04)):
            pen.shape([(x - 0.09, y - 0.09), (x + lean, y - 0.3), (x + 0.09, y - 0.11)], look.skin)
            pen.shape([(x - 0.04, y - 0.12), (x + lean * 0.8, y - 0.24), (x + 0.045, y - 0.13)], "#43302b")
    elif look.ears == "long":
        for x in (0.42, 0.57):
            pen.oval(x, y - 0.24, 0.058, 0.155, look.skin)
            pen.oval(x, y - 0.23, 0.03, 0.11, "#ffb3c6")
    elif look.ears == "round":
        for x in (0.35, 0.65):
            pen.oval(x, y - 0.15, 0.075, 0.075, look.skin)
            pen.oval(x, y - 0.15, 0.04, 0.04, look.muzzle or look.skin)
    elif look.ears == "eyes":
        for x in (0.4, 0.62):
            pen.oval(x, y - 0.13, 0.075, 0.075, look.skin)


def _face(pen: Pen, look: Look, mood: str, y: float) -> None:
    bright = look.head in ("box", "helmet")
    ink = "#9ff3ff" if bright else "#2b2030"
    height = y - 0.13 if look.ears == "eyes" else y - 0.01
    for x in (0.47, 0.62):
        if look.ears == "eyes":
            x = 0.4 if x < 0.5 else 0.62
        if mood in ("sleep", "cry"):
            pen.curve(x, height - 0.01, 0.035, 0.03, (20, 160), 0.018, ink)
        elif mood == "angry":
            pen.oval(x, height, 0.027, 0.032, ink)
            slope = 0.03 if x < 0.55 else -0.03
            pen.limb((x - 0.04, height - 0.05 - slope), (x + 0.04, height - 0.05 + slope), 0.018, BROW)
        else:
            if not bright:
                pen.oval(x, height, 0.045, 0.05, "#ffffff")
            size = 0.018 if mood == "fear" else 0.03
            pen.oval(x + 0.01, height, size, size + 0.006, ink)
    mouth = y + 0.1
    if look.muzzle or look.ears == "beak" or bright or look.beard:
        return
    if mood == "joy":
        pen.curve(0.55, mouth - 0.03, 0.07, 0.05, (10, 170), 0.02, ink)
    elif mood in ("cry", "fear", "angry"):
        pen.curve(0.55, mouth + 0.03, 0.05, 0.04, (190, 350), 0.02, ink)
    else:
        pen.limb((0.51, mouth), (0.58, mouth), 0.014, ink)


def _hat(pen: Pen, hat: str, y: float) -> None:
    if hat == "crown":
        left, top = 0.34, y - 0.16
        spikes = [
            (left - 0.02, top - 0.15),
            (0.43, top - 0.07),
            (0.5, top - 0.18),
            (0.57, top - 0.07),
            (0.68, top - 0.15),
        ]
        pen.shape([(left, top), *spikes, (0.66, top)], "#ffcf33")
        pen.oval(0.5, top - 0.04, 0.025, 0.025, "#e63946")
    elif hat == "antenna":
        pen.limb((0.5, y - 0.17), (0.5, y - 0.27), 0.02, "#7a8fb3")
        pen.oval(0.5, y - 0.29, 0.04, 0.04, "#ff5d5d")
    elif hat == "bow":
        pen.shape([(0.5, y - 0.17), (0.36, y - 0.26), (0.38, y - 0.1)], "#ff4d6d")
        pen.shape([(0.5, y - 0.17), (0.64, y - 0.26), (0.62, y - 0.1)], "#ff4d6d")
        pen.oval(0.5, y - 0.17, 0.03, 0.03, "#c9184a")
    elif hat == "pointed":
        pen.shape([(0.34, y - 0.12), (0.44, y - 0.36), (0.66, y - 0.12)], "#2a2035")
        pen.oval(0.5, y - 0.12, 0.27, 0.045, "#2a2035")
        pen.shape([(0.36, y - 0.15), (0.38, y - 0.19), (0.61, y - 0.19), (0.64, y - 0.15)], "#9b5de5")
    elif hat == "plume":
        pen.oval(0.43, y - 0.22, 0.12, 0.055, "#e63946")
        pen.oval(0.34, y - 0.17, 0.06, 0.08, "#e63946")

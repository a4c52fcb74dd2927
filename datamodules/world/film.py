"""From shots to frames, and from frames to a video file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from av.video.frame import PictureType
from PIL import Image, ImageDraw

from ..files import whole_path
from .acts import STAGE, Sprite, portrait, sprites
from .places import paint
from .props import prop
from .puppets import GROUND, LOOKS, puppet
from .story import FPS, PLACES, Event, Shot, Story

WIDTH, HEIGHT = 192, 108
#: camera per framing: zoom, and the point of the stage that it looks at
_CAMERAS = {
    "wide": (1.0, 8.0, 4.5),
    "medium": (1.15, 8.0, 4.9),
    "reverse": (1.08, 8.0, 4.7),
    "close": (1.28, 8.0, 5.1),
    "portrait": (1.35, 8.0, 5.2),
    "landscape": (1.12, 8.0, 4.5),
    "sky": (1.9, 8.0, 2.4),
}
#: where drops begin, in shares of the frame
_RAIN = np.random.default_rng(0).uniform(0, 1.2, (110, 2)).tolist()


def frames(seed: int, story: Story) -> Iterator[np.ndarray]:
    """The film of a story: uint8 RGB (HEIGHT, WIDTH, 3), FPS a second.  The same arguments give the same pixels."""
    backgrounds: dict[str, Image.Image] = {}
    for number, shot in enumerate(story.shots):
        if shot.place not in backgrounds:
            light = np.random.default_rng([seed, story.index, PLACES.index(shot.place), 7])
            backgrounds[shot.place] = paint(shot.place, light)
        event = None if shot.event is None else story.events[shot.event]
        rng = np.random.default_rng([seed, story.index, number, 8])
        yield from _shoot(shot, event, backgrounds[shot.place], rng)


def encode(path: Path, seed: int, story: Story) -> None:
    """Write the film as H.264 in MP4, whole or not at all; every shot begins with a key frame."""
    cuts = set(np.cumsum([0] + [shot.frames for shot in story.shots]).tolist())
    options = {"movflags": "+faststart"}
    with whole_path(path) as part, av.open(str(part), "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "21"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.thread_count = 1  # stories are filmed side by side; the bytes do not depend on the machine's cores
        for number, pixels in enumerate(frames(seed, story)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pict_type = PictureType.I if number in cuts else PictureType.NONE
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _shoot(shot: Shot, event: Event | None, background: Image.Image, rng: np.random.Generator) -> Iterator[np.ndarray]:
    zoom, x, y = _CAMERAS[shot.framing]
    x += rng.uniform(-0.5, 0.5)
    mirrored = shot.framing == "reverse" or bool(rng.random() < 0.35)
    pan = rng.uniform(0.25, 0.6) * rng.choice([-1, 1]) * (2.0 if shot.framing == "landscape" else 0.5)
    scale = zoom * WIDTH / STAGE[0]
    backdrop = background.resize(
        (round(STAGE[0] * scale * 1.06), round(STAGE[1] * scale * 1.06)), Image.Resampling.BILINEAR
    )
    start = rng.uniform(0.0, 1.0)
    for number in range(shot.frames):
        u, t = number / max(1, shot.frames - 1), start + number / FPS
        left, top = x + pan * (u - 0.5) - 8 / zoom, y - 4.5 / zoom
        left, top = min(max(left, 0.0), 16 - 16 / zoom), min(max(top, 0.0), 9 - 9 / zoom)
        shift = (round((left + 0.48) * scale), round((top + 0.27) * scale))
        picture = backdrop.crop((*shift, shift[0] + WIDTH, shift[1] + HEIGHT))
        if event is not None and not event.agent:
            picture = _weather(picture, event.verb, u, t)
        cast = sprites(event, u, t) if event else portrait(str(shot.character), t) if shot.character else []
        for sprite in cast:
            _paste(picture, sprite, scale, left, top)
        yield np.asarray(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else picture)


def _paste(picture: Image.Image, sprite: Sprite, scale: float, left: float, top: float) -> None:
    side = round(sprite.size * scale)
    if side < 2 or sprite.fade < 0.05:
        return
    image = _stamp(sprite.picture, sprite.pose, side, sprite.flip, round(sprite.angle / 4) * 4, round(sprite.fade * 8))
    foot = GROUND - 0.5 if sprite.picture in LOOKS else 0.0
    x, y = (sprite.x - left) * scale, (sprite.y - top - foot * sprite.size) * scale
    picture.paste(image, (round(x - image.width / 2), round(y - image.height / 2)), image)


@lru_cache(maxsize=256)
def _drawing(name: str, pose: str) -> Image.Image:
    return puppet(name, pose) if name in LOOKS else prop(name, pose)


@lru_cache(maxsize=4096)
def _stamp(name: str, pose: str, side: int, flip: bool, angle: int, fade: int) -> Image.Image:
    """A picture as it is pasted: scaled, mirrored, turned, faded in eighths."""
    image = _drawing(name, pose).resize((side, side), Image.Resampling.HAMMING)
    if flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if angle:
        image = image.rotate(angle, Image.Resampling.BICUBIC, expand=True)
    if fade < 8:
        image.putalpha(image.getchannel("A").point([level * fade // 8 for level in range(256)]))
    return image


def _weather(picture: Image.Image, verb: str, u: float, t: float) -> Image.Image:
    """Storm, rainbow or fireworks over a frame."""
    if verb == "rainbow":
        return _rainbow(picture, min(1.0, 0.35 + 1.3 * u))
    flash = math.sin(5.1 * t) > 0.55
    dark = 0.42 if verb == "storm" else 0.5
    picture = picture.point([int(level * (dark + 0.35 * (flash and verb == "storm"))) for level in range(256)] * 3)
    draw = ImageDraw.Draw(picture)
    if verb == "storm":
        for near, far in _RAIN:
            x = (near * WIDTH - 60 * t) % (WIDTH + 20) - 10
            y = (far * HEIGHT + 180 * t) % (HEIGHT + 20) - 10
            draw.line([x, y, x - 3, y + 9], fill=(170, 200, 245))
        if flash:
            x = WIDTH * (0.25 + 0.5 * (int(t * 1.3) * 0.37 % 1))
            bolt = [(x, 0), (x - 10, 26), (x + 4, 28), (x - 9, 58), (x + 5, 58), (x - 4, 82)]
            draw.line(bolt, fill=(255, 250, 170), width=4)
        return picture
    for shell in range(4):
        age = (0.6 * t + shell * 0.27) % 1
        x, y = WIDTH * (0.16 + 0.22 * shell), HEIGHT * (0.2 + 0.13 * (shell * 0.6 % 1))
        colour = ((255, 90, 120), (255, 220, 90), (110, 230, 255), (190, 130, 255))[shell]
        for ray in range(14):
            turn, far = math.tau * ray / 14, 26 * math.sqrt(age)
            near = max(0.0, far - 9)
            ends = [(x + r * math.cos(turn), y + r * math.sin(turn) + 5 * age) for r in (near, far)]
            draw.line(ends, fill=colour, width=2)
    return picture


def _rainbow(picture: Image.Image, grown: float) -> Image.Image:
    arc = _bows(round(grown * 20))
    picture.paste(arc, (0, 0), arc)
    return picture


@lru_cache(maxsize=32)
def _bows(grown: int) -> Image.Image:
    layer = Image.new("RGBA", (WIDTH * 2, HEIGHT * 2), (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    for step, colour in enumerate(("#ff4d4d", "#ff9f40", "#ffe14d", "#5fd068", "#4da3ff", "#9a5dff")):
        inset = 9 * step
        edges = [WIDTH * 0.12 + inset, HEIGHT * 0.16 + inset, WIDTH * 1.88 - inset, HEIGHT * 2.7 - inset]
        draw.arc(edges, 180, 180 + 9 * grown, fill=colour, width=10)
    layer = layer.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    layer.putalpha(layer.getchannel("A").point([level * 215 // 255 for level in range(256)]))
    return layer

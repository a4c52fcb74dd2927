"""A clip as it is seen and heard: frames with the exact place of every face, sound, and both as MP4."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from ..batches import SPEECH_RATE
from ..files import whole_path
from ..media import Picture
from ..waveforms import resample
from .cast import Person
from .faces import OPEN_STEPS, WIDE_STEPS, box, cover, portrait, turned
from .mouth import track
from .scenes import HEIGHT, WIDTH, close_up, furnish, paint
from .script import FPS, Clip, Shot

#: framing -> side of the square that a person is drawn in
SIDES = {"close": 212, "medium": 152, "two": 140, "other": 200}
#: of the sound in the file
SOUND_RATE = 48_000
#: frames in which a hand comes up, or goes
_ENTERS = 3

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Face:
    """A face in one frame: whose, and x0, y0, x1, y1 in pixels, forehead to chin."""

    person: Person
    box: Box


@dataclass(frozen=True)
class _Actor:
    """A person's movements over a clip."""

    person: Person
    mouth: NDArray[np.int64]  # (T, 2) steps open and wide
    sway: NDArray[np.int64]  # (T, 2) pixels
    blink: NDArray[np.bool_]  # (T,)


def frames(seed: int, clip: Clip) -> Iterator[tuple[Picture, list[Face]]]:
    """Every frame, (HEIGHT, WIDTH, 3) RGB, with the faces in it, the speaker's first."""
    rng = np.random.default_rng([seed, int(clip.id.rpartition("-")[2]), 0xF11A])
    speaker, other = _actor(clip, clip.speaker, rng), _actor(clip, clip.other, rng)
    empty = paint(clip.topic, rng)
    set_up = furnish(empty, clip.topic, clip.things, rng)
    light = _grade(rng) if clip.domain == "movie" else None
    seat = 0.5 + rng.uniform(-0.05, 0.05)
    faces: list[Face]
    for shot in clip.shots:
        middle = seat if clip.domain == "youtube" else 0.5 + rng.uniform(-0.08, 0.08)
        shown, right = int(rng.choice(clip.things)), bool(rng.random() < 0.5)
        for number in range(shot.first, shot.last):
            if shot.framing == "insert":
                grown = (number - shot.first) / (shot.last - shot.first)
                picture, faces = close_up(empty, clip.topic, shown, grown), []
            else:
                picture, faces = _people(clip, shot, number, set_up, (speaker, other), middle, right)
            yield np.asarray(picture.point(light) if light else picture), faces


def sound(seed: int, clip: Clip) -> NDArray[np.int16]:
    """(S,) at 48 kHz: the speech; under a movie's some music, under others the faint noise of a room."""
    rng = np.random.default_rng([seed, int(clip.id.rpartition("-")[2]), 0x50D])
    speech = resample(clip.waveform, SPEECH_RATE, SOUND_RATE).astype(np.float64)
    seconds = np.arange(len(speech)) / SOUND_RATE
    if clip.domain == "movie":
        root = 110 * 2 ** (rng.integers(12) / 12)
        chord = sum(np.sin(2 * np.pi * root * step * seconds) for step in (1, 1.25, 1.5, 2))
        under = 90 * chord * (1 + 0.5 * np.sin(2 * np.pi * 0.2 * seconds))
    else:
        under = rng.normal(0, 12, len(speech))
    return np.clip(0.85 * speech + under, -32768, 32767).astype(np.int16)


def encode(path: Path, seed: int, clip: Clip) -> list[list[Face]]:
    """Write the clip as H.264 with AAC, whole or not at all; returns the faces of every frame."""
    cuts, seen = {shot.first for shot in clip.shots}, []
    options = {"movflags": "+faststart"}
    with whole_path(path) as part, av.open(str(part), "w", format="mp4", options=options) as container:
        video: VideoStream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "20"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.thread_count = 1  # clips are filmed side by side; the bytes do not depend on the machine's cores
        audio: AudioStream = container.add_stream("aac", rate=SOUND_RATE, layout="mono")
        audio.bit_rate = 64_000
        for number, (pixels, faces) in enumerate(frames(seed, clip)):
            frame = VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pict_type = PictureType.I if number in cuts else PictureType.NONE
            container.mux(video.encode(frame))
            seen.append(faces)
        container.mux(video.encode())
        heard = AudioFrame.from_ndarray(sound(seed, clip)[None], format="s16", layout="mono")
        heard.sample_rate, heard.time_base, heard.pts = SOUND_RATE, Fraction(1, SOUND_RATE), 0
        container.mux(audio.encode(heard))
        container.mux(audio.encode())
    return seen


def _people(
    clip: Clip,
    shot: Shot,
    number: int,
    background: Image.Image,
    actors: tuple[_Actor, _Actor],
    middle: float,
    right: bool,
) -> tuple[Image.Image, list[Face]]:
    picture = background.copy()
    speaker, other = actors
    places = {
        "two": [(speaker, 0.29), (other, 0.71)],
        "other": [(other, middle)],
    }.get(shot.framing, [(speaker, middle)])
    faces = []
    for actor, place in places:
        side = SIDES[shot.framing]
        dx, dy = actor.sway[number]
        left, top = round(place * WIDTH - side / 2) + int(dx), HEIGHT - side + 3 + int(dy)
        edges = box(actor.person, side)
        faces.append(Face(actor.person, (edges[0] + left, edges[1] + top, edges[2] + left, edges[3] + top)))
        kind, lowered = _covered(clip, number) if actor is speaker else ("", 0.0)
        if kind == "turned":
            drawn = turned(actor.person, side, right)
        else:
            opened, wide = actor.mouth[number].tolist()
            drawn = portrait(actor.person, side, opened, wide, bool(actor.blink[number]))
        picture.paste(drawn, (left, top), drawn)
        if kind in ("hand", "microphone"):
            before = cover(actor.person, side, kind)
            picture.paste(before, (left, top + round(lowered * side)), before)
    return picture, faces


def _covered(clip: Clip, number: int) -> tuple[str, float]:
    """What is before the speaker's lips, and how far below them it still is, in shares of the person's side."""
    for first, last, kind in clip.covers:
        if first <= number < last:
            return kind, 0.0
        away = first - number if number < first else number - last + 1
        if kind != "turned" and away <= _ENTERS and clip.seen[number]:
            return kind, 0.17 + 0.12 * away
    return "", 0.0


def _actor(clip: Clip, person: Person, rng: np.random.Generator) -> _Actor:
    times = (np.arange(clip.frames) + 0.5) / FPS
    shape = track(clip.phonemes_of(person), times) * (OPEN_STEPS, WIDE_STEPS)
    blink = np.zeros(clip.frames, dtype=bool)
    for second in np.cumsum(rng.uniform(1.5, 5.0, 1 + clip.frames // FPS)):
        first = round(second * FPS)
        blink[first : first + 3] = True
    sway = np.stack([_drift(rng, times, 3.0), _drift(rng, times, 2.0)], axis=1)
    return _Actor(person, shape.round().astype(np.int64), sway.round().astype(np.int64), blink)


def _drift(rng: np.random.Generator, times: NDArray[np.float64], pixels: float) -> NDArray[np.float64]:
    """A head is never still: slow waves out of step."""
    waves = [np.sin(2 * np.pi * (rng.uniform(0.08, 0.5) * times + rng.random())) for _ in range(3)]
    return pixels * np.mean(waves, axis=0)


def _grade(rng: np.random.Generator) -> list[int]:
    """A film's colours: darker, of one tone."""
    tone = rng.uniform(0.72, 0.95, 3)
    return [round(255 * (level / 255) ** 1.1 * gain) for gain in tone for level in range(256)]

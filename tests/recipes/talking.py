"""Films of a few seconds in which square faces talk, with sound: what building clips is tried on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

FPS, RATE = 25, 16000
#: the box of a face, by its place in the picture
PLACES = {"left": (10, 20, 58, 68), "middle": (72, 20, 120, 68), "right": (134, 20, 182, 68)}
SENTENCES = ("We walk to the old harbour.", "The boats are out and it is late.", "So what do you want to eat?")


def film(
    path: Path,
    *,
    seconds: float = 6.0,
    talks: Sequence[str] = ("middle",),
    still: Sequence[str] = (),
    sound: bool = True,
    loud: float = 6000.0,
) -> None:
    """Write a film of 192 x 108: faces at `talks` open their mouths as the sound swells, those at `still` do not."""
    rng = np.random.default_rng(len(path.stem))
    frames = round(seconds * FPS)
    swell = np.abs(np.sin(np.arange(frames) * 0.9)) * (np.arange(frames) % FPS < 20)  # a fifth of each second is quiet
    room = rng.integers(90, 160, (9, 12, 3), dtype=np.uint8).repeat(12, 0).repeat(16, 1)
    skin = {place: rng.integers(80, 220, (6, 6, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1) for place in PLACES}
    pictures = []
    for number in range(frames):
        picture = room.copy()
        for place in (*talks, *still):
            x0, y0, x1, y1 = PLACES[place]
            picture[y0:y1, x0:x1] = skin[place]
            if place in talks:
                picture[y0 + 36 : y0 + 38 + round(9 * swell[number]), x0 + 14 : x1 - 14] = (40, 0, 0)
        pictures.append(picture)
    time = np.arange(frames * RATE // FPS) / RATE
    wave = np.sin(2 * np.pi * 180 * time) * np.interp(time * FPS, np.arange(frames), swell) * loud
    with_sound(path, pictures, wave.astype(np.int16) if sound else None)


def with_sound(path: Path, pictures: Sequence[np.ndarray], sound: np.ndarray | None) -> None:
    """Write pictures, 25 a second, and sound at 16 kHz as a film."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "12"})
        video.height, video.width = pictures[0].shape[:2]
        video.pix_fmt = "yuv420p"
        audio = None if sound is None else container.add_stream("aac", rate=RATE, layout="mono")
        for picture in pictures:
            container.mux(video.encode(VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")))
        container.mux(video.encode(None))
        if audio is not None and sound is not None:
            heard = AudioFrame.from_ndarray(sound[None], format="s16", layout="mono")
            heard.sample_rate, heard.time_base, heard.pts = RATE, Fraction(1, RATE), 0
            container.mux(audio.encode(heard))
            container.mux(audio.encode(None))


def subtitles(path: Path, texts: Sequence[str] = SENTENCES, *, each: float = 1.6, first: float = 0.4) -> None:
    """Write a subtitle file in which each text is said for `each` seconds, and 0.2 s after it the next."""
    rows = []
    for number, text in enumerate(texts):
        start = first + number * (each + 0.2)
        rows.append(f"{number + 1}\n{_clock(start)} --> {_clock(start + each)}\n{text}\n")
    path.write_text("\n".join(rows), encoding="utf-8")


def known(path: Path, films: dict[str, Sequence[str]], *, seconds: float = 6.0, **more: object) -> None:
    """Write the file of known faces: name of the film -> the places where faces are; `more` is said of each film."""
    frames = round(seconds * FPS)
    videos = {
        name: {"fps": FPS, "faces": {place: [list(PLACES[place])] * frames for place in places}, **more}
        for name, places in films.items()
    }
    path.write_text(json.dumps({"videos": videos}), encoding="utf-8")


def _clock(seconds: float) -> str:
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    return f"00:{whole // 60:02d}:{whole % 60:02d},{thousandths:03d}"

"""Write the speakers to a folder: videos with sound, subtitles, the exact truth, splits."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..files import whole_path, write_whole
from ..generating import run_tasks, write_settings
from ..media import frames_at
from ..records import SPLITS
from ..speech import Espeak
from .film import Face, encode
from .scenes import HEIGHT, WIDTH
from .script import FPS, Clip, Settings, people_of, split_of, write
from .subtitles import check_pool, cues, srt, write_pool
from .topics import check_language

#: raised whenever a seed would give other texts, times, sounds or pictures; results name it
VERSION = 1


def generate(
    folder: str | Path,
    *,
    clips: int = 400,
    people: int = 100,
    seed: int = 0,
    languages: Sequence[str] = ("en",),
    seconds: float = 16.0,
    hidden: float = 0.4,
    offscreen: float = 0.2,
    val: float = 0.1,
    test: float = 0.2,
    pool: int = 0,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
    pooled: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Write synthetic speakers under `folder`, and return what ``speakers.json`` says.

    Written are ``videos/<clip>.mp4`` (384 x 216, 25 fps, with sound), ``subtitles/<language>/<clip>.srt``,
    ``truth/<clip>.json``, ``splits.json``, and at the end ``speakers.json``, which has every truth.  A call that was
    stopped goes on where it stopped: every file is written whole, and videos that are there are kept.

    Args:
        folder: made if need be; speakers of other settings in it are refused.
        clips: how many videos, each one conversation.
        people: how many there are to speak; nobody is in two splits, nor is any sentence.
        seed: of everything.
        languages: codes out of ``en es fr``, one for each clip in turn.
        seconds: that a clip lasts at least; the last sentence is said to its end.
        hidden: share of frames whose lips are covered (a hand, a microphone, a head turned away), on average over
            clips, each of which has a share of its own between nothing and twice that.
        offscreen: share of frames that do not show the speaker, likewise.
        val, test: shares of the clips that are kept from training.
        pool: further subtitle files, ``pool/<language>/<id>.srt``, of sentences of the test split that nobody says in a
            video; speakers that have none can be given one later.
        jobs: processes that film at once.
        progress: called with (clips done, clips in all).
        pooled: called with (texts of the pool done, texts in all).

    Raises:
        ValueError: for settings that cannot be, a pool of more sentences than there are, or a folder that holds other
            speakers or a larger pool.
        ImportError: the extra ``tts`` is not installed.
    """
    settings = Settings(clips, people, seed, tuple(languages), seconds, hidden, offscreen, val, test)
    _check(settings)
    check_pool(settings, pool)
    folder = Path(folder)
    claimed = write_settings(folder / "settings.json", VERSION, asdict(settings), others="other speakers")
    for name in ("videos", "truth", *(f"subtitles/{code}" for code in languages)):
        (folder / name).mkdir(parents=True, exist_ok=True)
    names = [f"clip-{index:05d}" for index in range(clips)]
    parts: dict[str, list[str]] = {split: [] for split in SPLITS}
    for index, name in enumerate(names):
        parts[split_of(settings, index)].append(name)
    write_whole(folder / "splits.json", _json(parts))
    missing = [index for index, name in enumerate(names) if not (folder / "truth" / f"{name}.json").exists()]
    _film(folder, settings, missing, jobs, progress)
    truths = {name: json.loads((folder / "truth" / f"{name}.json").read_text(encoding="utf-8")) for name in names}
    whole = {**claimed, "videos": truths}
    write_whole(folder / "speakers.json", _json(whole))
    if pool:
        taken = {cue["text"] for video in truths.values() for cue in video["cues"]}
        write_pool(folder, settings, pool, taken, pooled)
    return whole


def truth(clip: Clip, faces: list[list[Face]]) -> dict[str, Any]:
    """What is true of a clip, as ``speakers.json`` has it.

    ``fps``, ``frames``, ``width``, ``height``; ``split``, ``domain``, ``topic``, ``things``, ``language``; ``speaker``;
    ``cues``: text, start and end in seconds, the person, and their words a minute; ``faces``: person -> a box
    [x0, y0, x1, y1] in pixels for each frame, null where that face is not in it; ``hidden``: [first, last, why] of
    frames in which the speaker's lips cannot be seen, ``last`` excluded; ``offscreen``: [start, end] in seconds in
    which somebody speaks who is not seen; ``cuts``: frames at which a shot begins.
    """
    boxes: dict[str, list[list[float] | None]] = {}
    for number, present in enumerate(faces):
        for face in present:
            row = boxes.setdefault(face.person.id, [None] * clip.frames)
            row[number] = [round(edge, 1) for edge in face.box]
    away = [[shot.first, shot.last, shot.framing] for shot in clip.shots if shot.framing in ("insert", "other")]
    return {
        "split": clip.split,
        "domain": clip.domain,
        "topic": clip.topic,
        "things": clip.things,
        "language": clip.language,
        "speaker": clip.speaker.id,
        "voice": clip.speaker.voice,
        "fps": FPS,
        "frames": clip.frames,
        "width": WIDTH,
        "height": HEIGHT,
        "cues": cues(clip.utterances),
        "faces": boxes,
        "hidden": sorted([*away, *(list(covered) for covered in clip.covers)]),
        "offscreen": _unseen(clip, faces),
        "cuts": [shot.first for shot in clip.shots],
    }


def contact_sheet(folder: str | Path, *, clips: int = 8, moments: int = 6) -> Path:
    """Write ``contact.png``: a row of pictures for each of some clips.  Returns its path."""
    folder = Path(folder)
    whole = json.loads((folder / "speakers.json").read_text(encoding="utf-8"))["videos"]
    names = sorted(whole)[:: max(1, len(whole) // clips)][:clips]
    sheet = Image.new("RGB", (moments * WIDTH // 2, len(names) * HEIGHT // 2))
    for row, name in enumerate(names):
        seconds = whole[name]["frames"] / whole[name]["fps"]
        times = [(column + 0.5) * seconds / moments for column in range(moments)]
        for column, picture in enumerate(
            frames_at(folder / "videos" / f"{name}.mp4", times, size=(WIDTH // 2, HEIGHT // 2))
        ):
            sheet.paste(Image.fromarray(picture), (column * WIDTH // 2, row * HEIGHT // 2))
    path = folder / "contact.png"
    with whole_path(path) as part:
        sheet.save(part, "PNG")
    return path


def _check(settings: Settings) -> None:
    for name, least in (("clips", 3), ("people", 6), ("seed", 0), ("seconds", 4)):
        if getattr(settings, name) < least:
            raise ValueError(f"{name} is {getattr(settings, name)}, but must be {least} or more")
    for name in ("hidden", "offscreen"):
        if not 0 <= getattr(settings, name) <= 0.4:
            raise ValueError(f"{name} is {getattr(settings, name)}, but must be a share from 0 to 0.4")
    if min(settings.val, settings.test) <= 0 or settings.val + settings.test > 0.8:
        raise ValueError(f"val {settings.val} and test {settings.test} must be positive and leave some for train")
    if not settings.languages or len(set(settings.languages)) < len(settings.languages):
        raise ValueError(f"languages must be named once each, got {', '.join(settings.languages) or 'none'}")
    for code in settings.languages:
        Espeak().voice_for(check_language(code))  # an absent extra is known before anything is written
    if len(people_of(settings, "train")) < 2 or split_of(settings, 0) != "train":
        raise ValueError(
            f"{settings.clips} clips and {settings.people} people leave none to train on beside val "
            f"{settings.val} and test {settings.test}: ask for more"
        )


def _film(
    folder: Path, settings: Settings, missing: list[int], jobs: int, progress: Callable[[int, int], None] | None
) -> None:
    done = settings.clips - len(missing)
    for number in run_tasks(_film_one, [(folder, settings, index) for index in missing], jobs):
        if progress:
            progress(done + number, settings.clips)


def _film_one(task: tuple[Path, Settings, int]) -> None:
    folder, settings, index = task
    clip = write(settings, index)
    write_whole(folder / "subtitles" / clip.language / f"{clip.id}.srt", srt(clip.utterances))
    faces = encode(folder / "videos" / f"{clip.id}.mp4", settings.seed, clip)
    write_whole(folder / "truth" / f"{clip.id}.json", _json(truth(clip, faces)))  # last: the clip is done


def _unseen(clip: Clip, faces: list[list[Face]]) -> list[list[float]]:
    """Seconds in which somebody speaks whose face is not in the picture."""
    spans: list[list[float]] = []
    for one in clip.utterances:
        first, last = int(one.start * FPS), min(int(np.ceil(one.end * FPS)), clip.frames)
        absent = [all(face.person != one.person for face in faces[number]) for number in range(first, last)]
        edges: NDArray[np.int64] = np.flatnonzero(np.diff([False, *absent, False])) + first
        for start, end in edges.reshape(-1, 2).tolist():
            spans.append([round(max(start / FPS, one.start), 3), round(min(end / FPS, one.end), 3)])
    return spans


def _json(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()

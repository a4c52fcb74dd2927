"""One group of sentences to a conversational clip, or the step at which it falls and why.

The steps of Video2Subtitle (section 3): a face in at least 65 % of the frames; not three or more in too many; of the
face tubes those that speak, and where several are in one picture, the one that speaks most.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ...datamodules import media
from ...datamodules.batches import SPEECH_RATE
from ...datamodules.h264 import Encoder, even
from ...datamodules.records import Cue, SpokenClip
from ...datamodules.spoken import SAMPLES_A_FRAME, SCENE_CRF, TUBE_FPS, write_clip
from ...datamodules.tracks import PADDING, Boxes, Track, crop, link, smooth, square
from ...datamodules.waveforms import Samples, read_sound
from ...zoo.speaking import ScoreSpeaking, smoothed
from .faces import AT_ONCE, SHORT_SIDE, DetectFaces, KnownFaces
from .shots import ContentDetector

#: steps of the funnel, in order
STEPS = ("sound", "pictures", "faces", "speaking", "kept")
#: a sound that is nowhere louder than this, in steps of 16 bits, is none
SILENT = 32
#: s, by which a picture may begin after the time that it is looked for
LATE = 0.002


@dataclass(frozen=True)
class Rules:
    """What makes a clip conversational, and how its tube is cut.

    Attributes:
        conversational: least share of the frames that show a face.
        crowd: so many faces in a frame are too many to tell who speaks.
        crowded: greatest share of the frames with so many; the paper says no more than "a significant portion".
        speaking: probability at which a face speaks, where it is that high on average over a second.
        overlap, gap: of faces that are linked, see `tracks.link`.
        shortest: frames of the shortest tube.
        size: side of the tube that is kept, in pixels.
        scene: short side of the scene that is kept, in pixels at most.
    """

    conversational: float = 0.65
    crowd: int = 3
    crowded: float = 0.2
    speaking: float = 0.3
    overlap: float = 0.5
    gap: int = 25
    shortest: int = 13
    size: int = 224
    scene: int = 256

    def __post_init__(self) -> None:
        for name in ("conversational", "crowded", "speaking", "overlap"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name):g}, but is a share from 0 to 1")
        if self.size < 16 or self.size % 2 or self.scene < 16 or self.crowd < 2:
            raise ValueError(
                f"tubes of {self.size} and scenes of {self.scene} pixels, a crowd of {self.crowd}: tubes and scenes "
                "have 16 pixels or more, tubes an even number, and a crowd is two or more"
            )


@dataclass
class Decision:
    """What became of one group of sentences.

    Attributes:
        id: of its clip.
        video: the file's name.
        language: of its subtitles.
        start, end: the part of the video, in seconds.
        sentences: how many it has.
        step: where it fell, or ``kept``; one of `STEPS`.
        reason: why it fell; empty where it is kept.
        split, domain: where it would be, or is.
        with_face: share of the frames that show a face, as far as was looked; None where none was looked at.
        crowded: share of the frames with too many faces.
        tubes: speaking score of each face tube, the mean of its best second.
        score: mean speaking score of the face that is kept, over the frames that show it.
        shown: share of the clip's frames that show it.
    """

    id: str
    video: str
    language: str
    start: float
    end: float
    sentences: int
    step: str = ""
    reason: str = ""
    split: str = ""
    domain: str = ""
    with_face: float | None = None
    crowded: float | None = None
    tubes: list[float] = field(default_factory=list)
    score: float | None = None
    shown: float | None = None

    def fall(self, step: str, reason: str) -> Decision:
        self.step, self.reason = step, reason
        return self


@dataclass(frozen=True)
class Source:
    """One group as it is found: the video, and what is said in which part of it.

    Attributes:
        start, end: in whole frames of 25 a second.
        cues: seconds from the start of the clip.
        known: what is known of the video's faces; None leaves them to the detector.
        domain: of videos of which nothing else is known.
    """

    id: str
    video: Path
    language: str
    start: float
    end: float
    cues: list[Cue]
    known: KnownFaces | None = None
    domain: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def frames(self) -> int:
        return round((self.end - self.start) * TUBE_FPS)

    def times(self) -> list[float]:
        """Of the frames, in seconds of the video."""
        return [self.start + number / TUBE_FPS for number in range(self.frames)]


def build(
    source: Source, part: Path, rules: Rules, detect: DetectFaces | None, score: ScoreSpeaking, *, threads: int = 1
) -> Decision:
    """Make one clip, if it is one.

    Args:
        source: the group.
        part: file to write where the clip is kept.
        rules: what a clip must be.
        detect: finds faces where none are known.
        score: tells who speaks.
        threads: of the decoder.

    Returns:
        What became of it; a video or a sound that cannot be read is a reason to fall.

    Raises:
        OSError: the part cannot be written.
    """
    decision = started(source)
    try:
        sound = read_sound(source.video, SPEECH_RATE, start=source.start, seconds=source.frames / TUBE_FPS)
    except ValueError as fault:
        return decision.fall("sound", _short(fault, source.video))
    if not len(sound) or np.abs(sound.astype(np.int32)).max() < SILENT:
        return decision.fall("sound", "no sound: silence")
    try:
        with media.open_video(source.video, threads=threads) as reader:
            faces, cuts = _faces(source, reader, rules, detect)
            if reason := _judged(decision, faces, source.frames, rules):
                return decision.fall("faces", reason)
            tracks = link(faces, least=rules.overlap, gap=rules.gap, cuts=cuts, shortest=rules.shortest)
            tubes, scene = _tubes(source, reader, tracks, rules)
            size = reader.info.width, reader.info.height
    except ValueError as fault:
        return decision.fall("pictures", _short(fault, source.video))
    scores = [_scored(score, tube, sound, track) for tube, track in zip(tubes, tracks, strict=True)]
    decision.tubes = [round(_best_second(one), 3) for one in scores]
    owner = choose(tracks, scores, source.frames, _spoken(source), rules.speaking)
    if not any(_best_second(scores[number]) >= rules.speaking for number in set(owner[owner >= 0].tolist())):
        best = max(decision.tubes, default=0.0)
        return decision.fall("speaking", f"nobody speaks: the best face scores {best:.2f}, not {rules.speaking:g}")
    clip = _clip(source, tracks, scores, owner, size, decision.domain)
    decision.score, decision.shown = clip.score, round(float((owner >= 0).mean()), 3)
    decision.step = "kept"
    write_clip(part, clip, _tube(tubes, tracks, owner, rules.size), scene, sound, decision=vars(decision))
    return decision


def started(source: Source) -> Decision:
    """The decision on a group before anything is known of it."""
    domain = (source.known.domain if source.known else "") or source.domain
    cues = len(source.cues)
    return Decision(source.id, source.video.name, source.language, source.start, source.end, cues, domain=domain)


def choose(
    tracks: Sequence[Track], scores: Sequence[NDArray[np.float32]], frames: int, spoken: NDArray[np.bool_], least: float
) -> NDArray[np.int64]:
    """Which track is kept in every frame, (T,), -1 for none.

    A track that is seen for a second or more while something is said, and never speaks, is not kept at all.  Of the
    others in a frame it is the one that speaks most in the second around it.

    Args:
        tracks: of a clip.
        scores: speaking probability of each, in its frames.
        frames: T.
        spoken: (T,) where something is said.
        least: probability, over a second, at which a track speaks.
    """
    best = np.full(frames, -np.inf)
    owner = np.full(frames, -1, np.int64)
    for number, (track, score) in enumerate(zip(tracks, scores, strict=True)):
        heard = int(spoken[track.first : track.last].sum())
        if heard >= TUBE_FPS and _best_second(score) < least:
            continue
        # in a silence, where all are still, it is who speaks more otherwise
        now = _over_a_second(score) + 1e-3 * float(score.mean())
        here = np.arange(track.first, track.last)[now > best[track.first : track.last]]
        owner[here], best[here] = number, now[here - track.first]
    return owner


def _faces(
    source: Source, reader: media.VideoReader, rules: Rules, detect: DetectFaces | None
) -> tuple[list[Boxes], set[int]]:
    """Faces of the frames, and numbers of frames that begin a shot; fewer frames where the clip is lost already."""
    times = source.times()
    if source.known is not None:
        return source.known.at(times), source.known.shots_from(times)
    if detect is None:
        raise ValueError(f"no faces are known of {source.video.name}, and there is no detector")
    size = reader.info.fit(SHORT_SIDE)
    scale = np.array([reader.info.width / size[0], reader.info.height / size[1]] * 2, np.float32)
    shots = ContentDetector(reader)
    faces: list[Boxes] = []
    cuts: list[int] = []
    waiting: list[media.Picture] = []
    for frame in reader.at(time + LATE for time in times):
        cuts += shots.push(frame)
        waiting.append(reader.picture(frame, size))
        if len(waiting) == AT_ONCE or len(faces) + len(waiting) == len(times):
            for found in detect(np.stack(waiting)):
                faces.append(np.array([face.box for face in found], np.float32).reshape(-1, 4) * scale)
            waiting = []
            if _lost(faces, len(times), rules):
                break
    return faces, {*cuts, *shots.finish()}


def _lost(faces: Sequence[Boxes], frames: int, rules: Rules) -> bool:
    """Whether no frame that is still to come can save the clip."""
    without = sum(not len(boxes) for boxes in faces)
    crowded = sum(len(boxes) >= rules.crowd for boxes in faces)
    return (frames - without) / frames < rules.conversational or crowded / frames > rules.crowded


def _judged(decision: Decision, faces: Sequence[Boxes], frames: int, rules: Rules) -> str:
    """Why the clip is not conversational by its faces; empty where it is."""
    decision.with_face = round(sum(len(boxes) > 0 for boxes in faces) / max(1, len(faces)), 3)
    decision.crowded = round(sum(len(boxes) >= rules.crowd for boxes in faces) / max(1, len(faces)), 3)
    if not _lost(faces, frames, rules):
        return ""
    if decision.with_face == 0:
        return "no face"
    if sum(len(boxes) >= rules.crowd for boxes in faces) / frames > rules.crowded:
        return f"several speakers: {rules.crowd} faces or more in over {rules.crowded:.0%} of the frames"
    return f"a face in fewer than {rules.conversational:.0%} of the frames"


def _tubes(
    source: Source, reader: media.VideoReader, tracks: Sequence[Track], rules: Rules
) -> tuple[list[NDArray[np.uint8]], bytes]:
    """Of each track the pictures (n, S, S, 3); and the scene, encoded."""
    small = even(*reader.info.fit(rules.scene))
    scene = Encoder(TUBE_FPS, crf=SCENE_CRF)
    tubes = cut_tubes(
        reader, source.times(), tracks, rules.size, look=lambda frame: scene.push(reader.picture(frame, small))
    )
    if reader.end < source.end - 1.0:
        raise ValueError(f"pictures end at {reader.end:.1f} s, the clip at {source.end:.1f} s")
    return tubes, scene.finish()


def cut_tubes(
    reader: media.VideoReader,
    times: Sequence[float],
    tracks: Sequence[Track],
    size: int,
    *,
    look: Callable[[Any], object] | None = None,
) -> list[NDArray[np.uint8]]:
    """Of each track the pictures, (n, S, S, 3), in one reading of the video at `times`; `look` sees every frame."""
    paths = [smooth(track.boxes) for track in tracks]
    tubes = [np.empty((len(track.boxes), size, size, 3), np.uint8) for track in tracks]
    for number, frame in enumerate(reader.at(time + LATE for time in times)):
        if look is not None:
            look(frame)
        if here := [at for at, track in enumerate(tracks) if track.first <= number < track.last]:
            picture = reader.picture(frame)
            for at in here:
                place = number - tracks[at].first
                tubes[at][place] = sized(crop(picture, *square(*paths[at][place].tolist())), size)
    return tubes


def sized(face: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """A square picture made so many pixels wide."""
    return np.asarray(Image.fromarray(face).resize((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0))


def _scored(score: ScoreSpeaking, tube: NDArray[np.uint8], sound: Samples, track: Track) -> NDArray[np.float32]:
    """Speaking probability in each frame of a track, by its pictures and what is heard meanwhile."""
    heard = sound[track.first * SAMPLES_A_FRAME : track.last * SAMPLES_A_FRAME]
    return score(torch.from_numpy(tube).permute(0, 3, 1, 2), torch.from_numpy(heard)).numpy()


def _over_a_second(score: NDArray[np.float32]) -> NDArray[np.float64]:
    return smoothed(torch.from_numpy(score).float(), TUBE_FPS).double().numpy()


def _best_second(score: NDArray[np.float32]) -> float:
    return float(_over_a_second(score).max(initial=0.0))


def _spoken(source: Source) -> NDArray[np.bool_]:
    """(T,) in which frames something is said."""
    spoken = np.zeros(source.frames, bool)
    for cue in source.cues:
        spoken[math.floor(cue.start * TUBE_FPS) : math.ceil(cue.end * TUBE_FPS)] = True
    return spoken


def _clip(
    source: Source,
    tracks: Sequence[Track],
    scores: Sequence[NDArray[np.float32]],
    owner: NDArray[np.int64],
    size: tuple[int, int],
    domain: str,
) -> SpokenClip:
    faces = np.full((source.frames, 4), np.nan, np.float32)
    kept = []
    for number, (track, score) in enumerate(zip(tracks, scores, strict=True)):
        here = np.flatnonzero(owner == number)
        faces[here] = track.boxes[here - track.first]
        kept.append(score[here - track.first])
    known = source.known
    return SpokenClip(
        id=source.id,
        video=source.video.name,
        start=source.start,
        end=source.end,
        language=source.language,
        cues=source.cues,
        fps=TUBE_FPS,
        frames=source.frames,
        faces=faces,
        size=size,
        domain=domain,
        speaker=known.speaker if known else "",
        score=round(float(np.concatenate(kept).mean()), 4),
        hidden=known.hidden_share(source.start, source.end) if known else None,
        offscreen=known.offscreen_share([(source.start + c.start, source.start + c.end) for c in source.cues])
        if known
        else None,
        notes=source.notes,
    )


def _tube(
    tubes: Sequence[NDArray[np.uint8]], tracks: Sequence[Track], owner: NDArray[np.int64], size: int
) -> list[NDArray[np.uint8]]:
    """The pictures of the kept face, grey where there is none."""
    nobody = np.full((size, size, 3), PADDING, np.uint8)
    return [
        tubes[number][frame - tracks[number].first] if number >= 0 else nobody
        for frame, number in enumerate(owner.tolist())
    ]


def _short(fault: ValueError, video: Path) -> str:
    """A fault without the path of its video, so that the same faults are counted together."""
    return str(fault).replace(str(video), "").lstrip(": ")

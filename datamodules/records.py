"""What is known of one story video, its sentences and its clips; and of one conversational clip and what is said in it.

One record serves the whole house: the readers of published annotations return it, a shard set stores it as the text
record of each video, and evaluation scores against it.  Times are float seconds, intervals are half open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]

#: the splits of a set, in the order in which they are shown
SPLITS = ("train", "val", "test")


@dataclass
class Sentence:
    """One sentence of the narration.

    Attributes:
        text: the sentence as it was written or spoken.
        segment: the part of the video that people say it describes, ``(start, end)`` in seconds; None where it is
            unmatched, or where nobody annotated the video.
        narration: when it is spoken, ``(start, end)`` in seconds, from the subtitle file; None where that is unknown.
    """

    text: str
    segment: Interval | None = None
    narration: Interval | None = None


@dataclass
class AnnotatedVideo:
    """A story video with its narration.

    Attributes:
        id: unique within its data set; no dots, so that it can be part of a WebDataset key.
        url: where the video was published, or the file it was read from.
        duration: length in seconds; 0.0 where it is unknown.
        sentences: in the order of the narration.
        clips: shots as ``(start, end)`` in seconds, in order, without overlap; None where they are not known yet.
        language: code of the narration's language, such as ``en``.
        annotated: whether `segment` of the sentences comes from people; if False, all of them are None.
        movie: which movie the video retells, where metadata says so.
    """

    id: str
    url: str
    duration: float
    sentences: list[Sentence]
    clips: list[Interval] | None = None
    language: str = ""
    annotated: bool = True
    movie: str | None = None
    notes: list[str] = field(default_factory=list)  # what a reader repaired or doubts in this video

    def segments(self) -> NDArray[np.float64]:
        """Annotated spans, shape (m, 2) in seconds; a NaN row where a sentence is unmatched."""
        return _intervals([s.segment for s in self.sentences])

    def narrations(self) -> NDArray[np.float64]:
        """Spoken spans, shape (m, 2) in seconds; a NaN row where the time is unknown."""
        return _intervals([s.narration for s in self.sentences])

    def clip_times(self) -> NDArray[np.float64]:
        """Clips, shape (n, 2) in seconds.  Raises ValueError where the video has not been cut into clips."""
        if self.clips is None:
            raise ValueError(f"{self.id}: no clips are known; cut the video first (weaksync data build story)")
        return _intervals(list(self.clips))

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and strings, ready for JSON; `from_dict` is the way back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> AnnotatedVideo:
        """The record that `to_dict` wrote.  Raises ValueError that names the field on anything else."""
        try:
            sentences = [
                Sentence(str(s["text"]), _interval(s["segment"]), _interval(s["narration"])) for s in data["sentences"]
            ]
            clips = data["clips"]
            return cls(
                id=str(data["id"]),
                url=str(data["url"]),
                duration=float(data["duration"]),
                sentences=sentences,
                clips=None if clips is None else [(float(a), float(b)) for a, b in clips],
                language=str(data["language"]),
                annotated=bool(data["annotated"]),
                movie=data["movie"],
                notes=list(data["notes"]),
            )
        except (KeyError, TypeError) as fault:
            raise ValueError(f"not a video record ({type(fault).__name__}: {fault}): {str(data)[:120]}") from fault


@dataclass(frozen=True)
class Cue:
    """One sentence of a subtitle, and when it is said: seconds from the start of its clip."""

    text: str
    start: float
    end: float


@dataclass
class SpokenClip:
    """A conversational clip: somebody's face, and what is said meanwhile (Video2Subtitle, section 3).

    Attributes:
        id: unique within its set.
        video: file that it was cut out of.
        start, end: the part of that file, in seconds.
        language: code of what is said.
        cues: its subtitle, in order.
        fps: frames a second of the face tube.
        frames: T, how many it has.
        faces: (T, 4) float32, x0 y0 x1 y1 of the face in pixels of the source picture; a NaN row where there is none.
        size: width and height of the source picture.
        domain: such as ``movie``; empty where nobody said.
        speaker: who speaks, by any name; empty where unknown.
        score: mean speaking score of the face over the frames that show it; None where it was not computed.
        hidden: share of the frames whose lips cannot be seen; None where the truth is unknown.
        offscreen: share of the speech whose speaker is not in the picture; None where the truth is unknown.
        notes: what was repaired or is doubtful.
    """

    id: str
    video: str
    start: float
    end: float
    language: str
    cues: list[Cue]
    fps: float
    frames: int
    faces: NDArray[np.float32]
    size: tuple[int, int]
    domain: str = ""
    speaker: str = ""
    score: float | None = None
    hidden: float | None = None
    offscreen: float | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def duration(self) -> float:
        """In seconds."""
        return self.end - self.start

    def to_dict(self) -> dict[str, Any]:
        """The text record that a set of clips keeps: what `AnnotatedVideo.from_dict` reads, and ``clip``, the rest."""
        sentences = [Sentence(cue.text, narration=(cue.start, cue.end)) for cue in self.cues]
        video = AnnotatedVideo(
            self.id, self.video, self.duration, sentences, language=self.language, annotated=False, notes=self.notes
        )
        boxes = [None if np.isnan(box).any() else [round(float(edge), 2) for edge in box] for box in self.faces]
        rest = {name: getattr(self, name) for name in _OF_A_CLIP}
        return {**video.to_dict(), "clip": {**rest, "size": list(self.size), "faces": boxes}}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SpokenClip:
        """The clip that `to_dict` wrote.  Raises ValueError that names the field on anything else."""
        video = AnnotatedVideo.from_dict(data)
        try:
            rest = dict(data["clip"])
            boxes = [[np.nan] * 4 if box is None else box for box in rest.pop("faces")]
            faces = np.array(boxes, dtype=np.float32).reshape(-1, 4)
            width, height = rest.pop("size")
            cues = [Cue(said.text, *(said.narration or (np.nan, np.nan))) for said in video.sentences]
            clip = cls(
                id=video.id,
                video=video.url,
                language=video.language,
                cues=cues,
                faces=faces,
                size=(int(width), int(height)),
                notes=video.notes,
                **rest,
            )
        except (KeyError, TypeError, ValueError) as fault:
            raise ValueError(f"not a conversational clip ({type(fault).__name__}: {fault}): {video.id}") from fault
        if len(clip.faces) != clip.frames:
            raise ValueError(f"{clip.id}: {clip.frames} frames but {len(clip.faces)} faces")
        return clip


#: fields of a `SpokenClip` that an `AnnotatedVideo` has no place for, and that JSON holds as they are
_OF_A_CLIP = ("start", "end", "fps", "frames", "domain", "speaker", "score", "hidden", "offscreen")


def overlap_seconds(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Seconds that every interval of `first` (n, 2) shares with every interval of `second` (m, 2): shape (n, m).

    A NaN row (no interval) shares nothing.
    """
    start = np.fmax(first[:, None, 0], second[None, :, 0])
    end = np.fmin(first[:, None, 1], second[None, :, 1])
    shared = np.clip(end - start, 0.0, None)
    shared[np.isnan(first).any(axis=1)] = 0.0
    shared[:, np.isnan(second).any(axis=1)] = 0.0
    return shared


def weak_labels(
    clips: NDArray[np.float64], narrations: NDArray[np.float64], *, least_share: float = 0.5
) -> NDArray[np.int64]:
    """The weak pairing of M-SyMoN (section 4.4): each clip with the sentence whose spoken time spans it.

    Args:
        clips: (n, 2) seconds.
        narrations: (m, 2) seconds, a NaN row where unknown.
        least_share: the share of the clip that the sentence must cover; 0 keeps the sentence that covers most,
            however little that is, which is the transcript baseline of section 6.5.

    Returns:
        (n,) text index for each clip, -1 where no sentence is spoken over it.
    """
    if len(clips) == 0 or len(narrations) == 0:
        return np.full(len(clips), -1, dtype=np.int64)
    shared = overlap_seconds(clips, narrations)
    best = shared.argmax(axis=1)
    covered = shared[np.arange(len(clips)), best]
    enough = (covered > 0) & (covered >= least_share * (clips[:, 1] - clips[:, 0]))
    return np.where(enough, best, -1).astype(np.int64)


def _intervals(spans: Sequence[Interval | None]) -> NDArray[np.float64]:
    rows = [(np.nan, np.nan) if span is None else span for span in spans]
    return np.array(rows, dtype=np.float64).reshape(len(rows), 2)


def _interval(span: Any) -> Interval | None:
    return None if span is None else (float(span[0]), float(span[1]))

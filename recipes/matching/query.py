"""The clip that a matcher is asked about: a part of a video with its speaker's face, cut as clips are for training."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from torch import Tensor

from ...datamodules import media, spoken
from ...datamodules.index import ShardSet
from ...datamodules.records import Cue, SpokenClip
from ...datamodules.shards import pack
from ...datamodules.spoken import CLIPS, TUBE_FPS, open_clips, spoken_clip
from ...zoo.encoded import EncodedClip
from ...zoo.matcher import Matcher
from ...zoo.speaking import LipsAndVoice, ScoreSpeaking
from ..building import faces as finding
from ..building.conversation import Rules, Source, build

#: clips of 15 to 30 s are what the models learn from; longer than this is surely meant to be cut
LONGEST = 120.0
_NAME = "clip"
#: what to do where a clip falls at a step
_REMEDIES = {
    "sound": "who speaks is told by lips and voice together, so a silent video cannot be matched",
    "faces": "matching is by the face of one speaker: --start and --end choose another part",
    "speaking": "--start and --end choose a part in which somebody is seen speaking",
    "pictures": "fetch the video again, or choose another part with --start and --end",
}


@dataclass
class Query:
    """A clip that is ready to be matched.

    Attributes:
        video: its file.
        record: where it lies in the video, and where the face is.
        shards: a set that holds nothing else.
        speaking: (T,) probability that the face speaks, in each frame of its tube.
    """

    video: Path
    record: SpokenClip
    shards: ShardSet
    speaking: Tensor

    @property
    def duration(self) -> float:
        """In seconds."""
        return self.record.end - self.record.start

    def encode(self, matcher: Matcher) -> EncodedClip:
        """The clip as a matcher sees it.  Raises ValueError where it is too short."""
        return encode(matcher, self.shards, self.record.id)


def encode(matcher: Matcher, shards: ShardSet, clip: str) -> EncodedClip:
    """A clip of a set as a matcher sees it.  Raises ValueError where it is too short."""
    frames = spoken.at_rate(spoken.tube(shards, clip), matcher.fps)
    return matcher.encode_clip(frames, lambda fps: spoken.scene(shards, clip, fps=fps))


@contextmanager
def find_clip(
    video: str | Path,
    *,
    start: float = 0.0,
    end: float | None = None,
    faces: str | Path | None = None,
    score: ScoreSpeaking | None = None,
    size: int = Rules.size,
    device: str = "cpu",
) -> Iterator[Query]:
    """Find the speaker in a part of a video; what was made of it is removed at the end of the block.

    Args:
        start, end: of the part, in seconds; None is the end of the video.
        faces: file of known faces, see `building.faces`; None looks for them.
        score: tells who speaks; None is the baseline.
        size: side of the tube in pixels; that which the matcher sees needs no second resize.
        device: where faces are looked for.

    Raises:
        FileNotFoundError: no such video, or file of faces.
        ValueError: a part that is empty or too long; no face, no sound, several speakers, or nobody who speaks.
        ImportError: faces are to be found, and the detector's weights are not there.
    """
    video = Path(video)
    first, last = _part(video, start, end)
    known = None
    if faces is not None:
        every = finding.read_known(Path(faces))
        if video.stem not in every:
            raise ValueError(f"{faces} says nothing of {video.stem!r}; it has faces of {', '.join(list(every)[:5])}")
        known = every[video.stem]
    detect = None if known is not None else finding.choose(device)
    with tempfile.TemporaryDirectory(prefix="weaksync-") as folder:
        part = Path(folder) / "part.tar"
        whole = [Cue("", 0.0, last - first)]  # what is said, and when, is the question
        source = Source(_NAME, video, "", first, last, whole, known)
        decision = build(source, part, Rules(size=size + size % 2), detect, score or LipsAndVoice(), threads=0)
        if decision.step != "kept":
            notes = [f"one was found in {decision.with_face:.0%} of those looked at"] if decision.with_face else []
            notes += ["MTCNN looked for it; --faces names known ones"] if detect is not None else []
            looked = f" ({'; '.join(notes)})" if notes and decision.step == "faces" else ""
            raise ValueError(f"{video}, {first:g} to {last:g} s: {decision.reason}{looked}; {_REMEDIES[decision.step]}")
        pack(Path(folder) / "set", {"test": [part]}, {"kind": CLIPS})
        shards = open_clips(Path(folder) / "set")
        speaking = (score or LipsAndVoice())(spoken.tube(shards, _NAME), spoken.sound(shards, _NAME))
        yield Query(video, spoken_clip(shards, _NAME), shards, speaking)
        shards.close()


def _part(video: Path, start: float, end: float | None) -> tuple[float, float]:
    """Start and end in whole frames of a tube.  Raises ValueError for a part that cannot be."""
    with media.open_video(video, threads=1) as reader:
        duration = reader.info.duration
        if not duration and sum(1 for _ in islice(reader, 2)) < 2:
            raise ValueError(f"{video} holds one picture and no moving ones: name a video of somebody who speaks")
    if duration and start >= duration:
        raise ValueError(f"{video} ends at {duration:.1f} s, before the clip begins at {start:g} s")
    if end is None:
        if not duration:
            raise ValueError(f"{video} does not say how long it is: name the part with --start and --end")
        end = duration
    if not 0 <= start < end:
        raise ValueError(f"a clip from {start:g} to {end:g} s: the start must be 0 or more, and before the end")
    end = min(end, duration or end)
    if end - start > LONGEST:
        raise ValueError(
            f"{video}: a clip of {end - start:.0f} s is too long to match, of a talk of 15 to 30 s: choose one with "
            "--start and --end"
        )
    first, last = round(start * TUBE_FPS), int(end * TUBE_FPS + 1e-6)
    if last <= first:
        raise ValueError(f"{video}: a clip from {start:g} to {end:g} s holds no frame of {TUBE_FPS} a second")
    return first / TUBE_FPS, last / TUBE_FPS

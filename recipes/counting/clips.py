"""What a set of conversational clips holds, in the figures of Video2Subtitle's Table 1, and what fell on the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...datamodules.records import SpokenClip
from .sets import split_order, words_of

#: a step of the funnel -> what it asks for
ASKED = {
    "sound": "it has sound",
    "pictures": "its pictures can be read",
    "faces": "a face most of the time, and no crowd",
    "speaking": "a face that speaks",
}


@dataclass
class ClipCounts:
    """Counts of some clips.

    Attributes:
        clips: how many.
        seconds: of all.
        lines: sentences of their subtitles.
        words: of these, as `set_counts.words_of` counts them.
        videos: that they were cut out of.
        speakers: different ones, where that is known.
        seen: frames that show the face, of `frames`.
        hidden, offscreen: shares of each clip where the truth is known.
    """

    clips: int = 0
    seconds: float = 0.0
    lines: int = 0
    words: int = 0
    videos: set[str] = field(default_factory=set)
    speakers: set[str] = field(default_factory=set)
    seen: int = 0
    frames: int = 0
    hidden: list[float] = field(default_factory=list)
    offscreen: list[float] = field(default_factory=list)

    def add(self, clip: SpokenClip) -> None:
        """Count one more clip."""
        self.clips += 1
        self.seconds += clip.duration
        self.lines += len(clip.cues)
        self.words += sum(len(words_of(cue.text, clip.language)) for cue in clip.cues)
        self.videos.add(clip.video)
        if clip.speaker:
            self.speakers.add(clip.speaker)
        self.frames += clip.frames
        self.seen += int((clip.faces == clip.faces).all(axis=1).sum())  # a NaN is not itself
        if clip.hidden is not None:
            self.hidden.append(clip.hidden)
        if clip.offscreen is not None:
            self.offscreen.append(clip.offscreen)

    def table(self) -> dict[str, float | int | None]:
        """The figures by name; None where there is nothing to say."""
        return {
            "clips": self.clips,
            "hours": self.seconds / 3600,
            "seconds of a clip": self.seconds / max(1, self.clips),
            "lines": self.lines,
            "words": self.words,
            "videos": len(self.videos),
            "speakers": len(self.speakers) or None,
            "face seen": self.seen / max(1, self.frames),
            "lips hidden": sum(self.hidden) / len(self.hidden) if self.hidden else None,
            "speaker not seen": sum(self.offscreen) / len(self.offscreen) if self.offscreen else None,
        }


#: of `funnel_rows`
FUNNEL = ["step", "left", "fell", "why"]


def count_clips(clips: Iterable[tuple[str, SpokenClip]]) -> dict[str, ClipCounts]:
    """Counts of ``(split, clip)`` by ``split domain``, the splits in order; of several, ``all`` at the end."""
    counts: dict[tuple[str, str], ClipCounts] = {}
    together = ClipCounts()
    for split, clip in clips:
        counts.setdefault((split, clip.domain), ClipCounts()).add(clip)
        together.add(clip)
    ordered = sorted(counts, key=lambda key: (split_order(key[0]), key))
    named = {" ".join(filter(None, key)): counts[key] for key in ordered}
    return named if len(named) < 2 else named | {"all": together}


def funnel_rows(funnel: Mapping[str, Any]) -> list[list[Any]]:
    """What was left after every step, how many fell there, and why: rows of a table.

    Args:
        funnel: of `building.conversations.funnel`.
    """
    failures = funnel["failures"]
    rows: list[list[Any]] = [["videos read", funnel["videos"], sum(failures.values()), _why(failures)]]
    in_groups = funnel["sentences"] - funnel["lone"] - funnel["left"]
    why = {"of a talk that is too short": funnel["lone"], "fit into no group": funnel["left"]}
    rows.append(["sentences in groups", in_groups, funnel["lone"] + funnel["left"], _why(why)])
    left = funnel["groups"]
    rows.append(["groups", left, None, ""])
    for step, reasons in funnel["fell"].items():
        fell = sum(reasons.values())
        left -= fell
        rows.append([ASKED[step], left, fell, _why(reasons)])
    rows.append(["clips", funnel["kept"], None, ""])
    return rows


def _why(reasons: Mapping[str, int]) -> str:
    return "; ".join(f"{reason} ({count})" for reason, count in reasons.items() if count)

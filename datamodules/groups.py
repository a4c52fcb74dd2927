"""Sentences to groups that make a clip each: 15 to 30 s long, never over a silence in which the talk may turn.

This is the first step of Video2Subtitle (section 3), which does not say how a longer talk is divided.  Here it is
divided so that the fewest sentences are left over, and of such divisions into the fewest, so longest, clips.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .records import Interval


@dataclass(frozen=True)
class Grouping:
    """The bounds of a group, all in seconds.

    Attributes:
        shortest, longest: that a clip lasts.
        silence: between two sentences beyond which they are never in one clip.
        margin: of silence that a clip may take in on each side, where it is otherwise too short by that much.
    """

    shortest: float = 15.0
    longest: float = 30.0
    silence: float = 4.0
    margin: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.shortest <= self.longest or self.silence < 0 or self.margin < 0:
            raise ValueError(
                f"clips of {self.shortest:g} to {self.longest:g} s, silence {self.silence:g} s, margin "
                f"{self.margin:g} s: the shortest must be positive and not above the longest, the others 0 or more"
            )


@dataclass(frozen=True)
class Group:
    """Sentences `first` to `last`, that excluded, and the part of the video that shows them."""

    first: int
    last: int
    start: float
    end: float


@dataclass(frozen=True)
class Groups:
    """What became of the sentences of a file.

    Attributes:
        groups: in order, apart.
        lone: numbers of sentences between silences whose talk is shorter than a clip.
        left: numbers of sentences that fit into no clip beside the others, such as one longer than a clip.
    """

    groups: list[Group]
    lone: list[int]
    left: list[int]


def group(spans: Sequence[Interval], duration: float, bounds: Grouping = Grouping()) -> Groups:
    """Divide the sentences of a file into groups.

    Args:
        spans: when each sentence is said, in seconds, ascending and apart.
        duration: of the video in seconds; sentences that end after it are in no group.
        bounds: of a group.

    Returns:
        The division that leaves over the fewest sentences; among those the one of fewest groups; among those the one
        whose last groups hold the most sentences.
    """
    within = [number for number, (_, end) in enumerate(spans) if end <= duration]
    lone: list[int] = []
    found: list[Group] = []
    for run in _runs(spans, within, bounds.silence):
        divided = _divide(spans, run, duration, bounds)
        found += divided
        if not divided and spans[run[-1]][1] - spans[run[0]][0] < bounds.shortest:
            lone += run
    held = {number for one in found for number in range(one.first, one.last)}
    left = [number for number in range(len(spans)) if number not in held and number not in set(lone)]
    return Groups(found, lone, left)


def _runs(spans: Sequence[Interval], within: Sequence[int], silence: float) -> list[list[int]]:
    """Sentences without a silence between them."""
    runs: list[list[int]] = []
    for number in within:
        if runs and runs[-1][-1] == number - 1 and spans[number][0] - spans[number - 1][1] <= silence:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs


def _divide(spans: Sequence[Interval], run: Sequence[int], duration: float, bounds: Grouping) -> list[Group]:
    """The best division of one run, by the best division of each of its beginnings."""
    # of the run's first `count` sentences: sentences left over and groups, and the group that ends there or None
    best: list[tuple[tuple[int, int], Group | None]] = [((0, 0), None)]
    for count in range(1, len(run) + 1):
        (left, groups), chosen = (best[-1][0][0] + 1, best[-1][0][1]), None
        for size in range(1, count + 1):
            one = _group(spans, run[count - size], run[count - 1] + 1, duration, bounds)
            if one is None:
                if spans[run[count - 1]][1] - spans[run[count - size]][0] > bounds.longest:
                    break
                continue
            before = best[count - size][0]
            if (before[0], before[1] + 1) <= (left, groups):
                (left, groups), chosen = (before[0], before[1] + 1), one
        best.append(((left, groups), chosen))
    found: list[Group] = []
    count = len(run)
    while count:
        chosen = best[count][1]
        if chosen is not None:
            found.append(chosen)
        count -= 1 if chosen is None else chosen.last - chosen.first
    return found[::-1]


def _group(spans: Sequence[Interval], first: int, last: int, duration: float, bounds: Grouping) -> Group | None:
    """Sentences `first` to `last` as a group, or None where that would be too long, or too short with its margins."""
    start, end = spans[first][0], spans[last - 1][1]
    if end - start > bounds.longest:
        return None
    lacking = bounds.shortest - (end - start)
    if lacking <= 0:
        return Group(first, last, start, end)
    # a silence between two sentences is shared by the clips on either side
    before = start - (spans[first - 1][1] + start) / 2 if first else start
    after = (end + spans[last][0]) / 2 - end if last < len(spans) else math.inf
    before, after = min(before, bounds.margin), min(after, duration - end, bounds.margin)
    if before + after < lacking:
        return None
    early = min(before, max(lacking / 2, lacking - after))
    return Group(first, last, start - early, end + lacking - early)

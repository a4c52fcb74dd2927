"""A subtitle's speech fitted to a clip: from the alignment of steps to when each sentence and word is said in the clip.

The best path says where in the speech each moment of the clip is.  It may jump and turn back; the nearest course that
never goes back is taken, and its inverse places the sentences.  They are then given the room that they need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...datamodules.batches import Word
from ...datamodules.records import Interval

Times = NDArray[np.float64]

#: how much faster than it was spoken, and how much slower, a sentence may be said
FASTEST, SLOWEST = 1.6, 0.7


@dataclass(frozen=True)
class Fit:
    """Where a subtitle is said in a clip.

    Attributes:
        spans: (start, end) seconds of the clip of each sentence, in order and apart.
        rates: how much faster than it was spoken each is said.
    """

    spans: list[Interval]
    rates: list[float]

    def words(self, spoken: Sequence[Interval], words: Sequence[Word]) -> list[list[Word]]:
        """The words of each sentence with seconds of the clip.

        Args:
            spoken: (start, end) seconds of the speech of each sentence.
            words: of the speech, in its seconds; one belongs to the last sentence that began before its middle.
        """
        starts = [start for start, _ in spoken]
        placed: list[list[Word]] = [[] for _ in spoken]
        for word in words:
            row = max(0, int(np.searchsorted(starts, (word.start + word.end) / 2, side="right")) - 1)
            begin, rate = self.spans[row][0], self.rates[row]
            start, end = (begin + (edge - starts[row]) / rate for edge in (word.start, word.end))
            placed[row].append(Word(word.text, start, end))
        return placed


def fit(
    spoken: Sequence[Interval],
    path: Times,
    times: Times,
    duration: float,
    *,
    speaking: Sequence[Interval] | None = None,
) -> Fit:
    """Fit the sentences of a speech to a clip.

    Args:
        spoken: (start, end) seconds of the speech of each sentence, in order.
        path: (n,) seconds of the speech, at which the alignment sees each step of the clip.
        times: (n,) seconds of the clip of these steps, ascending.
        duration: of the clip in seconds.
        speaking: stretches of the clip in which somebody speaks; a sentence is drawn in to those that it meets.

    Returns:
        Spans within the clip.  None is said faster than `FASTEST` unless the clip is too short for all of them, when
        all have one rate; none slower than `SLOWEST`.

    Raises:
        ValueError: no sentence, or no step.
    """
    if not spoken or not len(times):
        raise ValueError("there is nothing to fit: a subtitle needs a sentence, and a clip a step of its face")
    course = monotone(path)
    wanted = [(_latest(course, times, start), _earliest(course, times, end)) for start, end in spoken]
    lengths = np.array([end - start for start, end in spoken])
    if speaking:
        wanted = [_drawn_in(span, speaking, length) for span, length in zip(wanted, lengths.tolist(), strict=True)]
    least = lengths / max(FASTEST, lengths.sum() / duration)
    spans = _apart(wanted, least, lengths / SLOWEST, duration)
    rates = [length / max(end - start, 1e-6) for length, (start, end) in zip(lengths.tolist(), spans, strict=True)]
    return Fit(spans, rates)


def monotone(values: Times) -> Times:
    """The nearest values, by squares, that never fall (pool adjacent violators)."""
    blocks: list[tuple[float, int]] = []  # mean and count
    for value in values.tolist():
        mean, count = float(value), 1
        while blocks and blocks[-1][0] > mean:
            before, of = blocks.pop()
            mean, count = (before * of + mean * count) / (of + count), of + count
        blocks.append((mean, count))
    return np.concatenate([np.full(count, mean) for mean, count in blocks])


def stretches(probability: Times, fps: float, *, least: float = 0.5, gap: float = 0.3) -> list[Interval]:
    """Stretches of frames, in seconds, of which each is as likely as `least`; pauses below `gap` seconds are closed."""
    found: list[Interval] = []
    edges = np.flatnonzero(np.diff([False, *(probability >= least), False])).reshape(-1, 2) / fps
    for start, end in edges.tolist():
        if found and start - found[-1][1] < gap:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def _latest(course: Times, times: Times, moment: float) -> float:
    """The last time at which the course is not beyond a moment."""
    place = int(np.searchsorted(course, moment, side="right"))
    return _between(course, times, moment, place)


def _earliest(course: Times, times: Times, moment: float) -> float:
    """The first time at which the course has reached a moment."""
    place = int(np.searchsorted(course, moment, side="left"))
    return _between(course, times, moment, place)


def _between(course: Times, times: Times, moment: float, place: int) -> float:
    if place == 0:
        return float(times[0])
    if place == len(course):
        return float(times[-1])
    low, high = course[place - 1], course[place]
    share = (moment - low) / (high - low) if high > low else 0.0
    return float(times[place - 1] + share * (times[place] - times[place - 1]))


def _drawn_in(span: Interval, speaking: Sequence[Interval], length: float) -> Interval:
    """The part of a span from where somebody first speaks in it to where somebody last does; itself where nobody.

    As far as the span goes, no less than `length` is left: who speaks is guessed too, and a sentence needs its time.
    """
    met = [(max(start, span[0]), min(end, span[1])) for start, end in speaking if start < span[1] and end > span[0]]
    if not met:
        return span
    start, end = met[0][0], met[-1][1]
    lacking = min(length, span[1] - span[0]) - (end - start)
    if lacking > 0:
        start = min(max(span[0], start - lacking / 2), span[1] - (end - start) - lacking)
        end = max(end, min(span[1], start + min(length, span[1] - span[0])))
    return start, end


def _apart(wanted: Sequence[Interval], least: Times, most: Times, duration: float) -> list[Interval]:
    """Spans near those wanted, in order and apart, each of at least and at most its length, all within the clip."""
    starts, ends = np.empty(len(wanted)), np.empty(len(wanted))
    past = 0.0
    for row, (start, end) in enumerate(wanted):
        # the room that a sentence lacks is taken on both sides
        lacking = max(0.0, least[row] - (end - start))
        starts[row] = max(past, start - lacking / 2)
        ends[row] = min(max(end + lacking / 2, starts[row] + least[row]), starts[row] + most[row])
        past = ends[row]
    until = duration
    for row in reversed(range(len(wanted))):
        ends[row] = min(ends[row], until)
        starts[row] = max(0.0, min(starts[row], ends[row] - least[row]))
        until = starts[row]
    return list(zip(starts.tolist(), ends.tolist(), strict=True))

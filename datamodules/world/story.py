"""The plot grammar: who does what, where and with what, and how it is cut into shots.

A story is language free.  Each event becomes one sentence in every language and one to five shots; between the events
lie sentences that nobody filmed (commentary) and shots that nobody mentions (fillers).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FPS = 12

CHARACTERS = ("fox", "robot", "king", "girl", "frog", "rabbit", "bear", "witch", "knight", "penguin")
PLACES = ("forest", "beach", "city", "desert", "castle", "mountains", "village", "cave")
OBJECTS = ("key", "balloon", "lantern", "book", "flower", "umbrella", "sword", "apple")

#: what the cast of a verb is: agent, patient (B), object (O); the weather has no cast
VERBS = {
    "run": "A",
    "jump": "A",
    "sleep": "A",
    "fly": "A",
    "cry": "A",
    "dance": "A",
    "hide": "A",
    "grow": "A",
    "fall": "A",
    "vanish": "A",
    "rest": "A",
    "find": "AO",
    "lift": "AO",
    "throw": "AO",
    "meet": "AB",
    "fight": "AB",
    "chase": "AB",
    "hug": "AB",
    "give": "ABO",
    "storm": "",
    "rainbow": "",
    "fireworks": "",
}
#: how many shots an event takes: 1 to 5, 1.6 on average
SHOTS_PER_EVENT = (0.58, 0.28, 0.09, 0.035, 0.015)
FRAMINGS = ("wide", "close", "reverse", "medium")
FILLERS = ("landscape", "sky", "portrait")
#: how much a gap without fillers draws commentary, where a filler draws 1
COMMENTARY_ANYWHERE = 0.4


@dataclass(frozen=True)
class Event:
    """One thing that happens; what is None is not part of it."""

    verb: str
    place: str
    agent: str | None = None
    patient: str | None = None
    object: str | None = None

    def unlike(self, other: Event) -> int:
        """In how many of verb, place and agent two events differ (0 to 3)."""
        return (self.verb != other.verb) + (self.place != other.place) + (self.agent != other.agent)


@dataclass(frozen=True)
class Shot:
    """One camera set-up, from cut to cut.

    Attributes:
        frames: length, in frames of 1/FPS s.
        framing: one of FRAMINGS, or for a filler one of FILLERS.
        place: the background.
        event: index of the event that it shows; None for a filler.
        character: who stands in a portrait.
    """

    frames: int
    framing: str
    place: str
    event: int | None = None
    character: str | None = None


@dataclass(frozen=True)
class Line:
    """One sentence of the narration, before it has words.

    Attributes:
        event: index of the event it tells; None for commentary.
        topic: the character that commentary is about, whether or not the wording chosen has room for one.
    """

    event: int | None
    topic: str | None = None


@dataclass(frozen=True)
class Story:
    """A plot with its shots and its lines, both in order."""

    id: str
    index: int
    events: list[Event]
    shots: list[Shot]
    lines: list[Line]

    @property
    def duration(self) -> float:
        """Length of the film in seconds."""
        return sum(shot.frames for shot in self.shots) / FPS

    def clips(self) -> np.ndarray:
        """Cut to cut, shape (n, 2) in seconds."""
        ends = np.cumsum([shot.frames for shot in self.shots]) / FPS
        return np.stack([np.concatenate([[0.0], ends[:-1]]), ends], axis=1)

    def segments(self) -> np.ndarray:
        """What each line's event covers on film, shape (m, 2) in seconds; a NaN row for commentary."""
        spans = np.full((len(self.lines), 2), np.nan)
        clips, shown = self.clips(), [shot.event for shot in self.shots]
        for row, line in enumerate(self.lines):
            if line.event is not None:
                first = shown.index(line.event)
                spans[row] = clips[first, 0], clips[first + shown.count(line.event) - 1, 1]
        return spans


def plot(seed: int, index: int, *, sentences: int) -> Story:
    """The story `index` of the world `seed`, about `sentences` sentences long; the same for the same arguments."""
    rng = np.random.default_rng([seed, index])
    lines = max(4, round(sentences * rng.uniform(0.85, 1.15)))
    matched = int(np.clip(round(0.57 * lines + rng.uniform(-0.7, 0.7)), 2, lines - 1))
    cast = [str(name) for name in rng.permutation(CHARACTERS)[: rng.integers(3, 6)]]
    places = [str(name) for name in rng.permutation(PLACES)[: rng.integers(3, 6)]]
    events = _events(rng, matched, cast, places)
    shots = _shots(rng, events, cast)
    return Story(f"story-{index:04d}", index, events, shots, _lines(rng, shots, cast, lines))


def _events(rng: np.random.Generator, count: int, cast: list[str], places: list[str]) -> list[Event]:
    """Events whose neighbours can be told apart: from one to the next, two of verb, place and agent change or all."""
    holds: dict[str, str] = {}
    place = str(rng.choice(places))
    fresh: list[str] = []
    events: list[Event] = []
    while len(events) < count:
        fresh = fresh or [str(verb) for verb in rng.permutation(list(VERBS))]
        if rng.random() < 0.55:
            place = str(rng.choice([other for other in places if other != place]))
        event = _event(rng, fresh, cast, place, holds)
        if event is None or (events and event.unlike(events[-1]) < 2) or event in events:
            if rng.random() < 0.2:  # the verbs that are left may all be out of reach here
                fresh = []
            continue
        fresh.remove(event.verb)
        _pass_on(holds, event)
        events.append(event)
    return events


def _event(
    rng: np.random.Generator, verbs: list[str], cast: list[str], place: str, holds: dict[str, str]
) -> Event | None:
    """The first of `verbs` that can happen, to somebody, at `place`; one gives or throws only what one has."""
    agent, patient = (str(name) for name in rng.permutation(cast)[:2])
    for verb in verbs:
        roles = VERBS[verb]
        if not roles and place == "cave":
            continue
        if verb == "find":
            thing = str(rng.choice([name for name in OBJECTS if name not in holds.values()]))
        elif "O" in roles:
            if not holds:
                continue
            agent = str(rng.choice(sorted(holds)))
            thing = holds[agent]
            if patient == agent:
                patient = next(name for name in cast if name != agent)
        return Event(
            verb,
            place,
            agent if "A" in roles else None,
            patient if "B" in roles else None,
            thing if "O" in roles else None,
        )
    return None


def _pass_on(holds: dict[str, str], event: Event) -> None:
    if event.object is None or event.agent is None:
        return
    holds.pop(event.agent, None)
    if event.verb == "give" and event.patient is not None:
        holds[event.patient] = event.object
    elif event.verb in ("find", "lift"):
        holds[event.agent] = event.object


def _shots(rng: np.random.Generator, events: list[Event], cast: list[str]) -> list[Shot]:
    by_event = []
    for number, event in enumerate(events):
        count = int(rng.choice(5, p=SHOTS_PER_EVENT)) + 1
        first = int(rng.integers(len(FRAMINGS)))
        framings = [FRAMINGS[(first + step) % len(FRAMINGS)] for step in range(count)]
        by_event.append([Shot(_length(rng), framing, event.place, number) for framing in framings])
    filler_share = rng.uniform(0.39, 0.49)
    fillers = round(sum(map(len, by_event)) * filler_share / (1 - filler_share))
    gaps = np.bincount(rng.integers(len(events) + 1, size=fillers), minlength=len(events) + 1)
    shots: list[Shot] = []
    for gap, count in enumerate(gaps):
        # an establishing shot looks ahead to the place that comes, or lingers on the one just left
        near = [events[other] for other in (gap - 1, gap) if 0 <= other < len(events)]
        absent = [name for name in cast if all(name not in (event.agent, event.patient) for event in near)]
        for _ in range(count):
            kind = str(rng.choice(FILLERS, p=(0.5, 0.25, 0.25))) if absent else "landscape"
            place = near[int(rng.integers(len(near)))].place
            who = str(rng.choice(absent)) if kind == "portrait" else None
            shots.append(Shot(_length(rng), kind, place, None, who))
        if gap < len(events):
            shots += by_event[gap]
    return shots


def _length(rng: np.random.Generator) -> int:
    """Frames of one shot: log-normal, 2.4 s on average, 0.8 to 6 s, as the cutting of films is."""
    return round(FPS * float(np.clip(2.19 * np.exp(0.46 * rng.standard_normal()), 0.8, 6.0)))


def _lines(rng: np.random.Generator, shots: list[Shot], cast: list[str], count: int) -> list[Line]:
    """The events in order, with commentary mostly where the fillers leave time for it."""
    events = 1 + max(shot.event for shot in shots if shot.event is not None)
    room = np.full(events + 1, COMMENTARY_ANYWHERE)
    gap = 0
    for shot in shots:
        gap = gap if shot.event is None else shot.event + 1
        room[gap] += shot.event is None
    remarks = np.bincount(rng.choice(events + 1, size=count - events, p=room / room.sum()), minlength=events + 1)
    lines: list[Line] = []
    for gap, commentary in enumerate(remarks):
        lines += [Line(None, str(rng.choice(cast))) for _ in range(commentary)]
        if gap < events:
            lines.append(Line(gap))
    return lines

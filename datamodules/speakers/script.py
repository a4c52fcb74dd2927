"""What happens in a clip: who says what when, what hides the lips, and what the camera shows instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..batches import SPEECH_RATE, Phoneme
from ..speech import FASTEST, SLOWEST, Espeak
from .cast import Person, person
from .topics import TOPICS, Line, line

FPS = 25
DOMAINS = ("movie", "youtube")
#: seconds before the first word and after the last
LEAD = (0.5, 1.2)
#: of a movie's clips this share has somebody who answers in a sentence, unseen
ANSWERED = 0.35
#: seconds of a hidden stretch, and of a look elsewhere
COVERED, AWAY = (0.8, 2.8), (1.0, 2.6)
#: what hides the lips
COVERS = ("hand", "microphone", "turned")


@dataclass(frozen=True)
class Settings:
    """What the speakers depend on: the same settings and version give the same videos.

    Attributes:
        clips: how many videos, each a conversation.
        people: how many there are to speak.
        seed: of everything.
        languages: of the texts.
        seconds: that a clip lasts at least.
        hidden: share of the speaker's frames whose lips are covered, on average; each clip has its own.
        offscreen: share of frames in which the speaker is not seen, likewise.
        val, test: shares of the clips, and of the people and the sentences, kept from training.
    """

    clips: int
    people: int
    seed: int
    languages: tuple[str, ...]
    seconds: float
    hidden: float
    offscreen: float
    val: float
    test: float


@dataclass(frozen=True)
class Utterance:
    """A sentence that `person` says from `start` to `end` in seconds, to `rate` words a minute."""

    text: str
    start: float
    end: float
    person: Person
    rate: int
    phonemes: tuple[Phoneme, ...]


@dataclass(frozen=True)
class Shot:
    """Frames from `first` to before `last`: ``close`` or ``medium`` on the speaker, ``two`` people, the ``other`` one
    alone, or ``insert``, a thing."""

    first: int
    last: int
    framing: str


@dataclass
class Clip:
    """One video, before it is filmed.

    Attributes:
        things: of the topic, in the order in which they are named.
        waveform: (S,) int16, 16 kHz: the speech alone.
        covers: (first, last, kind) of frames in which the speaker's lips are covered.
    """

    id: str
    split: str
    domain: str
    topic: str
    language: str
    speaker: Person
    other: Person
    frames: int
    things: list[int]
    utterances: list[Utterance]
    waveform: NDArray[np.int16]
    shots: list[Shot] = field(default_factory=list)
    covers: list[tuple[int, int, str]] = field(default_factory=list)

    @cached_property
    def seen(self) -> NDArray[np.bool_]:
        """(T,) whether the speaker is in the picture."""
        seen = np.zeros(self.frames, dtype=bool)
        for shot in self.shots:
            seen[shot.first : shot.last] = shot.framing not in ("insert", "other")
        return seen

    @cached_property
    def hidden(self) -> NDArray[np.bool_]:
        """(T,) whether the speaker's lips cannot be seen, for whatever reason."""
        hidden = ~self.seen
        for first, last, _ in self.covers:
            hidden[first:last] = True
        return hidden

    def phonemes_of(self, who: Person) -> list[Phoneme]:
        """All that a person says, in order."""
        return [phoneme for each in self.utterances if each.person == who for phoneme in each.phonemes]


def split_of(settings: Settings, index: int) -> str:
    """Train clips come first, then validation, then test."""
    val, test = (max(1, round(settings.clips * share)) for share in (settings.val, settings.test))
    return "test" if index >= settings.clips - test else "val" if index >= settings.clips - test - val else "train"


def people_of(settings: Settings, split: str) -> list[Person]:
    """Who speaks in a split; nobody is in two."""
    val, test = (max(2, round(settings.people * share)) for share in (settings.val, settings.test))
    numbers = {
        "train": range(settings.people - val - test),
        "val": range(settings.people - val - test, settings.people - test),
        "test": range(settings.people - test, settings.people),
    }
    return [person(settings.seed, number) for number in numbers[split]]


def write(settings: Settings, index: int) -> Clip:
    """Clip number `index` of the set, spoken and staged; it does not depend on the others."""
    rng = np.random.default_rng([settings.seed, index, 0x5C21])
    split = split_of(settings, index)
    speaker, other = (people_of(settings, split)[n] for n in rng.permutation(len(people_of(settings, split)))[:2])
    language = settings.languages[index % len(settings.languages)]
    domain, topic = DOMAINS[int(rng.integers(2))], TOPICS[int(rng.integers(len(TOPICS)))]
    say = partial(line, rng, language, topic, split, settings.val, settings.test)
    utterances, things, waveform = talk(settings, rng, say, domain, language, (speaker, other))
    clip = Clip(
        id=f"clip-{index:05d}",
        split=split,
        domain=domain,
        topic=topic,
        language=language,
        speaker=speaker,
        other=other,
        frames=len(waveform) * FPS // SPEECH_RATE,
        things=things,
        utterances=utterances,
        waveform=waveform,
    )
    clip.shots = _shots(clip, rng, float(rng.uniform(0, 2 * settings.offscreen)))
    clip.covers = _covers(clip, rng, float(rng.uniform(0, 2 * settings.hidden)))
    return clip


def talk(
    settings: Settings,
    rng: np.random.Generator,
    say: Callable[[], Line],
    domain: str,
    language: str,
    people: tuple[Person, Person],
) -> tuple[list[Utterance], list[int], NDArray[np.int16]]:
    """A conversation of `settings.seconds` at least.

    Args:
        say: gives the next sentence.
        people: who speaks, and who may answer.

    Returns:
        What is said, the things that it names in the order of their first mention, and (S,) int16 at 16 kHz.
    """
    answer = int(rng.integers(1, 4)) if domain == "movie" and rng.random() < ANSWERED else -1
    pieces: list[NDArray[np.int16]] = []
    utterances: list[Utterance] = []
    things: list[int] = []
    now = 0

    def wait(seconds: float) -> None:
        nonlocal now
        pieces.append(np.zeros(round(seconds * SPEECH_RATE), np.int16))
        now += len(pieces[-1])

    wait(rng.uniform(*LEAD))
    while now < (settings.seconds - LEAD[0]) * SPEECH_RATE:
        sentence = say()
        who = people[len(utterances) == answer]
        rate = int(np.clip(who.rate * rng.uniform(0.85, 1.18), SLOWEST, FASTEST))
        speech = Espeak(who.voice, rate)(sentence.text, language=language)
        start = now / SPEECH_RATE
        phonemes = tuple(Phoneme(p.name, p.start + start, p.end + start) for p in speech.phonemes)
        utterances.append(Utterance(sentence.text, phonemes[0].start, phonemes[-1].end, who, rate, phonemes))
        things += [number for number in sentence.things if number not in things]
        pieces.append(speech.waveform.numpy()[: round((phonemes[-1].end - start) * SPEECH_RATE)])
        now += len(pieces[-1])
        wait(rng.choice([rng.uniform(0.15, 0.45), rng.uniform(0.6, 1.4)], p=[0.7, 0.3]))
    wait(rng.uniform(*LEAD))
    pieces.append(np.zeros(-now % (SPEECH_RATE // FPS), np.int16))  # a whole number of frames
    return utterances, things, np.concatenate(pieces)


def _shots(clip: Clip, rng: np.random.Generator, offscreen: float) -> list[Shot]:
    """YouTube: one framing with looks at things.  Movie: cuts between framings, looks at things and at the other."""
    usual = ["close", "medium", "two"] if clip.domain == "movie" else ["close" if rng.random() < 0.6 else "medium"]
    elsewhere = ["insert", "other"] if clip.domain == "movie" else ["insert"]
    edges = [0]
    while edges[-1] < clip.frames:
        longest = (2.2, 5.0) if clip.domain == "movie" else (3.0, 7.0)
        edges.append(edges[-1] + round(FPS * rng.uniform(*longest)))
    edges[-1] = clip.frames
    if len(edges) > 2 and edges[-1] - edges[-2] < FPS:
        del edges[-2]
    left = round(offscreen * clip.frames)
    shots: list[Shot] = []

    def add(first: int, last: int, framing: str) -> None:
        if shots and shots[-1].framing == framing:
            shots[-1] = Shot(shots[-1].first, last, framing)
        else:
            shots.append(Shot(first, last, framing))

    for first, last in pairwise(edges):
        away = min(round(FPS * rng.uniform(*AWAY)), left, last - first - FPS // 2)
        framing = str(rng.choice(usual))
        if first > 0 and away >= FPS // 2:
            add(first, first + away, str(rng.choice(elsewhere)))
            left -= away
            first += away
        add(first, last, framing)
    return shots


def _covers(clip: Clip, rng: np.random.Generator, share: float) -> list[tuple[int, int, str]]:
    """Stretches in which the speaker is seen but not the lips, about `share` of the frames, in order."""
    left, covers = round(share * clip.frames), []
    taken = ~clip.seen
    for _ in range(40):
        length = min(round(FPS * rng.uniform(*COVERED)), left)
        first = int(rng.integers(0, max(1, clip.frames - length)))
        if length < FPS // 2:
            break
        if taken[max(0, first - 6) : first + length + 6].any():
            continue
        taken[first : first + length] = True
        covers.append((first, first + length, str(rng.choice(COVERS))))
        left -= length
    return sorted(covers)

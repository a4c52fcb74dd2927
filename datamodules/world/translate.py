"""A translator for the synthetic world: every sentence is read back to what it tells, and told in another language.

It is as good as it is asked to be.  At a stated rate a sentence comes out wrong, in one of the ways in which machine
translation goes wrong: a word for another, words lost, or a piece of another sentence.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from .language import GENDER, SLOT, Language, capitalised, fill, load
from .story import CHARACTERS, OBJECTS, PLACES, Event

#: the verb of what nobody filmed, as far as a sentence of commentary is an event
COMMENTARY = "commentary"
#: of the words of a sentence that loses some
LOST = 0.4


@dataclass(frozen=True)
class Meaning:
    """What a sentence tells, free of any language: the wordings of all languages stand in the same order.

    Attributes:
        event: who, what and where; of commentary `COMMENTARY`, with its topic for an agent if it names one.
        wording: which of the verb's wordings.
        opening: which connective begins it; None without one.
    """

    event: Event
    wording: int
    opening: int | None = None


def read(text: str, code: str) -> Meaning:
    """What a sentence of the world tells.  Raises ValueError for any other text, and for an unknown language."""
    language = load(code)
    for verb, wording, pattern in _patterns(code):
        if match := pattern.fullmatch(text):
            found = {name: group.casefold() for name, group in match.groupdict().items() if group}
            event = Event(
                verb,
                _which(language.places, found["P"]) if "P" in found else PLACES[0],
                _who(language, found["A"]) if "A" in found else None,
                _who(language, found["B"]) if "B" in found else None,
                _which(language.objects, found["O"]) if "O" in found else None,
            )
            opening = found.get("opening")
            return Meaning(
                event,
                wording,
                None if opening is None else [each.casefold() for each in language.openings].index(opening),
            )
    raise ValueError(f"not a sentence of the synthetic world in {code}: {text!r}")


def write(meaning: Meaning, code: str) -> str:
    """The sentence in a language."""
    language = load(code)
    if meaning.event.verb == COMMENTARY:
        return capitalised(fill(language, language.commentary[meaning.wording], meaning.event))
    clause = fill(language, language.verbs[meaning.event.verb][meaning.wording], meaning.event)
    opening = "" if meaning.opening is None else language.openings[meaning.opening]
    return capitalised(opening + clause) + language.stop


class WorldTranslator:
    """Translates sentences of the world, a share of them wrongly.

    Args:
        errors: how likely a sentence comes out wrong, 0 to 1.
        seed: of the errors; which sentences they strike, and how, depends on it, the video and the sentence's place.
    """

    producer = "world"

    def __init__(self, errors: float = 0.0, seed: int = 0) -> None:
        if not 0 <= errors <= 1:
            raise ValueError(f"errors is a share between 0 and 1, not {errors}")
        if seed < 0:
            raise ValueError(f"seed is {seed}, but must not be negative")
        self.errors = errors
        self.seed = seed

    @property
    def settings(self) -> dict[str, Any]:
        """What the translations depend on."""
        return {"errors": self.errors, "seed": self.seed}

    def check(self, sources: Sequence[str], to: str) -> None:
        """Raises ValueError where the world does not speak one of the languages."""
        for code in (*sources, to):
            load(code)

    def translate(self, video: str, texts: Sequence[str], source: str, to: str) -> list[str]:
        """Translate the sentences of a video.  Raises ValueError for one that is not of the world."""
        meanings = [read(text, source) for text in texts]
        return [self._one(video, number, meanings, to) for number in range(len(meanings))]

    def _one(self, video: str, number: int, meanings: list[Meaning], to: str) -> str:
        chance = np.random.default_rng([self.seed, zlib.crc32(video.encode()), number])
        if chance.random() >= self.errors:
            return write(meanings[number], to)
        spoil = (_mistaken, _shortened, _strayed)[int(chance.integers(3))]
        return spoil(meanings, number, to, chance)


def _mistaken(meanings: list[Meaning], number: int, to: str, chance: np.random.Generator) -> str:
    """One part of the event is taken for another of its kind; of commentary that names nobody, the whole."""
    event = meanings[number].event
    kinds = {"agent": CHARACTERS, "patient": CHARACTERS, "object": OBJECTS, "place": PLACES}
    named = [part for part in kinds if getattr(event, part) is not None]
    if event.verb == COMMENTARY:
        named.remove("place")  # it has none of its own
    if not named:
        count = len(load(to).commentary)
        other = (meanings[number].wording + int(chance.integers(1, count))) % count
        return write(Meaning(replace(event, agent=str(chance.choice(CHARACTERS))), other), to)
    part = str(chance.choice(named))
    others = [name for name in kinds[part] if name not in (event.agent, event.patient, event.object, event.place)]
    return write(replace(meanings[number], event=replace(event, **{part: str(chance.choice(others))})), to)


def _shortened(meanings: list[Meaning], number: int, to: str, chance: np.random.Generator) -> str:
    """Some words are lost; in Chinese, characters."""
    words, joint = _words(write(meanings[number], to), to)
    kept = [word for word in words if chance.random() >= LOST]
    return joint.join(kept if 0 < len(kept) < len(words) else words[: len(words) // 2])


def _strayed(meanings: list[Meaning], number: int, to: str, chance: np.random.Generator) -> str:
    """The end of another sentence of the video stands there."""
    others = [other for other in range(len(meanings)) if meanings[other] != meanings[number]] or [number]
    words, joint = _words(write(meanings[int(chance.choice(others))], to), to)
    return joint.join(words[len(words) // 3 :])


def _words(text: str, code: str) -> tuple[list[str], str]:
    """The words of a text, and what stands between them."""
    return (list(text), "") if code == "zh" else (text.split(), " ")


@cache
def _patterns(code: str) -> list[tuple[str, int, re.Pattern[str]]]:
    """(verb, wording, expression) of every sentence that the language has."""
    language = load(code)
    opening = "|".join(map(re.escape, language.openings))
    clauses = [
        (verb, number, f"(?P<opening>{opening})?{_expression(language, pattern)}{re.escape(language.stop)}")
        for verb, patterns in language.verbs.items()
        for number, pattern in enumerate(patterns)
    ]
    remarks = [(COMMENTARY, number, _expression(language, each)) for number, each in enumerate(language.commentary)]
    return [(verb, number, re.compile(each, re.IGNORECASE)) for verb, number, each in clauses + remarks]


def _expression(language: Language, pattern: str) -> str:
    """A pattern of the word lists as a regular expression, with a group for each of its slots."""
    found, end = "", 0
    for part in re.finditer(f"{SLOT.pattern}|{GENDER.pattern}", pattern):
        role, case, masculine, feminine = part.groups()
        forms = _forms(language, role, case or "nom") if role else [masculine, feminine]
        choice = "|".join(map(re.escape, forms))
        found += re.escape(pattern[end : part.start()]) + (f"(?P<{role}>{choice})" if role else f"(?:{choice})")
        end = part.end()
    return found + re.escape(pattern[end:])


def _forms(language: Language, role: str, case: str) -> list[str]:
    if role == "P":
        return list(language.places.values())
    if role == "O":
        return list(language.objects.values())
    return [character[case] for character in language.characters.values()]


def _who(language: Language, form: str) -> str:
    return next(name for name, forms in language.characters.items() if form in map(str.casefold, forms.values()))


def _which(forms: dict[str, str], form: str) -> str:
    return next(name for name, each in forms.items() if each.casefold() == form)

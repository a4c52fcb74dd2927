"""Words for a story: one JSON file per language lists every inflected form, and the sentences choose among them.

A pattern is a clause in lower case without its full stop.  ``{A}`` is the agent in its basic form, ``{B:dat}`` the
patient in the dative (or whatever form the file lists under that name), ``{O}`` the object, ``{P}`` the place, and
``[x|y]`` chooses by the agent's gender, masculine before feminine.
"""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from .story import Event, Story

#: the languages of M-SyMoN: English, Chinese, Spanish, French, Portuguese, Hindi, Russian
LANGUAGES = ("en", "zh", "es", "fr", "pt", "hi", "ru")

#: what stands open in a pattern: (role, case), and (masculine, feminine)
SLOT = re.compile(r"\{([ABOP])(?::(\w+))?\}")
GENDER = re.compile(r"\[([^\]|]*)\|([^\]|]*)\]")


@dataclass(frozen=True)
class Language:
    """The word lists of one language, as its file holds them.

    Attributes:
        name: the language's own name.
        stop: what ends a statement.
        characters: character -> its forms; ``nom`` is the basic one, ``gender`` is m or f.
        objects: object -> the form it has after a verb.
        places: place -> the adverbial that says where.
        openings: connectives that may begin a sentence, in lower case, with the space or comma after them.
        verbs: verb -> patterns.
        commentary: patterns of sentences that nobody filmed; the punctuation at their end is their own.
    """

    name: str
    stop: str
    characters: dict[str, dict[str, str]]
    objects: dict[str, str]
    places: dict[str, str]
    openings: list[str]
    verbs: dict[str, list[str]]
    commentary: list[str]


@cache
def load(code: str) -> Language:
    """The language `code`.  Raises ValueError where there is none."""
    if code not in LANGUAGES:
        raise ValueError(f"the world does not speak {code!r}; it speaks {', '.join(LANGUAGES)}")
    data: dict[str, Any] = json.loads((files(__package__) / f"{code}.json").read_text(encoding="utf-8"))
    return Language(**data)


def tell(seed: int, story: Story, code: str) -> list[str]:
    """The story's sentences in a language, one for each line.  Which wording they get is chance of that language."""
    rng = np.random.default_rng([seed, story.index, zlib.crc32(code.encode()), 1])
    language = load(code)
    remarks = _no_repeats(rng, language.commentary)
    texts = []
    for line in story.lines:
        if line.event is None:
            texts.append(capitalised(fill(language, remarks(), Event("", story.events[0].place, line.topic))))
            continue
        event = story.events[line.event]
        clause = fill(language, str(rng.choice(language.verbs[event.verb])), event)
        opening = str(rng.choice(language.openings)) if rng.random() < 0.25 else ""
        texts.append(capitalised(opening + clause) + language.stop)
    return texts


def wordings(language: Language, event: Event) -> list[str]:
    """Every sentence that may tell the event, without an opening."""
    return [capitalised(fill(language, pattern, event)) + language.stop for pattern in language.verbs[event.verb]]


def fill(language: Language, pattern: str, event: Event) -> str:
    """The pattern with the event's people, things and places in their forms."""

    def form(slot: re.Match[str]) -> str:
        role, case = slot.group(1), slot.group(2) or "nom"
        if role == "P":
            return language.places[event.place]
        if role == "O":
            return language.objects[str(event.object)]
        return language.characters[str(event.agent if role == "A" else event.patient)][case]

    if event.agent is not None:
        gender = 2 if language.characters[event.agent].get("gender") == "f" else 1
        pattern = GENDER.sub(lambda choice: choice.group(gender), pattern)
    return SLOT.sub(form, pattern)


def _no_repeats(rng: np.random.Generator, choices: list[str]) -> Any:
    """A function that deals `choices` in random order, and shuffles again when all are dealt."""
    deck: list[str] = []

    def deal() -> str:
        if not deck:
            deck.extend(str(choice) for choice in rng.permutation(choices))
        return deck.pop()

    return deal


def capitalised(text: str) -> str:
    """The first letter in upper case, past an opening mark such as the Spanish ``¿``."""
    first = next((place for place, letter in enumerate(text) if letter.isalpha()), 0)
    return text[:first] + text[first : first + 1].upper() + text[first + 1 :]

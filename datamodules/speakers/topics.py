"""What is talked about: sentences made of phrases, each for one split alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np

TOPICS = ("cooking", "garden", "music", "school", "travel", "money", "beauty", "sport")
#: languages that the people speak
LANGUAGES = ("en", "es", "fr")
#: things of a topic; each can be said, and shown (`objects`)
THINGS = 4


@dataclass(frozen=True)
class Line:
    """A sentence, and which things of its topic it names."""

    text: str
    things: tuple[int, int]


def check_language(code: str) -> str:
    """`code`, or ValueError where nobody speaks it."""
    if code not in LANGUAGES:
        raise ValueError(f"no synthetic speaker speaks {code!r}; they speak {', '.join(LANGUAGES)}")
    return code


def line(rng: np.random.Generator, language: str, topic: str, split: str, val: float, test: float) -> Line:
    """A sentence about `topic` that belongs to `split`."""
    phrases = _texts()[language]
    while True:
        thing, other = (int(number) for number in rng.choice(THINGS, 2, replace=False))
        of_topic = phrases[topic]
        clause = str(rng.choice(of_topic["say"])).format(
            thing=of_topic["things"][thing], other=of_topic["things"][other], how=rng.choice(phrases["how"])
        )
        text = f"{rng.choice(phrases['opener'])}, {clause}."
        if split_of(text, val, test) == split:
            return Line(text, (thing, other))


def lines(language: str, topic: str) -> Iterator[Line]:
    """Every sentence about `topic` that there is, of all splits, in one order."""
    phrases = _texts()[language]
    of_topic = phrases[topic]
    pairs = permutations(range(THINGS), 2)
    for (thing, other), say, how, opener in product(pairs, of_topic["say"], phrases["how"], phrases["opener"]):
        clause = say.format(thing=of_topic["things"][thing], other=of_topic["things"][other], how=how)
        yield Line(f"{opener}, {clause}.", (thing, other))


def split_of(text: str, val: float, test: float) -> str:
    """The one split that a sentence may be said in, by its hash; `val` and `test` are shares."""
    place = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64
    return "val" if place < val else "test" if place < val + test else "train"


@cache
def _texts() -> dict[str, Any]:
    texts: dict[str, Any] = json.loads(Path(__file__).with_name("texts.json").read_text(encoding="utf-8"))
    return texts

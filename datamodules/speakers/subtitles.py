"""Subtitle files: those of the clips, and a pool of others of the same make that nobody says in any clip."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..files import write_whole
from ..srt import srt_cue
from .script import DOMAINS, Settings, Utterance, people_of, talk
from .topics import LANGUAGES, TOPICS, Line, lines, split_of

#: seconds that no sentence takes, said as slowly as people speak here
_LONGEST = 12.0


def srt(utterances: Sequence[Utterance]) -> bytes:
    """A subtitle file."""
    cues = []
    for number, one in enumerate(utterances, start=1):
        cues.append(srt_cue(number, one.start, one.end, one.text))
    return "\n".join(cues).encode()


def cues(utterances: Sequence[Utterance]) -> list[dict[str, Any]]:
    """What is said, as ``speakers.json`` has it."""
    return [
        {
            "text": one.text,
            "start": round(one.start * 1000) / 1000,
            "end": round(one.end * 1000) / 1000,
            "person": one.person.id,
            "rate": one.rate,
        }
        for one in utterances
    ]


def check_pool(settings: Settings, pool: int) -> None:
    """Raises ValueError where the test split has too few sentences for so many texts, however slowly they are said."""
    if pool < 0:
        raise ValueError(f"pool is {pool}, but must be 0 or more")
    each = int(settings.seconds / _LONGEST) + 1
    for language in settings.languages:
        there = sum(len(_of_test(settings, language, topic)) for topic in TOPICS) if pool else 0
        if pool * each > there * len(settings.languages):
            raise ValueError(
                f"a pool of {pool} wants more sentences than the {there} in {language} of the test split: "
                "ask for a smaller one, a larger share for test, or more languages"
            )


def write_pool(
    folder: Path,
    settings: Settings,
    pool: int,
    taken: Iterable[str],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, dict[str, Any]]:
    """Write ``pool/<language>/<id>.srt``: conversations like those of test clips, in sentences of their own.

    They are of the same topics and people, so they share their words with those of the clips; no sentence is in two of
    them, nor in any clip.  Each depends on those before it alone: a larger pool begins with a smaller one.

    Args:
        folder: of the speakers.
        settings: of the speakers.
        pool: how many; a pool of so many that is there is kept.
        taken: sentences that it must not hold, those of the clips.
        progress: called with (texts done, texts in all).

    Returns:
        What ``pool.json`` says of each: ``language``, ``domain``, ``topic``, ``things`` and ``cues``, as of a clip.

    Raises:
        ValueError: the sentences of a topic are used up, or a larger pool is there.
    """
    path = folder / "pool.json"
    if path.exists():
        there: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        if len(there) > pool:
            raise ValueError(f"{folder} has a pool of {len(there)}, more than {pool}: choose another folder")
        if len(there) == pool:
            return there
    taken = frozenset(taken)

    @cache
    def deck(language: str, topic: str) -> _Deck:
        return _Deck(settings, language, topic, taken)

    written = {}
    for index in range(pool):
        name = f"pool-{index:05d}"
        utterances, written[name] = _conversation(settings, index, deck)
        subtitles = folder / "pool" / written[name]["language"] / f"{name}.srt"
        subtitles.parent.mkdir(parents=True, exist_ok=True)
        write_whole(subtitles, srt(utterances))
        progress(index + 1, pool)
    write_whole(path, json.dumps(written, ensure_ascii=False, separators=(",", ":")).encode())
    return written


def _conversation(
    settings: Settings, index: int, deck: Callable[[str, str], _Deck]
) -> tuple[list[Utterance], dict[str, Any]]:
    """The text `index` of the pool, in sentences of the deck of its language and topic, and what is said of it."""
    rng = np.random.default_rng([settings.seed, index, 0x9001])
    language = settings.languages[index % len(settings.languages)]
    domain, topic = str(rng.choice(DOMAINS)), str(rng.choice(TOPICS))
    people = people_of(settings, "test")
    first, second = rng.permutation(len(people))[:2].tolist()
    pair = people[first], people[second]
    utterances, things, _ = talk(settings, rng, deck(language, topic).draw, domain, language, pair)
    record = {"language": language, "domain": domain, "topic": topic, "things": things, "cues": cues(utterances)}
    return utterances, record


class _Deck:
    """The sentences of a topic that no clip has, in an order of the seed's."""

    def __init__(self, settings: Settings, language: str, topic: str, taken: frozenset[str]) -> None:
        free = [each for each in _of_test(settings, language, topic) if each.text not in taken]
        seed = [settings.seed, LANGUAGES.index(language), TOPICS.index(topic), 0xDECC]
        self.words = f"{topic} in {language}"
        self.left = [free[place] for place in np.random.default_rng(seed).permutation(len(free))]

    def draw(self) -> Line:
        if not self.left:
            raise ValueError(
                f"no sentence about {self.words} is left in the test split for the pool: ask for a smaller one, "
                "for a larger share for test, or for more languages"
            )
        return self.left.pop()


def _of_test(settings: Settings, language: str, topic: str) -> list[Line]:
    return [each for each in lines(language, topic) if split_of(each.text, settings.val, settings.test) == "test"]

"""The seven languages of the world: complete, parallel, and grammatical where a rule can be written down."""

from __future__ import annotations

import re
from itertools import product

import pytest

from weaksync.datamodules.world.language import LANGUAGES, load, tell, wordings
from weaksync.datamodules.world.story import CHARACTERS, OBJECTS, PLACES, VERBS, Event, plot


def everything() -> list[Event]:
    """Each verb with each of its roles in turn: all characters, objects and places meet every verb."""
    events = []
    for (verb, roles), shift in product(VERBS.items(), range(40)):
        pick = [pool[shift % len(pool)] for pool in (PLACES, CHARACTERS, OBJECTS)]
        other = CHARACTERS[(shift * 3 + 1) % len(CHARACTERS)]
        other = other if other != pick[1] else CHARACTERS[(shift + 1) % len(CHARACTERS)]
        agent = pick[1] if "A" in roles else None
        events.append(Event(verb, pick[0], agent, other if "B" in roles else None, pick[2] if "O" in roles else None))
    return events


def sentences(code: str) -> list[str]:
    told = [text for event in everything() for text in wordings(load(code), event)]
    return told + [text for index in range(40) for text in tell(0, plot(0, index, sentences=22), code)]


@pytest.mark.parametrize("code", LANGUAGES)
def test_lists_are_complete_and_parallel(code: str) -> None:
    language, english = load(code), load("en")
    assert set(language.characters) == set(CHARACTERS)
    assert set(language.objects) == set(OBJECTS)
    assert set(language.places) == set(PLACES)
    assert set(language.verbs) == set(VERBS)
    assert all(len(patterns) == len(english.verbs[verb]) >= 2 for verb, patterns in language.verbs.items())
    assert len(language.commentary) == len(english.commentary)
    assert [("{A}" in remark) for remark in language.commentary] == [("{A}" in r) for r in english.commentary]


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_sentence_is_finished(code: str) -> None:
    for text in sentences(code):
        assert not re.search(r"[\[\]{}|]", text), text
        assert "  " not in text and text == text.strip(), text
        assert text[-1] in {"en": ".?", "zh": "。？", "hi": "।?"}.get(code, ".?"), text
        first = text.lstrip("¿")[0]
        assert first == first.upper(), text


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_sentence_says_who_what_and_where(code: str) -> None:
    language = load(code)
    for event in everything():
        for text in wordings(language, event):
            bare = text.lower()
            assert language.places[event.place].lower() in bare, text
            if event.object:
                assert language.objects[event.object].lower() in bare, text
            for who in (event.agent, event.patient):
                if who:
                    forms = [form for case, form in language.characters[who].items() if case != "gender"]
                    assert any(form.lower() in bare for form in forms), text


@pytest.mark.parametrize("code", LANGUAGES)
def test_two_events_never_share_a_sentence(code: str) -> None:
    told: dict[str, Event] = {}
    for event in everything():
        for text in wordings(load(code), event):
            assert told.setdefault(text, event) == event, text


#: what each language forbids: contractions that were not made, elisions, prepositions, spaces, Latin letters
FORBIDDEN = {
    "es": r"\b(a el|de el)\b",
    "fr": r"\b(à le|de le|de les|que il|le ours|la ours|se (?=[aeéo]))\b",
    "pt": r"\b(a o|de o|de a|em o|em a|a a)\b",
    "ru": r"\bс (старым|снеж)|[A-Za-z]",
    "hi": r"[A-Za-z.]|(नीला|बूढ़ा|हरा|भूरा) \S+ (को|से|के|का)(?=\s)",
    "zh": r"[\sA-Za-z.,?]",
    "en": r"\ba [aeiou]",
}


@pytest.mark.parametrize("code", LANGUAGES)
def test_rules_of_the_language(code: str) -> None:
    for text in sentences(code):
        assert not re.search(FORBIDDEN[code], text.lower()), text


GIFT = Event("give", "forest", "king", "fox", "apple")


@pytest.mark.parametrize(
    ("code", "event", "expected"),
    [
        ("en", GIFT, "The old king gives an apple to the red fox in the forest."),
        ("es", GIFT, "El viejo rey le da una manzana al zorro rojo en el bosque."),
        ("fr", GIFT, "Le vieux roi donne une pomme au renard roux dans la forêt."),
        ("pt", GIFT, "O velho rei dá uma maçã à raposa vermelha na floresta."),
        ("ru", GIFT, "Старый король отдаёт рыжей лисе яблоко в лесу."),
        ("hi", GIFT, "बूढ़ा राजा जंगल में लाल लोमड़ी को एक सेब देता है।"),
        ("zh", GIFT, "老国王在森林里给了红狐狸一个苹果。"),
        ("fr", Event("sleep", "beach", "bear"), "L'ours brun s'endort au bord de la mer."),
        ("pt", Event("chase", "desert", "girl", "king"), "No deserto, a garotinha corre atrás do velho rei."),
        ("ru", Event("meet", "castle", "fox", "king"), "Рыжая лиса разговаривает со старым королём перед замком."),
        ("hi", Event("run", "forest", "fox"), "लाल लोमड़ी जंगल में दौड़ती है।"),
        ("hi", Event("chase", "village", "girl", "king"), "छोटी लड़की गाँव में बूढ़े राजा का पीछा करती है।"),
        ("zh", Event("lift", "mountains", "penguin", None, "key"), "企鹅在雪山上自豪地举起一把金钥匙。"),
    ],
)
def test_inflection(code: str, event: Event, expected: str) -> None:
    assert expected in wordings(load(code), event)


def test_feminine_and_masculine_agree() -> None:
    assert any("dormida" in text for text in wordings(load("es"), Event("sleep", "cave", "witch")))
    assert any("dormido" in text for text in wordings(load("es"), Event("sleep", "cave", "knight")))
    assert any("cachée" in text for text in wordings(load("fr"), Event("hide", "cave", "frog")))
    assert all("ता है" in text for text in wordings(load("hi"), Event("cry", "cave", "robot")))


@pytest.mark.parametrize("code", LANGUAGES)
def test_vocabulary_is_small_enough_to_learn(code: str) -> None:
    words = {word for text in sentences(code) for word in re.findall(r"[^\s.,?¿。，？।]+", text.lower())}
    if code == "zh":
        words = {letter for word in words for letter in word}
    assert 120 < len(words) < 330


def test_an_unknown_language_is_named() -> None:
    with pytest.raises(ValueError, match=r"'xx'.*en, zh"):
        load("xx")

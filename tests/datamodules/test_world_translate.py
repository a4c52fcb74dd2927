"""The world's translator: without errors it tells the same in other words, and errs as often as it is told to."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weaksync.datamodules.world.language import LANGUAGES, load, tell
from weaksync.datamodules.world.story import plot
from weaksync.datamodules.world.translate import COMMENTARY, WorldTranslator, read, write

codes = st.sampled_from(LANGUAGES)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**31), index=st.integers(0, 999), code=codes, to=codes)
def test_every_sentence_is_read_as_what_it_tells_and_told_in_any_language(seed, index, code, to):
    story = plot(seed, index, sentences=12)
    for line, text in zip(story.lines, tell(seed, story, code), strict=True):
        told = read(text, code)
        if line.event is None:
            assert told.event.verb == COMMENTARY and told.event.agent in (None, line.topic)
        else:
            assert told.event == story.events[line.event]
        assert write(told, code) == text
        assert read(write(told, to), to) == told


def test_the_word_lists_have_their_wordings_in_one_order():
    english = load("en")
    for code in LANGUAGES:
        other = load(code)
        assert {verb: len(texts) for verb, texts in other.verbs.items()} == {
            v: len(t) for v, t in english.verbs.items()
        }
        assert ["{A" in text for text in other.commentary] == ["{A" in text for text in english.commentary]
        assert len(other.openings) == len(english.openings)


def test_a_sentence_by_hand():
    (translated,) = WorldTranslator().translate("v", ["Потом рыжая лиса бегает в лесу."], "ru", "en")
    assert translated == "Then, the red fox runs in the forest."


@pytest.mark.parametrize("errors", [0.0, 0.2, 1.0])
def test_it_errs_as_often_as_it_is_told_to(errors):
    right = WorldTranslator()
    wrong = WorldTranslator(errors, seed=3)
    differ = total = 0
    for index in range(60):
        story = plot(0, index, sentences=22)
        texts = tell(0, story, "es")
        for one, other in zip(
            right.translate(story.id, texts, "es", "en"), wrong.translate(story.id, texts, "es", "en"), strict=True
        ):
            assert any(letter.isalnum() for letter in other)
            differ += one != other
            total += 1
    # an error may by chance come out as what it should be, one in a hundred; three deviations of the count besides
    assert abs(differ / total - errors) < 3 * (0.25 / total) ** 0.5 + 0.01


def test_errors_belong_to_seed_video_and_place_alone():
    story = plot(1, 0, sentences=22)
    texts = tell(1, story, "fr")
    one = WorldTranslator(0.5, seed=1)
    assert one.translate("a", texts, "fr", "en") == WorldTranslator(0.5, seed=1).translate("a", texts, "fr", "en")
    assert one.translate("a", texts, "fr", "en") != one.translate("b", texts, "fr", "en")
    assert one.translate("a", texts, "fr", "en") != WorldTranslator(0.5, seed=2).translate("a", texts, "fr", "en")
    same = one.translate("a", texts[:-1] + texts[:1], "fr", "en")  # what comes last is no part of the others' chance...
    exact = WorldTranslator().translate("a", texts, "fr", "en")
    struck = [text != right for text, right in zip(one.translate("a", texts, "fr", "en"), exact, strict=True)]
    again = [text != right for text, right in zip(same[:-1], exact[:-1], strict=True)]
    assert struck[:-1] == again  # ...of being struck


def test_other_texts_languages_and_rates_are_refused():
    with pytest.raises(ValueError, match=r"not a sentence of the synthetic world in es: .Hola\.."):
        WorldTranslator().translate("v", ["Hola."], "es", "en")
    with pytest.raises(ValueError, match="does not speak 'de'"):
        WorldTranslator().check(["es", "de"], "en")
    with pytest.raises(ValueError, match="errors is a share"):
        WorldTranslator(1.2)
    with pytest.raises(ValueError, match="seed is -1"):
        WorldTranslator(0.1, seed=-1)

"""eSpeak NG: the times that it tells hold, every process hears the same, and a voice is the one that was asked for."""

from __future__ import annotations

import pickle
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import pairwise
from multiprocessing import get_context

import pytest

from weaksync.datamodules.batches import SPEECH_RATE, Speech, Synthesize
from weaksync.datamodules.speech import Espeak, variants, voices

pytest.importorskip("espeakng_loader")

TEXT = "I chop the onions, and fry 25 of them. Then we sit down to eat!"
TEXTS = {
    "en": TEXT,
    "zh": "我切洋葱。然后我们坐下吃饭。",
    "es": "Corto las cebollas. ¡Después nos sentamos a comer!",
    "fr": "Je coupe les oignons d'abord. Puis nous mangeons.",
    "pt": "Eu corto as cebolas. Depois sentamos para comer.",
    "hi": "मैं प्याज काटता हूँ। फिर हम खाने बैठते हैं।",
    "ru": "Я режу лук. Потом мы садимся есть.",
    "de": "Ich schneide Zwiebeln. Dann essen wir.",
    "tr": "Soğanları doğruyorum. Sonra yemek yiyoruz.",
}


def digest(text: str) -> bytes:
    return bytes(Espeak("+f3", 190)(text, language="en").waveform.numpy())


def loudness(speech: Speech, start: float, end: float) -> float:
    part = speech.waveform[round(start * SPEECH_RATE) : round(end * SPEECH_RATE)].double()
    return float(part.square().mean().sqrt())


def test_espeak_is_a_synthesizer_that_travels() -> None:
    voice = Espeak("+m2", 150)
    assert isinstance(voice, Synthesize)
    assert pickle.loads(pickle.dumps(voice)) == voice
    assert voice.producer.startswith("espeak-ng 1")


@pytest.mark.parametrize("language", TEXTS)
def test_times_are_in_order_and_within_the_speech(language: str) -> None:
    speech = Espeak()(TEXTS[language], language=language)
    assert speech.waveform.dtype.is_signed and speech.waveform.element_size() == 2
    assert len(speech.sentences) == 2
    assert speech.sentences[0].start == 0 and speech.sentences[1].end < speech.duration
    for items in (speech.words, speech.phonemes, speech.sentences):
        assert all(item.start < item.end for item in items)
        assert all(before.end <= after.start + 1e-9 for before, after in pairwise(items))
    letters = ["".join(filter(str.isalnum, text)) for text in (TEXTS[language], "".join(w.text for w in speech.words))]
    assert letters[0] == letters[1]


def test_sound_is_where_the_words_are_and_silence_where_sentences_end() -> None:
    speech = Espeak()(TEXT, language="en")
    between = loudness(speech, speech.sentences[0].end + 0.08, speech.sentences[1].start - 0.02)
    assert min(loudness(speech, word.start, word.end) for word in speech.words) > 200
    assert between < 20
    assert [word.text for word in speech.words][:7] == ["I", "chop", "the", "onions", "and", "fry", "25"]


def test_a_faster_rate_says_the_same_in_less_time() -> None:
    slow, fast = Espeak(rate=120)(TEXT, language="en"), Espeak(rate=240)(TEXT, language="en")
    assert fast.duration < 0.7 * slow.duration
    assert [word.text for word in slow.words] == [word.text for word in fast.words]


def test_what_was_said_before_changes_nothing() -> None:
    first = digest(TEXT)
    Espeak("+whisper", 300)("Привет, мир!", language="ru")
    assert digest(TEXT) == first
    alone = Espeak("+f3", 190)("Then we sit down to eat!", language="en").waveform.numpy()
    assert bytes(alone) == first[-alone.nbytes :]


@pytest.mark.parametrize("start", ["spawn"] + (["fork"] if sys.platform == "linux" else []))
def test_every_process_hears_the_same(start: str) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context(start)) as pool:
        spoken = pool.map(partial(Espeak("+f3", 190), language="en"), [TEXT] * 4)
        assert {bytes(speech.waveform.numpy()) for speech in spoken} == {digest(TEXT)}


def test_variants_sound_different() -> None:
    heard = {bytes(Espeak(voice)("Hello there.", language="en").waveform.numpy()) for voice in ("", "+f3", "+m5")}
    assert len(heard) == 3


@pytest.mark.parametrize(
    ("voice", "near"), [("fr-fr", "fr, fr-be, fr-ch"), ("en-us+f33", "f3"), ("klingon", "near"), ("qqqqqq", "it has")]
)
def test_a_voice_that_does_not_exist_is_never_another(voice: str, near: str) -> None:
    with pytest.raises(ValueError, match=near):
        Espeak(voice)


def test_a_language_without_a_voice_and_a_voice_of_another_language() -> None:
    with pytest.raises(ValueError, match="no voice 'tlh'"):
        Espeak()("nuqneH", language="tlh")
    with pytest.raises(ValueError, match="does not speak 'fr'"):
        Espeak("en-us+f2")("Bonjour", language="fr")


@pytest.mark.parametrize("rate", [79, 451, 170.5])
def test_a_rate_that_espeak_would_not_keep_to(rate: float) -> None:
    with pytest.raises(ValueError, match="80 to 450"):
        Espeak(rate=rate)


@pytest.mark.parametrize("text", ["", " ... ", "♪ ♪"])
def test_nothing_to_say(text: str) -> None:
    with pytest.raises(ValueError, match="nothing to say"):
        Espeak()(text, language="en")


def test_the_lists_name_what_can_be_asked_for() -> None:
    assert {"en-us", "cmn", "es", "fr", "pt-br", "hi", "ru"} <= set(voices())
    assert {"f1", "m1", "whisper"} <= set(variants())


def test_an_absent_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(ImportError, match=r"pip install 'weaksync\[tts\]'"):
        Espeak()("Hello.", language="en")

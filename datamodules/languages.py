"""The seven languages of M-SyMoN, and how their sentences end.

Sentences follow the punctuation that the text has.  pysbd knows six of the seven; Portuguese goes by its Spanish
rules, which share the marks.  Both break after "Sr." and its like, so pieces that end in a title are joined again.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Any

#: code -> (English name, script, pysbd's code, separator of captions)
LANGUAGES = {
    "en": ("English", "LATIN", "en", " "),
    "zh": ("Chinese", "CJK", "zh", ""),
    "es": ("Spanish", "LATIN", "es", " "),
    "fr": ("French", "LATIN", "fr", " "),
    "pt": ("Portuguese", "LATIN", "es", " "),
    "hi": ("Hindi", "DEVANAGARI", "hi", " "),
    "ru": ("Russian", "CYRILLIC", "ru", " "),
}
#: ISO 639-1: what a language without sentence rules may be called
_ISO_CODES = (
    "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo "
    "es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka "
    "kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng "
    "nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su "
    "sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu"
)
ISO_CODES = frozenset(_ISO_CODES.split())
_LOCAL = re.compile(r"q[a-t][a-z]")  # ISO 639-2 leaves these to everybody's own use
_ALIASES = {"ch": "zh", "cmn": "zh", "cn": "zh"}  # M-SyMoN writes `ch`

#: titles and the like, after which a name follows: never the end of a sentence
_TITLES = {
    "en": "mr mrs ms dr prof st jr sr gen col capt lt sgt rev hon mt",
    "es": "sr sra srta sres dr dra prof profa ud uds gral cap tte av d dña sto sta",
    "fr": "m mm mme mmes mlle mlles dr pr me mgr st ste",
    "pt": "sr sra srta srs dr dra drs prof profa eng exmo exma cap gen cel av d dona sto sta",
    "hi": "डॉ श्री प्रो",
    "ru": "г гг гр г-н г-жа им ул проф акад ген",
}
_CLOSING = "\"'”’»)]」』】》›"
TERMINAL = ".!?。！？।॥…"
_OPENING = re.compile(r"(?<=[.…?!])\s+(?=[¿¡])")  # a Spanish question or exclamation begins a sentence

#: of languages that share a script: frequent words that the others do not have
_FREQUENT = {
    "en": "the and of is was that you it this with have are they what not",
    "es": "el los las una y pero muy está también ella donde usted hay más porque",
    "fr": "le les des une et est dans il elle vous nous pas mais c'est qu'il avec",
    "pt": "o os um uma e não em ele ela você muito também mas está são",
}
#: text of fewer words is not judged; another language is one with so many times the frequent words
WORDS_TO_JUDGE, TIMES = 12, 3

#: fewer than one mark in so many words means text without punctuation, as speech recognition writes it
WORDS_PER_MARK = 60
#: of the letters, at least this share is in the language's script
SCRIPT_SHARE = 0.5


def short_code(language: str) -> str:
    """A code in small letters, without a region or a script, by its usual name; of any language, or none."""
    short = re.split(r"[-_]", language.strip().lower())[0]
    return _ALIASES.get(short, short)


def language_code(language: str) -> str:
    """The code of `language` here: ``EN-us`` is ``en``, ``zh-Hans`` and ``ch`` are ``zh``.  Raises ValueError for
    others."""
    short = short_code(language)
    if short not in LANGUAGES:
        known = ", ".join(f"{code} ({name})" for code, (name, *_) in LANGUAGES.items())
        raise ValueError(
            f"no sentence rules for language {language!r}; there are some for {known}. For another language put one "
            "sentence into each caption (or each line of a text), and ask for that: --sentences captions"
        )
    return short


def named_code(language: str) -> str:
    """The code of any language: ``de``, ``PT-br`` is ``pt``, ``ch`` is ``zh``.  Raises ValueError for what is none."""
    short = short_code(language)
    if short not in ISO_CODES and not _LOCAL.fullmatch(short):
        raise ValueError(
            f"{language!r} is not the code of a language: give the two letters of ISO 639-1, one of "
            f"{' '.join(sorted(ISO_CODES))}, or for a language that has none a code of your own from qaa to qtz"
        )
    return short


def check_script(text: str, language: str, where: str) -> None:
    """Raises ValueError, naming `where`, if most letters of `text` are not in the script of `language`."""
    name, script, *_ = LANGUAGES[language_code(language)]
    letters = [unicodedata.name(letter, "") for letter in text[:20_000] if letter.isalpha()]
    if not letters:
        raise ValueError(f"{where}: no letters in its text")
    share = sum(letter.startswith(script) for letter in letters) / len(letters)
    if share < SCRIPT_SHARE:
        found = max({letter.split(" ")[0] for letter in letters}, key=[n.split(" ")[0] for n in letters].count)
        raise ValueError(
            f"{where}: not {name}: {share:.0%} of its letters are {script.title()}, most are {found.title()}. "
            "Give its own --language, or another --encoding"
        )


def check_words(text: str, language: str, where: str) -> None:
    """Raises ValueError, naming `where`, if the frequent words of `text` are of another language in the same script.

    A language without rules here is not judged.
    """
    short = re.split(r"[-_]", language.strip().lower())[0]
    words = re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)?", text[:20_000].lower().replace("’", "'"))
    if short not in _FREQUENT or len(words) < WORDS_TO_JUDGE:
        return
    counts = {code: sum(word in frequent.split() for word in words) for code, frequent in _FREQUENT.items()}
    likeliest = max(counts, key=lambda code: counts[code])
    if counts[likeliest] >= max(3, TIMES * counts[short]):
        raise ValueError(
            f"{where}: reads like {LANGUAGES[likeliest][0]}, not {LANGUAGES[short][0]}: give --language {likeliest}, "
            "or the subtitles that were meant"
        )


def is_punctuated(text: str, language: str) -> bool:
    """Whether `text` has enough sentence marks to be cut by them."""
    marks = len(re.findall(rf"[{re.escape(TERMINAL)}]+", text))
    words = len(text) / 2 if language_code(language) == "zh" else len(text.split())
    return marks * WORDS_PER_MARK >= words


def split_sentences(text: str, language: str) -> list[str]:
    """Sentences of one paragraph by its punctuation; stripped, in order, each a substring of `text`.

    Raises ValueError for a language without rules (see `language_code`).
    """
    code = language_code(language)
    titles = frozenset(_TITLES.get(code, "").split())
    sentences: list[str] = []
    cursor = end = 0
    for piece in _segmenter(LANGUAGES[code][2]).segment(text):
        for part in filter(None, map(str.strip, _OPENING.split(piece))):
            start = text.find(part, cursor)
            if start < 0:
                raise ValueError(f"cannot find the sentence {part!r} in its text")  # the segmenter rewrote it
            cursor = start + len(part)
            if sentences and _continues(sentences[-1], part, titles):
                sentences[-1] += text[end:cursor]
            else:
                quotes = len(part) - len(part.lstrip(_CLOSING)) if sentences and start == end else 0
                if quotes:  # pysbd breaks Chinese before the quote that closes a sentence
                    sentences[-1] += part[:quotes]
                sentences.append(part[quotes:].strip())
            end = cursor
    if sentences:
        sentences[-1] += text[end:].rstrip()  # pysbd drops the last of many marks
    return sentences


def _continues(before: str, after: str, titles: frozenset[str]) -> bool:
    """Whether `after` belongs to the sentence `before`: closing quotes, or a name after a title."""
    if not after.strip(_CLOSING + " "):
        return True
    word = re.split(r"[\s'’]", before)[-1].lstrip('¿¡"“«(').lower()
    return word.endswith(".") and word[:-1] in titles


@cache
def _segmenter(code: str) -> Any:
    import pysbd  # slow to import, and needed only where text is cut

    return pysbd.Segmenter(language=code, clean=False)

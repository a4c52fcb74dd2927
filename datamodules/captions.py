"""Subtitle files to sentences with the times at which they are spoken.

What can be repaired is repaired and noted in the list `notes` that each function takes; without one it warns.
"""

from __future__ import annotations

import bisect
import html
import itertools
import re
import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pysubs2

from .languages import LANGUAGES, check_script, is_punctuated, language_code, split_sentences
from .records import Interval, Sentence
from .textfiles import read_text

#: how text is cut: by its punctuation, one sentence per caption, or the first where there is punctuation
Cut = Literal["auto", "punctuation", "captions"]

_TAG = re.compile(r"<[^<>\n]*>|\{[^{}\n]*\}")
_NO_CHAIN: tuple[Any, ...] = ()
#: marks that stand before a sentence, and those after one; French sets some of them off by a space
_OPENING = re.compile(r"(?:[¿¡«„“‘「『《（(\[]\s?|(?<!\S)[\"'])+$")
_CLOSING = re.compile(r"(?:\s?[!?;:»]|[.,…।॥。，、！？；：”’」』》）)\]\"'])+")
#: what captions hold beside dialogue: sounds and songs; then who speaks, and the dash of a turn
_SOUNDS = re.compile(r"\[[^\]]*\]|\([^)]*\)|[♪♫♩♬][^♪♫♩♬]*[♪♫♩♬]|[♪♫♩♬]")
_SPEAKER = re.compile(r"^[A-ZÀ-Þ][A-ZÀ-Þ0-9.' ]{1,24}:\s+|^[-–—]+\s*|(?<=[.!?…])\s+[-–—]+\s+")
_FIRST_CJK = "\u2e80"
#: places of one sentence in the subtitles that `locate` weighs against each other
MAX_PLACES = 512


@dataclass(frozen=True)
class Caption:
    """One caption: from `start` to `end` in seconds `text` is on screen, tags removed, on one line."""

    start: float
    end: float
    text: str


def read(
    path: str | Path, *, language: str | None = None, encoding: str | None = None, notes: list[str] | None = None
) -> list[Caption]:
    """Captions of a subtitle file that pysubs2 reads (SRT, VTT, ASS, ...), in order and without overlap.

    Args:
        path: of the file.
        language: helps to guess an encoding that is not Unicode.
        encoding: name of the file's encoding, where it is known.
        notes: what was repaired is added here; without it each repair is a warning.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds no captions, or cannot be read in its encoding.
    """
    path = Path(path)
    found: list[str] = []
    content = read_text(path, language=language, encoding=encoding, notes=found)
    if not content.strip():
        raise ValueError(f"{path}: the file is empty; it should hold subtitles")
    try:
        events = pysubs2.SSAFile.from_string(content).events
    except (pysubs2.exceptions.Pysubs2Error, ValueError) as fault:
        raise ValueError(f"{path}: not subtitles that can be read (SRT, VTT, ASS, ...): {fault}") from fault
    captions = [
        Caption(event.start / 1000, event.end / 1000, text)
        for event in events
        if not event.is_comment and (text := _plain(event.plaintext))
    ]
    captions = _repair(captions, found)
    if not captions:
        raise ValueError(f"{path}: no caption with text and time in it")
    _tell(found, notes, str(path))
    return captions


def sentences(
    captions: Sequence[Caption], language: str, *, cut: Cut = "auto", notes: list[str] | None = None
) -> list[Sentence]:
    """Sentences of the captions, each with its narration time: from its first character's to its last's.

    Within a caption characters are taken to be spoken at an even pace.

    Args:
        captions: in order, as `read` gives them.
        language: code of one of the seven, or any with ``cut="captions"``.
        cut: where sentences end; ``auto`` takes each caption for one where there is no punctuation, and says so.
        notes: that is said here; without it, it is a warning.

    Raises:
        ValueError: a language without rules, or text that is not in it.
    """
    if cut == "captions":
        return [Sentence(caption.text, narration=(caption.start, caption.end)) for caption in captions]
    code = language_code(language)
    text, times = _timed(captions, LANGUAGES[code][3])
    check_script(text, code, "subtitles")
    if cut == "auto" and len(captions) > 1 and not is_punctuated(text, code):
        _tell(["no punctuation: each caption was taken for a sentence"], notes, "subtitles")
        return sentences(captions, language, cut="captions")
    found: list[Sentence] = []
    cursor = 0
    for sentence in split_sentences(text, code):
        start = text.index(sentence, cursor)
        cursor = start + len(sentence)
        found.append(Sentence(sentence, narration=(times[start][0], times[cursor - 1][1])))
    return found


def drop_wordless(sentences: Sequence[Sentence], notes: list[str]) -> list[Sentence]:
    """Without those of marks alone ("...", a note of music); `notes` says how many.

    Raises ValueError where nothing is left.
    """
    worded = [sentence for sentence in sentences if any(letter.isalnum() for letter in sentence.text)]
    if not worded:
        raise ValueError("none of its sentences has a word")
    if bare := len(sentences) - len(worded):
        notes.append(f"{bare} sentences without a word left out")
    return worded


def dialogue(captions: Sequence[Caption], notes: list[str] | None = None) -> list[Caption]:
    """The captions without sounds in brackets, songs between notes, names of speakers, and dashes.

    Raises ValueError where nothing is left.
    """
    kept = []
    for caption in captions:
        text = " ".join(_SPEAKER.sub(" ", " ".join(_SOUNDS.sub(" ", caption.text).split())).split())
        if any(letter.isalnum() for letter in text):
            kept.append(Caption(caption.start, caption.end, text))
    if not kept:
        raise ValueError("there are sounds in its captions, and no dialogue")
    if dropped := len(captions) - len(kept):
        _tell([f"{dropped} captions without dialogue left out"], notes, "subtitles")
    return kept


def split_text(text: str, language: str, *, cut: Cut = "auto", notes: list[str] | None = None) -> list[str]:
    """Sentences of a plain text.  Blank lines always end one; a line's end does after a mark, or with no punctuation.

    Raises ValueError for empty text, a language without rules, or text that is not in it.
    """
    if not text.strip():
        raise ValueError("the text is empty; it should hold the narration's sentences")
    lines = [line.strip() for line in text.splitlines()]
    if cut == "captions":
        return [line for line in lines if line]
    code = language_code(language)
    check_script(text, code, "text")
    if cut == "auto" and sum(map(bool, lines)) > 1 and not is_punctuated(text, code):
        _tell(["no punctuation: each line was taken for a sentence"], notes, "text")
        return [line for line in lines if line]
    joint = LANGUAGES[code][3]
    paragraphs = re.split(r"\n\s*\n", "\n".join(lines))
    return [
        sentence
        for paragraph in paragraphs
        for sentence in split_sentences(joint.join(paragraph.split("\n")).strip(), code)
    ]


def locate(texts: Sequence[str], captions: Sequence[Caption]) -> list[Interval | None]:
    """When each of `texts` is spoken, by finding them in the captions in order; None where one is not found.

    Case, spaces and punctuation do not count in finding; the marks around a sentence are part of its time.  Of all
    ways to place the texts in order, without overlap, the one that places the most letters is taken.
    """
    spoken, times = _timed(captions, " ")
    letters: list[str] = []
    origin: list[int] = []
    for position, letter in enumerate(spoken):
        for bare in _bare(letter):
            letters.append(bare)
            origin.append(position)
    stream = "".join(letters)
    # a word begins where letters were not neighbours; every Chinese character counts as a word
    words = [
        place
        for place, letter in enumerate(letters)
        if place == 0
        or origin[place] > origin[place - 1] + 1
        or letter >= _FIRST_CJK
        or letters[place - 1] >= _FIRST_CJK
    ]
    edges = {*words, len(stream)}

    found: list[Interval | None] = [None] * len(texts)
    for number, start, end in _heaviest_chain([_bare(text) for text in texts], stream, edges):
        first, last = _with_marks(spoken, origin[start], origin[end - 1])
        found[number] = (times[first][0], times[last][1])
    return found


def _heaviest_chain(texts: Sequence[str], stream: str, edges: set[int]) -> list[tuple[int, int, int]]:
    """Which texts to place where, ``(text, start, end)`` in `stream`, in order and apart, to place most letters."""
    # the best chains, as a front on which ends and letters placed both grow; a chain is (last place, chain before)
    ends, weights, chains = [0], [0], [_NO_CHAIN]
    for number, text in enumerate(texts):
        fresh = []
        for start in _places(stream, text, edges):
            before = bisect.bisect_right(ends, start) - 1
            end = start + len(text)
            fresh.append((end, weights[before] + len(text), ((number, start, end), chains[before])))
        for end, weight, chain in fresh:
            at = bisect.bisect_right(ends, end)
            if weights[at - 1] >= weight:
                continue
            if ends[at - 1] == end:
                at -= 1
            worse = at
            while worse < len(ends) and weights[worse] <= weight:
                worse += 1
            ends[at:worse], weights[at:worse], chains[at:worse] = [end], [weight], [chain]
    places: list[tuple[int, int, int]] = []
    chain = chains[-1]
    while chain:
        place, chain = chain
        places.append(place)
    return places[::-1]


def _places(stream: str, wanted: str, edges: set[int]) -> list[int]:
    """Where `wanted` stands in `stream` as whole words."""
    places: list[int] = []
    start = stream.find(wanted) if wanted else -1
    while start >= 0 and len(places) < MAX_PLACES:
        if start in edges and start + len(wanted) in edges:
            places.append(start)
        start = stream.find(wanted, start + 1)
    return places


def _bare(text: str) -> str:
    """Letters (with their marks) and digits alone, in one case and width."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(letter for letter in folded if unicodedata.category(letter)[0] in "LMN")


def _with_marks(text: str, first: int, last: int) -> tuple[int, int]:
    """A span from its first letter to its last, grown to hold the marks that open and close it."""
    opening = _OPENING.search(text[:first])
    closing = _CLOSING.match(text, last + 1)
    return opening.start() if opening else first, closing.end() - 1 if closing else last


def _timed(captions: Sequence[Caption], joint: str) -> tuple[str, list[Interval]]:
    """The captions' text as one, and the time (start, end) of each of its characters."""
    text = joint.join(caption.text for caption in captions)
    times: list[Interval] = []
    for number, caption in enumerate(captions):
        if number:
            times += [(caption.start, caption.start)] * len(joint)
        pace = (caption.end - caption.start) / len(caption.text)
        edges = [caption.start + pace * place for place in range(len(caption.text))] + [caption.end]
        times += itertools.pairwise(edges)
    return text, times


def _plain(text: str) -> str:
    """Text of a caption without tags, on one line, composed (NFC)."""
    plain = html.unescape(_TAG.sub("", text)).replace("\u200b", "").replace("\ufeff", "")
    return unicodedata.normalize("NFC", " ".join(plain.split()))


def _repair(captions: list[Caption], notes: list[str]) -> list[Caption]:
    """In order, without overlap, none of no length; what was done is added to `notes`."""
    lasting = [caption for caption in captions if caption.end > caption.start]
    if empty := len(captions) - len(lasting):
        notes.append(f"{empty} captions without length dropped")
    ordered = sorted(lasting, key=lambda caption: caption.start)
    if moved := sum(a is not b for a, b in zip(lasting, ordered, strict=True)):
        notes.append(f"{moved} captions out of order sorted")
    repaired: list[Caption] = []
    repeats = cuts = 0
    for caption in ordered:
        before = repaired[-1] if repaired else None
        if before is not None and caption.start < before.end:
            if caption.text == before.text:  # a caption written twice
                repeats += 1
                repaired[-1] = Caption(before.start, max(before.end, caption.end), before.text)
                continue
            cuts += 1
            if caption.start == before.start:
                repaired[-1] = Caption(before.start, max(before.end, caption.end), f"{before.text} {caption.text}")
                continue
            repaired[-1] = Caption(before.start, caption.start, before.text)
        repaired.append(caption)
    if repeats:
        notes.append(f"{repeats} repeated captions dropped")
    if cuts:
        notes.append(f"{cuts} captions that overlap cut or joined")
    return repaired


def _tell(found: list[str], notes: list[str] | None, where: str) -> None:
    if notes is not None:
        notes += found
    else:
        for note in found:
            warnings.warn(f"{where}: {note}", stacklevel=3)

"""Speech by eSpeak NG: over a hundred languages in a few megabytes, and the time of every word and phoneme.

eSpeak NG is under the GNU General Public License 3, so it is never required: the extra ``tts`` brings it
(``pip install 'weaksync[tts]'``), as the library that espeakng-loader packs.
"""

from __future__ import annotations

import _ctypes
import ctypes
import difflib
import importlib
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from .batches import SPEECH_RATE, Phoneme, Speech, Word, resample, utterances
from .waveforms import Samples

#: language -> eSpeak's voice, where it is not called like the language
VOICES = {"en": "en-us", "zh": "cmn", "ch": "cmn", "pt": "pt-br"}
#: words a minute that eSpeak keeps to; it speaks others at another rate, without a word
SLOWEST, FASTEST = 80, 450

_RETRIEVAL, _PHONEME_EVENTS, _IPA, _DONT_EXIT = 1, 1, 2, 0x8000
_UTF8, _END_PAUSE, _BY_CHARACTER, _RATE = 1, 0x1000, 1, 1
_WORD, _PHONEME = 1, 7
_STRESS = "ˈˌ-"
_AROUND = re.compile(
    r"^[\W_]+|(?:[^\w\u0900-\u0dff]|[\u0964\u0965])+$"
)  # a vowel sign of Hindi is no letter, but ends a word
_ONE_AT_A_TIME = threading.Lock()


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique", ctypes.c_uint),
        ("position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("milliseconds", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user", ctypes.c_void_p),
        ("id", _Id),
    )


class _Voice(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("unused", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True)
class _Mark:
    """An event of eSpeak's: the sample that it is at, the place in the text, and for a phoneme its name."""

    type: int
    sample: int
    position: int
    length: int
    name: str


@dataclass(frozen=True)
class Espeak:
    """Speaks by eSpeak NG (a `Synthesize`); small, picklable, the same in every process.

    Attributes:
        voice: empty for the usual voice of each language; a variant of it, such as ``+f3`` or ``+m2``; or a voice by
            its whole name, such as ``en-gb-scotland+f2``, for the texts of its language.
        rate: words a minute, 80 to 450.

    Raises:
        ValueError: a rate that eSpeak does not keep to, or a voice that there is not; near ones are named.
        ImportError: the extra ``tts`` is not installed.
    """

    voice: str = ""
    rate: float = 175

    def __post_init__(self) -> None:
        if not SLOWEST <= self.rate <= FASTEST or self.rate != int(self.rate):
            raise ValueError(f"rate is {self.rate}, but eSpeak NG speaks {SLOWEST} to {FASTEST} whole words a minute")
        if self.voice:
            _check(self.voice)

    @property
    def producer(self) -> str:
        """The synthesiser with its version."""
        return f"espeak-ng {_version()}"

    def voice_for(self, language: str) -> str:
        """eSpeak's name of the voice for a language.  Raises ValueError where there is none."""
        usual = VOICES.get(language.lower(), language.lower())
        base, plus, variant = self.voice.partition("+")
        if not base:
            _check(usual, f"language {language!r}: ")
            return f"{usual}{plus}{variant}"
        if base.split("-")[0] != usual.split("-")[0]:
            raise ValueError(
                f"voice {self.voice!r} does not speak {language!r}: name one that does, or a variant alone, as '+f3'"
            )
        return self.voice

    def __call__(self, text: str, *, language: str) -> Speech:
        voice = self.voice_for(language)
        return Speech.join([_speak(part, voice, int(self.rate)) for part in utterances(text, language)])


@cache
def voices() -> tuple[str, ...]:
    """Every voice that eSpeak NG has, by the name that it is called by."""
    return tuple(sorted({name.rpartition("/")[2].lower() for name in _listed(None)}))


@cache
def variants() -> tuple[str, ...]:
    """What may stand after the ``+`` of a voice."""
    return tuple(sorted(name.rpartition("/")[2] for name in _listed(b"variant")))


def _check(name: str, where: str = "") -> None:
    """Raises ValueError, with what is near, unless eSpeak takes `name`: it would keep the voice before, or none."""
    base, plus, variant = name.partition("+")
    if plus and variant not in variants():
        raise ValueError(f"{where}eSpeak NG has no variant {variant!r}{_near(variant, variants())}")
    if base and base not in voices():
        raise ValueError(f"{where}eSpeak NG has no voice {base!r}{_near(base, voices())}")


def _near(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, n=4, cutoff=0.4)
    own = [other for other in known if other.split("-")[0] == name.split("-")[0]][:4]
    found = list(dict.fromkeys([*own, *near]))[:6]
    return f"; near it are {', '.join(found)}" if found else f"; it has {', '.join(known[:12])}, ..."


@cache
def _version() -> str:
    with _library() as (lib, _):
        lib.espeak_Info.restype = ctypes.c_char_p
        return str(lib.espeak_Info(None).decode().split()[0])


def _listed(language: bytes | None) -> list[str]:
    with _library() as (lib, _):
        lib.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        wanted = ctypes.byref(_Voice(languages=language)) if language else None
        found, names, number = lib.espeak_ListVoices(wanted), [], 0
        while found[number]:
            names.append(found[number].contents.identifier.decode())
            number += 1
        return names


def _speak(sentence: str, voice: str, rate: int) -> Speech:
    """One sentence and the pause after it."""
    blocks: list[Samples] = []
    marks: list[_Mark] = []

    def hear(wave: Any, count: int, events: Any) -> int:
        if wave and count:
            blocks.append(np.ctypeslib.as_array(wave, (count,)).copy())
        number = 0
        while events[number].type:
            event = events[number]
            number += 1
            if event.type in (_WORD, _PHONEME):
                name = ctypes.string_at(ctypes.addressof(event.id), 8) if event.type == _PHONEME else b""
                sound = name.split(b"\0")[0].decode("utf-8", "ignore").strip(_STRESS)  # 8 bytes may end within a letter
                marks.append(_Mark(event.type, event.sample, event.position - 1, event.length, sound))
        return 0

    with _library() as (lib, sample_rate):
        listener = _Callback(hear)
        lib.espeak_SetSynthCallback(listener)
        _sure(lib.espeak_SetVoiceByName(voice.encode()), f"take the voice {voice!r}")
        _sure(lib.espeak_SetParameter(_RATE, rate, 0), f"speak {rate} words a minute")
        data = sentence.encode() + b"\0"
        flags = _UTF8 | _END_PAUSE
        _sure(lib.espeak_Synth(data, len(data), 0, _BY_CHARACTER, 0, flags, None, None), f"say {sentence!r}")
        _sure(lib.espeak_Synchronize(), f"say {sentence!r}")
    if not blocks:
        raise ValueError(f"voice {voice!r} says nothing for {sentence!r}: the text may be in another language")
    samples = np.concatenate(blocks)
    waveform = torch.from_numpy(resample(samples, sample_rate, SPEECH_RATE))
    words, phonemes = _timed(sentence, marks, len(samples), sample_rate)
    end = phonemes[-1].end if phonemes else len(waveform) / SPEECH_RATE
    return Speech(waveform, words, phonemes, [Word(sentence, 0.0, end)])


def _timed(sentence: str, marks: list[_Mark], samples: int, rate: int) -> tuple[list[Word], list[Phoneme]]:
    """Words and phonemes of the events: each sound lasts until the next mark, an unnamed one is a pause."""
    phonemes: list[Phoneme] = []
    starts: list[int] = []  # of the words in the text
    spans: list[tuple[float, float]] = []
    written = 0
    marks = sorted((mark for mark in marks if not mark.name.startswith("(")), key=lambda mark: mark.sample)
    for mark, until in zip(marks, [*(mark.sample for mark in marks[1:]), samples], strict=True):
        start, end = mark.sample / rate, until / rate
        if mark.type == _PHONEME:
            if mark.name and end > start:
                phonemes.append(Phoneme(mark.name, start, end))
                spans[-1:] = [(begun, end) for begun, _ in spans[-1:]]
        elif mark.position >= written:  # else a part of the last one: "25" is said in two words
            starts.append(mark.position)
            spans.append((start, start))
            written = mark.position + mark.length
    texts = [_AROUND.sub("", sentence[start:end]) for start, end in pairwise([*starts, len(sentence)])]
    found = zip(texts, spans, strict=True)
    return [Word(text, start, end) for text, (start, end) in found if text and end > start], phonemes


def _sure(code: int, what: str) -> None:
    if code != 0:
        raise ValueError(f"eSpeak NG cannot {what} (error {code})")


@contextmanager
def _library() -> Iterator[tuple[Any, int]]:
    """The library, loaded anew, and its sample rate.

    eSpeak keeps state between texts, which neither a new voice nor its termination clears, so each text gets a library
    of its own, in a few milliseconds.
    """
    try:
        loader = importlib.import_module("espeakng_loader")
    except ModuleNotFoundError as absent:
        raise ImportError("this needs espeakng_loader, which is not installed: pip install 'weaksync[tts]'") from absent
    with _ONE_AT_A_TIME:
        lib = ctypes.CDLL(loader.get_library_path())
        try:
            options = _PHONEME_EVENTS | _IPA | _DONT_EXIT
            rate = lib.espeak_Initialize(_RETRIEVAL, 0, loader.get_data_path().encode(), options)
            if rate <= 0:
                raise OSError(f"eSpeak NG does not start with the voices in {loader.get_data_path()} (error {rate})")
            lib.espeak_ng_SetRandSeed(1)  # else it is the time of day, which breath is made of
            yield lib, rate
            lib.espeak_Terminate()
        finally:
            unload: Callable[[int], None] = getattr(_ctypes, "FreeLibrary" if os.name == "nt" else "dlclose")
            unload(lib._handle)

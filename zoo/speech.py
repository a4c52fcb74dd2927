"""Neural speech: VITS (Kim et al., ICML 2021) and the 1,100 languages of MMS (Pratap et al., JMLR 2024).

Models are those of transformers, read from the hub or a folder: `Vits` is a `Synthesize` as eSpeak NG is.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from ..datamodules.batches import SPEECH_RATE, Speech, Word, resample, utterances
from .download import from_disk
from .folders import folder_hash

#: our code -> the ISO 639-3 code by which MMS names its voices; it has none for Chinese
MMS_CODES = {"en": "eng", "es": "spa", "fr": "fra", "pt": "por", "hi": "hin", "ru": "rus", "de": "deu", "tr": "tur"}
_MMS = "facebook/mms-tts-"
#: seconds of silence after a sentence
PAUSE = 0.3


@dataclass(frozen=True)
class Vits:
    """Speaks by a VITS model, sentence by sentence; the weights are read when they are first needed.

    Times of sentences are exact; words share their sentence's time by letters; there are no phonemes.

    Attributes:
        voice: hub id, or folder; empty for MMS, which has a voice for each language: ``facebook/mms-tts-eng``.
        rate: how fast, 1 is as the model was trained.
        speaker: which, of a model that has several.
        seed: of the chance in the voice; a sentence is the same wherever it stands.
        device: where the model runs.

    Raises:
        ValueError: a rate that is not positive.
    """

    voice: str = ""
    rate: float = 1.0
    speaker: int = 0
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not 0.2 <= self.rate <= 5:
            raise ValueError(f"rate is {self.rate}, but must be from 0.2 to 5: 1 is the model's own")

    @property
    def producer(self) -> str:
        """The model, with the hash of a folder's files or the revision on the hub, the speaker and the seed.

        The name alone for MMS as a whole, whose voices are fetched one by one.
        """
        source = self.voice or f"{_MMS}*"
        if Path(self.voice).is_dir() and self.voice:
            source = f"{Path(self.voice).resolve().name}@sha256:{_digest(self.voice)}"
        elif self.voice:
            source = f"{self.voice}@{_read(self.voice, self.device)[0].config._commit_hash}"
        return f"vits {source} speaker {self.speaker} seed {self.seed}"

    def voice_for(self, language: str) -> str:
        """Hub id or folder of the voice for a language.  Raises ValueError where MMS has no code for it."""
        if self.voice:
            return self.voice
        code = MMS_CODES.get(language.lower(), language.lower())
        if not re.fullmatch(r"[a-z]{3}", code):
            known = ", ".join(MMS_CODES)
            raise ValueError(
                f"MMS has no voice for language {language!r}: it knows {known}, and any other by its three letters "
                "(ISO 639-3); or name a voice by its hub id or folder"
            )
        return _MMS + code

    def __call__(self, text: str, *, language: str) -> Speech:
        source = self.voice_for(language)
        model, tokenizer = _read(source, self.device)
        _check(source, model, tokenizer, self.speaker, language)
        return Speech.join([self._say(part, source, model, tokenizer) for part in utterances(text, language)])

    @torch.inference_mode()
    def _say(self, sentence: str, source: str, model: Any, tokenizer: Any) -> Speech:
        _check_script(sentence, source, tokenizer)
        tokens = tokenizer(sentence, return_tensors="pt").to(self.device)
        letters = [letter for letter in sentence.lower() if letter in tokenizer.encoder and letter.isalnum()]
        if tokens["input_ids"].shape[1] < 2 or not (letters or tokenizer.phonemize or tokenizer.is_uroman):
            raise ValueError(f"{source} knows no letter of {sentence!r}: the text may be in another language")
        seed = hashlib.sha256(f"{self.seed} {sentence}".encode()).digest()[:7]
        devices = [torch.device(self.device)] if self.device.startswith("cuda") else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(int.from_bytes(seed))
            speaker = self.speaker if model.config.num_speakers > 1 else None
            speaking_rate = model.config.speaking_rate * self.rate
            wave = model(**tokens, speaker_id=speaker, speaking_rate=speaking_rate).waveform[0]
        samples = (wave.float().clamp(-1, 1) * 32767).round().to(torch.int16).cpu().numpy()
        waveform = torch.from_numpy(resample(samples, model.config.sampling_rate, SPEECH_RATE))
        end = len(waveform) / SPEECH_RATE
        silence = torch.zeros(round(PAUSE * SPEECH_RATE), dtype=torch.int16)
        return Speech(torch.cat([waveform, silence]), _words(sentence, end), [], [Word(sentence, 0.0, end)])


def _words(sentence: str, end: float) -> list[Word]:
    """Words at an even pace; a text without spaces is one."""
    words, place = [], 0
    for match in re.finditer(r"\S+", sentence):
        place = match.end()
        start, stop = (end * edge / len(sentence) for edge in (match.start(), place))
        if word := re.sub(r"^[^\w]+|[^\w]+$", "", match[0]):
            words.append(Word(word, start, stop))
    return words


@lru_cache(maxsize=4)
def _read(source: str, device: str) -> tuple[Any, Any]:
    from transformers import VitsModel, VitsTokenizer  # slow to import, and needed only where a model speaks

    try:
        offline = from_disk(source)
        model: Any = VitsModel.from_pretrained(source, local_files_only=offline)  # whose absence is told clearly
        tokenizer = VitsTokenizer.from_pretrained(source, local_files_only=offline)
    except OSError as fault:
        first = str(fault).strip().splitlines()[0]
        raise ValueError(f"there is no voice {source!r}, neither as a folder nor on the hub: {first}") from fault
    return model.to(device).eval(), tokenizer


@lru_cache(maxsize=16)
def _digest(folder: str) -> str:
    return folder_hash(Path(folder))


def _check(source: str, model: Any, tokenizer: Any, speaker: int, language: str) -> None:
    wanted = MMS_CODES.get(language.lower(), language.lower())
    if tokenizer.language and tokenizer.language not in (wanted, language.lower()):
        raise ValueError(f"{source} speaks {tokenizer.language}, not {wanted}: name a voice of that language")
    if not 0 <= speaker < max(1, model.config.num_speakers):
        raise ValueError(f"{source} has {max(1, model.config.num_speakers)} speakers, counted from 0, and no {speaker}")


def _check_script(sentence: str, source: str, tokenizer: Any) -> None:
    """transformers warns where a romanizer is missing, and goes on to sounds that mean nothing."""
    foreign = any(ord(letter) > 0x24F for letter in sentence if letter.isalpha())
    if tokenizer.is_uroman and foreign and importlib.util.find_spec("uroman") is None:
        raise ImportError(f"{source} reads this script by uroman, which is not installed: pip install uroman")
    if tokenizer.phonemize and importlib.util.find_spec("phonemizer") is None:
        raise ImportError(f"{source} reads phonemes, by phonemizer, which is not installed: pip install phonemizer")

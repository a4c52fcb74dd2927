"""Any seq2seq translation model of transformers: its languages, what it takes at once, and how it is asked.

Models say in three ways between which languages they translate: by a token for each language (NLLB-200, M2M-100,
mBART-50), by ``<2en>`` before the text (MADLAD-400), or by being made for one pair (Marian).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import torch

from ...datamodules.languages import LANGUAGES, language_code
from ...zoo.download import from_disk
from ...zoo.folders import folder_hash
from ..options import Device, chosen_device

NLLB = "facebook/nllb-200-distilled-600M"

#: code here -> what models call it: NLLB-200, mBART-50; M2M-100, MADLAD-400 and Marian use codes like ours
MODEL_CODES = {
    "en": ("eng_Latn", "en_XX"),
    "zh": ("zho_Hans", "zh_CN"),
    "es": ("spa_Latn", "es_XX"),
    "fr": ("fra_Latn", "fr_XX"),
    "pt": ("por_Latn", "pt_XX"),
    "hi": ("hin_Deva", "hi_IN"),
    "ru": ("rus_Cyrl", "ru_RU"),
}
#: where a sentence that is too long is cut: after a mark that ends one, after any other mark, between words
_BREAKS = (r"(?<=[.!?…])\s+|(?<=[。！？।॥])\s*", r"(?<=[,;:—])\s+|(?<=[，；：、])\s*", r"\s+")
#: a translation may have so many times the tokens of its source, and some more; who goes on from there repeats himself
LONGER, MORE = 3, 20


@dataclass
class Translated:
    """Translations of some texts.

    Attributes:
        texts: one for each, in their order.
        split: how many were too long for the model and translated in pieces.
        endless: how many came to the longest that was allowed without an end.
    """

    texts: list[str]
    split: int
    endless: int


class Seq2Seq:
    """A translation model; its weights are read when they are first needed.

    Args:
        source: hub id, or folder.
        device: where it runs; ``auto`` takes an accelerator if there is one.
        bf16: compute in bfloat16.
        beams: of beam search; 1 takes the most likely word each time.
        batch_size: sentences that are translated at once.
        max_tokens: longest sentence in tokens, if shorter than the model's own limit.

    Raises:
        FileNotFoundError: there is no such folder, nor can it be had from the hub.
        ValueError: it is not a seq2seq translation model.
    """

    def __init__(
        self,
        source: str = NLLB,
        *,
        device: Device = "auto",
        bf16: bool = False,
        beams: int = 1,
        batch_size: int = 32,
        max_tokens: int | None = None,
    ) -> None:
        self.source = source
        self.device = chosen_device(device)
        self.bf16 = bf16
        self.beams = beams
        self.batch_size = batch_size
        self.config, self.tokenizer = _open(source)
        kind = self.config.model_type
        if not self.config.is_encoder_decoder:
            raise ValueError(f"{source} is a {kind} model, which does not translate: take one such as {NLLB}")
        if not self._way:
            raise ValueError(f"{source} knows no languages to translate between: take a model such as {NLLB}")
        own = [getattr(self.config, name, None) for name in ("max_position_embeddings", "n_positions")]
        #: most tokens that the model takes, and gives
        self.positions = min([int(limit) for limit in (*own, self.tokenizer.model_max_length) if limit])
        self.limit = min(self.positions, max_tokens or self.positions)

    @cached_property
    def producer(self) -> str:
        """Its name, and the revision of the hub or the hash of the folder's files."""
        if not Path(self.source).is_dir():
            return f"{self.source}@{self.config._commit_hash}"
        return f"{Path(self.source).resolve().name}@sha256:{folder_hash(Path(self.source))}"

    @property
    def settings(self) -> dict[str, Any]:
        """What translations depend on, but for the model itself."""
        return {
            "beams": self.beams,
            "batch_size": self.batch_size,
            "max_tokens": self.limit,
            "precision": "bf16" if self.bf16 else "32",
        }

    def check(self, sources: Sequence[str], to: str) -> None:
        """Raises ValueError, naming the languages, where the model does not translate from `sources` to `to`."""
        if self._way == "pair":
            one = (our_code(self.tokenizer.source_lang), our_code(self.tokenizer.target_lang))
            # groups of languages have names of their own, which say nothing of what is in them
            wrong = [code for code in sources if one[0] in LANGUAGES and code != one[0]]
            if wrong or to != one[1]:
                raise ValueError(
                    f"{self.source} translates {one[0]} to {one[1]}, not {', '.join(wrong or sources)} to {to}: "
                    "name what it can do with --language and --to, or take a model of more languages"
                )
            return
        unknown = [code for code in (*sources, to) if self._code(code) is None]
        if self._way == "prefix":  # it sees for itself what a text is in
            unknown = [code for code in (to,) if self._code(code) is None]
        if unknown:
            raise ValueError(
                f"{self.source} has no code for {', '.join(unknown)}: give --language and --to as it calls them, or "
                "take another model"
            )

    def translate(
        self, texts: Sequence[str], source: str, to: str, advance: Callable[[int], None] | None = None
    ) -> Translated:
        """Translate texts of one language.

        Args:
            texts: sentences; what is too long for the model is translated in pieces, and none is ever cut short.
            source, to: codes that `check` has passed.
            advance: told how many texts more are done.

        Raises:
            ValueError: memory does not hold a batch.
        """
        self._turn_to(source)
        pieces = [(number, piece) for number, text in enumerate(texts) for piece in self._pieces(text, to)]
        lengths = [self._length(piece, to) for _, piece in pieces]
        order = sorted(range(len(pieces)), key=lambda place: -lengths[place])
        first = {number: place for place, (number, _) in reversed(list(enumerate(pieces)))}
        done: dict[int, str] = {}
        endless: set[int] = set()
        for start in range(0, len(order), self.batch_size):
            batch = order[start : start + self.batch_size]
            found, ended = self._generate([pieces[place][1] for place in batch], to, lengths[batch[0]])
            done |= zip(batch, found, strict=True)
            endless |= {pieces[place][0] for place, end in zip(batch, ended, strict=True) if not end}
            if advance is not None:
                advance(sum(first[pieces[place][0]] == place for place in batch))
        parts: list[list[str]] = [[] for _ in texts]
        for place, (number, _) in enumerate(pieces):
            parts[number].append(done[place])
        joint = LANGUAGES[to][3] if to in LANGUAGES else " "
        split = sum(len(part) > 1 for part in parts)
        return Translated([joint.join(filter(None, part)) for part in parts], split, len(endless))

    @cached_property
    def model(self) -> Any:
        """The weights, where and how they compute."""
        from transformers import AutoModelForSeq2SeqLM

        dtype = torch.bfloat16 if self.bf16 else torch.float32
        offline = from_disk(self.source)
        model = AutoModelForSeq2SeqLM.from_pretrained(self.source, dtype=dtype, local_files_only=offline)
        return model.to(self.device).eval()

    @torch.inference_mode()
    def _generate(self, texts: list[str], to: str, longest: int) -> tuple[list[str], list[bool]]:
        """Translations, and whether each has an end."""
        texts = [self._prefix(to) + text for text in texts]
        inputs = self.tokenizer(texts, return_tensors="pt", padding=True).to(self.device)
        most = min(LONGER * longest + MORE, self.positions - 1)
        options = {"forced_bos_token_id": self._token(str(self._code(to)))} if self._way == "tokens" else {}
        try:
            out = self.model.generate(
                **inputs, **options, max_new_tokens=most, num_beams=self.beams, do_sample=False, max_length=None
            )
        except torch.OutOfMemoryError as fault:
            raise ValueError(
                f"no memory for {len(texts)} sentences at once: give a smaller --batch-size (what is done is kept)"
            ) from fault
        ends = (out[:, 1:] == self.model.generation_config.eos_token_id).any(dim=1)
        return [text.strip() for text in self.tokenizer.batch_decode(out, skip_special_tokens=True)], ends.tolist()

    def _pieces(self, text: str, to: str) -> list[str]:
        """The text in pieces that the model can take: its sentences, and of long ones as much as fits at a time."""
        if self._length(text, to) <= self.limit:
            return [text]
        way = next((pattern for pattern in (*_BREAKS, "") if len(_places(pattern, text)) > 2), None)
        if way is None:  # one letter: there is nothing left to cut
            return [text]
        packed = [""]
        for start, end in pairwise(_places(way, text)):
            more = packed[-1] + text[start:end]
            # sentences are never put together: models that learnt from single ones leave some of several out
            if not packed[-1] or (way != _BREAKS[0] and self._length(more.strip(), to) <= self.limit):
                packed[-1] = more
            else:
                packed.append(text[start:end])
        return [piece for part in packed if part.strip() for piece in self._pieces(part.strip(), to)]

    def _length(self, text: str, to: str) -> int:
        return len(self.tokenizer(self._prefix(to) + text, verbose=False).input_ids)

    @cached_property
    def _way(self) -> Literal["tokens", "prefix", "pair", ""]:
        """How the model is told the languages; empty where it knows none."""
        if hasattr(self.tokenizer, "src_lang"):
            return "tokens"
        if "<2en>" in self.tokenizer.get_vocab():
            return "prefix"
        return "pair" if getattr(self.tokenizer, "target_lang", None) else ""

    def _code(self, language: str) -> str | None:
        """What the model calls a language: as it is given, or one of the names of that code; None if it knows none."""
        for name in (language, *MODEL_CODES.get(language, ())):
            if self._token(name) is not None:
                return name
        return None

    def _token(self, language: str) -> int | None:
        """Id of the token that stands for a language in the model's own vocabulary."""
        if self._way == "prefix":
            return self.tokenizer.get_vocab().get(f"<2{language}>")
        if hasattr(self.tokenizer, "get_lang_id"):  # M2M-100 writes __en__ for en, and has a table of its own
            return self.tokenizer.get_lang_id(language) if language in self.tokenizer.lang_code_to_token else None
        return self.tokenizer.get_added_vocab().get(language)

    def _prefix(self, to: str) -> str:
        return f"<2{self._code(to)}> " if self._way == "prefix" else ""

    def _turn_to(self, source: str) -> None:
        if self._way == "tokens":
            self.tokenizer.src_lang = self._code(source)


def _places(pattern: str, text: str) -> list[int]:
    """Where `pattern` cuts a text, ends included; without one, in the middle."""
    inner = [match.end() for match in re.finditer(pattern, text)] if pattern else [len(text) // 2]
    return sorted({0, *inner, len(text)})


def our_code(language: str) -> str:
    """The code here, of any name that a model gives the language; where it has none, the name as it is."""
    for code, names in MODEL_CODES.items():
        if language in names:
            return code
    try:
        return language_code(language)
    except ValueError:
        return language


def _open(source: str) -> tuple[Any, Any]:
    """Configuration and tokenizer of a model."""
    from transformers import AutoConfig, AutoTokenizer  # slow to import, and the world's translator needs none of it

    try:
        local = {"local_files_only": from_disk(source)}
        return AutoConfig.from_pretrained(source, **local), AutoTokenizer.from_pretrained(source, **local)
    except (OSError, ValueError, KeyError) as fault:
        reason = str(fault).strip().split("\n")[0]
        if Path(source).is_dir():
            raise ValueError(f"{source} is not a translation model of transformers: {reason}") from fault
        raise FileNotFoundError(
            f"no model {source}: give a folder that holds one, or a hub id while online ({reason})"
        ) from fault

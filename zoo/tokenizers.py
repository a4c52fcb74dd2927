"""Sentences to token ids: one small class around the `tokenizers` library, for our own vocabulary and for XLM-R's.

Our own is a byte-level BPE trained on a few thousand sentences; bytes are its last resort, so it covers every script.
Retrain it on other text with `train(texts, vocab_size).save(folder)`.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor

#: of XLM-R; ids 0 to 4 of our own vocabulary are the same
START, PAD, END, UNKNOWN, MASK = "<s>", "<pad>", "</s>", "<unk>", "<mask>"
SPECIAL = (START, PAD, END, UNKNOWN, MASK)

#: a word with the space before it; its marks belong to it, as the vowel signs of Hindi do
_WORD = r" ?[\p{L}\p{M}]+| ?\p{N}+| ?[^\s\p{L}\p{M}\p{N}]+|\s+"
_TO_SPACE = re.compile(r"""[,.'!?"()*#:;~\-/]""")


def pre_caption(text: str, max_words: int | None = None) -> str:
    """A sentence as CCLM's text encoder reads it: lower case, ASCII punctuation to spaces, single spaces.

    Args:
        max_words: keep at most so many words, None for all; CCLM keeps 30.

    Raises:
        ValueError: where nothing is left, as of "...".
    """
    plain = _TO_SPACE.sub(" ", text.lower()).replace("<person>", "person")
    words = plain.split()
    if not words:
        raise ValueError(f"the sentence {text!r} holds no words: leave it out, or give it some")
    return " ".join(words if max_words is None else words[:max_words])


class SentenceTokenizer:
    """The `Tokenize` of the story models: `pre_caption`, then sub-words between ``<s>`` and ``</s>``, padded.

    Attributes:
        tokenizer: of the `tokenizers` library.
        max_tokens: longest sequence, start and end included; longer ones are cut.
        max_words: most words that are read, None for all.
        cut: how many sentences were cut so far (in this process); the first one is also warned of.
    """

    def __init__(self, tokenizer: Tokenizer, *, max_tokens: int = 64, max_words: int | None = None) -> None:
        start, pad, end = (tokenizer.token_to_id(token) for token in (START, PAD, END))
        if start is None or pad is None or end is None:
            raise ValueError(f"the vocabulary lacks {START}, {PAD} or {END}; XLM-R's has all three")
        if max_tokens < 3:
            raise ValueError(f"max_tokens must leave room for a token between {START} and {END}: 3 or more")
        self.start_id, self.pad_id, self.end_id = start, pad, end
        # text that looks like a special token is text
        tokenizer.encode_special_tokens = True
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.max_words = max_words
        self.cut = 0

    @property
    def vocab_size(self) -> int:
        """Ids are below this."""
        return self.tokenizer.get_vocab_size()

    def __call__(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """`input_ids` and `attention_mask`, int64 (B, L), padded at the right.  Raises ValueError for an empty text."""
        rows = [self._encode(text) for text in texts]
        width = max((len(row) for row in rows), default=0)
        input_ids = torch.tensor([row + [self.pad_id] * (width - len(row)) for row in rows], dtype=torch.int64)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], dtype=torch.int64)
        return input_ids.view(len(rows), width), mask.view(len(rows), width)

    def decode(self, input_ids: Tensor) -> str:
        """The text of one row of ids, without special tokens."""
        return self.tokenizer.decode(input_ids.tolist(), skip_special_tokens=True).removeprefix(" ")

    def save(self, folder: str | Path) -> None:
        """Write `tokenizer.json` and `tokenizer_config.json`, which transformers' AutoTokenizer reads as well."""
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": START,
            "cls_token": START,
            "eos_token": END,
            "sep_token": END,
            "pad_token": PAD,
            "unk_token": UNKNOWN,
            "mask_token": MASK,
            "model_max_length": self.max_tokens,
            "split_special_tokens": True,
        }
        folder = Path(folder)
        (folder / "tokenizer.json").write_text(self.tokenizer.to_str(), encoding="utf-8")
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    def _encode(self, text: str) -> list[int]:
        sentence = pre_caption(text, self.max_words)
        shortened = self.max_words is not None and len(sentence) < len(pre_caption(text))
        # one by one: the batch call starts threads, which do not go with forked workers
        ids = self.tokenizer.encode(sentence, add_special_tokens=False).ids
        if shortened or len(ids) > self.max_tokens - 2:
            self._note_cut(text)
        return [self.start_id, *ids[: self.max_tokens - 2], self.end_id]

    def _note_cut(self, text: str) -> None:
        self.cut += 1
        if self.cut == 1:
            limit = f"max_tokens={self.max_tokens}, max_words={self.max_words}"
            warnings.warn(f"a sentence was cut to {limit}: {text[:80]!r}; more may follow", stacklevel=4)


def load(source: str, **options: Any) -> SentenceTokenizer:
    """A tokenizer by name.

    Args:
        source: ``story`` (our own), a folder with `tokenizer.json` or what transformers reads, or a hub id such as
            ``FacebookAI/xlm-roberta-large``.
        options: `max_tokens` and `max_words` of `SentenceTokenizer`.

    Raises:
        FileNotFoundError: neither a folder that holds one nor reachable on the hub.
    """
    if source == "story":
        return SentenceTokenizer(_read(Path(__file__).parent / "story-tokenizer.json"), **options)
    file = Path(source) / "tokenizer.json"
    if file.is_file():
        return SentenceTokenizer(_read(file), **options)
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(source).backend_tokenizer
    except (OSError, ValueError) as absent:  # of a folder without one it says that no library could read it
        raise FileNotFoundError(
            f"no tokenizer at {source!r}: give a folder that holds one (tokenizer=FOLDER), or a hub id while online"
        ) from absent
    return SentenceTokenizer(found, **options)


def _read(file: Path) -> Tokenizer:
    text = file.read_text(encoding="utf-8")
    try:
        return Tokenizer.from_str(text)
    except Exception as fault:  # the library raises nothing narrower
        raise ValueError(f"{file}: not a vocabulary of the tokenizers library: {fault}") from fault


def train(texts: Iterable[str], vocab_size: int = 4096, **options: Any) -> SentenceTokenizer:
    """A byte-level BPE vocabulary learnt from `texts` (sentences, or lines of a file).

    Args:
        vocab_size: how many ids, 261 (bytes and special tokens) or more.
        options: as for `load`.
    """
    if vocab_size < 256 + len(SPECIAL):
        raise ValueError(f"vocab_size must hold 256 bytes and {len(SPECIAL)} special tokens: 261 or more")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Prepend(" ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORD), "isolated"),
            # a word is the same tokens at the start of a sentence as inside it
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((pre_caption(text) for text in texts if _TO_SPACE.sub("", text).strip()), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(START, 0), (END, 2)]
    )
    return SentenceTokenizer(tokenizer, **options)

"""Sentences to token ids: one small class around the `tokenizers` library, for our own vocabulary and for others'.

Our own is a byte-level BPE trained on a few thousand sentences; falling back to bytes, it covers every script.
`train(texts, vocab_size).save(folder)` makes another.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor

from .download import from_disk, is_hub_id, why_absent

#: of XLM-R; ids 0 to 4 of our own vocabulary are the same
START, PAD, END, UNKNOWN, MASK = "<s>", "<pad>", "</s>", "<unk>", "<mask>"
SPECIAL = (START, PAD, END, UNKNOWN, MASK)
#: the same in XLM-R's vocabulary and ours, in CLIP's, and in Gemma's, which SigLIP 2 reads
STARTS = (START, "<|startoftext|>", "<bos>")
ENDS = (END, "<|endoftext|>", "<eos>")
#: what CLIP4Clip pads with: CLIP's vocabulary has no token for it, and its tower looks at nothing past the end
PAD_ID_OF_CLIP = 0

#: a word with the space before it; its marks belong to it, as the vowel signs of Hindi do
_WORD = r" ?[\p{L}\p{M}]+| ?\p{N}+| ?[^\s\p{L}\p{M}\p{N}]+|\s+"
_TO_SPACE = re.compile(r"""[,.'!?"()*#:;~\-/]""")


def pre_caption(text: str) -> str:
    """A sentence as CCLM's text encoder reads it: lower case, ASCII punctuation to spaces, single spaces.

    Raises:
        ValueError: where nothing is left, as of "...".
    """
    words = _TO_SPACE.sub(" ", text.lower()).replace("<person>", "person").split()
    if not words:
        raise ValueError(f"the sentence {text!r} holds no words: leave it out, or give it some")
    return " ".join(words)


@dataclass(frozen=True)
class Reading:
    """How a text tower was taught to read.

    Attributes:
        clean: what is done to a sentence first: `pre_caption` for ``words``, lower case for ``lower``; both, and
            ``plain``, leave single spaces.
        start: whether a start token comes first.
        fixed: whether every row is padded to the longest there may be, as SigLIP's tower reads padding too.
    """

    clean: str = "words"
    start: bool = True
    fixed: bool = False

    def __call__(self, text: str) -> str:
        """The sentence as it is cut into tokens.  Raises ValueError where nothing is left of it."""
        if self.clean == "words":
            return pre_caption(text)
        words = (text.lower() if self.clean == "lower" else text).split()
        if not words:
            raise ValueError(f"the sentence {text!r} is empty: leave it out, or give it words")
        return " ".join(words)


class SentenceTokenizer:
    """The `Tokenize` of the story models: a cleaned sentence as sub-words between start and end, padded.

    Attributes:
        tokenizer: of the `tokenizers` library.
        max_tokens: longest sequence, start and end included; longer ones are cut.
        max_words: most words that are read, None for all; CCLM reads 30.
        reading: how sentences are cleaned and framed.
        pads_left: whether the padding of a ``fixed`` row comes first.
        cut: how many sentences were cut so far (in this process); the first one is also warned of.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        max_tokens: int = 64,
        max_words: int | None = None,
        reading: Reading | None = None,
        pads_left: bool = False,
    ) -> None:
        self.reading = reading or Reading()
        start, end = (_first(tokenizer, tokens) for tokens in (STARTS, ENDS))
        pad = PAD_ID_OF_CLIP if start == tokenizer.token_to_id(STARTS[1]) is not None else tokenizer.token_to_id(PAD)
        if end is None or pad is None or (self.reading.start and start is None):
            raise ValueError(f"the vocabulary lacks {START}, {PAD} or {END}; XLM-R's has all three")
        if max_tokens < 3:
            raise ValueError(f"max_tokens must leave room for a token between {START} and {END}: 3 or more")
        self.start_id, self.pad_id, self.end_id = start, pad, end
        self.pads_left = pads_left and self.reading.fixed
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
        """`input_ids` and `attention_mask`, int64 (B, L), padded at the right.

        Raises:
            ValueError: a text is empty, or `texts` is a single string.
        """
        if isinstance(texts, str):
            raise ValueError(f"texts should be a list of sentences, not one string: [{texts[:40]!r}]")
        rows = [self._encode(text) for text in texts]
        width = self.max_tokens if self.reading.fixed else max((len(row) for row in rows), default=0)
        input_ids = torch.tensor([self._padded(row, self.pad_id, width) for row in rows], dtype=torch.int64)
        mask = torch.tensor([self._padded([1] * len(row), 0, width) for row in rows], dtype=torch.int64)
        return input_ids.view(len(rows), width), mask.view(len(rows), width)

    def decode(self, input_ids: Tensor) -> str:
        """The text of one row of ids, without special tokens."""
        return self.tokenizer.decode(input_ids.tolist(), skip_special_tokens=True).removeprefix(" ")

    def save(self, folder: str | Path) -> None:
        """Write `tokenizer.json` and `tokenizer_config.json`, which transformers' AutoTokenizer reads as well."""
        names = {"bos_token": self.start_id, "eos_token": self.end_id, "pad_token": self.pad_id}
        config: dict[str, Any] = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            **{name: self.tokenizer.id_to_token(id) for name, id in names.items() if id is not None},
            "model_max_length": self.max_tokens,
            "padding_side": "left" if self.pads_left else "right",
            "split_special_tokens": True,
        }
        if self.tokenizer.token_to_id(START) is not None:
            config |= {"cls_token": START, "sep_token": END, "unk_token": UNKNOWN, "mask_token": MASK}
        folder = Path(folder)
        (folder / "tokenizer.json").write_text(self.tokenizer.to_str(), encoding="utf-8")
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    def _encode(self, text: str) -> list[int]:
        words = self.reading(text).split(" ")
        kept = words[: self.max_words]
        # one by one: the batch call starts threads, which do not go with forked workers
        ids = self.tokenizer.encode(" ".join(kept), add_special_tokens=False).ids
        first = [self.start_id] if self.reading.start and self.start_id is not None else []
        room = self.max_tokens - len(first) - 1
        if len(kept) < len(words) or len(ids) > room:
            self._note_cut(text)
        return [*first, *ids[:room], self.end_id]

    def _padded(self, row: list[int], filler: int, width: int) -> list[int]:
        filling = [filler] * (width - len(row))
        return filling + row if self.pads_left else row + filling

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
        options: `max_tokens`, `max_words` and `reading` of `SentenceTokenizer`.

    Raises:
        FileNotFoundError: neither a folder that holds one nor reachable on the hub.
    """
    if source == "story":
        return SentenceTokenizer(_read(Path(__file__).parent / "story-tokenizer.json"), **options)
    file = Path(source) / "tokenizer.json"
    if file.is_file():
        return SentenceTokenizer(_read(file), pads_left=_pads_left(file.parent / "tokenizer_config.json"), **options)
    from transformers import AutoTokenizer

    offline = from_disk(source)
    try:
        found = AutoTokenizer.from_pretrained(source, local_files_only=offline)
    except (OSError, ValueError) as absent:  # of a folder without one it says that no library could read it
        why = f" ({why_absent()})" if offline and is_hub_id(source) else ""
        raise FileNotFoundError(
            f"no tokenizer at {source!r}: give a folder that holds one (tokenizer=FOLDER), or a hub id while "
            f"online{why}"
        ) from absent
    return SentenceTokenizer(found.backend_tokenizer, pads_left=found.padding_side == "left", **options)


def _first(tokenizer: Tokenizer, tokens: tuple[str, ...]) -> int | None:
    """The id of the first of `tokens` that the vocabulary has."""
    ids = (tokenizer.token_to_id(token) for token in tokens)
    return next((id for id in ids if id is not None), None)


def _pads_left(config: Path) -> bool:
    """What transformers noted beside a vocabulary; nothing is the right."""
    noted = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    return noted.get("padding_side") == "left"


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

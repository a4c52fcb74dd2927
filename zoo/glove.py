"""Vectors of words from a text file as GloVe publishes them (Pennington et al., 2014): a word and numbers a line."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


@dataclass
class WordVectors:
    """A vocabulary with vectors.

    Attributes:
        rows: word in lower case to its row.
        table: (words, dim) float32.
    """

    rows: dict[str, int]
    table: Tensor

    @property
    def dim(self) -> int:
        return self.table.shape[1]

    def of(self, text: str) -> Tensor:
        """(n, dim): the vectors of a text's known words in their order; one vector of zeros where none is known."""
        known = [self.rows[part] for word in words(text) for part in _known_parts(word, self.rows)]
        return self.table[known] if known else torch.zeros(1, self.dim)

    def __call__(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """B texts to (B, L, dim) vectors, padded with zeros, and their lengths (B,)."""
        return _padded([self.of(text) for text in texts], self.dim)


@dataclass(frozen=True)
class HashedWords:
    """A random unit vector for each word, the same everywhere: a stand-in where there is no file of vectors.

    Equal words are equal; different ones are about orthogonal.
    """

    dim: int = 300

    def of(self, text: str) -> Tensor:
        """(n, dim): the vectors of a text's words in their order; one vector of zeros where there is no word."""
        rows = [self._vector(word) for word in words(text)]
        return torch.stack(rows) if rows else torch.zeros(1, self.dim)

    def __call__(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """B texts to (B, L, dim) vectors, padded with zeros, and their lengths (B,)."""
        return _padded([self.of(text) for text in texts], self.dim)

    def _vector(self, word: str) -> Tensor:
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8])
        vector = np.random.Generator(np.random.PCG64(seed)).standard_normal(self.dim)
        return torch.from_numpy(vector / np.linalg.norm(vector)).float()


def _padded(each: list[Tensor], dim: int) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([len(vectors) for vectors in each], dtype=torch.int64)
    if not each:
        return torch.zeros(0, 0, dim), lengths
    return torch.nn.utils.rnn.pad_sequence(each, batch_first=True), lengths


def words(text: str) -> list[str]:
    """The words of a text in lower case, with their apostrophes and without other punctuation."""
    return [word.replace("’", "'") for word in _WORD.findall(text.lower())]


def read(path: str | Path, texts: Iterable[str] | None = None) -> WordVectors:
    """Read a file of vectors line by line; of 2.2 million words only those that are needed are kept.

    Args:
        path: text in UTF-8; a header of two numbers, as word2vec writes it, is passed over.
        texts: what shall be looked up; None keeps every word.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a damaged line, named by its number; or no vector at all.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file of word vectors: {path}; glove.6B.zip of nlp.stanford.edu has some")
    wanted = None
    if texts is not None:
        wanted = {part for text in texts for word in words(text) for part in (word, *_parts(word))}
    rows: dict[str, int] = {}
    vectors: list[Tensor] = []
    dim = 0
    for number, line in _lines(path):
        dim = dim or line.count(" ")
        if not dim or line.count(" ") < dim:
            raise ValueError(
                f"{path}, line {number}: a word and {dim or 'some'} numbers were expected, not {line[:40]!r}: the file "
                "is damaged, fetch it again"
            )
        if wanted is not None and line[: line.index(" ")].lower() not in wanted:
            continue
        word, *numbers = line.rsplit(" ", dim)  # a few words of the largest files have spaces in them
        word = word.lower()
        if word in rows or (wanted is not None and word not in wanted):
            continue
        try:
            vector = [float(value) for value in numbers]
        except ValueError as fault:
            raise ValueError(f"{path}, line {number}: the vector of {word!r} is damaged ({fault})") from fault
        if not all(map(math.isfinite, vector)):
            raise ValueError(f"{path}, line {number}: the vector of {word!r} has numbers that are not finite")
        rows[word] = len(vectors)
        vectors.append(torch.tensor(vector))
    if not dim:
        raise ValueError(f"{path}: no vectors in it")
    return WordVectors(rows, torch.stack(vectors) if vectors else torch.zeros(0, dim))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that hold vectors, with their numbers from 1."""
    with path.open("rb") as file:
        for number, data in enumerate(file, start=1):
            try:
                line = data.decode().rstrip("\r\n ")
            except UnicodeDecodeError as fault:
                raise ValueError(f"{path}, line {number}: not UTF-8 ({fault.reason}); fetch the file again") from fault
            if number == 1 and line.count(" ") == 1:
                continue  # how many words, and how wide
            yield number, line


def _known_parts(word: str, rows: dict[str, int]) -> list[str]:
    """The word where it is known, else those of its parts that are."""
    return [word] if word in rows else [part for part in _parts(word) if part in rows]


def _parts(word: str) -> list[str]:
    """A word with an apostrophe, cut as GloVe's corpora are: do n't, it 's; nothing for other words."""
    if "'" not in word:
        return []
    cut = len(word) - 3 if word.endswith("n't") else word.index("'")
    return [part for part in (word[:cut], word[cut:]) if part]

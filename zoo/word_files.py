"""Word vectors beside a model: a list of words and their table, or the dimension of hashed ones."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save_file

from .glove import HashedWords, WordVectors

#: what makes vectors of words
Words = WordVectors | HashedWords

_LIST, _TABLE, _HASHED = "words.txt", "vectors.safetensors", "hashed.txt"


def save_words(words: Words, folder: Path) -> None:
    """Write words.txt, one a line in the order of the table, and vectors.safetensors; or hashed.txt, the dimensions."""
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(words, HashedWords):
        (folder / _HASHED).write_text(f"{words.dim}\n")
        return
    listed = sorted(words.rows, key=lambda word: words.rows[word])
    (folder / _LIST).write_text("".join(f"{word}\n" for word in listed), encoding="utf-8")
    save_file({"vectors": words.table.contiguous()}, folder / _TABLE)
    (folder / _TABLE).chmod((folder / _LIST).stat().st_mode)  # safetensors makes it private


def read_words(folder: Path) -> Words:
    """What `save_words` wrote.  Raises ValueError where the list and the table do not fit together."""
    if (folder / _HASHED).is_file():
        return HashedWords(int((folder / _HASHED).read_text()))
    listed = (folder / _LIST).read_text(encoding="utf-8").split("\n")[:-1]
    table = load_file(folder / _TABLE)["vectors"]
    if len(listed) != len(table):
        raise ValueError(f"{folder}: {len(listed)} words and {len(table)} vectors: copy the folder again")
    return WordVectors({word: row for row, word in enumerate(listed)}, table)

"""Word vectors: what is kept, what is skipped, and which line is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from weaksync.zoo import glove

LINES = ["the 1 2 3", "cat 4 5 6", ". . . 9 9 9", ". 7 7 7", "n't 0 0 1", "do 1 0 0", "'s 0 1 0", "Straße 2 2 2"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "vectors.txt"
    path.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return path


def test_words_keep_their_order_and_unknown_ones_are_skipped(file: Path) -> None:
    vectors = glove.read(file)
    assert vectors.dim == 3
    assert vectors.of("The grey CAT, the…").tolist() == [[1, 2, 3], [4, 5, 6], [1, 2, 3]]
    assert vectors.of("STRASSE straße").tolist() == [[2, 2, 2]]
    assert vectors.of("don't the cat’s").tolist() == [[1, 0, 0], [0, 0, 1], [1, 2, 3], [4, 5, 6], [0, 1, 0]]
    assert vectors.of("?!").tolist() == vectors.of("dog").tolist() == [[0, 0, 0]]
    batch, lengths = vectors(["the cat", "dog", "the the the"])
    assert batch.shape == (3, 3, 3) and lengths.tolist() == [2, 1, 3] and not batch[0, 2:].any()


def test_only_what_texts_need_is_kept(file: Path) -> None:
    vectors = glove.read(file, ["A cat.", "Don't!"])
    assert sorted(vectors.rows) == ["cat", "do", "n't"]
    assert torch.equal(vectors.of("don't the cat"), torch.tensor([[1.0, 0, 0], [0, 0, 1], [4, 5, 6]]))
    assert glove.read(file, ["zebra"]).of("the").tolist() == [[0, 0, 0]]


def test_a_header_is_passed_over_and_the_first_of_two_stays(tmp_path: Path) -> None:
    (tmp_path / "w2v.txt").write_text("3 2\nThe 1 2\nthe 3 4\ncat 5 6", encoding="utf-8")
    vectors = glove.read(tmp_path / "w2v.txt")
    assert vectors.of("the cat").tolist() == [[1, 2], [5, 6]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"dog 1 2", "line 9: a word and 3 numbers were expected"),
        (b"", "line 9: a word and 3 numbers were expected, not ''"),
        (b"dog 1 2 x", "line 9: the vector of 'dog' is damaged"),
        (b"dog 1 nan 2", "line 9: the vector of 'dog' has numbers that are not finite"),
        (b"d\xffg 1 2 3", "line 9: not UTF-8"),
    ],
)
def test_a_damaged_line_is_named(file: Path, line: bytes, message: str) -> None:
    file.write_bytes(file.read_bytes() + line + b"\n")
    with pytest.raises(ValueError, match=message):
        glove.read(file)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file of word vectors"):
        glove.read(tmp_path / "gone.txt")
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(ValueError, match="no vectors in it"):
        glove.read(tmp_path / "empty.txt")

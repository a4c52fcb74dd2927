"""What tells the story of a video: its sentences, and the language that they are in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pysubs2

from ..datamodules import captions
from ..datamodules.captions import Cut
from ..datamodules.languages import language_code
from ..datamodules.records import Sentence
from ..datamodules.textfiles import read_text
from ..zoo.models.dual_encoder import DualEncoder


def known_language(model: DualEncoder, language: str | None, notes: list[str]) -> str:
    """The code of a language that the model knows; English if none is named and it knows several, which is noted.

    Raises ValueError where the model does not know the language, or nothing tells which it is.
    """
    known = ", ".join(model.languages) or "any code"
    if language is None and model.translated is not None:
        notes.append(f"the text was taken to be in {model.translated['to']}, as all that trained the model was")
    if language is None and len(model.languages) == 1:
        return _code(model.languages[0])
    if language is None:
        raise ValueError(f"which language is the text in? Give --language, one of: {known}")
    if model.languages and _code(language) not in map(_code, model.languages):
        way = ""
        if (translated := model.translated) is not None:
            way = f". It reads texts translated to {translated['to']} (by {translated['by']}): translate this one first"
        raise ValueError(f"the model does not know language {language!r}; it was trained on: {known}{way}")
    return _code(language)


def _code(language: str) -> str:
    try:
        return language_code(language)
    except ValueError:  # one that we have no sentence rules for
        return language.strip().lower()


def read_sentences(
    text: str | Path | Sequence[str] | Sequence[Sentence],
    language: str,
    *,
    cut: Cut = "auto",
    encoding: str | None = None,
    notes: list[str],
) -> list[Sentence]:
    """Sentences of a subtitle file (with the times at which they are spoken), of a text file, or as they are given.

    What holds no letters, such as a note sign, is left out and said in `notes`.  Raises ValueError where none is left.
    """
    where = text if isinstance(text, str | Path) else "the text"
    if not isinstance(text, str | Path):
        found = [each if isinstance(each, Sentence) else Sentence(each) for each in text]
    elif _is_subtitles(Path(text)):
        spoken = captions.read(text, language=language, encoding=encoding, notes=notes)
        found = _naming(text, lambda: captions.sentences(spoken, language, cut=cut, notes=notes))
    else:
        plain = read_text(text, language=language, encoding=encoding, notes=notes)
        found = _naming(text, lambda: [Sentence(s) for s in captions.split_text(plain, language, cut=cut, notes=notes)])
    return _naming(where, lambda: captions.drop_wordless(found, notes))


def _is_subtitles(path: Path) -> bool:
    kinds = set(pysubs2.formats.FILE_EXTENSION_TO_FORMAT_IDENTIFIER) - {".txt"}
    if path.suffix.lower() in kinds or not path.is_file():
        return path.suffix.lower() in kinds
    with path.open("rb") as file:
        return b"-->" in file.read(4096)


def _naming(where: str | Path, read: Callable[[], list[Sentence]]) -> list[Sentence]:
    try:
        return read()
    except ValueError as fault:
        raise ValueError(f"{where}: {fault}") from fault

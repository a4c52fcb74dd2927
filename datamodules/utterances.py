"""Texts cut into what a synthesiser says in one breath: sentences, so that the time of each is known."""

from __future__ import annotations

import re

from .languages import TERMINAL, language_code, split_sentences

_END = re.compile(rf"(?<=[{re.escape(TERMINAL)}])\s+")


def utterances(text: str, language: str) -> list[str]:
    """The sentences of `text` that have anything to say, in order, on one line each.

    The seven languages have rules of their own (`languages.split_sentences`); others are cut after the marks that end a
    sentence.

    Raises:
        ValueError: there is no letter and no digit in the text.
    """
    line = " ".join(text.split())
    try:
        code = language_code(language)
    except ValueError:
        sentences = _END.split(line)
    else:
        sentences = split_sentences(line, code)
    if spoken := [sentence for sentence in sentences if any(letter.isalnum() for letter in sentence)]:
        return spoken
    raise ValueError(f"nothing to say in {text!r}: no letter and no digit")

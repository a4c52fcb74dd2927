"""How the mouth follows the sounds: a shape for each phoneme, and the way from one to the next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..batches import Phoneme

#: first letter of a phoneme -> (how far open, how wide), both 0 to 1; the longest that fits is taken
_SHAPES = {
    **dict.fromkeys("aɑæʌɐä", (1.0, 0.6)),
    **dict.fromkeys("ɔɒ", (0.8, 0.25)),
    **dict.fromkeys("eɛɜəœøɚɘ", (0.6, 0.75)),
    **dict.fromkeys("iɪyɨʏj", (0.35, 1.0)),
    **dict.fromkeys("oɤ", (0.6, 0.1)),
    **dict.fromkeys("uʊwʉɯ", (0.3, 0.0)),
    **dict.fromkeys("mbpβ", (0.0, 0.5)),
    **dict.fromkeys("fvʋ", (0.1, 0.6)),
    **dict.fromkeys("ʃʒʂʐɕʑ", (0.25, 0.15)),
    **dict.fromkeys("szθðtdnlrɾɹʎɲ", (0.22, 0.65)),
}
#: any other consonant, most of them made far back in the mouth
_ELSE = (0.35, 0.5)
_CLOSED = (0.0, 0.5)
#: seconds: a longer silence closes the mouth; so long it takes; the width of the blur that is coarticulation
_PAUSE, _CLOSING, _BLUR = 0.12, 0.08, 0.022
_STEP = 0.005


def shapes(name: str) -> list[tuple[float, float]]:
    """(open, wide) of each part of a phoneme; a diphthong has two."""
    found = [_SHAPES.get(letter, _ELSE) for letter in name if letter.isalpha()]
    return found[:2] or [_ELSE]


def track(phonemes: Sequence[Phoneme], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, 2) how far open and how wide the mouth is at `times`; closed where nothing is said.

    `phonemes` are in order, in the seconds of `times`.
    """
    keys: list[tuple[float, float, float]] = [(-1.0, *_CLOSED)]
    until = -1.0
    for phoneme in phonemes:
        if phoneme.start - until > _PAUSE:
            keys += [(until + _CLOSING, *_CLOSED), (phoneme.start - _CLOSING / 2, *_CLOSED)]
        parts = shapes(phoneme.name)
        length = (phoneme.end - phoneme.start) / len(parts)
        keys += [(phoneme.start + (number + 0.5) * length, *shape) for number, shape in enumerate(parts)]
        until = phoneme.end
    keys.append((until + _CLOSING, *_CLOSED))
    marks = np.maximum.accumulate(np.array([key[0] for key in keys]))
    grid = np.arange(times.min() - 0.1, times.max() + 0.1, _STEP)
    bell = np.exp(-0.5 * (np.arange(-12, 13) * _STEP / _BLUR) ** 2)
    columns = []
    for column in (1, 2):
        raw = np.interp(grid, marks, [key[column] for key in keys])
        smooth = np.convolve(np.pad(raw, 12, mode="edge"), bell / bell.sum(), mode="valid")
        columns.append(np.interp(times, grid, smooth))
    return np.stack(columns, axis=1)

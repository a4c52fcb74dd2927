"""Who speaks: a voice of eSpeak, a pace, and a face, all drawn from the seed; each person is in one split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_WOMEN = ("f1", "f2", "f3", "f4", "f5")
_MEN = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8")
_SKINS = ("#f6d3b8", "#eebf9b", "#d9a074", "#b97c50", "#8d5a38", "#6b4329")
_HAIRS = ("#2b2018", "#5a3a22", "#8f5b2c", "#d8b36a", "#b54a22", "#9a9a9e")
_CLOTHES = ("#2f5fa8", "#a83246", "#2f8a5b", "#7a4aa0", "#d08a2a", "#3d4658", "#e4e1d8")
_LIPS = ("#b5525a", "#a3443f", "#c2607a", "#8c3b3a")


@dataclass(frozen=True)
class Person:
    """Someone who speaks.

    Attributes:
        id: such as ``person-003``.
        voice: variant of eSpeak's voices, such as ``+f3``; every language can be spoken with it.
        rate: words a minute, when neither hurried nor slow.
        skin, hair, clothes, lips: colours.
        long_hair, beard, glasses: what the face has.
        width: of the face, 1 for the usual.
    """

    id: str
    voice: str
    rate: int
    skin: str
    hair: str
    clothes: str
    lips: str
    long_hair: bool
    beard: bool
    glasses: bool
    width: float


def person(seed: int, number: int) -> Person:
    """The person of that number; the same in every world of `seed`."""
    rng = np.random.default_rng([seed, number, 0xFACE])
    woman = bool(rng.random() < 0.5)
    pick = rng.choice
    return Person(
        id=f"person-{number:03d}",
        voice=f"+{pick(_WOMEN if woman else _MEN)}",
        rate=int(rng.integers(135, 216)),
        skin=str(pick(_SKINS)),
        hair=str(pick(_HAIRS)),
        clothes=str(pick(_CLOTHES)),
        lips=str(pick(_LIPS)),
        long_hair=woman and bool(rng.random() < 0.8),
        beard=not woman and bool(rng.random() < 0.35),
        glasses=bool(rng.random() < 0.25),
        width=float(rng.uniform(0.92, 1.08)),
    )

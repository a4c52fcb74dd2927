"""Labelled pictures of the things and rooms that are drawn here: what ImageNet and Places365 are to photographs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..media import Picture
from .scenes import THINGS_SHOWN, close_up, furnish, paint
from .topics import THINGS, TOPICS

#: as many rooms of each topic are drawn, and every picture is taken in one of them
ROOMS = 40
#: share of pictures that one thing fills, as films have them
CLOSE_UPS = 0.3
#: no film is drawn from these numbers
_SEED = 0x91C7


@dataclass(frozen=True)
class LabelledPicture:
    """A picture without people, and what it shows.

    Attributes:
        picture: (H, W, 3) uint8 RGB.
        things: (T,) bool, which of all topics' things are in it, four to a topic in the order of `TOPICS`.
        topic: number of its room's topic.
    """

    picture: Picture
    things: NDArray[np.bool_]
    topic: int


def labelled_pictures(count: int, seed: int = 0) -> Iterator[LabelledPicture]:
    """So many pictures, one after the other; the same seed gives the same."""
    rng = np.random.default_rng([seed, _SEED])
    rooms = {topic: [paint(topic, rng) for _ in range(ROOMS)] for topic in TOPICS}
    for _ in range(count):
        number = int(rng.integers(len(TOPICS)))
        topic = TOPICS[number]
        room = rooms[topic][int(rng.integers(ROOMS))]
        if rng.random() < CLOSE_UPS:
            shown = [int(rng.integers(THINGS))]
            picture = close_up(room, topic, shown[0], float(rng.random()))
        else:
            shown = [int(thing) for thing in rng.permutation(THINGS)[: rng.integers(THINGS_SHOWN + 1)]]
            picture = furnish(room, topic, shown, rng)
        things = np.zeros((len(TOPICS), THINGS), dtype=bool)
        things[number, shown] = True
        yield LabelledPicture(np.asarray(picture), things.ravel(), number)

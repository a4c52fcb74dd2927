"""Labelled pictures of synthetic speakers: the labels say what is drawn."""

from __future__ import annotations

import numpy as np

from weaksync.datamodules.speakers.pictures import labelled_pictures
from weaksync.datamodules.speakers.scenes import HEIGHT, WIDTH
from weaksync.datamodules.speakers.topics import THINGS, TOPICS

COUNT = 120


def test_the_same_seed_gives_the_same_pictures_and_another_gives_others() -> None:
    first, again, other = (list(labelled_pictures(4, seed)) for seed in (3, 3, 4))
    assert all(np.array_equal(one.picture, two.picture) for one, two in zip(first, again, strict=True))
    assert not all(np.array_equal(one.picture, two.picture) for one, two in zip(first, other, strict=True))
    assert first[0].picture.shape == (HEIGHT, WIDTH, 3) and first[0].picture.dtype == np.uint8


def test_things_are_those_of_the_topic_and_all_of_them_occur() -> None:
    pictures = list(labelled_pictures(COUNT))
    for each in pictures:
        things = each.things.reshape(len(TOPICS), THINGS)
        assert not np.delete(things, each.topic, axis=0).any()
    assert {each.topic for each in pictures} == set(range(len(TOPICS)))
    assert np.any([each.things for each in pictures], axis=0).sum() > 0.9 * len(TOPICS) * THINGS
    assert {int(each.things.sum()) for each in pictures} == set(range(THINGS + 1))


def test_a_thing_that_is_labelled_is_drawn() -> None:
    """Pictures of one topic with a thing differ more from those without any than those among themselves."""
    pictures = [each for each in labelled_pictures(400) if each.topic == 0]
    bare = np.mean([each.picture for each in pictures if not each.things.any()], axis=0)

    def strangeness(chosen: list[bool]) -> float:
        shown = [each.picture for each, take in zip(pictures, chosen, strict=True) if take]
        return float(np.mean([np.abs(picture - bare).mean() for picture in shown]))

    many = strangeness([each.things.sum() >= 3 for each in pictures])
    assert many > strangeness([not each.things.any() for each in pictures])

"""Which face is kept: plain cases, and what is true of all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weaksync.datamodules.tracks import Track
from weaksync.recipes.building.conversation import Rules, choose

TALKS, STILL = 0.7, 0.01


def track(first: int, length: int) -> Track:
    return Track(first, np.zeros((length, 4), np.float32), np.ones(length, bool))


def score(*spans: tuple[int, float]) -> np.ndarray:
    return np.concatenate([np.full(length, value, np.float32) for length, value in spans])


def test_of_two_in_a_picture_the_one_who_speaks_is_kept() -> None:
    tracks = [track(0, 200), track(0, 200)]
    scores = [score((100, TALKS), (100, STILL)), score((100, STILL), (100, TALKS))]
    owner = choose(tracks, scores, 200, np.ones(200, bool), 0.3)
    assert set(owner[:95]) == {0} and set(owner[105:]) == {1}


def test_who_listens_is_not_kept_and_who_is_silent_with_all_others_is() -> None:
    spoken = np.ones(200, bool)
    spoken[150:] = False
    tracks = [track(0, 80), track(80, 60), track(150, 50)]  # speaks; is shown while another speaks; before the talk
    owner = choose(tracks, [score((80, TALKS)), score((60, STILL)), score((50, STILL))], 200, spoken, 0.3)
    assert set(owner[:80]) == {0} and set(owner[80:150]) == {-1} and set(owner[150:]) == {2}


def test_in_a_silence_the_one_who_speaks_otherwise_stays() -> None:
    tracks = [track(0, 100), track(0, 100)]
    quiet = score((40, TALKS), (60, 0.0))
    owner = choose(tracks, [score((40, 0.35), (60, 0.0)), quiet], 100, np.ones(100, bool), 0.3)
    assert set(owner) == {1}


@st.composite
def scenes(draw: st.DrawFn) -> tuple[list[Track], list[np.ndarray], np.ndarray]:
    tracks, scores = [], []
    for _ in range(draw(st.integers(0, 4))):
        first, length = draw(st.integers(0, 59)), draw(st.integers(1, 60))
        tracks.append(track(first, min(length, 60 - first)))
        values = draw(st.lists(st.floats(0, 1, width=32), min_size=60, max_size=60))
        scores.append(np.array(values[: len(tracks[-1].boxes)], np.float32))
    return tracks, scores, np.array(draw(st.lists(st.booleans(), min_size=60, max_size=60)))


@given(scenes(), st.floats(0, 1))
def test_only_who_is_there_is_kept_and_somebody_wherever_one_speaks(
    scene: tuple[list[Track], list[np.ndarray], np.ndarray], least: float
) -> None:
    tracks, scores, spoken = scene
    owner = choose(tracks, scores, 60, spoken, least)
    for frame, number in enumerate(owner.tolist()):
        present = [at for at, one in enumerate(tracks) if one.first <= frame < one.last]
        assert number in present or number == -1
        if any((scores[at] >= min(1.0, least + 1e-6)).all() for at in present):
            assert number >= 0


@pytest.mark.parametrize("bad", [{"size": 15}, {"size": 33}, {"scene": 8}, {"crowd": 1}, {"speaking": 2.0}])
def test_rules_that_cannot_be_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"is a share from 0 to 1|have 16 pixels or more"):
        Rules(**bad)  # type: ignore[arg-type]

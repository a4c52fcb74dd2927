"""Groups of sentences, against every division there is."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weaksync.datamodules.groups import Grouping, group

BOUNDS = Grouping(5.0, 10.0, 2.0, margin=0.0)


@st.composite
def talks(draw: st.DrawFn) -> list[tuple[float, float]]:
    """Up to seven sentences in whole seconds, with silences among them."""
    spans, time = [], 0
    for _ in range(draw(st.integers(1, 7))):
        start = time + draw(st.integers(0, 4))
        time = start + draw(st.integers(1, 6))
        spans.append((float(start), float(time)))
    return spans


def allowed(spans: list[tuple[float, float]], first: int, last: int, bounds: Grouping) -> bool:
    quiet = all(spans[n + 1][0] - spans[n][1] <= bounds.silence for n in range(first, last - 1))
    return quiet and bounds.shortest <= spans[last - 1][1] - spans[first][0] <= bounds.longest


def best(spans: list[tuple[float, float]], bounds: Grouping) -> tuple[int, int]:
    """(sentences left over, groups) of the best of all divisions, by trying each."""
    every = [(a, b) for a in range(len(spans)) for b in range(a + 1, len(spans) + 1) if allowed(spans, a, b, bounds)]
    found = (len(spans), 0)
    for size in range(len(spans) + 1):
        for some in combinations(every, size):
            if all(a[1] <= b[0] for a, b in pairwise(some)):
                found = min(found, (len(spans) - sum(b - a for a, b in some), size))
    return found


@given(talks())
def test_no_division_is_better(spans: list[tuple[float, float]]) -> None:
    found = group(spans, 100.0, BOUNDS)
    assert all(allowed(spans, one.first, one.last, BOUNDS) for one in found.groups)
    assert all(a.last <= b.first for a, b in pairwise(found.groups))
    assert (len(found.lone) + len(found.left), len(found.groups)) == best(spans, BOUNDS)


@given(talks(), st.floats(0, 3), st.integers(5, 40))
def test_every_sentence_is_in_one_place_and_every_clip_is_in_bounds(
    spans: list[tuple[float, float]], margin: float, duration: int
) -> None:
    found = group(spans, duration, Grouping(5.0, 10.0, 2.0, margin))
    held = [number for one in found.groups for number in range(one.first, one.last)]
    assert sorted([*held, *found.lone, *found.left]) == list(range(len(spans)))
    for one in found.groups:
        assert 5 - 1e-9 <= one.end - one.start <= 10 + 1e-9
        assert 0 <= one.start <= spans[one.first][0] and spans[one.last - 1][1] <= one.end <= duration
        assert spans[one.first][0] - one.start <= margin + 1e-9
    for one, other in pairwise(found.groups):
        assert one.end <= other.start + 1e-9


def test_a_silence_parts_two_talks() -> None:
    spans = [(0.0, 8.0), (9.0, 16.0), (20.5, 28.0), (29.0, 37.0)]
    found = group(spans, 40.0)
    assert [(one.first, one.last, one.start, one.end) for one in found.groups] == [
        (0, 2, 0.0, 16.0),
        (2, 4, 20.5, 37.0),
    ]
    assert [(one.first, one.last) for one in group(spans, 40.0, Grouping(silence=5)).groups] == [(0, 2), (2, 4)]


def test_a_talk_a_little_too_short_takes_in_the_silence_around_it() -> None:
    spans = [(1.0, 8.0), (8.5, 14.5)]
    (one,) = group(spans, 17.0).groups
    assert (one.start, one.end) == (0.25, 15.25)
    assert group(spans, 17.0, Grouping(margin=0.5)).lone == [0, 1]
    (one,) = group(spans, 15.1).groups  # less of it after than before
    assert (one.start, one.end) == (pytest.approx(0.1), pytest.approx(15.1))
    assert group(spans, 14.6).lone == [0, 1]


def test_what_fits_nowhere_is_told_apart() -> None:
    spans = [(0.0, 45.0), (60.0, 63.0), (80.0, 100.0), (110.0, 130.0)]
    found = group(spans, 125.0)
    assert [(one.first, one.last) for one in found.groups] == [(2, 3)]
    assert found.lone == [1] and found.left == [0, 3]  # longer than a clip; over before its end


@pytest.mark.parametrize("bad", [{"shortest": 0}, {"shortest": 31}, {"silence": -1}, {"margin": -1}])
def test_bounds_that_cannot_be_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="the shortest must be positive and not above the longest"):
        Grouping(**bad)

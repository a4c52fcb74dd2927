"""Face tubes, against plain loops."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from weaksync.datamodules.tracks import PADDING, Track, crop, link, overlap, smooth, square


@st.composite
def films(draw: st.DrawFn) -> list[np.ndarray]:
    """Up to twelve pictures of up to three faces on a small grid, so that they do overlap."""
    edges = st.integers(0, 6)
    pictures = []
    for _ in range(draw(st.integers(1, 12))):
        boxes = []
        for _ in range(draw(st.integers(0, 3))):
            x, y = draw(edges), draw(edges)
            boxes.append([x, y, x + draw(st.integers(2, 6)), y + draw(st.integers(2, 6))])
        pictures.append(np.array(boxes, np.float32).reshape(-1, 4))
    return pictures


def share(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union by counting cells of the grid."""
    cells = [{(x, y) for x in range(int(c[0]), int(c[2])) for y in range(int(c[1]), int(c[3]))} for c in (a, b)]
    return len(cells[0] & cells[1]) / len(cells[0] | cells[1]) if cells[0] | cells[1] else 0.0


def joined_by_hand(films: list[np.ndarray], gap: int, cuts: set[int]) -> set[tuple[tuple[int, int], ...]]:
    """Tracks as tuples of (picture, face): the best pair over and over, by plain loops."""
    running: list[list[tuple[int, int]]] = []
    done: list[list[tuple[int, int]]] = []
    for number, boxes in enumerate(films):
        for track in list(running):
            if number in cuts or number - track[-1][0] > gap + 1:
                running.remove(track)
                done.append(track)
        free, faces = list(running), list(range(len(boxes)))
        while True:
            pairs = [(share(films[t[-1][0]][t[-1][1]], boxes[f]), -i, -f) for i, t in enumerate(free) for f in faces]
            if not pairs or max(pairs)[0] <= 0.5:
                break
            _, i, f = max(pairs)
            free[-i].append((number, -f))
            free.pop(-i)
            faces.remove(-f)
        running += [[(number, face)] for face in faces]
    return {tuple(track) for track in done + running}


@given(films(), st.integers(0, 3), st.sets(st.integers(1, 11), max_size=2))
def test_tracks_are_those_that_plain_loops_join(films: list[np.ndarray], gap: int, cuts: set[int]) -> None:
    found = link(films, gap=gap, cuts=cuts)
    expected = joined_by_hand(films, gap, cuts)
    spans = sorted((track.first, track.last, int(track.seen.sum())) for track in found)
    assert spans == sorted((track[0][0], track[-1][0] + 1, len(track)) for track in expected)
    assert sum(track.seen.sum() for track in found) == sum(map(len, films))  # every face is in one track


@given(films(), st.integers(0, 3))
def test_gaps_are_filled_along_straight_lines(films: list[np.ndarray], gap: int) -> None:
    for track in link(films, gap=gap):
        seen = np.flatnonzero(track.seen)
        assert seen[0] == 0 and seen[-1] == len(track.boxes) - 1 and (np.diff(seen) <= gap + 1).all()
        for place, box in enumerate(track.boxes):
            number = track.first + place
            if track.seen[place]:
                assert any(np.array_equal(box, face) for face in films[number])
            else:
                a, b = seen[seen < place].max(), seen[seen > place].min()
                part = (place - a) / (b - a)
                np.testing.assert_allclose(box, (1 - part) * track.boxes[a] + part * track.boxes[b], atol=1e-4)


@given(films())
def test_overlap_counts_cells(films: list[np.ndarray]) -> None:
    for a, b in pairwise(films):
        wanted = [[share(one, other) for other in b] for one in a]
        np.testing.assert_allclose(overlap(a, b), np.array(wanted).reshape(len(a), len(b)), atol=1e-9)


def test_two_people_stay_two_and_short_tracks_go() -> None:
    ann = np.array([[10 + n, 10, 50 + n, 50] for n in range(40)], np.float32)
    bob = np.array([[100 - n / 2, 10, 140 - n / 2, 50] for n in range(40)], np.float32)
    films = [np.stack([ann[n], bob[n]][:: 1 if n % 2 else -1]) for n in range(40)]
    films[10] = films[10][:0]
    films[20] = np.concatenate([films[20], [[200, 200, 220, 220]]]).astype(np.float32)
    tracks = link(films, shortest=2)
    assert [(track.first, track.last, int((~track.seen).sum())) for track in tracks] == [(0, 40, 1)] * 2
    for boxes in (ann, bob):
        assert any(np.allclose(track.boxes, boxes, atol=1e-4) for track in tracks)


@given(arrays(np.float32, st.tuples(st.integers(1, 30), st.just(4)), elements=st.floats(0, 400, width=32)))
def test_smoothing_takes_the_median_of_what_is_around(boxes: np.ndarray) -> None:
    boxes[:, 2:] += boxes[:, :2]
    n = len(boxes)
    values = np.array([((a + c) / 2, (b + d) / 2, max(c - a, d - b) / 2) for a, b, c, d in boxes])
    wanted = [
        [sorted(values[min(max(i + k, 0), n - 1), v] for k in range(-6, 7))[6] for v in range(3)] for i in range(n)
    ]
    np.testing.assert_allclose(smooth(boxes), wanted, rtol=1e-5, atol=1e-3)


def test_a_jump_of_a_few_pictures_is_no_jump() -> None:
    boxes = np.tile(np.float32([10, 10, 50, 60]), (40, 1))
    boxes[20:26] += 30
    np.testing.assert_array_equal(smooth(boxes), np.tile(np.float32([30, 35, 25]), (40, 1)))
    with pytest.raises(ValueError, match="odd number"):
        smooth(boxes, 12)


def test_the_square_is_syncnets() -> None:
    """Rows y - s to y + 1.8 s, columns x - 1.4 s to x + 1.4 s."""
    assert square(100, 80, 50) == (30, 30, 140)
    assert square(0.2, 0.4, 0.1) == (0, 0, 1)


@given(st.integers(-30, 60), st.integers(-30, 60), st.integers(1, 50))
def test_a_crop_is_that_of_a_padded_picture(left: int, upper: int, side: int) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (23, 31, 3), dtype=np.uint8)
    padded = np.pad(picture, ((100, 100), (100, 100), (0, 0)), constant_values=PADDING)
    wanted = padded[100 + upper : 100 + upper + side, 100 + left : 100 + left + side]
    np.testing.assert_array_equal(crop(picture, left, upper, side), wanted)


def test_a_track_knows_its_end() -> None:
    assert Track(5, np.zeros((3, 4), np.float32), np.ones(3, bool)).last == 8

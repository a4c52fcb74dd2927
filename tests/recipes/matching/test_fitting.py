import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weaksync.datamodules.batches import Word
from weaksync.recipes.matching.fitting import FASTEST, SLOWEST, fit, monotone, stretches


def test_a_path_of_half_the_pace_makes_everything_twice_as_slow():
    times = np.arange(0, 20, 0.16)
    made = fit([(0.0, 4.0), (4.5, 9.0)], times * 0.75, times, 20.0)
    np.testing.assert_allclose(made.spans, [(0, 4 / 0.75), (6, 12)], atol=1e-6)
    assert made.rates == pytest.approx([0.75, 0.75])


def test_a_pause_of_the_clip_lies_between_sentences():
    times = np.arange(0, 12, 0.16)
    path = np.interp(times, [0, 4, 8, 12], [0, 4, 4, 8])  # nothing is said from 4 to 8
    made = fit([(0.0, 4.0), (4.0, 8.0)], path, times, 12.0)
    np.testing.assert_allclose(made.spans, [(0, 4), (8, 11.84)], atol=0.17)


def test_a_sentence_that_the_path_skips_still_gets_room():
    times = np.arange(0, 12, 0.16)
    path = np.where(times < 6, times, times + 3)  # 6 to 9 of the speech is never seen
    made = fit([(0.0, 6.0), (6.2, 8.8), (9.0, 14.0)], path, times, 12.0)
    start, end = made.spans[1]
    assert end - start == pytest.approx(2.6 / FASTEST, abs=1e-6)
    assert made.spans[0][1] <= start and end <= made.spans[2][0]


def test_a_sentence_is_drawn_in_to_where_somebody_speaks():
    times = np.arange(0, 10, 0.16)
    path = times * 0.7
    made = fit([(0.0, 6.8)], path, times, 10.0, speaking=[(1.0, 3.0), (4.0, 8.5)])
    np.testing.assert_allclose(made.spans, [(1.0, 8.5)], atol=1e-6)


def test_a_sentence_keeps_its_time_where_hardly_anybody_seems_to_speak():
    times = np.arange(0, 10, 0.16)
    path = np.interp(times, [0, 2, 8, 10], [0, 0, 4, 4])  # 4 s of speech in 6 s of the clip
    for stretch, expected in (((4.0, 4.4), (2.2, 6.2)), ((2.1, 2.4), (2.08, 6.08)), ((7.5, 7.9), (4.0, 8.0))):
        made = fit([(0.0, 4.0)], path, times, 10.0, speaking=[stretch])
        np.testing.assert_allclose(made.spans, [expected], atol=0.2)  # steps are 0.16 s apart
        assert made.rates == pytest.approx([1.0], abs=1e-6)


def test_words_keep_their_place_in_the_sentence():
    times = np.arange(0, 20, 0.16)
    made = fit([(0.0, 4.0), (5.0, 9.0)], times * 0.8, times, 20.0)
    first, second = made.words([(0.0, 4.0), (5.0, 9.0)], [Word("tea", 1.0, 2.0), Word("grows", 6.0, 6.4)])
    assert (first[0].start, first[0].end) == pytest.approx((1.25, 2.5))
    assert (second[0].start, second[0].end) == pytest.approx((7.5, 8.0))


def test_more_than_fits_is_said_faster_alike():
    times = np.arange(0, 6, 0.16)
    made = fit([(0.0, 10.0), (10.0, 20.0)], np.full(len(times), 3.0), times, 6.0)
    assert made.rates == pytest.approx([20 / 6, 20 / 6]) and made.spans[-1][1] <= 6 + 1e-9


def test_nothing_to_fit_is_an_error():
    with pytest.raises(ValueError, match="nothing to fit"):
        fit([], np.zeros(3), np.zeros(3), 1.0)


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=12))
def test_monotone_is_the_nearest_that_never_falls(values):
    values = np.array(values)
    found = monotone(values)
    assert (np.diff(found) >= -1e-9).all()
    # optimal: no two levels of it, moved apart or together, come nearer; here against many random ones
    random = np.random.default_rng(0)
    best = ((values - found) ** 2).sum()
    for _ in range(200):
        other = np.sort(found + random.normal(0, 1, len(values)) * random.choice([0.01, 1, 10]))
        assert ((values - other) ** 2).sum() >= best - 1e-6


@given(
    lengths=st.lists(st.floats(0.3, 6.0), min_size=1, max_size=6),
    steps=st.lists(st.floats(0, 30), min_size=2, max_size=40),
    duration=st.floats(3, 30),
)
def test_spans_are_in_order_apart_within_the_clip_and_of_rates_that_can_be_said(lengths, steps, duration):
    ends = np.cumsum(np.array(lengths) + 0.2)
    spoken = [(end - 0.2 - length, end - 0.2) for end, length in zip(ends, lengths, strict=True)]
    times = np.linspace(0.1, duration - 0.1, len(steps))
    made = fit(spoken, np.array(steps), times, duration)
    edges = np.array(made.spans).ravel()
    assert (np.diff(edges) >= -1e-9).all() and edges[0] >= -1e-9 and edges[-1] <= duration + 1e-9
    fastest = max(FASTEST, sum(lengths) / duration)
    assert all(SLOWEST - 1e-6 <= rate <= fastest * (1 + 1e-6) for rate in made.rates)


def test_stretches_close_short_pauses():
    probability = np.array([0, 1, 1, 0, 1, 0, 0, 0, 0, 1.0])
    assert stretches(probability, 10.0, gap=0.2) == [(0.1, 0.5), (0.9, 1.0)]
    assert stretches(np.zeros(5), 10.0) == []

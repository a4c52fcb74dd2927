"""Scores against a sweep over small cells of time, where every interval is a set of cells."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from weaksync.zoo.metrics import AlignmentScores, VideoScorer, alignment_scores, bootstrap, resample_groups

CELLS = 40  # of one second


@st.composite
def stories(draw):
    cuts = sorted(draw(st.sets(st.integers(0, CELLS), min_size=2, max_size=8)))
    clips = [(a, b) for a, b in pairwise(cuts) if draw(st.booleans())] or [(cuts[0], cuts[1])]
    segments = []
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, CELLS - 1))
        span = (start, draw(st.integers(start + 1, CELLS)))
        segments.append(None if draw(st.booleans()) else span)
    labels = draw(st.lists(st.integers(-1, len(segments) - 1), min_size=len(clips), max_size=len(clips)))
    order = draw(st.permutations(range(len(clips))))
    return [clips[k] for k in order], labels, segments


def swept(clips, labels, segments, credit_unmatched, denominator):
    """The definitions, cell by cell."""
    cells = [set(range(a, b)) for a, b in clips]
    truth = [set() if span is None else set(range(*span)) for span in segments]
    covered = set().union(*truth)
    right = 0
    for own, label in zip(cells, labels, strict=True):
        if label >= 0:
            right += len(own & truth[label])
        elif credit_unmatched:
            right += len(own - covered)
    total = sum(len(own if denominator == "all" else own & covered) for own in cells)
    ious = []
    for k, span in enumerate(segments):
        if span is not None:
            given_to = set().union(*[own for own, label in zip(cells, labels, strict=True) if label == k])
            ious.append(len(given_to & truth[k]) / len(given_to | truth[k]))
    accuracy = right / total if total else math.nan
    iou = sum(ious) / len(ious) if ious else math.nan
    if math.isnan(accuracy) or math.isnan(iou):
        return accuracy, iou, math.nan
    return accuracy, iou, 2 * accuracy * iou / (accuracy + iou) if accuracy + iou else 0.0


def spans(segments):
    return np.array([(math.nan, math.nan) if span is None else span for span in segments], dtype=np.float64)


@pytest.mark.parametrize(("credit", "denominator"), [(False, "all"), (True, "all"), (False, "matched")])
@given(story=stories())
@settings(max_examples=200)
def test_scores_agree_with_a_sweep(credit, denominator, story):
    clips, labels, segments = story
    scores = alignment_scores(clips, labels, spans(segments), credit_unmatched=credit, denominator=denominator)
    expected = swept(clips, labels, segments, credit, denominator)
    assert (scores.clip_accuracy, scores.sentence_iou, scores.f1) == pytest.approx(expected, abs=1e-12, nan_ok=True)


@given(story=stories())
@settings(max_examples=50)
def test_many_labellings_at_once_are_the_single_ones(story):
    clips, labels, segments = story
    scorer = VideoScorer(clips, spans(segments))
    many = np.array([labels, [-1] * len(labels), labels[::-1]])
    np.testing.assert_array_equal(scorer(many), np.stack([scorer(each) for each in many]))


def test_a_worked_example():
    clips = torch.tensor([[0.0, 2.0], [2.0, 4.0], [4.0, 8.0], [8.0, 10.0]])
    segments = torch.tensor([[0.0, 3.0], [math.nan, math.nan], [5.0, 8.0]])
    labels = torch.tensor([0, 1, 2, -1])
    plain = alignment_scores(clips, labels, segments)
    assert plain.clip_accuracy == pytest.approx((2 + 0 + 3 + 0) / 10)
    assert plain.sentence_iou == pytest.approx((2 / 3 + 3 / 4) / 2)
    assert alignment_scores(clips, labels, segments, credit_unmatched=True).clip_accuracy == pytest.approx(0.7)
    assert alignment_scores(clips, labels, segments, denominator="matched").clip_accuracy == pytest.approx(5 / 6)


def test_nothing_right_is_zero_and_nothing_to_score_is_nan():
    clip, segment = [(0.0, 1.0)], [(2.0, 3.0)]
    assert alignment_scores(clip, [0], segment) == AlignmentScores(0.0, 0.0, 0.0)
    nothing = [(math.nan, math.nan)]
    for scores in (
        alignment_scores([], np.zeros(0, dtype=int), segment),
        alignment_scores(clip, [0], nothing),
        alignment_scores([(1.0, 1.0)], [0], segment),
    ):
        assert math.isnan(scores.f1)
    assert alignment_scores(clip, [-1], nothing, credit_unmatched=True).clip_accuracy == 1.0


@pytest.mark.parametrize(
    ("clips", "labels", "segments", "options", "words"),
    [
        ([(0, 2), (1, 3)], [0, 0], [(0, 1)], {}, "clips overlap near 2.000 s"),
        ([(2, 0)], [0], [(0, 1)], {}, "clips row 0 ends before it begins"),
        ([(0, 2)], [0], [(3, 1)], {}, "segments row 0"),
        ([(0, 2)], [1], [(0, 1)], {}, r"labels must lie in -1..0"),
        ([(0, 2)], [0, 0], [(0, 1)], {}, "labels must be integers"),
        ([(0, 2)], [0.0], [(0, 1)], {}, "labels must be integers"),
        ([(0, math.nan)], [0], [(0, 1)], {}, "clips hold NaN at row 0"),
        ([0, 2], [0], [(0, 1)], {}, "clips must have shape"),
        ([(0, 2)], [0], [(0, 1)], {"denominator": "some"}, "denominator must be"),
        ([(0, 2)], [0], [(0, 1)], {"denominator": "matched", "credit_unmatched": True}, "needs denominator='all'"),
    ],
)
def test_bad_input_is_named(clips, labels, segments, options, words):
    with pytest.raises(ValueError, match=words):
        alignment_scores(clips, labels, segments, **options)


def test_the_bootstrap_knows_neither_order_nor_unscored_videos():
    random = np.random.default_rng(5)
    table = {f"v{k}": random.random(2) for k in range(40)}
    intervals = bootstrap(table)
    backwards = dict(reversed(table.items())) | {"empty": [math.nan, 0.5]}
    assert bootstrap(backwards) == intervals
    mean = np.mean(list(table.values()), axis=0)
    assert [each.value for each in intervals] == pytest.approx(mean.tolist())
    assert all(each.low < each.value < each.high for each in intervals)
    # the normal theory of a mean gives nearly the same width
    width = 2 * 1.96 * np.std(list(table.values()), axis=0) / math.sqrt(40)
    assert [each.high - each.low for each in intervals] == pytest.approx(width.tolist(), rel=0.1)
    assert bootstrap(table, seed=1)[0].low != intervals[0].low
    assert math.isnan(bootstrap({"v": [math.nan]})[0].value)


def test_a_film_in_several_languages_is_one_film():
    """Told three times with the same figures, it says no more than once; the mean stays."""
    chance = np.random.default_rng(0)
    once = {f"f{number}": (float(chance.random()),) for number in range(12)}
    thrice = {f"{code}_{name}": row for code in ("en", "es", "zh") for name, row in once.items()}
    (alone,) = bootstrap(once)
    (told,) = bootstrap(thrice, film=lambda name: name[3:])
    assert (told.value, told.low, told.high) == pytest.approx((alone.value, alone.low, alone.high))
    (naive,) = bootstrap(thrice)
    assert naive.high - naive.low < 0.7 * (alone.high - alone.low)


def test_films_are_drawn_in_all_their_languages_and_every_language_keeps_its_number():
    """Against a bootstrap over films written out, whose languages share some of them."""
    chance = np.random.default_rng(2)
    told = {"en": [f"f{k}" for k in range(9)], "es": [f"f{k}" for k in range(4, 13)], "ru": ["f20", "f21", "f22"]}
    tables = {
        code: {f"{code}_{name}": [float(int(name[1:]) % 5), float(chance.random())] for name in films}
        for code, films in told.items()
    }
    drawn = resample_groups(tables, resamples=4000, film=lambda name: name[3:])
    for code, (values, spread) in drawn.items():
        rows = np.array(list(tables[code].values()))
        assert values == pytest.approx(rows.mean(axis=0)) and spread.shape == (4000, 2)
    # the figures of a film are those of its languages: what they share moves together, and nothing else does
    en, es, ru = (drawn[code][1][:, 0] for code in told)
    shared = np.array([int(name[1:]) % 5 for name in told["en"] if name in told["es"]], dtype=float)
    covariance = shared.var() * len(shared) / 81
    assert np.cov(en, es)[0, 1] == pytest.approx(covariance, rel=0.15)
    assert abs(np.corrcoef(en, ru)[0, 1]) < 0.06
    apart = resample_groups(tables, resamples=4000)
    assert abs(np.corrcoef(apart["en"][1][:, 0], apart["es"][1][:, 0])[0, 1]) < 0.06
    assert np.isnan(resample_groups({"en": {"v": [math.nan]}}, resamples=3)["en"][1]).all()

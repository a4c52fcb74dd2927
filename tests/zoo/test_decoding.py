"""Decoding is drop_dtw video by video; tuning and evaluation on made-up stories whose truth is known."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from weaksync.kernels import drop_dtw, percentile_drop
from weaksync.zoo import decoding, tuning
from weaksync.zoo.baselines import all_drop, oracle, transcript, uniform
from weaksync.zoo.decoding import Decoder, VideoSimilarity, chance_of_order
from weaksync.zoo.evaluation import evaluate
from weaksync.zoo.metrics import VideoScorer
from weaksync.zoo.tuning import cross_validate, tune


def story(name, seed, *, signal=0.4, annotated=True, n=40, m=15):
    """A story in which every third sentence is commentary; narration runs 3 s late."""
    generator = torch.Generator().manual_seed(seed)
    cuts = torch.cat([torch.zeros(1), (torch.rand(n, generator=generator) * 3 + 0.8).cumsum(0)]).double()
    clips = torch.stack([cuts[:-1], cuts[1:]], dim=1)
    shown = torch.randint(0, m, (n,), generator=generator).sort().values
    segments = torch.full((m, 2), math.nan, dtype=torch.float64)
    for k in range(m):
        own = clips[shown == k]
        if k % 3 and len(own):
            segments[k] = torch.stack([own[0, 0], own[-1, 1]])
    similarity = torch.randn(n, m, generator=generator) * 0.12
    similarity[torch.arange(n), shown] += signal * (shown % 3 > 0)
    narrations = segments + 3.0
    return VideoSimilarity(name, "en", similarity, clips, segments, narrations, annotated)


STORIES = [story(f"v{seed}", seed, n=24 + 3 * seed, m=10 + seed) for seed in range(6)]

ALL = [video.similarity for video in STORIES]


@pytest.mark.parametrize(
    "decoder",
    [
        Decoder(0.9, 0.3, "constant"),
        Decoder(0.2, 0.1, "percentile", contiguous=False),
        Decoder(0.2, 0.1, "percentile"),
    ],
)
def test_many_videos_decode_as_each_alone(decoder, monkeypatch):
    monkeypatch.setattr(decoding, "_CELLS_PER_CALL", 2500)  # two or three videos a call
    similarities = [video.similarity for video in STORIES] + [torch.zeros(4, 0), torch.zeros(0, 3)]
    for similarity, labels in zip(similarities, decoder.decode(similarities), strict=True):
        cost = 1 - similarity
        drops = [decoder.drop_clip, decoder.drop_sentence]
        if decoder.policy == "percentile":
            drops = percentile_drop(cost, torch.tensor(drops)).tolist()
        alone = drop_dtw(cost[None], *(float(torch.tensor(drop)) for drop in drops), contiguous=decoder.contiguous)
        assert labels.tolist() == alone[1][0].tolist()


def test_a_decoder_goes_through_json():
    decoder = Decoder(0.25, 1.5, "constant", contiguous=False)
    assert Decoder.from_dict(json.loads(json.dumps(decoder.to_dict()))) == decoder
    with pytest.raises(ValueError, match="not a Decoder: unknown bias; missing drop_sentence; its fields: drop_clip"):
        Decoder.from_dict({"drop_clip": 0.1, "bias": 2})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0.1, 0.1, "median"), "policy must be one of"),
        ((1.1, 0.1), r"drop_clip must lie in \[0, 1\]"),
        ((0.1, -0.1, "constant"), "drop_sentence must lie"),
        ((math.nan, 0.1, "constant"), "drop_clip must lie"),
        ((math.inf, 0.1, "constant"), "drop_clip must lie"),
    ],
)
def test_bad_decoders_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        Decoder(*arguments)


def test_bad_similarities_are_named():
    with pytest.raises(ValueError, match="similarity 1 must be"):
        Decoder(0.1, 0.1).decode([torch.zeros(2, 2), torch.full((2, 2), math.nan)])
    with pytest.raises(ValueError, match="similarity 0 must be"):
        Decoder(0.1, 0.1).decode([torch.zeros(1, 2, 2)])


def mean_f1(decoder, videos, *, credit=False):
    labels = decoder.decode([video.similarity for video in videos], [video.gaps for video in videos])
    scorers = [VideoScorer(video.clips, video.segments, credit_unmatched=credit) for video in videos]
    return sum(scorer(each.numpy())[2] for scorer, each in zip(scorers, labels, strict=True)) / len(videos)


@pytest.mark.parametrize("policies", [("percentile",), ("constant",), ("logit",), ("percentile", "constant")])
def test_tuning_finds_the_best_of_its_grid(policies):
    stories = STORIES[:3]
    best = tune(stories, policies=policies)
    grid = tuning._grid(stories, policies, True)
    plain = [mean_f1(each, stories) for each in grid]
    near = [each for each, f1 in zip(grid, plain, strict=True) if f1 >= max(plain) - 0.005]
    assert replace(best, untimed=None) in near
    assert mean_f1(best, stories, credit=True) == max(mean_f1(each, stories, credit=True) for each in near)


def test_tuning_ignores_videos_without_truth():
    others = [story("x", 99, annotated=False), story("y", 98, n=0)]
    assert tune([*STORIES, *others]) == tune(STORIES)
    with pytest.raises(ValueError, match="no annotated video"):
        tune(others[:1])
    with pytest.raises(ValueError, match="has clips and a matched sentence"):
        tune(others[1:])


def test_cross_validation_tunes_each_fold_without_it():
    result = cross_validate(STORIES[::-1], folds=3)
    again = cross_validate(STORIES, folds=3)
    assert result.decoder == again.decoder == tune(sorted(STORIES, key=lambda v: v.id))
    assert set(result.scores) == {video.id for video in STORIES} and len(result.folds) == 3
    for video in STORIES:
        assert torch.equal(result.labels[video.id], again.labels[video.id])
        scores = VideoScorer(video.clips, video.segments)(result.labels[video.id].numpy())
        assert result.scores[video.id] == pytest.approx(tuple(scores))
    with pytest.raises(ValueError, match="two annotated videos"):
        cross_validate(STORIES[:1])


def test_gaps_are_seconds_between_clip_and_narration():
    clips, narrations = torch.tensor([[0.0, 2.0], [5.0, 8.0]]), torch.tensor([[1.0, 3.0], [math.nan] * 2, [8.5, 9.0]])
    assert decoding.narration_gaps(clips, narrations).tolist() == [[0.0, 0.0, 6.5], [2.0, 0.0, 0.5]]


def test_times_count_as_much_as_the_decoder_says():
    video = STORIES[2]
    decoder = Decoder(0.8, 0.3, "constant", timing=0.03)
    plain = Decoder(0.8, 0.3, "constant")
    assert torch.equal(decoder.decode([video.similarity])[0], plain.decode([video.similarity])[0])
    timed = decoder.decode([video.similarity], [video.gaps])[0]
    assert torch.equal(timed, plain.decode([video.similarity - 0.03 * video.gaps])[0])
    other = replace(decoder, untimed=(0.9, 0.2))
    assert Decoder.from_dict(json.loads(json.dumps(other.to_dict()))) == other
    alone = Decoder(0.9, 0.2, "constant").decode([video.similarity])[0]
    assert torch.equal(other.decode([video.similarity])[0], alone)
    assert torch.equal(other.decode([video.similarity], [video.gaps])[0], timed)
    with pytest.raises(ValueError, match="timing must be finite"):
        Decoder(0.1, 0.1, timing=-1.0)
    with pytest.raises(ValueError, match="gaps"):
        decoder.decode([video.similarity], [video.gaps[:3]])
    # what was saved before there were times decodes as it did
    assert (
        Decoder.from_dict({"drop_clip": 0.1, "drop_sentence": 0.2, "policy": "constant", "contiguous": True}).timing
        == 0
    )


def test_tuning_uses_times_where_they_help_and_only_there():
    noisy = [story(f"v{seed}", seed, signal=0.15) for seed in range(6)]
    assert tune(noisy).timing > 0 and mean_f1(tune(noisy), noisy) > mean_f1(tune(noisy, timings=(0.0,)), noisy) + 0.02
    silent = [VideoSimilarity(**{**vars(v), "narrations": torch.full_like(v.narrations, math.nan)}) for v in noisy]
    assert tune(silent).timing == 0
    alone = tune(noisy, timings=(0.0,))
    assert alone.timing == 0 and tune(noisy).without_times() == alone


def test_cross_validation_decodes_a_video_without_times_as_evaluation_does():
    videos = [story(f"v{seed}", seed, signal=0.25) for seed in range(10, 18)]
    for video in videos[4:]:
        video.narrations[:] = math.nan
    assert [video.gaps is None for video in videos] == [False] * 4 + [True] * 4
    result = cross_validate(videos, folds=2)
    fold = np.random.default_rng(0).permutation(8) % 2
    assert any(each.untimed not in (None, (each.drop_clip, each.drop_sentence)) for each in result.folds)
    for video, k in zip(videos, fold, strict=True):
        scored = evaluate([video], result.folds[k], resamples=1)["model"].per_video[video.id]
        assert result.scores[video.id] == (scored.clip_accuracy, scored.sentence_iou, scored.f1)


def cheapest(cost, drop_clip, drop_sentence, contiguous=True):
    """The least cost of every monotone labelling, written out; +inf forbids a cell."""
    n, m = cost.shape
    best = math.inf
    for labels in itertools.product(range(-1, m), repeat=n):
        kept = [label for label in labels if label >= 0]
        places = {label: [i for i, each in enumerate(labels) if each == label] for label in kept}
        torn = any(own[-1] - own[0] >= len(own) for own in places.values())
        if kept != sorted(kept) or (contiguous and torn):
            continue
        paid = sum(float(cost[i, label]) if label >= 0 else drop_clip for i, label in enumerate(labels))
        best = min(best, paid + drop_sentence * (m - len(places)))
    return best


@given(st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from([None, 0, 1, 2]), st.sampled_from([None, 0.0, 1.5]))
@settings(max_examples=40)
def test_limits_of_time_and_place_leave_the_cheapest_that_obeys(seed, contiguous, band, within):
    video = story("small", seed, n=5, m=3)
    video.narrations[0] = math.nan  # nobody knows when: it may go anywhere
    decoder = Decoder(0.7, 0.4, "constant", contiguous, within=within, band=band)
    gaps = decoding.narration_gaps(video.clips, video.narrations)
    labels = decoder.decode([video.similarity], [gaps])[0]
    allowed = torch.ones(5, 3, dtype=torch.bool)
    if within is not None:
        allowed &= gaps <= within
    if band is not None:
        places = torch.arange(5)[:, None] * 2 / 4 - torch.arange(3)
        allowed &= places.abs() <= band
    matched = labels >= 0
    assert allowed[matched, labels[matched]].all()
    cost = torch.where(allowed, 1 - video.similarity, math.inf)
    own = cost[matched, labels[matched]].sum() + 0.7 * (~matched).sum() + 0.4 * (3 - len(labels[matched].unique()))
    assert float(own) == pytest.approx(cheapest(cost, 0.7, 0.4, contiguous), abs=1e-5)


def test_limits_need_what_they_limit():
    video = STORIES[1]
    with pytest.raises(ValueError, match=r"within 1 s of the narration: its times are needed"):
        Decoder(0.1, 0.1, within=1.0).decode([video.similarity])
    with pytest.raises(ValueError, match="within must be seconds"):
        Decoder(0.1, 0.1, within=-1.0)
    with pytest.raises(ValueError, match="band must be a number of sentences"):
        Decoder(0.1, 0.1, band=-1)
    silent = [VideoSimilarity(**{**vars(video), "narrations": torch.full_like(video.narrations, math.nan)})]
    with pytest.raises(ValueError, match="no annotated video has its times"):
        tune(silent, within=1.0)
    assert Decoder(0.1, 0.1, timing=0.2, within=1.0, band=3).without_times() == Decoder(0.1, 0.1, band=3)


@pytest.mark.parametrize("policy", ["percentile", "constant", "logit"])
def test_tuning_under_a_limit_of_time_finds_the_best_there(policy):
    stories = STORIES[:2]
    best = tune(stories, policies=(policy,), timings=(0.0,), within=4.0, contiguous=False)
    assert (best.within, best.contiguous, best.timing) == (4.0, False, 0.0)
    grid = tuning._grid(stories, (policy,), False, (0.0,), 4.0)
    assert mean_f1(best, stories) >= max(mean_f1(each, stories) for each in grid) - 0.005


def test_a_wide_band_changes_nothing():
    plain, wide = Decoder(0.9, 0.3, "constant"), Decoder(0.9, 0.3, "constant", band=100)
    for one, other in zip(plain.decode(ALL), wide.decode(ALL), strict=True):
        assert torch.equal(one, other)


def test_baselines():
    video = STORIES[0]
    m = len(video.segments)
    assert set(all_drop(video.clips)) == {-1}
    spread = uniform(video.clips, m)
    assert spread[0] == 0 and spread[-1] == m - 1 and (spread[1:] >= spread[:-1]).all()
    assert max((spread == k).sum() for k in range(m)) - min((spread == k).sum() for k in range(m)) <= 1
    assert set(uniform(video.clips, 0)) == {-1}
    shares = VideoScorer(video.clips, video.segments).shared[:, :-1]
    for i, label in enumerate(oracle(video.clips, video.segments)):
        assert label == (shares[i].argmax() if shares[i].max() > 0 else -1)
    assert (transcript(video.clips, video.segments) == oracle(video.clips, video.segments)).all()
    clips, segments = [(0.0, 10.0)], [(0.0, 4.0)]
    assert oracle(clips, segments).tolist() == [0]
    assert oracle(clips, segments, drop_unmatched=True).tolist() == [-1]
    assert oracle(clips, [(0.0, 6.0)], drop_unmatched=True).tolist() == [0]


def test_evaluation_prints_the_model_beside_everything():
    decoder = tune(STORIES)
    result = evaluate([*STORIES[::-1], story("empty", 7, n=0), story("plain", 8, annotated=False)], decoder)
    assert [row.name for row in result.rows] == [
        "model",
        "similarity alone",
        "all-drop",
        "uniform",
        "transcript",
        "oracle",
    ]
    assert result.videos == len(STORIES) and result.skipped == ["empty"]
    assert result["model"].f1.value == pytest.approx(mean_f1(decoder, STORIES), abs=1e-12)
    assert result["all-drop"].f1.value == 0.0
    assert result["oracle"].f1.value > result["model"].f1.value > result["transcript"].f1.value
    base = max(result[name].f1.value for name in ("all-drop", "uniform", "transcript"))
    share = (result["model"].f1.value - base) / (result["oracle"].f1.value - base)
    assert result.gap_closed.value == pytest.approx(share)
    assert result.gap_closed.low < share < result.gap_closed.high
    credit = {row.name: row for row in result.variants["credit"]}
    assert credit["all-drop"].clip_accuracy.value > 0.2 and credit["all-drop"].sentence_iou.value == 0.0
    assert credit["oracle"].clip_accuracy.value >= result["oracle"].clip_accuracy.value
    matched = {row.name: row for row in result.variants["matched"]}
    assert matched["model"].clip_accuracy.value > result["model"].clip_accuracy.value
    plain = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert plain["rows"][0]["per_video"]["empty"]["f1"] is None


def test_languages_count_the_same_in_their_mean():
    videos = [replace(video, language="es" if place < 2 else "en") for place, video in enumerate(STORIES)]
    videos.append(replace(story("empty", 7, n=0), language="ru"))  # nothing to score: no row of its own
    result = evaluate(videos, Decoder(0.3, 0.1), others={"apart": Decoder(0.3, 0.1, contiguous=False)}, resamples=50)
    assert [row.name for row in result.rows][:2] == ["model", "apart"]
    for row in result.rows:
        en, es, mean = (row.by_language[name] for name in ("en", "es", "mean over languages"))
        assert (en.videos, es.videos, mean.videos) == (4, 2, 6) and len(row.by_language) == 3
        assert es.f1.value == pytest.approx(sum(row.per_video[name].f1 for name in ("v0", "v1")) / 2)
        assert mean.f1.value == pytest.approx((en.f1.value + es.f1.value) / 2)
        assert mean.f1.low <= mean.f1.value <= mean.f1.high
    assert result.retrieval == evaluate(videos, Decoder(0.3, 0.1), seek=True, resamples=5).retrieval == []
    assert not evaluate(STORIES, Decoder(0.3, 0.1), resamples=5).rows[0].by_language


def test_evaluation_seeks_where_there_are_vectors():
    videos = [
        replace(
            video, clip_vectors=torch.eye(80)[: len(video.clips)], sentence_vectors=torch.eye(80)[: len(video.segments)]
        )
        for video in STORIES
    ]
    found = evaluate(videos, Decoder(0.3, 0.1), seek=True, resamples=5).retrieval
    assert [row.name for row in found] == ["en"] and found[0].videos == len(STORIES)


def test_the_order_of_videos_changes_nothing():
    decoder = Decoder(0.3, 0.05)
    assert (
        evaluate(STORIES, decoder, resamples=50).to_dict() == evaluate(STORIES[::-1], decoder, resamples=50).to_dict()
    )


def test_a_video_without_times_is_decoded_by_similarity_alone():
    told, silent = STORIES[0], replace(STORIES[1], narrations=torch.full_like(STORIES[1].narrations, math.nan))
    decoder = Decoder(0.8, 0.3, "constant", timing=0.03, untimed=(0.9, 0.2))
    assert told.has_times and not silent.has_times
    found = evaluate([told, silent], decoder, others={"near": replace(decoder, within=2.0)}, resamples=5)
    alone = VideoScorer(silent.clips, silent.segments)(decoder.decode([silent.similarity])[0].numpy())
    for name in ("model", "near", "similarity alone"):
        assert found[name].per_video["v1"].f1 == alone[2]
    with pytest.raises(ValueError, match="within 2 s of the narration: its times are needed"):
        evaluate([silent], decoder, others={"near": replace(decoder, within=2.0)}, resamples=5)


def test_no_transcript_without_narration_times():
    video = STORIES[0]
    silent = VideoSimilarity(**{**vars(video), "narrations": torch.full_like(video.narrations, math.nan)})
    assert [row.name for row in evaluate([silent], Decoder(0.3, 0.1), resamples=20).rows] == [
        "model",
        "all-drop",
        "uniform",
        "oracle",
    ]


def test_what_narration_times_are_worth_is_paired_by_film():
    timed = evaluate(STORIES, Decoder(0.3, 0.1, timing=0.02))
    each = [timed["model"].per_video[v.id].f1 - timed["similarity alone"].per_video[v.id].f1 for v in STORIES]
    worth = timed.worth_of_times
    assert worth is not None and worth.value == pytest.approx(sum(each) / len(each))
    assert min(each) <= worth.low <= worth.value <= worth.high <= max(each)
    assert timed.to_dict()["worth_of_times"] == vars(worth)
    assert evaluate(STORIES, Decoder(0.3, 0.1)).worth_of_times is None


def test_evaluation_refuses_what_it_cannot_score():
    with pytest.raises(ValueError, match="no annotated video"):
        evaluate([story("plain", 8, annotated=False)], Decoder(0.3, 0.1))
    with pytest.raises(ValueError, match="'v0' comes twice"):
        evaluate([STORIES[0], STORIES[0]], Decoder(0.3, 0.1))


def test_the_order_of_sentences_that_are_told_apart_is_not_chance():
    decoder = Decoder(0.8, 0.3, "constant")
    told = [chance_of_order(story(f"t{seed}", seed).similarity, decoder) for seed in range(20)]
    guessed = [chance_of_order(story(f"g{seed}", seed, signal=0.0).similarity, decoder) for seed in range(20)]
    assert max(told) <= 0.05
    assert sum(chance <= 0.05 for chance in guessed) <= 4 and 0.3 < sum(guessed) / 20 < 0.7
    assert chance_of_order(torch.zeros(8, 5), decoder) == 1.0  # nothing told apart: every order does as well
    assert chance_of_order(torch.rand(8, 1), decoder) == 1.0
    assert chance_of_order(story("p", 3).similarity, Decoder(0.3, 0.1)) <= 0.05


def test_an_evaluation_doubts_a_model_that_is_no_better_than_its_baselines():
    decoder = Decoder(0.8, 0.3, "constant")
    good = evaluate([story(f"v{seed}", seed) for seed in range(8)], decoder)
    guess = evaluate([story(f"v{seed}", seed, signal=0.0) for seed in range(8)], decoder)
    assert good.doubt is None and good.to_dict()["doubt"] is None
    assert "hardly tell sentences apart" in guess.doubt and f"−{-100 * guess.gap_closed.low:.0f} % to" in guess.doubt

"""Retrieval against every order of the clips, written out."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from weaksync.zoo import retrieval as module
from weaksync.zoo.decoding import VideoSimilarity
from weaksync.zoo.retrieval import ALL, MEAN, Ranks, relevance, retrieval


def rank(sentences, clips, relevant, block=(256, 8192)):
    """All clips as one gallery, with indices of the relevant ones."""
    best, ties = module._best_relevant(sentences, clips, relevant)
    above, level = module._compare(sentences, clips, best, [(0, len(clips))], block)
    return Ranks(above[:, 0], level[:, 0] - ties, ties)


def unit(generator, rows, width=8):
    vectors = torch.randn(rows, width, generator=generator)
    return torch.nn.functional.normalize(vectors, dim=1)


def video(name, language, generator, clips=6, sentences=4, matched=3):
    segments = [(2.0 * k, 2.0 * k + 3.0) if k < matched else (math.nan, math.nan) for k in range(sentences)]
    return VideoSimilarity(
        id=name,
        language=language,
        similarity=torch.zeros(clips, sentences),
        clips=torch.tensor([(2.0 * k, 2.0 * k + 2) for k in range(clips)], dtype=torch.float64),
        segments=torch.tensor(segments, dtype=torch.float64),
        narrations=torch.full((sentences, 2), math.nan, dtype=torch.float64),
        annotated=True,
        clip_vectors=unit(generator, clips),
        sentence_vectors=unit(generator, sentences),
    )


def some_videos(seed=0, languages=("en", "es"), each=3):
    generator = torch.Generator().manual_seed(seed)
    return [video(f"{lang}_{k}", lang, generator, clips=4 + k) for lang in languages for k in range(each)]


def in_every_order(scores, relevant):
    """Mean rank, and the chance to be among the first 1, 5, 10, over every order that agrees with the scores."""
    ranks = []
    for order in itertools.permutations(range(len(scores))):
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order)):
            ranks.append(1 + min(order.index(clip) for clip in relevant))
    return np.mean(ranks), [np.mean([r <= most for r in ranks]) for most in (1, 2, 5)]


@given(st.data())
@settings(max_examples=60)
def test_ranks_are_means_over_every_order_of_the_ties(data):
    count = data.draw(st.integers(1, 6))
    scores = data.draw(st.lists(st.sampled_from([-1.0, 0.0, 0.5]), min_size=count, max_size=count))
    relevant = sorted(data.draw(st.sets(st.integers(0, count - 1), min_size=1)))
    clips = torch.tensor([[s, math.sqrt(1 - s * s)] for s in scores])
    ranks = rank(torch.tensor([[1.0, 0.0]]), clips, [relevant])
    mean, recalls = in_every_order(scores, relevant)
    assert ranks.expected()[0] == pytest.approx(mean)
    assert [ranks.recall(most)[0] for most in (1, 2, 5)] == pytest.approx(recalls)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 60), st.integers(1, 9), st.integers(1, 17))
@settings(max_examples=40)
def test_no_block_changes_a_rank(seed, sentences, clips, rows, columns):
    generator = torch.Generator().manual_seed(seed)
    asked, gallery = unit(generator, sentences, 300), unit(generator, clips, 300)
    gallery[clips // 2] = gallery[0]  # a tie
    relevant = [[int(torch.randint(clips, (), generator=generator))] for _ in range(sentences)]
    one, other = rank(asked, gallery, relevant), rank(asked, gallery, relevant, block=(rows, columns))
    for field in ("better", "tied", "relevant"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
    exact = asked.double() @ gallery.double().T
    for row, (own,) in enumerate(relevant):
        # apart from scores that differ by less than float32 can say, the order is that of float64
        clear = (exact[row] - exact[row, own]).abs() > 1e-6
        assert one.better[row] >= int((clear & (exact[row] > exact[row, own])).sum())
        assert one.better[row] + one.tied[row] <= clips - int((clear & (exact[row] < exact[row, own])).sum()) - 1


def test_scores_are_exact_whatever_the_order_of_additions():
    generator = torch.Generator().manual_seed(0)
    asked, gallery = unit(generator, 4, 1024), unit(generator, 200, 1024)
    shuffled = torch.randperm(1024, generator=generator)
    relevant = [[7], [11], [13], [17]]
    gallery[100:] = gallery[:100]  # the whole gallery twice
    one, other = rank(asked, gallery, relevant), rank(asked[:, shuffled], gallery[:, shuffled], relevant)
    np.testing.assert_array_equal(one.better, other.better)
    np.testing.assert_array_equal(one.tied, [1, 1, 1, 1])
    np.testing.assert_array_equal(other.tied, [1, 1, 1, 1])


def test_the_best_ranked_relevant_clip_counts():
    clips = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]])
    ranks = rank(torch.tensor([[1.0, 0.0]]), clips, [[1, 3]])
    assert ranks.expected().tolist() == [2.0]


def test_a_clip_is_relevant_by_half_or_by_being_covered_best():
    clips = [(0, 4), (4, 8), (8, 12), (12, 12)]
    segments = [(2, 8), (3, 5.5), (math.nan, math.nan), (20, 30), (9, 9.5)]
    found = relevance(clips, segments)
    expected = [[1, 1, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]]
    expected[0][1] = 0  # a quarter of the first clip, three eighths of the second
    expected[1][1] = 1
    np.testing.assert_array_equal(found, np.array(expected, dtype=bool))
    assert relevance(np.zeros((0, 2)), segments).shape == (0, 5)
    assert relevance(clips, np.zeros((0, 2))).shape == (4, 0)


def test_rows_agree_with_a_matrix():
    videos = some_videos()
    rows = {row.name: row for row in retrieval(videos, resamples=50)}
    assert list(rows) == ["en", "es", MEAN, ALL]
    for name in ("en", "es", ALL):
        own = [each for each in videos if name in (ALL, each.language)]
        scores = torch.cat([each.sentence_vectors for each in own]) @ torch.cat([each.clip_vectors for each in own]).T
        right = torch.block_diag(*[torch.from_numpy(relevance(each.clips, each.segments)).float() for each in own]).T
        ranks = [1 + int((s > s[r > 0].max()).sum()) for s, r in zip(scores, right, strict=True) if r.any()]
        row = rows[name]
        assert (row.videos, row.sentences, row.clips) == (len(own), len(ranks), scores.shape[1])
        assert row.mean_rank.value == pytest.approx(np.mean(ranks))
        assert row.median_rank == np.median(ranks)
        for most, figure in ((1, row.r1), (5, row.r5), (10, row.r10)):
            assert figure.value == pytest.approx(np.mean([r <= most for r in ranks]))
            assert figure.low <= figure.value <= figure.high
    both = [rows[name].mean_rank.value for name in ("en", "es")]
    assert rows[MEAN].mean_rank.value == pytest.approx(np.mean(both))


def test_a_film_in_several_languages_is_one_film():
    """Told twice with the same pictures and words, it says no more than once, over languages and over all clips."""
    once = [video(f"en_{k}", "en", torch.Generator().manual_seed(k)) for k in range(8)]
    twice = once + [replace(each, id=f"es_{k}", language="es") for k, each in enumerate(once)]
    alone = retrieval(once)[0]
    rows = {row.name: row for row in retrieval(twice)}
    for name in ("r5", "mean_rank"):
        width = getattr(alone, name).high - getattr(alone, name).low
        mean, apart = (getattr(row, name) for row in (rows[MEAN], retrieval([*once, *renamed(twice[8:])])[-2]))
        assert mean == getattr(rows["es"], name) == getattr(alone, name)
        assert apart.high - apart.low < 0.85 * width
    assert rows[ALL].r1.high - rows[ALL].r1.low > 0


def renamed(videos):
    """The same videos of other films."""
    return [replace(each, id=f"{each.id}_too") for each in videos]


def test_neither_order_nor_block_changes_a_figure():
    videos = some_videos()
    first = retrieval(videos, resamples=20)
    assert first == retrieval(videos[::-1], resamples=20, block=(3, 5))


def test_one_language_is_one_row():
    assert [row.name for row in retrieval(some_videos(languages=("ru",)), resamples=2)] == ["ru"]


def test_a_collapsed_model_does_as_well_as_chance():
    videos = some_videos()
    for each in videos:
        each.clip_vectors = torch.ones_like(each.clip_vectors) / math.sqrt(8)
        each.sentence_vectors = torch.ones_like(each.sentence_vectors) / math.sqrt(8)
    for row in retrieval(videos, resamples=2):
        figures = (row.r1.value, row.r5.value, row.r10.value, row.mean_rank.value)
        assert figures == pytest.approx(row.chance)


def test_recall_by_chance_is_hypergeometric():
    ranks = Ranks(np.array([0]), np.array([95]), np.array([5]))
    assert ranks.recall(10)[0] == pytest.approx(1 - math.comb(95, 10) / math.comb(100, 10))
    assert ranks.expected()[0] == pytest.approx(101 / 6)


def test_what_cannot_be_ranked_is_refused():
    videos = some_videos()
    videos[1].clip_vectors = None
    with pytest.raises(ValueError, match="en_1: retrieval needs the vectors"):
        retrieval(videos)
    with pytest.raises(ValueError, match="nothing to retrieve"):
        retrieval([])
    for factor in (2, math.nan):
        longer = some_videos()
        longer[0].sentence_vectors *= factor
        with pytest.raises(ValueError, match="unit length"):
            retrieval(longer)

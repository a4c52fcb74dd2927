"""Ceilings of a made-up story by brute force, and of the releases against what is known of them."""

from __future__ import annotations

import itertools
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from weaksync.datamodules import msymon
from weaksync.datamodules.records import AnnotatedVideo, Sentence, overlap_seconds
from weaksync.recipes.cli import weaksync
from weaksync.recipes.scoring.ceilings import ceilings, grid, in_order_share, midpoint, monotone

DATA = os.environ.get("WEAKSYNC_DATA")
real = pytest.mark.skipif(not DATA, reason="set WEAKSYNC_DATA to the folder that holds m-symon and yms")
NAN = (math.nan, math.nan)


def test_the_grid_ends_with_the_video():
    assert grid(6.0).tolist() == [[0.0, 2.4], [2.4, 4.8], [4.8, 6.0]]


def test_the_middle_of_a_clip_decides():
    clips = np.array([[0.0, 2.0], [2.0, 4.0], [4.0, 6.0]])
    segments = np.array([[0.0, 1.0], NAN, [1.5, 3.5], [2.9, 9.0]])
    assert midpoint(clips, segments).tolist() == [-1, 2, 3]


@pytest.mark.parametrize("seed", range(20))
def test_no_monotone_labelling_has_more_right_time(seed):
    random = np.random.default_rng(seed)
    n, m = 5, 4
    cuts = np.sort(random.uniform(0, 10, n + 1))
    clips = np.stack([cuts[:-1], cuts[1:]], axis=1)
    segments = np.sort(random.uniform(0, 10, (m, 2)), axis=1)
    segments[random.integers(m)] = np.nan
    shared = overlap_seconds(clips, segments)

    def right(labels):
        kept = [label for label in labels if label >= 0]
        in_runs = [label for label, _ in itertools.groupby(labels)]
        runs = [label for label in in_runs if label >= 0]
        if kept != sorted(kept) or len(runs) != len(set(runs)):
            return -1.0
        return sum(shared[i, label] for i, label in enumerate(labels) if label >= 0)

    best = max(right(labels) for labels in itertools.product(range(-1, m), repeat=n))
    found = monotone(clips, segments)
    assert right(found.tolist()) == pytest.approx(best)
    assert all(shared[i, label] > 0 for i, label in enumerate(found) if label >= 0)


@pytest.mark.parametrize("seed", range(10))
def test_the_best_chain_is_the_best_of_all_subsets(seed):
    random = np.random.default_rng(seed)
    segments = np.sort(random.uniform(0, 10, (7, 2)), axis=1)
    lengths = segments[:, 1] - segments[:, 0]
    best = 0.0
    for size in range(1, 8):
        for chain in itertools.combinations(range(7), size):
            rows = segments[list(chain)]
            if (np.diff(rows, axis=0) >= 0).all():
                best = max(best, lengths[list(chain)].sum())
    assert in_order_share(np.vstack([segments, [NAN]])) == pytest.approx(best / lengths.sum())


def test_doubtful_segments_and_empty_videos_are_left_out():
    video = AnnotatedVideo("a", "", 0.0, [Sentence("x", (0.0, 4.8)), Sentence("y", (5.0, 900.0))])
    empty = AnnotatedVideo("b", "", 0.0, [Sentence("x")])
    found = ceilings([video, empty])
    rows = {row.labels: row for row in found.rows}
    assert found.videos == 1 and found.in_order == 1.0
    assert rows["most overlap"].f1 == rows["best monotone"].f1 == 1.0 and rows["all-drop"].credited == 0.0
    with pytest.raises(ValueError, match="nothing to score"):
        ceilings([empty])


def test_a_folder_without_releases_is_named(tmp_path):
    result = CliRunner().invoke(weaksync, ["reproduce", "story", "ceilings", "--data", str(tmp_path)])
    assert isinstance(result.exception, FileNotFoundError) and "m-symon/annotations" in str(result.exception)


@pytest.fixture(scope="module")
def known():
    result = CliRunner().invoke(
        weaksync, ["reproduce", "story", "ceilings", "--data", str(DATA), "--json"], catch_exceptions=False
    )
    return json.loads(result.stdout)


@real
@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "all_drop", "oracle", "in_order"),
    [
        ("en", 40.8, 51.4, 98.9),
        ("zh", 36.4, 58.0, 99.5),
        ("es", 46.7, 48.8, 99.2),
        ("fr", 45.8, 47.7, 99.8),
        ("pt", 37.2, 57.2, 99.9),
    ],
)
def test_the_releases_ceilings(known, language, all_drop, oracle, in_order):
    rows = {row["labels"]: row for row in known[language]["rows"]}
    assert rows["all-drop"]["credited"] == pytest.approx(all_drop / 100, abs=0.0006)
    assert rows["overlap or drop"]["clip_accuracy"] == pytest.approx(oracle / 100, abs=0.0006)
    assert 0.88 < rows["overlap or drop"]["credited"] < 0.935
    assert known[language]["in_order"] == pytest.approx(in_order / 100, abs=0.0006)


@real
@pytest.mark.slow
def test_doubled_lists_would_break_the_order():
    root = Path(str(DATA)) / "m-symon"
    videos = msymon.read(root, "fr", "test", time_format="decimal", deduplicate=False)
    assert ceilings(videos).in_order == pytest.approx(0.941, abs=0.0006)

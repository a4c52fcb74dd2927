"""Places in a pool, against sorting by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from weaksync.recipes.scoring.pools import PoolScores, Query
from weaksync.zoo.metrics import Interval

DOMAINS = ("movie", "youtube")


def made(
    clips: int = 40, pool: int = 60, seeds: int = 2
) -> tuple[list[Query], dict[str, list[torch.Tensor]], torch.Tensor]:
    random = np.random.default_rng(5)
    right = torch.from_numpy(random.permutation(pool)[:clips])
    queries = [
        Query(f"clip{number}", DOMAINS[number % 2], float(random.uniform(0, 0.5)), None) for number in range(clips)
    ]
    costs = {}
    for model, noise in (("good", 0.4), ("bad", 1.5)):
        costs[model] = [torch.from_numpy(random.normal(1, noise, (clips, pool))) for _ in range(seeds)]
        for cost in costs[model]:
            cost[torch.arange(clips), right] -= 1
    return queries, costs, right


def places(cost: torch.Tensor, right: torch.Tensor) -> np.ndarray:
    """1 for the first; nothing is tied here."""
    return np.array([1 + sorted(row.tolist()).index(row[own].item()) for row, own in zip(cost, right, strict=True)])


@pytest.mark.parametrize("domain", [None, *DOMAINS])
def test_cells_are_means_over_clips_and_seeds(domain: str | None) -> None:
    queries, costs, right = made()
    scores = PoolScores.of(queries, costs, right)
    chosen = np.array([domain is None or query.domain == domain for query in queries])
    for model in costs:
        ranks = np.stack([places(cost, right)[chosen] for cost in costs[model]])
        cells = scores.cells(model, domain)
        for column, most in (("r@1", 1), ("r@5", 5), ("r@10", 10)):
            cell = cells[column]
            assert isinstance(cell, Interval)
            assert cell.value == pytest.approx(100 * (ranks <= most).mean())
            assert 0 <= cell.low <= cell.value <= cell.high <= 100
        assert cells["MedRank"] == pytest.approx(np.median(ranks, axis=1).mean())
    assert scores.pool == 60


def test_gain_is_paired() -> None:
    queries, costs, right = made()
    scores = PoolScores.of(queries, costs, right)
    hidden = [query.hidden is not None and query.hidden > 0.25 for query in queries]
    first = {m: np.mean([places(c, right) == 1 for c in costs[m]], axis=0)[hidden].mean() for m in costs}
    gain = scores.gain("good", "bad", lambda query: query.hidden is not None and query.hidden > 0.25)
    assert gain.value == pytest.approx(100 * (first["good"] - first["bad"]))
    assert gain.low > 0  # it is far better
    same = scores.gain("good", "good")
    assert (same.low, same.value, same.high) == (0, 0, 0)
    with pytest.raises(ValueError, match="no clip to compare"):
        scores.gain("good", "bad", lambda query: False)


def test_a_curve_has_every_clip_once_in_order() -> None:
    queries, costs, right = made(clips=41)
    scores = PoolScores.of(queries, costs, right)
    bins = scores.curve("good", "hidden", parts=4)
    assert [part.clips for part in bins] == [11, 10, 10, 10]
    assert all(before.high <= after.low for before, after in pairwise(bins))
    weighed = sum(part.r1.value * part.clips for part in bins) / 41
    assert weighed == pytest.approx(scores.cells("good")["r@1"].value)  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="offscreen"):
        scores.curve("good", "offscreen")


def test_what_is_not_there_is_named() -> None:
    queries, costs, right = made()
    with pytest.raises(ValueError, match="no clip of sport"):
        PoolScores.of(queries, costs, right).cells("good", "sport")
    with pytest.raises(ValueError, match="no model"):
        PoolScores.of(queries, {}, right)

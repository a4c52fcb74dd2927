"""Which place each clip's own subtitle takes in a pool: several models and seeds at once, intervals over clips."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...zoo.metrics import Interval, bootstrap
from ...zoo.pool import pool_ranks
from ...zoo.retrieval import Ranks
from .paper_subtitles import MEDIAN, RECALLS

#: how many of the first places each column of the tables counts
PLACES = dict(zip(RECALLS, (1, 5, 10), strict=True))
#: what of a clip cannot be seen, an attribute of `Query`, and how it is called below a curve
SHARES = {"hidden": "frames whose lips are hidden, in %", "offscreen": "speech from off screen, in %"}


@dataclass(frozen=True)
class Query:
    """A clip that asks.

    Attributes:
        id: of the clip.
        domain: such as ``movie``.
        hidden: share of its frames whose lips cannot be seen; None where the truth is unknown.
        offscreen: share of its speech whose speaker is not in the picture; None where the truth is unknown.
    """

    id: str
    domain: str = ""
    hidden: float | None = None
    offscreen: float | None = None


@dataclass(frozen=True)
class Bin:
    """A part of a curve: least, greatest and mean share, clips, and R@1 in per cent."""

    low: float
    high: float
    share: float
    clips: int
    r1: Interval


@dataclass(frozen=True)
class PoolScores:
    """What models score on the same clips and the same pool.

    Attributes:
        queries: V clips.
        pool: S, how many subtitles each chooses from, its own among them.
        ranks: model -> where the own subtitle stands, for each seed: (V,) each.
    """

    queries: Sequence[Query]
    pool: int
    ranks: Mapping[str, Sequence[Ranks]]

    @property
    def known_shares(self) -> list[str]:
        """Those of `SHARES` that are known of some clip."""
        return [share for share in SHARES if any(getattr(query, share) is not None for query in self.queries)]

    @classmethod
    def of(cls, queries: Sequence[Query], costs: Mapping[str, Sequence[Tensor]], right: Tensor) -> PoolScores:
        """From costs: model -> (V, S) for each seed.

        Args:
            right: (V,) int64, the column of each clip's own subtitle.

        Raises:
            ValueError: as `pool_ranks`, or there is no model.
        """
        if not costs:
            raise ValueError("no model has scored the pool")
        pool = next(iter(costs.values()))[0].shape[1]
        return cls(queries, pool, {name: [pool_ranks(cost, right) for cost in each] for name, each in costs.items()})

    def cells(self, model: str, domain: str | None = None) -> dict[str, Interval | float]:
        """Recalls in per cent and the median rank over the clips of a domain; each a mean over seeds.

        Raises ValueError where the domain has no clip.
        """
        chosen = self._chosen(lambda query: domain is None or query.domain == domain)
        if not chosen.any():
            raise ValueError(f"no clip of {domain} has asked")
        found: dict[str, Interval | float] = {}
        for column, places in PLACES.items():
            found[column] = _mean(self._table(100 * self._recalled(model, places), chosen))
        medians = [float(np.median(ranks.expected()[chosen])) for ranks in self.ranks[model]]
        found[MEDIAN] = float(np.mean(medians))
        return found

    @property
    def chance(self) -> dict[str, float]:
        """What a random order of the pool gives: recalls of k / S in per cent, and a median rank of (S + 1) / 2.

        Every place is as likely for the own subtitle, so the median of any number of clips is as often above as below.
        """
        recalls = {column: 100 * min(places, self.pool) / self.pool for column, places in PLACES.items()}
        return {**recalls, MEDIAN: (self.pool + 1) / 2}

    def gain(self, model: str, over: str, where: Callable[[Query], bool] = lambda query: True) -> Interval:
        """By how many points of R@1 a model is above another, clip by clip, over the clips that `where` picks.

        Raises ValueError where it picks none.
        """
        chosen = self._chosen(where)
        if not chosen.any():
            raise ValueError(f"there is no clip to compare {model} with {over} on")
        return _mean(self._table(100 * (self._recalled(model, 1) - self._recalled(over, 1)), chosen))

    def curve(self, model: str, share: str, parts: int = 4) -> list[Bin]:
        """R@1 of a model over a share, ``hidden`` or ``offscreen``, in as many parts with as many clips.

        Raises ValueError where the share of no clip is known.
        """
        values = np.array([np.nan if (value := getattr(query, share)) is None else value for query in self.queries])
        known = np.flatnonzero(~np.isnan(values))
        if not len(known):
            raise ValueError(f"of no clip is it known what share of it is {share}: only made-up speakers tell")
        recalled = 100 * self._recalled(model, 1)
        bins = []
        for members in np.array_split(known[values[known].argsort(kind="stable")], min(parts, len(known))):
            picked = np.zeros(len(values), dtype=bool)
            picked[members] = True
            within = values[members]
            r1 = _mean(self._table(recalled, picked))
            bins.append(Bin(float(within.min()), float(within.max()), float(within.mean()), len(members), r1))
        return bins

    def _recalled(self, model: str, places: int) -> NDArray[np.float64]:
        """(V,) how often the own subtitle is among the first, over the seeds."""
        return np.mean([ranks.recall(places) for ranks in self.ranks[model]], axis=0)

    def _chosen(self, where: Callable[[Query], bool]) -> NDArray[np.bool_]:
        return np.array([where(query) for query in self.queries], dtype=bool)

    def _table(self, values: NDArray[np.float64], chosen: NDArray[np.bool_]) -> dict[str, tuple[float]]:
        return {query.id: (float(values[place]),) for place, query in enumerate(self.queries) if chosen[place]}


def _mean(table: Mapping[str, tuple[float]]) -> Interval:
    """The mean over clips with its interval."""
    (found,) = bootstrap(table)
    return found

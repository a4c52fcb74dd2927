"""A clip ranked against an index: costs and places under each cue, of the whole pool or of what narrowing leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...zoo.encoded import EncodedClip, alignment_costs, cue_costs
from ...zoo.matcher import ALIGNMENT, Matcher
from .narrowing import Narrowing
from .pool import SubtitleIndex

FUSION = "fusion"


@dataclass(frozen=True)
class Ranking:
    """How subtitles of a pool fit a clip.

    Attributes:
        columns: (C,) int64, the subtitles that were aligned: all of the pool, or what narrowing left of it.
        costs: cue -> costs, and ``fusion`` -> their weighted sum: (C,) each, the least fits best.
        places: cue, and ``fusion`` -> places from 1: of a global cue among the whole pool, of the others among
            `columns`; equal costs have equal places.
        order: (C,) rows of `columns`, what fits best first.
    """

    columns: Tensor
    costs: dict[str, Tensor]
    places: dict[str, Tensor]
    order: Tensor


@torch.inference_mode()
def rank(
    matcher: Matcher,
    clip: EncodedClip,
    index: SubtitleIndex,
    *,
    narrowing: Narrowing | None = None,
    keep: int = 0,
    also: Sequence[int] = (),
    track: Callable[[int, int], None] | None = None,
) -> Ranking:
    """Rank an index for a clip.

    Args:
        narrowing: of the index; with it only the `keep` subtitles that fit best by global cues are aligned.
        also: columns that are aligned in any case.
        track: called with (subtitles aligned, subtitles to be aligned).
    """
    pool = index.pool
    every = {name: costs[0] for name, costs in cue_costs([clip], pool).items()}
    columns = torch.arange(len(pool))
    if narrowing is not None:
        columns = torch.cat([narrowing.columns(clip, matcher, keep), torch.tensor(also, dtype=torch.int64)]).unique()
    aligned = alignment_costs(matcher.lipspeech, [clip], pool, columns, track=track)[0]
    costs = {**{name: cost[columns] for name, cost in every.items()}, ALIGNMENT: aligned}
    costs[FUSION] = matcher.fuse({name: cost[None] for name, cost in costs.items()})[0]
    places = {name: _places(cost)[columns] for name, cost in every.items()}
    places |= {name: _places(costs[name]) for name in (ALIGNMENT, FUSION)}
    return Ranking(columns, costs, places, costs[FUSION].argsort(stable=True))


def _places(costs: Tensor) -> Tensor:
    """(S,) places from 1; equal costs have the first of theirs."""
    return torch.searchsorted(costs.sort().values, costs, right=False) + 1

"""Evaluation of a whole matcher: every clip of a split asks an index, under each cue, fused, and after narrowing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ...datamodules.files import write_whole
from ...datamodules.spoken import open_clips, spoken_clip
from ...zoo.fusion import fuse
from ...zoo.losses.gather import world_size
from ...zoo.matcher import ALIGNMENT, Matcher
from ...zoo.metrics import Interval
from ...zoo.task import gather_by_id
from ..console import err, print_table, progress
from ..matching.indexing import load_matcher
from ..matching.narrowing import SHARES
from ..matching.pool import SubtitleIndex, open_index
from ..matching.query import encode
from ..matching.ranking import FUSION
from ..runs import RECIPE, check_path
from ..settings import config as recipes
from ..settings.matching import MatchingRecipe
from ..training.launch import is_rank_zero, together
from .comparison import shown, shown_chance
from .paper_subtitles import MEDIAN, RECALLS
from .pools import PoolScores, Query

GLOBAL = "global cues"


@dataclass(frozen=True)
class MatcherEvaluation:
    """What a matcher scores on clips whose own subtitles are in an index.

    Attributes:
        scores: under each cue, under all ``global cues``, and under their ``fusion`` with the alignment.
        narrowed: share of the pool that narrowing keeps -> fusion after it.
        kept: share of the pool that narrowing keeps -> share of the own subtitles among it.
    """

    scores: PoolScores
    narrowed: dict[float, PoolScores]
    kept: dict[float, float]

    def rows(self) -> list[tuple[str, dict[str, Interval | float]]]:
        """Name and figures of everything that was scored; recalls in per cent."""
        found = [(name, self.scores.cells(name)) for name in self.scores.ranks]
        return found + [(narrowing(share), one.cells(FUSION)) for share, one in self.narrowed.items()]

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain JSON values."""
        ranks = {name: each[0].expected().tolist() for name, each in self.scores.ranks.items()}
        return {
            "clips": len(self.scores.queries),
            "pool": self.scores.pool,
            "chance": self.scores.chance,
            "rows": [
                {"name": name, "figures": {key: _plain(value) for key, value in cells.items()}}
                for name, cells in self.rows()
            ],
            "kept_recall": {f"{share:g}": recall for share, recall in self.kept.items()},
            "per_clip": [
                {**asdict(query), "rank": {name: each[place] for name, each in ranks.items()}}
                for place, query in enumerate(self.scores.queries)
            ],
        }


@dataclass
class QueryCosts:
    """A clip and its costs with the whole pool: cue -> (1, S)."""

    id: str
    query: Query
    costs: dict[str, Tensor]


def evaluate_matcher(
    model: Matcher | str | Path,
    clips: str | Path,
    pool: SubtitleIndex | str | Path,
    *,
    split: str = "test",
    track: Callable[[int, int], None] | None = None,
) -> MatcherEvaluation:
    """Score a matcher: where each clip's own subtitle, which has the clip's id, stands in an index.

    Under several processes each asks for its share of the clips; the figures are the same, in every process.

    Args:
        model: a matcher, its folder, or the folder of the run that trained it.
        clips: set of conversational clips.
        pool: index with the subtitles of the clips among others: weaksync index SPEECH POOL, of the clips' set of
            speech and any further subtitles.
        split: of the clips.
        track: called with (clips encoded, clips) of this process's share.

    Raises:
        FileNotFoundError: no such model, set or index.
        ValueError: an index by another model, or without the subtitle of a clip; a clip that is too short.
    """
    matcher, shards = load_matcher(model), open_clips(clips)
    searched = pool if isinstance(pool, SubtitleIndex) else open_index(pool)
    searched.check(matcher)
    names = [entry.id for entry in shards.split(split)]
    if absent := [name for name in names if name not in searched.columns]:
        raise ValueError(
            f"{searched.folder} has no subtitle of {len(absent)} clips, such as {absent[0]!r}: speak the clips with "
            "weaksync data speech, and index that set beside the pool"
        )
    rank, world = (dist.get_rank(), world_size()) if world_size() > 1 else (0, 1)
    own, share = [], names[rank::world]
    for number, name in enumerate(share):
        if track is not None:
            track(number, len(share))
        record = spoken_clip(shards, name)
        query = Query(name, record.domain, record.hidden, record.offscreen)
        own.append(QueryCosts(name, query, matcher.costs([encode(matcher, shards, name)], searched.pool)))
    if track is not None:
        track(len(share), len(share))
    asked = gather_by_id(own)
    costs = {cue: torch.cat([each.costs[cue] for each in asked]) for cue in (*matcher.cues, ALIGNMENT)}
    right = torch.tensor([searched.columns[each.id] for each in asked])
    return scored([each.query for each in asked], costs, right, matcher.weights)


def evaluate_command(
    model: Path, clips: str | None, pool: tuple[Path, ...], split: str, out: Path | None, as_json: bool
) -> None:
    """`weaksync eval` of a matcher, or of the run that trained it, which knows its clips.

    Raises:
        ValueError: it is not said which clips, or which index; and as `evaluate_matcher`.
    """
    if clips is None and (model / RECIPE).is_file():
        recipe = recipes.load(str(model / RECIPE))
        if isinstance(recipe, MatchingRecipe):
            clips = recipe.data.clips
            check_path(model, "data.clips", clips, "give --shards CLIPS, where they are now")
    if clips is None:
        raise ValueError(f"{model} is no run, so nobody knows its clips: give --shards CLIPS")
    if len(pool) != 1:
        raise ValueError("a matcher chooses from one index: give --pool INDEX, which weaksync index made")
    with together(), progress("clips") as bar:
        task = bar.add_task(split, total=None, visible=is_rank_zero())

        def track(done: int, of: int) -> None:
            bar.update(task, completed=done, total=of)

        found = evaluate_matcher(model, clips, pool[0], split=split, track=track if is_rank_zero() else None)
    present(found, split, out, as_json)


def scored(
    queries: list[Query], costs: dict[str, Tensor], right: Tensor, weights: dict[str, float]
) -> MatcherEvaluation:
    """The evaluation of costs, cue -> (V, S), with the columns of the own subtitles (V,)."""
    fused = fuse(costs, weights)
    every = {**costs, FUSION: fused}
    narrowed, kept = {}, {}
    if cues := {name: cost for name, cost in costs.items() if name != ALIGNMENT}:
        before = fuse(cues, weights)
        every = {**cues, GLOBAL: before, ALIGNMENT: costs[ALIGNMENT], FUSION: fused}
        places = before.argsort(dim=1, stable=True).argsort(dim=1)
        for share in SHARES:
            out = places >= max(1, round(share * fused.shape[1]))
            own = right[:, None]
            kept[share] = float((~out.gather(1, own)).float().mean())
            # what is left out comes behind all others, and shares the last places
            narrowed[share] = PoolScores.of(queries, {FUSION: [fused.masked_fill(out, torch.inf)]}, right)
    return MatcherEvaluation(
        PoolScores.of(queries, {name: [cost] for name, cost in every.items()}, right), narrowed, kept
    )


def narrowing(share: float) -> str:
    """What a row is called."""
    return f"{FUSION}, narrowed to {share:.0%}"


def present(found: MatcherEvaluation, split: str, out: Path | None, as_json: bool) -> None:
    """Print an evaluation, and write evaluation.json to `out`; the first process alone."""
    if not is_rank_zero():
        return
    plain = found.to_dict()
    if as_json:
        print(json.dumps(plain, indent=2, ensure_ascii=False))
    else:
        kept = {narrowing(share): f"{recall:.1%}" for share, recall in found.kept.items()}
        rows = [
            (name, *(shown(cells[key]) for key in (*RECALLS, MEDIAN)), kept.get(name, ""))
            for name, cells in found.rows()
        ]
        rows.append(("chance", *map(shown_chance, plain["chance"].values()), ""))
        title = f"{plain['clips']} clips of {split}, a pool of {plain['pool']} subtitles; recalls in %, 95 % intervals"
        print_table(title, ("", *RECALLS, MEDIAN, "own kept"), rows)
        if kept:
            err.print(
                "narrowed: only that share of the pool is aligned, what fits best by the global cues; "
                "own kept: how often the own subtitle is in it",
                highlight=False,
                soft_wrap=True,
            )
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / "evaluation.json", json.dumps(plain, indent=2, ensure_ascii=False).encode())
        err.print(f"wrote {out / 'evaluation.json'}", highlight=False)


def _plain(value: Interval | float) -> Any:
    return asdict(value) if isinstance(value, Interval) else value

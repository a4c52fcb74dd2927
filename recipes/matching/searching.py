"""The one way a pool is searched: opened for a matcher, and asked which of its subtitles fit a clip of a video."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from time import perf_counter

from ...zoo.matcher import Matcher
from ..building.speaking import choose as choose_speaking
from ..console import Track, require
from .candidates import candidate, speaking_of, variants
from .indexing import check_pool, index, load_matcher
from .matches import Match
from .narrowing import Narrowing, expected_loss
from .pool import SubtitleIndex, is_index, open_index
from .query import find_clip
from .ranking import Ranking, rank

#: of the folder that a command writes: where subtitle files are indexed, and found again
POOL = "pool"
_STAGES = ("finding the face", "encoding the clip", "searching the pool")


@dataclass(frozen=True)
class Search:
    """A pool that is open for a matcher.

    Attributes:
        model: what the matcher is called.
        matcher: on its device.
        pool: an index, or what makes it, which takes long: it is made when it is first asked for.
        track: called with what is done, how much of it, and how much there is.
    """

    model: str
    matcher: Matcher
    pool: SubtitleIndex | Callable[[], SubtitleIndex]
    track: Track

    @cached_property
    def index(self) -> SubtitleIndex:
        """What is searched."""
        return self.pool if isinstance(self.pool, SubtitleIndex) else self.pool()

    def _narrowing(self, narrow: int | None) -> Narrowing | None:
        return Narrowing(self.index) if narrow is not None and narrow < len(self.index) else None

    def match(
        self,
        video: str | Path,
        choose: Callable[[Ranking], list[int]],
        *,
        also: Sequence[int] = (),
        start: float,
        end: float | None,
        faces: str | Path | None,
        speaking: str,
        narrow: int | None,
    ) -> Match:
        """Find a clip, rank the pool for it, and align those that are chosen; a pool is made after the clip is found.

        Args:
            choose: of a ranking, the rows that become candidates, in their order; there is one at least.
            also: columns of the index that are aligned however the pool is narrowed.
            video, start, end, faces, speaking, narrow: as of `recipes.match.match`, and errors too.
        """
        matcher = self.matcher
        narrowing = self._narrowing(narrow) if isinstance(self.pool, SubtitleIndex) else None
        self.track("clip", 0, 2)
        moments = [perf_counter()]
        with find_clip(
            video,
            start=start,
            end=end,
            faces=faces,
            score=choose_speaking(speaking),
            size=matcher.syncnet.config.image_size,
            device=str(matcher.device),
        ) as query:
            self.track("clip", 1, 2)
            moments.append(perf_counter())
            clip = query.encode(matcher)
            self.track("clip", 2, 2)
        moments.append(perf_counter())
        pool, narrowing = self.index, narrowing or self._narrowing(narrow)
        began = perf_counter()
        found = rank(
            matcher,
            clip,
            pool,
            narrowing=narrowing,
            keep=narrow or 0,
            also=also,
            track=lambda done, total: self.track("aligning", done, total),
        )
        took = *(after - before for before, after in pairwise(moments)), perf_counter() - began
        rows = choose(found)
        return Match(
            video=str(video),
            start=query.record.start,
            end=query.record.end,
            model=self.model,
            pool=str(pool.folder),
            subtitles=len(pool),
            aligned=len(found.columns),
            loss=expected_loss(matcher.kept_recall, len(found.columns) / len(pool)) if narrowing else None,
            weights=matcher.weights,
            candidates=[candidate(matcher, clip, query, pool, found, row) for row in rows],
            speaking=speaking_of(query),
            doubt=matcher.doubt,
            variants=variants(matcher, clip, pool, int(found.columns[rows[0]])),
            seconds=dict(zip(_STAGES, took, strict=True)),
        )


@contextmanager
def opened(
    model: Matcher | str | Path,
    pool: SubtitleIndex | str | Path | Sequence[str | Path],
    *,
    keep: str | Path | None,
    language: str | None,
    narrow: int | None,
    track: Track,
) -> Iterator[Search]:
    """A pool open for a model: an index, or what subtitles are made into, removed again where nobody wants to keep it.

    Subtitles are looked at here, and spoken when the index is first asked for, which can be narrowed where `narrow`
    asks for that.  Arguments as of `recipes.match.match`.

    Raises as `weaksync.recipes.index.index`, and ValueError where another model made the index.
    """
    matcher, name = load_matcher(model), "a matcher in memory" if isinstance(model, Matcher) else str(model)
    if isinstance(pool, SubtitleIndex):
        pool.check(matcher)
        yield Search(name, matcher, pool, track)
        return
    pools = [Path(pool)] if isinstance(pool, str | Path) else [Path(each) for each in pool]
    if len(pools) == 1 and is_index(pools[0]):
        found = open_index(pools[0])
        found.check(matcher)
        yield Search(name, matcher, found, track)
        return
    for each in pools:
        check_pool(matcher, each, language)
    if narrow is not None:
        require("faiss", "search")
    with tempfile.TemporaryDirectory(prefix="weaksync-") if keep is None else nullcontext(keep) as out:
        make = partial(index, matcher, pools, out, language=language, search=narrow is not None, track=track)
        yield Search(name, matcher, make, track)

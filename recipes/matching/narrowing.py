"""Narrowing: of a large pool, only what fits a clip by its global cues is aligned; nearest neighbours by faiss.

The cues' vectors of a subtitle lie one after the other in one vector.  The clip's, each times its weight, make the
vector that is searched for, so the product of both is the fused cost of the global cues but for a constant: a change
of weights needs no new search index.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ...datamodules.files import whole_path
from ...zoo.encoded import EncodedClip, weighted_units
from ...zoo.fusion import fuse
from ...zoo.matcher import ALIGNMENT, Matcher
from ..console import require
from .pool import SEARCH, SubtitleIndex

#: from so many subtitles on, only the nearest of many cells are looked through
MANY = 100_000
#: shares of a pool for which `kept_recall` says what narrowing to them loses
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
_BLOCK = 4096


def write_search(index: SubtitleIndex, track: Callable[[int, int], None] | None = None) -> None:
    """Write ``search.faiss`` beside an index.

    Raises:
        ValueError: the index has no global cues.
        ImportError: the extra ``search`` is not installed.
    """
    faiss = require("faiss", "search")
    cues = index.pool.cues
    if not cues:
        raise ValueError(f"{index.folder} has no global cues to narrow by: its model matches by lips alone")
    width, count = sum(index.info.cues.values()), len(index)
    if count < MANY:
        search = faiss.IndexScalarQuantizer(width, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    else:
        cells = round(4 * count**0.5)
        coarse = faiss.IndexFlatIP(width)
        kind, metric = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        search = faiss.IndexIVFScalarQuantizer(coarse, width, cells, kind, metric)
        search.nprobe = max(8, cells // 16)
        search.train(_vectors(index, torch.linspace(0, count - 1, min(count, 40 * cells)).long()))
    for first in range(0, count, _BLOCK):
        search.add(_vectors(index, torch.arange(first, min(first + _BLOCK, count))))
        if track is not None:
            track(min(first + _BLOCK, count), count)
    with whole_path(index.folder / SEARCH) as part:
        faiss.write_index(search, str(part))


class Narrowing:
    """A search index that is open.

    Raises:
        FileNotFoundError: the index was made without.
        ValueError: it is of another pool.
        ImportError: the extra ``search`` is not installed.
    """

    def __init__(self, index: SubtitleIndex) -> None:
        path = index.folder / SEARCH
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: {index.maker(index.folder)} --search makes it")
        self.search: Any = require("faiss", "search").read_index(str(path))
        if self.search.ntotal != len(index):
            raise ValueError(f"{path} is of another pool: remove it, and {index.maker(index.folder)} --search makes it")
        self.cues = list(index.info.cues)

    def columns(self, clip: EncodedClip, matcher: Matcher, keep: int) -> Tensor:
        """The `keep` subtitles whose global cues fit best, (keep,) int64, ascending."""
        query = weighted_units({name: clip.cues[name] for name in self.cues}, matcher.weights)
        _, found = self.search.search(query[None].numpy(), min(keep, self.search.ntotal))
        found = torch.from_numpy(found[0])
        return found[found >= 0].sort().values


def kept_recall(costs: dict[str, Tensor], right: Tensor, weights: dict[str, float]) -> dict[float, float]:
    """What narrowing keeps, measured where the truth is known.

    Args:
        costs: cue -> (V, S) as `Matcher.costs` gives them; the alignment is left out.
        right: (V,) int64, the column of each clip's own subtitle.
        weights: of the cues.

    Returns:
        Share of the pool that is kept -> share of the clips whose own subtitle is among it; ties count against it.
        Shares of less than one subtitle are left out.
    """
    fused = fuse({name: cost for name, cost in costs.items() if name != ALIGNMENT}, weights)
    before = (fused <= fused.gather(1, right[:, None])).sum(dim=1) - 1
    keep = {share: round(share * fused.shape[1]) for share in SHARES if share * fused.shape[1] >= 1}
    return {share: float((before < kept).float().mean()) for share, kept in keep.items()}


def expected_loss(recall: dict[float, float], share: float) -> float | None:
    """The share of own subtitles that narrowing to `share` of a pool loses, between the shares measured; None where
    nobody measured."""
    if not recall:
        return None
    points = sorted({0.0: 0.0, **recall, 1.0: 1.0}.items())
    for (low, there), (high, here) in pairwise(points):
        if share <= high:
            return 1.0 - (there + (here - there) * (share - low) / (high - low))
    return 0.0


def _vectors(index: SubtitleIndex, columns: Tensor) -> Any:
    """(C, sum of D) float32."""
    return torch.cat([cue[columns].float() for cue in index.pool.cues.values()], dim=1).numpy()

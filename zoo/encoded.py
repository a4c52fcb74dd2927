"""Encoded clips and subtitles as matching keeps them, and the cost of aligning every clip with every subtitle."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from .models.lipspeech import LipSpeech

#: how many subtitles are aligned in one call: a small number makes many calls, a large one takes memory
AT_ONCE = 128
#: how many vectors of a global cue are converted to float32 in one call
CUES_AT_ONCE = 512


@dataclass
class EncodedClip:
    """An encoded clip: a query.

    Attributes:
        steps: (n, dim) float32, of the front end on lip features.
        times: (n,) seconds of the clip that they stand for.
        cues: name -> (D,) float32 unit vector.
    """

    steps: Tensor
    times: Tensor
    cues: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class EncodedText:
    """An encoded subtitle, as a pool holds it.

    Attributes:
        steps: (m, dim) float16 unit vectors, of the front end on features of its speech.
        cues: name -> (D,) float16 unit vector.
    """

    steps: Tensor
    cues: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class Pool:
    """Many subtitles in any order; neighbours of equal length are compared fastest.

    Attributes:
        steps: (total, dim) float16, of one subtitle after the other; may be mapped from a file.
        lengths: (S,) int64, steps of each.
        languages: S codes.
        cues: name -> (S, D) float16; may be mapped too.
    """

    steps: Tensor
    lengths: Tensor
    languages: list[str]
    cues: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count, total = len(self.lengths), int(self.lengths.sum())
        shapes = {"languages": len(self.languages), **{name: len(each) for name, each in self.cues.items()}}
        if wrong := [f"{name} {size}" for name, size in shapes.items() if size != count]:
            raise ValueError(f"a pool of {count} subtitles needs as many {', '.join(wrong)}")
        if self.steps.ndim != 2 or len(self.steps) != total:
            raise ValueError(f"{count} subtitles have {total} steps together, not {tuple(self.steps.shape)}")
        self.ends = self.lengths.cumsum(0)

    def __len__(self) -> int:
        return len(self.lengths)

    def steps_of(self, number: int) -> Tensor:
        """(m, dim) float16 of one subtitle."""
        end = int(self.ends[number])
        return self.steps[end - int(self.lengths[number]) : end]

    @classmethod
    def of(cls, codes: list[EncodedText], languages: list[str]) -> Pool:
        """A pool of codes in their order.  Raises ValueError where there are none."""
        if not codes:
            raise ValueError("the pool is empty: there is no subtitle to choose from")
        lengths = torch.tensor([len(code.steps) for code in codes])
        cues = {name: torch.stack([code.cues[name] for code in codes]) for name in codes[0].cues}
        return cls(torch.cat([code.steps for code in codes]), lengths, languages, cues)


def alignment_costs(
    model: LipSpeech,
    clips: list[EncodedClip],
    pool: Pool,
    columns: Tensor | None = None,
    *,
    track: Callable[[int, int], None] | None = None,
) -> Tensor:
    """The cost per video step of aligning each clip with each subtitle, (V, S) float32; +inf where none fits.

    Subtitles become float32 in blocks, short ones first, so memory does not grow with the pool.

    Args:
        model: the front end that made the steps, with the aligner.
        columns: (C,) int64, subtitles of the pool to be compared; None for all.
        track: called with (subtitles done, subtitles).

    Returns:
        (V, S), or (V, C) in the order of `columns`.

    Raises:
        ValueError: no clip.
    """
    if not clips:
        raise ValueError("no clip to compare with the pool")
    device = model.log_rates.device
    chosen = torch.arange(len(pool)) if columns is None else columns
    steps = torch.nn.utils.rnn.pad_sequence([clip.steps for clip in clips], batch_first=True).to(device)
    lengths = torch.tensor([len(clip.steps) for clip in clips], device=device)
    rates = model.rates_of(pool.languages).cpu()
    order = chosen[pool.lengths[chosen].argsort(stable=True)]
    longest = int(pool.lengths[order].max()) if len(order) else 0
    room = torch.zeros(AT_ONCE * longest * (pool.steps.shape[1] + 1))  # used again and again: new pages cost time
    costs = torch.empty(len(clips), len(pool), device=device)
    for done in range(0, len(order), AT_ONCE):
        some = order[done : done + AT_ONCE]
        texts = _texts(pool, some, rates, room).to(device)
        text_lengths = pool.lengths[some].to(device)
        value = model.values(steps, texts, video_lengths=lengths, text_lengths=text_lengths)
        costs[:, some.to(device)] = value.float()
        if track is not None:
            track(min(done + AT_ONCE, len(order)), len(order))
    return (costs[:, chosen.to(device)] / lengths[:, None]).cpu()


def cue_costs(clips: list[EncodedClip], pool: Pool, columns: Tensor | None = None) -> dict[str, Tensor]:
    """1 - cosine of every clip with every subtitle under each global cue: name -> (V, S), or (V, C) of `columns`."""
    costs = {}
    for name, texts in pool.cues.items():
        video = torch.stack([clip.cues[name] for clip in clips])
        texts = texts if columns is None else texts[columns]
        costs[name] = torch.cat([1.0 - video @ some.float().T for some in texts.split(CUES_AT_ONCE)], dim=1)
    return costs


def half_units(x: Tensor) -> Tensor:
    """(..., D) at length 1, as float16 on the CPU."""
    return F.normalize(x.float(), dim=-1).half().cpu()


def weighted_units(cues: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The cues of a clip as one vector, whose product with the cues of a subtitle one after the other is the sum of
    their cosines in these weights, (sum of D,)."""
    return torch.cat([weights[name] * cues[name] for name in cues])


def _texts(pool: Pool, columns: Tensor, rates: Tensor, room: Tensor) -> Tensor:
    """(s, m, dim + 1) float32 of some subtitles: their steps, and beside each the rate of its language.

    A view of `room`; padding is not cleared.
    """
    lengths = pool.lengths[columns].tolist()
    shape = len(columns), max(lengths), pool.steps.shape[1] + 1
    texts = room[: math.prod(shape)].view(shape)
    for row, last, length, start in _runs(columns.tolist(), lengths, (pool.ends - pool.lengths)[columns].tolist()):
        block = pool.steps[start : start + (last - row) * length]
        texts[row:last, :length, :-1] = block.view(last - row, length, -1)
    texts[..., -1] = rates[columns][:, None]
    return texts


def _runs(columns: list[int], lengths: list[int], starts: list[int]) -> Iterator[tuple[int, int, int, int]]:
    """First row, last row, length and place of stretches that lie beside each other and are of one length."""
    row = 0
    while row < len(columns):
        last = row + 1
        while last < len(columns) and columns[last] == columns[last - 1] + 1 and lengths[last] == lengths[row]:
            last += 1
        yield row, last, lengths[row], starts[row]
        row = last

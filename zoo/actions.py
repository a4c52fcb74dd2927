"""Alignments as actions on two stacks, as NeuMATCH sees them (Dogan et al., CVPR 2018; Wang et al., WACV 2021).

The first clip and the first sentence are on top.  An action drops the top clip, drops the top sentence, or matches the
two; a match removes the clip and keeps the sentence.
"""

from __future__ import annotations

from bisect import bisect_right

import torch
from torch import Tensor

POP_CLIP, POP_SENTENCE, MATCH = range(3)
ACTIONS = 3


def actions_of(labels: Tensor, sentences: int) -> Tensor:
    """The actions that make an alignment; a sentence is dropped as late as possible, just before the next match.

    Args:
        labels: (n,) 0-based sentence of each clip, -1 for none; sentences never go back (see `monotone`).
        sentences: how many there are.

    Returns:
        (T,) int64 with n <= T < n + sentences; what is left when the clips are done needs no action.

    Raises:
        ValueError: naming the clip whose label is no sentence, or goes back.
    """
    top = 0
    actions: list[int] = []
    for clip, label in enumerate(labels.tolist()):
        if not -1 <= label < sentences:
            raise ValueError(f"clip {clip} has label {label}; there are {sentences} sentences, and -1 is none")
        if label == -1:
            actions.append(POP_CLIP)
            continue
        if label < top:
            raise ValueError(f"clip {clip} goes back from sentence {top} to {label}; `monotone` drops such clips")
        actions += [POP_SENTENCE] * (label - top) + [MATCH]
        top = label
    return torch.tensor(actions, dtype=torch.int64)


def monotone(labels: Tensor) -> Tensor:
    """(n,) labels that never go back: as many clips as possible keep theirs, the others get -1."""
    ends: list[int] = []  # the least last sentence of a chain of each length
    at: list[int] = []  # its clip
    before: dict[int, int] = {}
    values = labels.tolist()
    for clip, label in enumerate(values):
        if label < 0:
            continue
        length = bisect_right(ends, label)
        before[clip] = at[length - 1] if length else -1
        ends[length:] = [label, *ends[length + 1 :]]
        at[length:] = [clip, *at[length + 1 :]]
    kept = torch.full_like(labels, -1)
    clip = at[-1] if at else -1
    while clip >= 0:
        kept[clip] = values[clip]
        clip = before[clip]
    return kept

"""Alignments enumerated from their definitions, and random problems: what the recurrences are held to."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise, product

import torch
from hypothesis import strategies as st
from torch import Tensor

from weaksync.kernels.geometry import within_band


def near(n: int, m: int, band: int | None) -> Tensor:
    """The cells of one pair that a band keeps, bool (n, m)."""
    if band is None:
        return torch.ones(n, m, dtype=torch.bool)
    return within_band(torch.tensor([n]), torch.tensor([m]), n, m, band)[0]


def dtw_paths(n: int, m: int, i: int = 0, j: int = 0) -> Iterator[list[tuple[int, int]]]:
    """Every monotone path from cell (i, j) to the corner."""
    if (i, j) == (n - 1, m - 1):
        yield [(i, j)]
    for a, b in ((i + 1, j + 1), (i + 1, j), (i, j + 1)):
        if a < n and b < m:
            for rest in dtw_paths(n, m, a, b):
                yield [(i, j), *rest]


def dsta_paths(
    n: int, m: int, window: int | None, weight: float, margin: int
) -> Iterator[tuple[list[tuple[int, int]], float]]:
    """Every choice of a text for each video step that the window allows, with its price of going back."""
    width = m if window is None else window
    for texts in product(range(m), repeat=n):
        leaps = [(0, texts[0] + 1), *((p + 1, j + 1) for p, j in pairwise(texts))]  # counted from 1; 0 is the start
        if texts[-1] == m - 1 and all(abs(p - j) <= width for p, j in leaps):
            yield list(enumerate(texts)), sum(weight * max(p - j - margin, 0) for p, j in leaps)


def labellings(n: int, m: int, contiguous: bool, texts_may_drop: bool) -> Iterator[tuple[int, ...]]:
    """Every monotone labelling of n video steps with texts 0..m-1 or -1 (dropped)."""
    for labels in product(range(-1, m), repeat=n):
        matched = [(i, j) for i, j in enumerate(labels) if j >= 0]
        rises = all(a <= b for (_, a), (_, b) in pairwise(matched))
        torn = any(a == b and later - i > 1 for (i, a), (later, b) in pairwise(matched))
        whole = texts_may_drop or len({j for _, j in matched}) == m
        if rises and whole and not (contiguous and torn):
            yield labels


def gibbs(prices: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """The soft minimum of prices (P,) and the probability of each, both by their definitions."""
    if not len(prices) or torch.isinf(prices.min()):
        return torch.tensor(math.inf, dtype=torch.float64), torch.zeros_like(prices)
    weights = torch.exp(-(prices - prices.min()) / gamma)
    return prices.min() - gamma * torch.log(weights.sum()), weights / weights.sum()


@st.composite
def costs(draw: st.DrawFn, n: int, m: int) -> Tensor:
    """(n, m) float64 with ties, and now and then with masked cells."""
    number = st.floats(0, 2, allow_subnormal=False) | st.sampled_from([0.0, 0.5, 1.0])
    cell = number | st.just(math.inf) if draw(st.booleans()) else number
    rows = st.lists(st.lists(cell, min_size=m, max_size=m), min_size=n, max_size=n)
    return torch.tensor(draw(rows), dtype=torch.float64)


gammas = st.sampled_from([0.001, 0.03, 0.1, 1.0, 10.0])

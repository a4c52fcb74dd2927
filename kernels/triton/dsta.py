"""DSTA and its labels on the GPU: soft_dsta.py without softness, so that the exponents alone remain.

Gains (-cost) are maximised:

    G[i, j] = -C[i, j] + max over |p - j| <= window of G[i-1, p] - weight * max(p - j - margin, 0)

Every row is kept; the labels are found from the last row up, each as the best p of one row, ties to the smallest.
"""

import triton
import triton.language as tl

from .rows import SIZES, band_edges, lengths, outside_row, row_at
from .semiring import (
    NEVER,
    cost_of,
    exponent_scan,
    gain_at,
    gains,
    load,
    rebased,
    shifted,
    shifted_ahead,
    shifted_by,
    store,
)
from .soft_dsta import bit, reach_of, start_column, window_blocks


@triton.jit
def whole_best(g, lane, weight, lanes, MARGIN: tl.constexpr, Q: tl.constexpr):
    """The best of p <= j + MARGIN, and of p > j + MARGIN less its penalty; `lanes` moves both to another start."""
    W: tl.constexpr = len(Q)
    near, _ = exponent_scan(None, g, lane, None, False, Q)
    far, _ = exponent_scan([0.0 - weight for _ in Q], g, lane, None, True, Q)
    total = tl.gather(near[W - 1], lane * 0 + lane.shape[0] - 1, 0)
    if lanes is not None:
        near, far = rebased(near, lane, lanes, total, Q), rebased(far, lane, lanes, NEVER, Q)
    near, far = shifted(near, lane, MARGIN, total, Q), shifted(far, lane, MARGIN + 1, NEVER, Q)
    return [tl.maximum(near[q], far[q] - weight) for q in Q]


@triton.jit
def best_in_blocks(step, starts, g, lane, RIGHT_TO_LEFT: tl.constexpr, Q: tl.constexpr):
    k = [tl.where(bit(starts, q), float("-inf"), step) for q in Q]
    best, _ = exponent_scan(k, g, lane, None, RIGHT_TO_LEFT, Q)
    return best


@triton.jit
def windowed_best(g, lane, window, weight, blocks, MARGIN: tl.constexpr, Q: tl.constexpr):
    """The best of each column's window, less its penalty (see soft_dsta.finite_window)."""
    W: tl.constexpr = len(Q)
    ahead, starts, ends, left_out, far_starts, far_ends, place, use, next_text = blocks
    free = tl.zeros_like(weight)
    p1 = best_in_blocks(free, starts, g, lane, False, Q)
    p1 = shifted_ahead(p1, lane, ahead, MARGIN, tl.gather(p1[W - 1], lane * 0 + lane.shape[0] - 1, 0), 1, Q)
    p1 = [tl.where(bit(left_out, q), NEVER, p1[q]) for q in Q]
    s1 = shifted_by(best_in_blocks(free, ends, g, lane, True, Q), lane, window, NEVER, -1, Q)
    s2 = best_in_blocks(0.0 - weight, far_ends, g, lane, True, Q)
    s2 = shifted_ahead(s2, lane, ahead + 1, MARGIN + 1, NEVER, 1, Q)
    p2 = best_in_blocks(free, far_starts, [g[q] + place[q] for q in Q], lane, False, Q)
    p2 = shifted_by(p2, lane, window, NEVER, 1, Q)
    near = [tl.maximum(p1[q], s1[q]) for q in Q]
    return [tl.maximum(near[q], tl.maximum(p2[q] + use[q], s2[q] + next_text)) for q in Q]


@triton.jit(do_not_specialize=SIZES)
def forward(
    cost,  # (B, n, >= limit) float32
    steps,
    texts,
    windows,  # (B,) int64
    spoiled,
    value,  # (B,) out
    table,  # (B, n, table_row4 * 4) out: gains
    n,
    limit4,
    row4,
    pair4,
    table_row4,
    weight,
    band,
    MARGIN: tl.constexpr,
    WINDOWED: tl.constexpr,
    STORE: tl.constexpr,
    BAND: tl.constexpr,
    NARROW: tl.constexpr,
    Q: tl.constexpr,
    L: tl.constexpr,
):
    W: tl.constexpr = len(Q)
    pair = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, L)
    N, M, is_spoiled = lengths(steps, texts, spoiled, pair)
    N = tl.where(is_spoiled, 0, N)
    window = reach_of(windows, pair, M, WINDOWED)
    weight = tl.full((L,), weight, tl.float32)
    limit, held = limit4 * 4, (table_row4 if NARROW else limit4) * 4
    cost += pair * pair4 * 4
    table += pair * row_at(n, table_row4)
    if WINDOWED:
        blocks = window_blocks(lane, window, M, 0.0 - weight, MARGIN, False, Q)
    base = start_column(0, N, M, band, NARROW, W)
    cost_row, table_row = cost, table
    # the row above the first one: as if at the first text, but a window from before it reaches one text less
    first = tl.where(N > 0, lane * W, 1)
    g = [tl.where(first == 0 - q, 0.0, NEVER) for q in Q]
    outside = outside_row(lane, 0, tl.minimum(M, window) - 1 - base, False, Q)
    for i in range(N):
        lanes = None
        if NARROW:
            before = base
            base = start_column(i, N, M, band, NARROW, W)
            lanes = (base - before) // W
        if BAND:
            low, high = band_edges(i, N, M, band)
            if WINDOWED:
                high = tl.where(i == 0, tl.minimum(high, window - 1), high)
            outside = outside_row(lane, low - base, high - base, BAND, Q)
        k = gains(load(cost_row + base, lane, limit - base, Q), outside, Q)
        if WINDOWED:
            g = windowed_best(g, lane, window, weight, blocks, MARGIN, Q)
            outside = outside_row(lane, 0, M - 1 - base, False, Q)
        else:
            g = whole_best(g, lane, weight, lanes, MARGIN, Q)
        g = [tl.maximum(g[q] + k[q], NEVER) for q in Q]
        if STORE:
            store(table_row, g, lane, held, Q)
            table_row += held
        cost_row += row4 * 4
    tl.store(value + pair, cost_of(gain_at(g, lane, M - 1 - base, Q), is_spoiled))


@triton.jit(do_not_specialize=SIZES)
def trace(
    table,
    steps,
    texts,
    windows,
    value,
    labels,  # (B, n) int64 out
    n,
    rows,
    table_row4,
    weight,
    band,
    MARGIN: tl.constexpr,
    WINDOWED: tl.constexpr,
    BAND: tl.constexpr,
    NARROW: tl.constexpr,
    Q: tl.constexpr,
    BLOCK: tl.constexpr,
):
    W: tl.constexpr = len(Q)
    pair = tl.program_id(0).to(tl.int64)
    cost = tl.load(value + pair)
    reached = (cost == cost) & (cost != float("inf"))
    N, M = tl.load(steps + pair).to(tl.int32), tl.load(texts + pair).to(tl.int32)
    window = reach_of(windows, pair, M, WINDOWED)
    table_row = table_row4 * 4
    table += pair * row_at(rows, table_row4)
    labels += pair * n
    done = tl.where(reached, N, 0)
    for start in range(0, n, BLOCK):
        place = start + tl.arange(0, BLOCK)
        tl.store(labels + place, tl.full((BLOCK,), -1, tl.int64), (place >= done) & (place < n))
    label = M - 1
    for turn in range(done):
        i = N - 1 - turn
        tl.store(labels + i, label.to(tl.int64))
        above = tl.maximum(i - 1, 0)
        base = start_column(above, N, M, band, NARROW, W)
        low, high = M * 0, M - 1
        if BAND:
            low, high = band_edges(above, N, M, band)
        low = tl.maximum(tl.maximum(low, label - window), base)
        high = tl.minimum(tl.minimum(high, label + window), base + table_row - 1)
        best, best_text = tl.cast(-3.0e38, tl.float32), label
        for start in range(low, high + 1, BLOCK):
            p = start + tl.arange(0, BLOCK)
            gain = tl.load(table + row_at(above, table_row4) + p - base, p <= high, other=-3.0e38)
            gain -= weight * tl.maximum(p - label - MARGIN, 0).to(tl.float32)
            here = tl.max(gain, 0)
            text = tl.min(tl.where(gain == here, p, M), 0)
            best_text = tl.where(here > best, text, best_text)
            best = tl.maximum(here, best)
        label = best_text

"""DTW and its path on the GPU: soft_dtw.py without softness, so that the exponents alone remain.

Gains (-cost) are maximised: G[i, j] = -C[i, j] + max(G[i-1, j-1], G[i-1, j], G[i, j-1]). A byte for each cell says
where its best came from; ties prefer the diagonal, then the row above.
"""

import triton
import triton.language as tl

from .rows import SIZES, band_edges, band_start, blocks, first_column, lengths, outside_row, place_of, row_at
from .semiring import NEVER, cost_of, exponent_scan, gain_at, gains, load, rebased, same, store

DIAGONAL = tl.constexpr(0)
UP = tl.constexpr(1)
LEFT = tl.constexpr(2)


@triton.jit(do_not_specialize=SIZES)
def forward(
    cost,  # (B, n, >= limit) float32
    steps,
    texts,
    spoiled,
    value,  # (B,) out
    choices,  # (B, n, choice_row4 * 4) int8 out
    edge,  # (B, 2, n) scratch: the last column of a block
    n,
    limit4,
    row4,
    pair4,
    choice_row4,
    band,
    STORE: tl.constexpr,
    BAND: tl.constexpr,
    NARROW: tl.constexpr,
    MOVING: tl.constexpr,
    CHUNKED: tl.constexpr,
    Q: tl.constexpr,
    L: tl.constexpr,
):
    W: tl.constexpr = len(Q)
    pair = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, L)
    N, M, is_spoiled = lengths(steps, texts, spoiled, pair)
    N = tl.where(is_spoiled, 0, N)
    limit, held_row = limit4 * 4, (choice_row4 if NARROW else limit4) * 4
    cost += pair * pair4 * 4
    choices += pair * row_at(n, choice_row4)
    edge += pair * n * 2
    count = blocks(M, N, MOVING, W, L) if CHUNKED else 1
    for block in range(count):
        base = first_column(0, block, N, MOVING, W, L)
        corner = (lane == 0) & (block == 0)
        up = same(NEVER, lane, Q)
        diagonal = [tl.where(corner & (q == 0), 0.0, NEVER) for q in Q]
        outside = outside_row(lane, 0, M - 1 - base, False, Q)
        cost_row, choice_row = cost, choices
        for i in range(N):
            low = 0
            if BAND:
                low, high = band_edges(i, N, M, band)
            if MOVING:
                before = base
                base = first_column(low, block, N, MOVING, W, L)
                lanes = (base - before) // W
                up, diagonal = rebased(up, lane, lanes, NEVER, Q), rebased(diagonal, lane, lanes, NEVER, Q)
            if BAND:
                outside = outside_row(lane, low - base, high - base, BAND, Q)
            first = None
            if CHUNKED:
                first = tl.load(edge + (block % 2) * n + i, block > 0, other=NEVER)
            k = gains(load(cost_row + base, lane, limit - base, Q), outside, Q)
            g, left = exponent_scan(k, [tl.maximum(up[q], diagonal[q]) + k[q] for q in Q], lane, first, False, Q)
            if STORE:
                side = [tl.where(up[q] >= left[q], UP, LEFT) for q in Q]
                best = [tl.where(diagonal[q] >= tl.maximum(up[q], left[q]), DIAGONAL, side[q]) for q in Q]
                place, held, since = place_of(base, low, held_row, n, N, NARROW, MOVING, W)
                store(choice_row + place, [one.to(tl.int8) for one in best], lane, held, Q, since)
                choice_row += held_row
            up, diagonal = g, left
            cost_row += row4 * 4
            if CHUNKED:
                tl.store(edge + ((block + 1) % 2) * n + i + lane * 0, g[W - 1], lane == L - 1)
        if block == count - 1:
            tl.store(value + pair, cost_of(gain_at(up, lane, M - 1 - base, Q), is_spoiled))
        if CHUNKED:
            tl.debug_barrier()


@triton.jit(do_not_specialize=SIZES)
def trace(
    choices,
    steps,
    texts,
    value,
    backwards,  # (B, longest, 2) int64 scratch
    path,  # (B, longest, 2) int64 out
    path_lengths,  # (B,) int64 out
    n,
    longest,
    choice_row4,
    band,
    NARROW: tl.constexpr,
    Q: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The path from corner to corner, padded with -1: walked back first, then turned round."""
    W: tl.constexpr = len(Q)
    pair = tl.program_id(0).to(tl.int64)
    cost = tl.load(value + pair)
    reached = (cost == cost) & (cost != float("inf"))
    N, M = tl.load(steps + pair).to(tl.int32), tl.load(texts + pair).to(tl.int32)
    choices += pair * row_at(n, choice_row4)
    backwards += pair * longest * 2
    path += pair * longest * 2
    i, j, length = N - 1, M - 1, M * 0
    while reached & (i >= 0) & (j >= 0):
        tl.store(backwards + length * 2, i.to(tl.int64))
        tl.store(backwards + length * 2 + 1, j.to(tl.int64))
        length += 1
        column = j
        if NARROW:
            low, _ = band_edges(i, N, M, band)
            column = tl.where(N > 1, j - band_start(low, W), j)
        choice = tl.load(choices + row_at(i, choice_row4) + column)
        # in the corner there is nothing left of column 0, so that the walk ends
        at_corner = (i == 0) & (j == 0)
        i -= tl.where((choice != LEFT) | at_corner, 1, 0)
        j -= tl.where((choice != UP) | at_corner, 1, 0)
    tl.store(path_lengths + pair, length.to(tl.int64))
    tl.debug_barrier()
    for start in range(0, longest, BLOCK):
        place = start + tl.arange(0, BLOCK)
        turned = length - 1 - place
        for side in tl.static_range(2):
            cell = tl.load(backwards + turned * 2 + side, turned >= 0, other=-1)
            tl.store(path + place * 2 + side, cell, place < longest)

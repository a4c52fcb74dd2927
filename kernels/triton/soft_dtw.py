"""soft-DTW on the GPU: D[i, j] = C[i, j] + softmin(D[i-1, j-1], D[i-1, j], D[i, j-1]) (Cuturi and Blondel, 2017).

With scale = -log2(e) / gamma and R = 2**(D * scale), which is exp(-D / gamma), the softmin is a sum:
R[i, j] = K[i, j] (R[i-1, j-1] + R[i-1, j] + R[i, j-1]), where K = 2**(C * scale). So a row is one linear recurrence
from left to right, fed by the row above (semiring.py).

The forward pass can store, for every cell, which share of R came from the left and which from above; a share above 1
means all that did not come from the left. The expected alignment is then a walk of mass back from the corner along
these shares: plain float32 numbers, and no exponents. What is forbidden has a share of exactly 0 and gets nothing.
"""

import triton
import triton.language as tl

from .rows import SIZES, band_edges, blocks, fill_unvisited, first_column, lengths, outside_row, place_of, row_at
from .semiring import (
    NEVER,
    START,
    at,
    exponent_scan,
    linear_scan,
    load,
    put_edge,
    reaching,
    rebased,
    renormalised,
    same,
    shifted,
    store,
    value_of,
    weights,
)


@triton.jit(do_not_specialize=SIZES)
def forward(
    cost,  # (B, n, >= limit) float32
    steps,
    texts,
    spoiled,  # (B,) int64, int64, int32
    value,  # (B,) out
    left,
    up,  # (B, n, share_row4 * 4) out: shares of the left and the upper neighbour in each cell
    edge,  # (B, 2, n, 2) scratch: r and e of the last column of a block
    n,
    limit4,
    row4,
    pair4,
    share_row4,
    scale,
    band,
    STORE: tl.constexpr,
    BAND: tl.constexpr,
    NARROW: tl.constexpr,
    MOVING: tl.constexpr,
    CHUNKED: tl.constexpr,
    EVERY: tl.constexpr,
    Q: tl.constexpr,
    L: tl.constexpr,
):
    """The value of each pair, and the shares of each cell.

    STORE: write the shares; without it there will be no backward pass.
    BAND: cells off the band weigh nothing; its edges are found for each row.
    NARROW: the band is narrower than the row, and a stored row holds its columns alone.
    MOVING: it fits a program, too, which holds nothing else: its lanes move right with the band.
    CHUNKED: the columns may take several blocks of W * L. A block runs down all rows, then the next one does; what goes
        over to it lies in `edge`, whose two halves blocks take in turns.
    EVERY: how many rows, a power of two, lie between two renormalisations.
    """
    W: tl.constexpr = len(Q)
    pair = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, L)
    N, M, is_spoiled = lengths(steps, texts, spoiled, pair)
    N = tl.where(is_spoiled, 0, N)
    limit, share_row = limit4 * 4, (share_row4 if NARROW else limit4) * 4
    cost += pair * pair4 * 4
    left += pair * row_at(n, share_row4)
    up += pair * row_at(n, share_row4)
    edge += pair * n * 4
    count = blocks(M, N, MOVING, W, L) if CHUNKED else 1
    for block in range(count):
        base = first_column(0, block, N, MOVING, W, L)
        r, e = same(0.0, lane, Q), same(NEVER, lane, Q)  # the row above
        corner = (lane == 0) & (block == 0)
        rd = [tl.where(corner & (q == 0), 1.0, 0.0) for q in Q]  # the row above, one column to the left
        ed = [tl.where(corner & (q == 0), START, NEVER) for q in Q]
        outside = outside_row(lane, 0, M - 1 - base, False, Q)
        cost_row, left_row, up_row = cost, left, up
        for i in range(N):
            low = 0
            if BAND:
                low, high = band_edges(i, N, M, band)
            if MOVING:
                before = base
                base = first_column(low, block, N, MOVING, W, L)
                lanes = (base - before) // W
                r, e = rebased(r, lane, lanes, 0.0, Q), rebased(e, lane, lanes, NEVER, Q)
                rd, ed = rebased(rd, lane, lanes, 0.0, Q), rebased(ed, lane, lanes, NEVER, Q)
            if BAND:
                outside = outside_row(lane, low - base, high - base, BAND, Q)
            first_r, first_e = None, None
            if CHUNKED:
                first = edge + ((block % 2) * n + i) * 2
                first_r = tl.load(first, block > 0, other=0.0)
                first_e = tl.load(first + 1, block > 0, other=NEVER)
            row = load(cost_row + base, lane, limit - base, Q)
            y = weights(row, outside, scale, Q)

            f, fd = exponent_scan(y, [tl.maximum(e[q], ed[q]) + y[q] for q in Q], lane, first_e, False, Q)
            y = reaching(y, f, Q)
            a = [tl.exp2((fd[q] - f[q]) + y[q]) for q in Q]
            from_up = [r[q] * tl.exp2((e[q] - f[q]) + y[q]) for q in Q]
            b = [from_up[q] + rd[q] * tl.exp2((ed[q] - f[q]) + y[q]) for q in Q]
            # column j - 1 of this row is what the next row has diagonally before column j
            r, rd = linear_scan(a, b, lane, first_r, False, Q)
            e, ed = f, fd
            cost_row += row4 * 4

            if STORE:
                # 1 / r, with no square of r that could leave the range of float32; where it is 0, any number will do
                inverse = [tl.rsqrt(tl.maximum(r[q], 1.0e-37)) for q in Q]
                inverse = [one * one for one in inverse]
                # 1 where nothing comes from above, so that a long way along a row loses no mass to rounding, and 0,
                # not the rounding of a difference, where nothing comes from the left
                from_left = [tl.where(r[q] > b[q], 1.0 - b[q] * inverse[q], 0.0) for q in Q]
                # + 1 says that nothing comes diagonally, as the rounding of the share must not leave a rest for it
                share_up = [from_up[q] * inverse[q] + (from_up[q] >= b[q]).to(tl.float32) for q in Q]
                place, held, since = place_of(base, low, share_row, n, N, NARROW, MOVING, W)
                store(left_row + place, from_left, lane, held, Q, since)
                store(up_row + place, share_up, lane, held, Q, since)
                left_row += share_row
                up_row += share_row
            if CHUNKED:
                put_edge(edge + (((block + 1) % 2) * n + i) * 2, r[W - 1], e[W - 1], lane, L - 1)
            if (i & (EVERY - 1)) == EVERY - 1:
                r, e = renormalised(r, e, Q)
                rd = shifted(r, lane, -1, first_r if CHUNKED else 0.0, Q)
                ed = shifted(e, lane, -1, first_e if CHUNKED else NEVER, Q)
        if block == count - 1:
            r, e = renormalised(r, e, Q)
            column = M - 1 - base
            tl.store(value + pair, value_of(at(r, lane, column, Q), at(e, lane, column, Q), scale, is_spoiled))
        if CHUNKED:
            tl.debug_barrier()


@triton.jit(do_not_specialize=SIZES)
def backward(
    left,
    up,  # (B, n, share_row4 * 4), as the forward pass left them; `alignment` may be the same memory as `left`
    steps,
    texts,
    spoiled,
    value,  # (B,)
    alignment,  # (B, n, limit) out
    edge,  # (B, 2, n, 2) scratch: for each row the mass that leaves the first column of a block left, and diagonally
    n,
    limit4,
    share_row4,
    band,
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
    # rows that the walk visits: none where there is no alignment to walk back along
    done = tl.where(is_spoiled | (tl.load(value + pair) == float("inf")), 0, N)
    limit, share_row = limit4 * 4, (share_row4 if NARROW else limit4) * 4
    left += pair * row_at(n, share_row4)
    up += pair * row_at(n, share_row4)
    alignment += pair * row_at(n, limit4)
    edge += pair * n * 4
    count = blocks(M, N, MOVING, W, L) if CHUNKED else 1
    for turn in range(count):
        block = count - 1 - turn
        low = 0
        if MOVING:
            low, _ = band_edges(tl.maximum(N - 1, 0), N, M, band)
        base = first_column(low, block, N, MOVING, W, L)
        upward = [tl.where(lane * W == M - 1 - base - q, 1.0, 0.0) for q in Q]  # mass from the row below, by its way
        diagonal = same(0.0, lane, Q)
        left_row, up_row = left + row_at(N - 1, share_row4), up + row_at(N - 1, share_row4)
        row = alignment + row_at(N - 1, limit4) if NARROW else left_row
        for t in range(done):
            i = N - 1 - t
            if NARROW:
                low, _ = band_edges(i, N, M, band)
            if MOVING:
                before = base
                base = first_column(low, block, N, MOVING, W, L)
                lanes = (base - before) // W
                upward, diagonal = rebased(upward, lane, lanes, 0.0, Q), rebased(diagonal, lane, lanes, 0.0, Q)
            first_left, first_diagonal = None, 0.0
            if CHUNKED:
                first = edge + ((turn % 2) * n + i) * 2
                first_left = tl.load(first, turn > 0, other=0.0)
                # its row is i + 1, two floats on, and there the second of (left, diagonal)
                first_diagonal = tl.load(first + 3, (turn > 0) & (t > 0), other=0.0)
            place, held, since = place_of(base, low, share_row, n, N, NARROW, MOVING, W)
            to_left = load(left_row + place, lane, held, Q, since=since)
            to_up = load(up_row + place, lane, held, Q, since=since)

            diagonal = shifted(diagonal, lane, 1, first_diagonal, Q)
            below = [upward[q] + diagonal[q] for q in Q]
            # what goes left: l[j] = share[j] (below[j] + l[j+1])
            leaving, from_right = linear_scan(to_left, [to_left[q] * below[q] for q in Q], lane, first_left, True, Q)
            mass = [below[q] + from_right[q] for q in Q]
            rest = [mass[q] - leaving[q] for q in Q]
            # a share above 1 takes more than the rest, and leaves 0
            diagonal = [tl.maximum(rest[q] - mass[q] * to_up[q], 0.0) for q in Q]
            upward = [rest[q] - diagonal[q] for q in Q]
            store((row if NARROW else left_row) + base, mass, lane, limit - base, Q)
            left_row -= share_row
            up_row -= share_row
            if NARROW:
                row -= limit
            if CHUNKED:
                last = edge + (((turn + 1) % 2) * n + i) * 2 + lane * 0
                tl.store(last, leaving[0], lane == 0)
                tl.store(last + 1, diagonal[0], lane == 0)
        if CHUNKED:
            tl.debug_barrier()
    fill_unvisited(alignment, limit4, n, N, M, done, count, is_spoiled, lane, NARROW, Q, L)

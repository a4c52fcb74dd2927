"""Drop-DTW and its labels on the GPU: soft_drop_dtw.py without softness, so that the exponents alone remain.

Gains (-cost) are maximised over the same states M, X, Z, W, with U = max(M, X) and V = max(Z, W). A byte for each cell
keeps five choices, from which the labels are read back; ties prefer matching to dropping, and a new text to staying
with the old one. Right of the columns that a narrow table holds, every choice is that of the last of them.
"""

import triton
import triton.language as tl

from .rows import SIZES, band_edges, band_start, blocks, first_column, lengths, outside_row, place_of, row_at
from .semiring import NEVER, cost_of, exponent_scan, gain_at, gains, load, rebased, same, shifted, store

OPEN = tl.constexpr(1)  # X beats M
GAP = tl.constexpr(2)  # W beats Z
CLOSED = tl.constexpr(4)  # the better of Z, W beats the better of M, X
STAY = tl.constexpr(8)  # M goes on with the text of the step before
RUN = tl.constexpr(16)  # Z beats M

M_, X_, Z_, W_ = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2), tl.constexpr(3)
#: what the walk back may ask of a cell instead of one state: the best of all, of M and X, of Z and W, of M and Z
ANY, M_OR_X, Z_OR_W, M_OR_Z = tl.constexpr(4), tl.constexpr(5), tl.constexpr(6), tl.constexpr(7)


@triton.jit
def flag(condition, bit: tl.constexpr):
    return tl.where(condition, bit, 0)


@triton.jit
def text_gains(drop, base, lane, limit, M, Q: tl.constexpr):
    """What dropping the texts from `base` on gains; NEVER beyond the last one."""
    return gains(load(drop + base, lane, limit - base, Q), outside_row(lane, 0, M - 1 - base, False, Q), Q)


@triton.jit(do_not_specialize=SIZES)
def forward(
    cost,  # (B, n, >= limit) float32
    drop_video,  # (B, n)
    drop_text,  # (B, limit)
    steps,
    texts,
    spoiled,
    value,  # (B,) out
    choices,  # (B, n, choice_row4 * 4) int8 out
    edge,  # (B, 2, n + 1, 2) scratch: T = max(U, V) and S = max(M, Z) of a block's last column
    n,
    limit4,
    row4,
    pair4,
    choice_row4,
    band,
    DROP_TEXT: tl.constexpr,
    CONTIGUOUS: tl.constexpr,
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
    limit, choice_row = limit4 * 4, (choice_row4 if NARROW else limit4) * 4
    cost += pair * pair4 * 4
    drop_video += pair * n
    drop_text += pair * limit
    choices += pair * row_at(n, choice_row4)
    edge += pair * (n + 1) * 4
    count = blocks(M, N, MOVING, W, L) if CHUNKED else 1
    for block in range(count):
        base = first_column(0, block, N, MOVING, W, L)
        edge_before, edge_here = edge + (block % 2) * (n + 1) * 2, edge + ((block + 1) % 2) * (n + 1) * 2
        outside = outside_row(lane, 0, M - 1 - base, False, Q)
        dz = text_gains(drop_text, base, lane, limit, M, Q)
        m = same(NEVER, lane, Q)
        u, v = m, m
        # no video step yet: texts are dropped, or not
        if DROP_TEXT:
            nothing = 0.0
            if CHUNKED:
                nothing = tl.load(edge_before + 1, block > 0, other=0.0)
            s, s_before = exponent_scan(dz, m, lane, nothing, False, Q)
            v = [tl.maximum(s_before[q] + dz[q], NEVER) for q in Q]
            if CHUNKED:
                tl.store(edge_here + 1 + lane * 0, s[W - 1], lane == L - 1)
        start = tl.cast(0.0, tl.float32)  # column 0: every step so far is dropped
        for i in range(N):
            low = 0
            if BAND:
                low, high = band_edges(i, N, M, band)
            if MOVING:
                to = first_column(low, block, N, MOVING, W, L)
                while base < to:
                    lanes = tl.minimum((to - base) // W, L - 1)
                    base += lanes * W
                    m, u = rebased(m, lane, lanes, NEVER, Q), rebased(u, lane, lanes, NEVER, Q)
                    if DROP_TEXT:
                        dz = text_gains(drop_text, base, lane, limit, M, Q)
                        dz_new = [tl.where(lane >= L - lanes, dz[q], NEVER) for q in Q]
                        v, _ = exponent_scan(dz_new, rebased(v, lane, lanes, NEVER, Q), lane, None, False, Q)
                        v = [tl.maximum(v[q], NEVER) for q in Q]
            if BAND:
                outside = outside_row(lane, low - base, high - base, BAND, Q)
            t = [tl.maximum(u[q], v[q]) for q in Q]
            first_t, first_s = start, None
            if CHUNKED:
                first = edge_before + i * 2
                first_t = tl.load(first, block > 0, other=first_t)
                first_s = tl.load(first + 3, block > 0, other=NEVER)
                tl.store(edge_here + i * 2 + lane * 0, t[W - 1], lane == L - 1)
            k = gains(load(cost + row_at(i, row4) + base, lane, limit - base, Q), outside, Q)
            dx = 0.0 - tl.load(drop_video + i)

            stay = m if CONTIGUOUS else u
            diagonal = shifted(t, lane, -1, first_t, Q)
            goes_on = [flag(stay[q] > diagonal[q], STAY) for q in Q]
            m = [tl.maximum(tl.maximum(stay[q], diagonal[q]) + k[q], NEVER) for q in Q]
            x = [tl.maximum(u[q] + dx, NEVER) for q in Q]
            w = [tl.maximum(v[q] + dx, NEVER) for q in Q]
            z = same(NEVER, lane, Q)
            if DROP_TEXT:
                s, s_before = exponent_scan(dz, m, lane, first_s, False, Q)
                z = [tl.maximum(s_before[q] + dz[q], NEVER) for q in Q]
                if CHUNKED:
                    tl.store(edge_here + i * 2 + 3 + lane * 0, s[W - 1], lane == L - 1)
            u, v = [tl.maximum(m[q], x[q]) for q in Q], [tl.maximum(z[q], w[q]) for q in Q]
            if STORE:
                byte = [
                    goes_on[q] | flag(x[q] > m[q], OPEN) | flag(w[q] > z[q], GAP) | flag(z[q] > m[q], RUN) for q in Q
                ]
                byte = [(byte[q] | flag(v[q] > u[q], CLOSED)).to(tl.int8) for q in Q]
                place, held, since = place_of(base, low, choice_row, n, N, NARROW, MOVING, W)
                store(choices + row_at(i, choice_row // 4) + place, byte, lane, held, Q, since)
            start += dx
        if block == count - 1:
            t = [tl.maximum(u[q], v[q]) for q in Q]
            best = tl.where(M == 0, start, gain_at(t, lane, M - 1 - base, Q))
            tl.store(value + pair, cost_of(best, is_spoiled))
        if CHUNKED:
            tl.debug_barrier()


@triton.jit(do_not_specialize=SIZES)
def trace(
    choices,
    steps,
    texts,
    value,
    labels,  # (B, n) int64 out
    n,
    rows,
    choice_row4,
    band,
    CONTIGUOUS: tl.constexpr,
    NARROW: tl.constexpr,
    Q: tl.constexpr,
    BLOCK: tl.constexpr,
):
    W: tl.constexpr = len(Q)
    pair = tl.program_id(0).to(tl.int64)
    cost = tl.load(value + pair)
    reached = (cost == cost) & (cost != float("inf"))
    N, M = tl.load(steps + pair).to(tl.int32), tl.load(texts + pair).to(tl.int32)
    choices += pair * row_at(rows, choice_row4)
    labels += pair * n
    for start in range(0, n, BLOCK):
        place = start + tl.arange(0, BLOCK)
        tl.store(labels + place, tl.full((BLOCK,), -1, tl.int64), place < n)
    tl.debug_barrier()
    i, j = N, tl.where(reached, M, 0)  # video steps and texts so far; before the first text every step is dropped
    asked = M * 0 + ANY
    while (i > 0) & (j > 0):
        column = j - 1
        if NARROW:
            low, _ = band_edges(i - 1, N, M, band)
            held = tl.minimum(column - band_start(low, W), choice_row4 * 4 - 1)
            column = tl.where(N > 1, held, column)
        byte = tl.load(choices + row_at(i - 1, choice_row4) + column).to(tl.int32)
        open_state = tl.where((byte & OPEN) != 0, X_, M_)
        closed_state = tl.where((byte & GAP) != 0, W_, Z_)
        state = tl.where(asked == M_OR_X, open_state, asked)
        state = tl.where(asked == Z_OR_W, closed_state, state)
        state = tl.where(asked == M_OR_Z, tl.where((byte & RUN) != 0, Z_, M_), state)
        state = tl.where(asked == ANY, tl.where((byte & CLOSED) != 0, closed_state, open_state), state)
        stays = (byte & STAY) != 0
        matched = state == M_
        tl.store(labels + i - 1, (j - 1).to(tl.int64), matched)
        i -= tl.where(state == Z_, 0, 1)
        j -= tl.where((state == Z_) | (matched & ~stays), 1, 0)
        after_drop = tl.where(state == X_, M_OR_X, tl.where(state == Z_, M_OR_Z, Z_OR_W))
        asked = tl.where(matched, tl.where(stays, M_ if CONTIGUOUS else M_OR_X, ANY), after_drop)

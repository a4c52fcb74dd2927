"""soft Drop-DTW on the GPU: alignments in which video steps and texts may be dropped, each counted once.

After i video steps and j texts an alignment is in one of four states: M, step i shows text j; X, step i is dropped and
text j may go on; Z, text j is dropped; W, step i is dropped after a dropped text, or before any. In a gap texts are
dropped before video steps. With R = 2**(value * scale) and drops of weight x[i] (step) and z[j] (text):

    M[i, j] = K[i, j] (T[i-1, j-1] + M[i-1, j])     T = U + V, and where gaps are allowed in a text's run of steps,
    U[i, j] = M[i, j] + x[i] U[i-1, j]              U[i-1, j] in the place of M[i-1, j]
    V[i, j] = Z[i, j] + x[i] V[i-1, j]              U = M + X, V = Z + W
    Z[i, j] = z[j] (M[i, j-1] + Z[i, j-1])          the only recurrence inside a row, with the same weights in each

Before the first text there are only dropped steps, so column 0 is one number. The backward pass collects, from the last
step up, what each state still has before it (written a), with H = K aM of the row below:

    aW[i, j] = H[i+1, j+1] + x[i+1] aW[i+1, j]
    aZ[i, j] = aW[i, j] + z[j+1] aZ[i, j+1]
    aM[i, j] = aZ[i, j] + G[i, j]                   G[i, j] = H[i+1, j], and x[i+1] G[i+1, j] more with gaps

The alignment is M aM over the total. A text's last match is worth M aZ, so that their sum says how often a text is
matched; a step or text is dropped where it is not matched. So M is all that is stored.

A band forbids matches outside it. Left of it nothing is left to happen but one column away; right of it there are only
dropped texts, and steps dropped after them, so that each V is z times the one to its left and aZ of row i is x times
that of the row below. So the columns that a moving band holds say all: V is carried on to those that come in on the
right, aZ to those on the left, and what the others collect is one number, aZ right of the last column held.
"""

import triton
import triton.language as tl

from .rows import SIZES, band_edges, blocks, fill_unvisited, first_column, lengths, outside_row, place_of, row_at
from .semiring import (
    NEVER,
    START,
    at,
    load,
    plus,
    put_edge,
    reaching,
    rebased,
    renormalised,
    same,
    shifted,
    store,
    sum_scan,
    times,
    value_of,
    weights,
)


@triton.jit
def drop_weight(drop, i, N, scale):
    """log2 of the weight of dropping video step i; 0 beyond the last one."""
    return tl.maximum(tl.load(drop + i, i < N, other=0.0) * scale, NEVER)


@triton.jit
def text_weights(drop, base, lane, limit, M, scale, Q: tl.constexpr):
    """log2 of the weights of dropping the texts from `base` on; NEVER beyond the last one."""
    return weights(load(drop + base, lane, limit - base, Q), outside_row(lane, 0, M - 1 - base, False, Q), scale, Q)


@triton.jit
def next_weights(drop, base, lane, limit, M, scale, Q: tl.constexpr):
    """`text_weights` of the column to the right of each."""
    end = base + len(Q) * lane.shape[0]
    last = tl.maximum(tl.load(drop + end, end < M, other=float("inf")) * scale, NEVER)
    return shifted(text_weights(drop, base, lane, limit, M, scale, Q), lane, 1, last, Q)


@triton.jit(do_not_specialize=SIZES)
def forward(
    cost,  # (B, n, >= limit) float32
    drop_video,  # (B, n)
    drop_text,  # (B, limit)
    steps,
    texts,
    spoiled,
    value,  # (B,) out
    corner,  # (B, 2) out: r and e of the total
    table_r,
    table_e,  # (B, n, table_row4 * 4) out: M
    edge,  # (B, 2, n + 1, 4) scratch: r, e of T and of S = M + Z in the last column of a block
    n,
    limit4,
    row4,
    pair4,
    table_row4,
    scale,
    band,
    DROP_TEXT: tl.constexpr,
    CONTIGUOUS: tl.constexpr,
    STORE: tl.constexpr,
    BAND: tl.constexpr,
    NARROW: tl.constexpr,
    MOVING: tl.constexpr,
    CHUNKED: tl.constexpr,
    EVERY: tl.constexpr,
    Q: tl.constexpr,
    L: tl.constexpr,
):
    W: tl.constexpr = len(Q)
    pair = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, L)
    N, M, is_spoiled = lengths(steps, texts, spoiled, pair)
    N = tl.where(is_spoiled, 0, N)
    limit, table_row = limit4 * 4, (table_row4 if NARROW else limit4) * 4
    cost += pair * pair4 * 4
    drop_video += pair * n
    drop_text += pair * limit
    table_r += pair * row_at(n, table_row4)
    table_e += pair * row_at(n, table_row4)
    edge += pair * (n + 1) * 8
    count = blocks(M, N, MOVING, W, L) if CHUNKED else 1
    for block in range(count):
        base = first_column(0, block, N, MOVING, W, L)
        edge_before, edge_here = edge + (block % 2) * (n + 1) * 4, edge + ((block + 1) % 2) * (n + 1) * 4
        outside = outside_row(lane, 0, M - 1 - base, False, Q)
        y_text = text_weights(drop_text, base, lane, limit, M, scale, Q)
        m, em = same(0.0, lane, Q), same(NEVER, lane, Q)
        u, eu, v, ev = m, em, m, em
        # no video step yet: texts are dropped, or not
        if DROP_TEXT:
            nothing, e_nothing = 1.0, START
            if CHUNKED:
                nothing = tl.load(edge_before + 2, block > 0, other=1.0)
                e_nothing = tl.load(edge_before + 3, block > 0, other=START)
            s, es, s_before, es_before = sum_scan(y_text, m, em, lane, nothing, e_nothing, False, Q)
            v, ev = times(s_before, es_before, y_text, Q)
            v, ev = renormalised(v, ev, Q)
            if CHUNKED:
                put_edge(edge_here + 2, s[W - 1], es[W - 1], lane, L - 1)
        # column 0: log2 of what the dropped steps weigh, and its rounding
        start_e, rest = 0.0 * scale + START, 0.0 * scale
        for i in range(N):
            low = 0
            if BAND:
                low, high = band_edges(i, N, M, band)
            if MOVING:
                to = first_column(low, block, N, MOVING, W, L)
                while base < to:
                    lanes = tl.minimum((to - base) // W, L - 1)
                    base += lanes * W
                    m, em = rebased(m, lane, lanes, 0.0, Q), rebased(em, lane, lanes, NEVER, Q)
                    u, eu = rebased(u, lane, lanes, 0.0, Q), rebased(eu, lane, lanes, NEVER, Q)
                    if DROP_TEXT:
                        y_text = text_weights(drop_text, base, lane, limit, M, scale, Q)
                        v, ev = rebased(v, lane, lanes, 0.0, Q), rebased(ev, lane, lanes, NEVER, Q)
                        y_new = [tl.where(lane >= L - lanes, y_text[q], NEVER) for q in Q]
                        v, ev, _, _ = sum_scan(y_new, v, ev, lane, None, None, False, Q)
            if BAND:
                outside = outside_row(lane, low - base, high - base, BAND, Q)
            t, et = u, eu
            if DROP_TEXT:
                t, et = plus(u, eu, v, ev, None, Q)
            first_t, first_et = tl.exp2(tl.minimum(rest, 1.0)), start_e
            first_s, first_es = None, None
            if CHUNKED:
                first = edge_before + i * 4
                first_t = tl.load(first, block > 0, other=first_t)
                first_et = tl.load(first + 1, block > 0, other=first_et)
                first_s = tl.load(first + 6, block > 0, other=0.0)
                first_es = tl.load(first + 7, block > 0, other=NEVER)
                put_edge(edge_here + i * 4, t[W - 1], et[W - 1], lane, L - 1)
            t, et = shifted(t, lane, -1, first_t, Q), shifted(et, lane, -1, first_et, Q)
            y = weights(load(cost + row_at(i, row4) + base, lane, limit - base, Q), outside, scale, Q)
            x = drop_weight(drop_video, i, N, scale)
            yx = [x for _ in Q]

            stay, e_stay = (m, em) if CONTIGUOUS else (u, eu)
            f = [tl.maximum(et[q], e_stay[q]) + y[q] for q in Q]
            y = reaching(y, f, Q)
            m = [t[q] * tl.exp2((et[q] - f[q]) + y[q]) + stay[q] * tl.exp2((e_stay[q] - f[q]) + y[q]) for q in Q]
            em = f
            u, eu = plus(m, em, u, eu, yx, Q)
            if DROP_TEXT:
                s, es, s_before, es_before = sum_scan(y_text, m, em, lane, first_s, first_es, False, Q)
                z, ez = times(s_before, es_before, y_text, Q)
                v, ev = plus(z, ez, v, ev, yx, Q)
                if CHUNKED:
                    put_edge(edge_here + i * 4 + 6, s[W - 1], es[W - 1], lane, L - 1)
            if STORE:
                place, held, since = place_of(base, low, table_row, n, N, NARROW, MOVING, W)
                store(table_r + row_at(i, table_row // 4) + place, m, lane, held, Q, since)
                store(table_e + row_at(i, table_row // 4) + place, em, lane, held, Q, since)
            if (i & (EVERY - 1)) == EVERY - 1:
                m, em = renormalised(m, em, Q)
                u, eu = renormalised(u, eu, Q)
                v, ev = renormalised(v, ev, Q)
            start_before = start_e
            start_e += x
            rest += x - (start_e - start_before)
        if block == count - 1:
            t, et = plus(u, eu, v, ev, None, Q)
            t, et = renormalised(t, et, Q)
            # no text at all: every step is dropped
            empty = (M == 0) & ~is_spoiled
            r_end = tl.where(empty, tl.exp2(tl.minimum(rest, 1.0)), at(t, lane, M - 1 - base, Q))
            e_end = tl.where(empty, start_e, at(et, lane, M - 1 - base, Q))
            tl.store(corner + 2 * pair, tl.where(e_end > 0.5 * NEVER, r_end, 0.0))
            tl.store(corner + 2 * pair + 1, e_end)
            tl.store(value + pair, value_of(r_end, e_end, scale, is_spoiled))
        if CHUNKED:
            tl.debug_barrier()


@triton.jit(do_not_specialize=SIZES)
def backward(
    cost,
    drop_video,
    drop_text,
    steps,
    texts,
    spoiled,
    corner,
    table_r,  # M, as the forward pass left it; `alignment` may be the same memory
    table_e,
    alignment,  # (B, n, limit) out
    matched,  # (B, limit) in: zeros; out: how often each text is matched
    edge,  # (B, 2, n + 1, 4) scratch: r, e of H and of aZ in the first column of a block
    n,
    limit4,
    row4,
    pair4,
    table_row4,
    scale,
    band,
    DROP_TEXT: tl.constexpr,
    CONTIGUOUS: tl.constexpr,
    BAND: tl.constexpr,
    NARROW: tl.constexpr,
    MOVING: tl.constexpr,
    CHUNKED: tl.constexpr,
    EVERY: tl.constexpr,
    Q: tl.constexpr,
    L: tl.constexpr,
):
    W: tl.constexpr = len(Q)
    pair = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, L)
    N, M, is_spoiled = lengths(steps, texts, spoiled, pair)
    r_end, e_end = tl.load(corner + 2 * pair), tl.load(corner + 2 * pair + 1)
    done = tl.where(is_spoiled | (r_end == 0.0), 0, N)
    limit, table_row = limit4 * 4, (table_row4 if NARROW else limit4) * 4
    cost += pair * pair4 * 4
    drop_video += pair * n
    drop_text += pair * limit
    table_r += pair * row_at(n, table_row4)
    table_e += pair * row_at(n, table_row4)
    alignment += pair * row_at(n, limit4)
    matched += pair * limit
    edge += pair * (n + 1) * 8
    count = blocks(M, N, MOVING, W, L) if CHUNKED else 1
    for turn in range(count):
        block = count - 1 - turn
        low = 0
        if MOVING:
            low, high = band_edges(tl.maximum(N - 1, 0), N, M, band)
        base = first_column(low, block, N, MOVING, W, L)
        edge_before, edge_here = edge + (turn % 2) * (n + 1) * 4, edge + ((turn + 1) % 2) * (n + 1) * 4
        outside = outside_row(lane, 0, M - 1 - base, False, Q)
        y_next = next_weights(drop_text, base, lane, limit, M, scale, Q)
        last_match = same(0.0, lane, Q)
        h, eh = same(0.0, lane, Q), same(NEVER, lane, Q)
        g, eg = h, eh
        # the end; its weight is 1 in the first round
        aw = [tl.where(lane * W == M - 1 - base - q, 1.0 / r_end, 0.0) for q in Q]
        ew = [tl.where(lane * W == M - 1 - base - q, 0.0 - e_end, NEVER) for q in Q]
        beyond, e_beyond = [lane * 0.0], [lane * 0.0 + NEVER]  # aZ right of the columns held
        for step in range(done):
            i = N - 1 - step
            x = drop_weight(drop_video, i + 1, N, scale)
            yx = [x for _ in Q]
            first_h, first_eh, first_z, first_ez = 0.0, NEVER, None, None
            if CHUNKED:
                right = edge_before + i * 4
                first_h = tl.load(right + 4, (turn > 0) & (step > 0), other=0.0)
                first_eh = tl.load(right + 5, (turn > 0) & (step > 0), other=NEVER)
                first_z = tl.load(right + 2, turn > 0, other=0.0)
                first_ez = tl.load(right + 3, turn > 0, other=NEVER)
            if MOVING:
                beyond, e_beyond = times(beyond, e_beyond, [x], [0])
                beyond, e_beyond = renormalised(beyond, e_beyond, [0])
                first_z, first_ez = tl.where(N > 1, beyond[0], first_z), tl.where(N > 1, e_beyond[0], first_ez)
            diagonal, e_diagonal = shifted(h, lane, 1, first_h, Q), shifted(eh, lane, 1, first_eh, Q)
            aw, ew = plus(diagonal, e_diagonal, aw, ew, yx, Q)
            if CONTIGUOUS:
                g, eg = h, eh
            else:
                g, eg = plus(h, eh, g, eg, yx, Q)
            az, ez = aw, ew
            if DROP_TEXT:
                az, ez, _, _ = sum_scan(y_next, aw, ew, lane, first_z, first_ez, True, Q)

            if BAND:
                low, high = band_edges(i, N, M, band)
            if MOVING:
                to = first_column(low, block, N, MOVING, W, L)
                while base > to:
                    lanes = tl.minimum((base - to) // W, L - 1)
                    aw, ew = rebased(aw, lane, 0 - lanes, 0.0, Q), rebased(ew, lane, 0 - lanes, NEVER, Q)
                    g, eg = rebased(g, lane, 0 - lanes, 0.0, Q), rebased(eg, lane, 0 - lanes, NEVER, Q)
                    if DROP_TEXT:
                        store(matched + base, last_match, lane, limit - base, Q, since=(L - lanes) * W)
                        last_match = rebased(last_match, lane, 0 - lanes, 0.0, Q)
                        end = lane * 0 + L - lanes
                        beyond, e_beyond = [tl.gather(az[0], end, 0)], [tl.gather(ez[0], end, 0)]
                    az, ez = rebased(az, lane, 0 - lanes, 0.0, Q), rebased(ez, lane, 0 - lanes, NEVER, Q)
                    base -= lanes * W
                    if DROP_TEXT:
                        y_next = next_weights(drop_text, base, lane, limit, M, scale, Q)
                        y_new = [tl.where(lane < lanes, y_next[q], NEVER) for q in Q]
                        az, ez, _, _ = sum_scan(y_new, az, ez, lane, None, None, True, Q)
            if BAND:
                outside = outside_row(lane, low - base, high - base, BAND, Q)
            place, held, since = place_of(base, low, table_row, n, N, NARROW, MOVING, W)
            m = load(table_r + row_at(i, table_row // 4) + place, lane, held, Q, since=since)
            em = load(table_e + row_at(i, table_row // 4) + place, lane, held, Q, since=since)
            y = weights(load(cost + row_at(i, row4) + base, lane, limit - base, Q), outside, scale, Q)
            am, e_am = plus(az, ez, g, eg, None, Q)
            share = [m[q] * am[q] * tl.exp2(tl.minimum(em[q] + e_am[q], 120.0)) for q in Q]
            store(alignment + row_at(i, limit4) + base, share, lane, limit - base, Q)
            if DROP_TEXT:
                last = [m[q] * az[q] * tl.exp2(tl.minimum(em[q] + ez[q], 120.0)) for q in Q]
                last_match = [last_match[q] + last[q] for q in Q]
            h, eh = times(am, e_am, y, Q)
            if CHUNKED:
                put_edge(edge_here + i * 4, h[0], eh[0], lane, 0)
                put_edge(edge_here + i * 4 + 2, az[0], ez[0], lane, 0)
            if (i & (EVERY - 1)) == 0:
                h, eh = renormalised(h, eh, Q)
                g, eg = renormalised(g, eg, Q)
                aw, ew = renormalised(aw, ew, Q)
        if DROP_TEXT:
            store(matched + base, last_match, lane, limit - base, Q)
        if CHUNKED:
            tl.debug_barrier()
    fill_unvisited(alignment, limit4, n, N, M, done, count, is_spoiled, lane, NARROW, Q, L)

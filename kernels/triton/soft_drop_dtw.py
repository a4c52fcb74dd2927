"""soft Drop-DTW on the GPU: alignments in which video steps and texts may be dropped, each counted once.

After i video steps and j texts an alignment is in one of four states: M, step i shows text j; X, step i is dropped and
text j may go on; Z, text j is dropped; W, step i is dropped after a dropped text, or before any. In a gap texts are
dropped before video steps. With R = 2**(value * scale) and drops of weight x[i] (step) and z[j] (text):

    M[i, j] = K[i, j] (T[i-1, j-1] + M[i-1, j])     T = M + X + Z + W, and where gaps are allowed in a text's run of
    X[i, j] = x[i] (M[i-1, j] + X[i-1, j])          steps, M + X in the place of M[i-1, j]
    W[i, j] = x[i] (Z[i-1, j] + W[i-1, j])
    Z[i, j] = z[j] (M[i, j-1] + Z[i, j-1])          the only recurrence inside a row, with the same weights in each

Before the first text there are only dropped steps, so column 0 is one number. The backward pass collects, from the last
step up, what each state still has before it (written a): aM, aX, aZ, and H = K aM of the row below:

    aX[i, j] = H[i+1, j+1] + x[i+1] aX[i+1, j]      (= aW; where gaps are allowed aX has H[i+1, j] more than aW)
    aZ[i, j] = aW[i, j] + z[j+1] aZ[i, j+1]
    aM[i, j] = aZ[i, j] + H[i+1, j]

The alignment is M aM over the total; a video step is dropped where it is not matched, and Z aZ over the total, summed
over the rows, says how often a text is dropped. Z follows from M within its row, so M is all that is stored.
"""

import triton
import triton.language as tl

from .rows import SIZES, band_edges, fill_unvisited, lengths, outside_row, row_at
from .semiring import (
    NEVER,
    START,
    at,
    exponent_scan,
    linear_scan,
    load,
    plus,
    put_edge,
    reaching,
    renormalised,
    same,
    shifted,
    store,
    times,
    value_of,
    weights,
)


@triton.jit
def dropped_texts(y, r, e, lane, first_r, first_e, Q: tl.constexpr):
    """Z[j] = z[j] S[j-1] with S[j] = M[j] + Z[j], given S of the column before the first. Returns Z and S."""
    f, f_before = exponent_scan(y, e, lane, first_e, False, Q)
    grown = reaching(y, f, Q)
    a = [tl.exp2((f_before[q] - f[q]) + grown[q]) for q in Q]
    s, s_before = linear_scan(a, [r[q] * tl.exp2(e[q] - f[q]) for q in Q], lane, first_r, False, Q)
    z, e_z = times(s_before, f_before, y, Q)
    return z, e_z, s, f


@triton.jit
def drop_weight(drop, i, N, scale):
    """log2 of the weight of dropping video step i; 0 beyond the last one."""
    return tl.maximum(tl.load(drop + i, i < N, other=0.0) * scale, NEVER)


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
    table_e,  # (B, n, limit) out: M
    edge,  # (B, blocks, n + 1, 4) out: r, e of T and of S = M + Z in the last column of a block
    n,
    blocks,
    limit4,
    row4,
    pair4,
    scale,
    band,
    DROP_TEXT: tl.constexpr,
    CONTIGUOUS: tl.constexpr,
    STORE: tl.constexpr,
    BAND: tl.constexpr,
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
    limit = limit4 * 4
    cost += pair * pair4 * 4
    drop_video += pair * n
    drop_text += pair * limit
    table_r += pair * row_at(n, limit4)
    table_e += pair * row_at(n, limit4)
    edge += pair * blocks * (n + 1) * 4
    count = tl.maximum((M + W * L - 1) // (W * L), 1) if CHUNKED else 1
    for block in range(count):
        base = block * (W * L)
        edge_before, edge_here = edge + (block - 1) * (n + 1) * 4, edge + block * (n + 1) * 4
        outside = outside_row(lane, 0, M - 1 - base, False, Q)
        y_text = weights(load(drop_text + base, lane, limit - base, Q), outside, scale, Q)
        # no video step yet: texts are dropped, or not
        m, em = same(0.0, lane, Q), same(NEVER, lane, Q)
        u, eu, v, ev = m, em, m, em  # u = M + X, v = Z + W
        first_r, first_e = 1.0, START
        s, es = m, em
        if CHUNKED:
            first_r = tl.load(edge_before + 2, block > 0, other=1.0)
            first_e = tl.load(edge_before + 3, block > 0, other=START)
        if DROP_TEXT:
            v, ev, s, es = dropped_texts(y_text, m, em, lane, first_r, first_e, Q)
            v, ev = renormalised(v, ev, Q)
        t, et = v, ev  # T = u + v
        if CHUNKED:
            put_edge(edge_here, t[W - 1], et[W - 1], lane, L - 1)
            put_edge(edge_here + 2, s[W - 1], es[W - 1], lane, L - 1)
        start_e, rest = (
            0.0 * scale + START,
            0.0 * scale,
        )  # column 0: log2 of what the dropped steps weigh, and its rounding
        for i in range(N):
            first_t, first_et = tl.exp2(tl.minimum(rest, 1.0)), start_e
            first_s, first_es = None, None
            if CHUNKED:
                first = edge_before + i * 4
                first_t = tl.load(first, block > 0, other=first_t)
                first_et = tl.load(first + 1, block > 0, other=first_et)
                first_s = tl.load(first + 6, block > 0, other=0.0)
                first_es = tl.load(first + 7, block > 0, other=NEVER)
            t, et = shifted(t, lane, -1, first_t, Q), shifted(et, lane, -1, first_et, Q)
            if BAND:
                low, high = band_edges(i, N, M, band)
                outside = outside_row(lane, low - base, high - base, BAND, Q)
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
                z, ez, s, es = dropped_texts(y_text, m, em, lane, first_s, first_es, Q)
                v, ev = plus(z, ez, v, ev, yx, Q)
            if STORE:
                store(table_r + row_at(i, limit4) + base, m, lane, limit - base, Q)
                store(table_e + row_at(i, limit4) + base, em, lane, limit - base, Q)
            if (i & (EVERY - 1)) == EVERY - 1:
                m, em = renormalised(m, em, Q)
                u, eu = renormalised(u, eu, Q)
                v, ev = renormalised(v, ev, Q)
            t, et = u, eu
            if DROP_TEXT:
                t, et = plus(u, eu, v, ev, None, Q)
            if CHUNKED:
                put_edge(edge_here + (i + 1) * 4, t[W - 1], et[W - 1], lane, L - 1)
                put_edge(edge_here + (i + 1) * 4 + 2, s[W - 1], es[W - 1], lane, L - 1)
            start_before = start_e
            start_e += x
            rest += x - (start_e - start_before)
        if block == count - 1:
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
    text_drops,  # (B, limit) out
    edge,  # as the forward pass left it
    below,  # (B, 2, n + 1, 4) scratch: r, e of H and of aZ in the first column of a block
    n,
    blocks,
    limit4,
    row4,
    pair4,
    scale,
    band,
    DROP_TEXT: tl.constexpr,
    CONTIGUOUS: tl.constexpr,
    BAND: tl.constexpr,
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
    dead = is_spoiled | (r_end == 0.0)
    limit = limit4 * 4
    cost += pair * pair4 * 4
    drop_video += pair * n
    drop_text += pair * limit
    table_r += pair * row_at(n, limit4)
    table_e += pair * row_at(n, limit4)
    alignment += pair * row_at(n, limit4)
    text_drops += pair * limit
    edge += pair * blocks * (n + 1) * 4
    below += pair * 2 * (n + 1) * 4
    count = tl.maximum((M + W * L - 1) // (W * L), 1) if CHUNKED else 1
    for turn in range(count):
        block = count - 1 - turn
        base = block * (W * L)
        edge_before = edge + (block - 1) * (n + 1) * 4
        below_right, below_here = below + (turn % 2) * (n + 1) * 4, below + ((turn + 1) % 2) * (n + 1) * 4
        outside = outside_row(lane, 0, M - 1 - base, False, Q)
        y_text = weights(load(drop_text + base, lane, limit - base, Q), outside, scale, Q)
        outside = outside_row(lane, 0, tl.where(N > 0, M - 1 - base, -1), False, Q)
        first_y = NEVER
        if CHUNKED:
            first_y = tl.maximum(tl.load(drop_text + base + W * L, base + W * L < M, other=float("inf")) * scale, NEVER)
        y_next = shifted(y_text, lane, 1, first_y, Q)  # the weight of the text to the right
        dropped = same(0.0, lane, Q)
        h, eh = same(0.0, lane, Q), same(NEVER, lane, Q)  # H of the row below
        # the end; its weight is 1 in the first round
        ax = [tl.where(lane * W + q == M - 1 - base, 1.0 / r_end, 0.0) for q in Q]
        ex = [tl.where(lane * W + q == M - 1 - base, 0.0 - e_end, NEVER) for q in Q]
        aw, ew = ax, ex
        for step in range(tl.where(dead, 0, N + 1)):
            i = N - step  # video steps so far
            first_h, first_eh, first_z, first_ez, first_s, first_es = 0.0, NEVER, None, None, None, None
            if CHUNKED:
                right = below_right + i * 4
                first_h = tl.load(right + 4, (turn > 0) & (step > 0), other=0.0)
                first_eh = tl.load(right + 5, (turn > 0) & (step > 0), other=NEVER)
                first_z = tl.load(right + 2, turn > 0, other=0.0)
                first_ez = tl.load(right + 3, turn > 0, other=NEVER)
                first_s = tl.load(edge_before + i * 4 + 2, block > 0, other=tl.where(i == 0, 1.0, 0.0))
                first_es = tl.load(edge_before + i * 4 + 3, block > 0, other=tl.where(i == 0, START, NEVER))
            elif DROP_TEXT:
                first_s, first_es = tl.where(step == N, 1.0, 0.0), tl.where(step == N, START, NEVER)
            above = tl.maximum(i - 1, 0)
            stored = tl.where(i > 0, limit - base, 0)  # before the first video step there is no M
            m = load(table_r + row_at(above, limit4) + base, lane, stored, Q)
            em = load(table_e + row_at(above, limit4) + base, lane, stored, Q)
            em = [tl.where(i > 0, em[q], NEVER) for q in Q]
            if BAND:
                low, high = band_edges(above, N, M, band)
                outside = outside_row(lane, low - base, high - base, BAND, Q)
            y = weights(load(cost + row_at(above, row4) + base, lane, limit - base, Q), outside, scale, Q)
            x = drop_weight(drop_video, i, N, scale)
            yx = [x for _ in Q]

            diagonal, e_diagonal = shifted(h, lane, 1, first_h, Q), shifted(eh, lane, 1, first_eh, Q)
            ax, ex = plus(diagonal, e_diagonal, ax, ex, yx, Q)
            if CONTIGUOUS:
                aw, ew = ax, ex
            else:
                ax, ex = plus(ax, ex, h, eh, None, Q)
                aw, ew = plus(diagonal, e_diagonal, aw, ew, yx, Q)
            am, e_am = ax, ex
            az, ez = aw, ew
            if DROP_TEXT:
                ez, ez_next = exponent_scan(y_next, ew, lane, None if first_ez is None else first_ez, True, Q)
                grown = reaching(y_next, ez, Q)
                a = [tl.exp2((ez_next[q] - ez[q]) + grown[q]) for q in Q]
                az, az_next = linear_scan(a, [aw[q] * tl.exp2(ew[q] - ez[q]) for q in Q], lane, first_z, True, Q)
                z, e_z, _, _ = dropped_texts(y_text, m, em, lane, first_s, first_es, Q)
                dropped = [dropped[q] + z[q] * az[q] * tl.exp2(tl.minimum(e_z[q] + ez[q], 120.0)) for q in Q]
                if CONTIGUOUS:
                    am, e_am = az, ez
                else:
                    next_r, next_e = times(az_next, ez_next, y_next, Q)
                    am, e_am = plus(ax, ex, next_r, next_e, None, Q)
            if CONTIGUOUS:
                am, e_am = plus(am, e_am, h, eh, None, Q)
            share = [m[q] * am[q] * tl.exp2(tl.minimum(em[q] + e_am[q], 120.0)) for q in Q]
            store(alignment + row_at(above, limit4) + base, share, lane, stored, Q)
            h, eh = times(am, e_am, y, Q)
            if CHUNKED:
                put_edge(below_here + i * 4, h[0], eh[0], lane, 0)
                put_edge(below_here + i * 4 + 2, az[0], ez[0], lane, 0)
            if (i & (EVERY - 1)) == 0:
                h, eh = renormalised(h, eh, Q)
                ax, ex = renormalised(ax, ex, Q)
                aw, ew = renormalised(aw, ew, Q)
        if DROP_TEXT:
            column = base + lane * W
            dropped = [tl.where(is_spoiled & (column + q < M), float("nan"), dropped[q]) for q in Q]
            store(text_drops + base, dropped, lane, limit - base, Q)
        if CHUNKED:
            tl.debug_barrier()
    fill_unvisited(alignment, limit4, n, N, M, tl.where(dead, 0, N), count, is_spoiled, lane, False, Q, L)
    if DROP_TEXT and CHUNKED:
        for block in range(count, blocks):
            store(text_drops + block * (W * L), same(0.0, lane, Q), lane, limit - block * (W * L), Q)

"""soft-DSTA on the GPU: every video step takes one text, and going back in the text costs (Video2Subtitle, eq. 2-3).

    D[i, j] = C[i, j] + softmin over |p - j| <= window of D[i-1, p] + weight * max(p - j - margin, 0)

With R = 2**(D * scale) and q = 2**(weight * scale) a row is K[i, j] times a windowed sum over the row above: a plain
sum over p <= j + margin and one that decays by q with every text beyond. Over the whole width these are a running sum
from the left and a decayed one from the right. A finite window cuts the row into blocks of its own length, so that each
window is the end of one block and the beginning of the next (van Herk; Gil and Werman): nothing is ever subtracted.

The backward pass is the same recurrence with the window transposed, from the last row up; the alignment is the product
of both at every cell.
"""

import triton
import triton.language as tl

from .rows import SIZES, band_edges, band_start, fill_unvisited, lengths, outside_row, row_at
from .semiring import (
    NEVER,
    START,
    at,
    load,
    reaching,
    rebased,
    renormalised,
    shifted,
    shifted_ahead,
    shifted_by,
    store,
    sum_scan,
    times,
    value_of,
    weights,
)


@triton.jit
def whole_window(r, e, lane, decay, lanes, MARGIN: tl.constexpr, TRANSPOSED: tl.constexpr, Q: tl.constexpr):
    """The sums of R over p <= j + MARGIN, and over p > j + MARGIN decayed; `lanes` moves both to another start.

    Transposed: over p >= j - MARGIN, and over p < j - MARGIN.
    """
    W: tl.constexpr = len(Q)
    SIGN: tl.constexpr = -1 if TRANSPOSED else 1
    near, e_near, _, _ = sum_scan(None, r, e, lane, None, None, TRANSPOSED, Q)
    y = [decay for _ in Q]
    far, e_far, _, _ = sum_scan(y, r, e, lane, None, None, not TRANSPOSED, Q)
    if TRANSPOSED:
        total, e_total = tl.gather(near[0], lane * 0, 0), tl.gather(e_near[0], lane * 0, 0)
    else:
        end = lane * 0 + lane.shape[0] - 1
        total, e_total = tl.gather(near[W - 1], end, 0), tl.gather(e_near[W - 1], end, 0)
    if lanes is not None:
        near, e_near = rebased(near, lane, lanes, total, Q), rebased(e_near, lane, lanes, e_total, Q)
        far, e_far = rebased(far, lane, lanes, 0.0, Q), rebased(e_far, lane, lanes, NEVER, Q)
    near, e_near = shifted(near, lane, SIGN * MARGIN, total, Q), shifted(e_near, lane, SIGN * MARGIN, e_total, Q)
    BEYOND: tl.constexpr = SIGN * (MARGIN + 1)
    return near, e_near, shifted(far, lane, BEYOND, 0.0, Q), shifted(e_far, lane, BEYOND, NEVER, Q)


@triton.jit
def window_blocks(lane, window, end, decay, MARGIN: tl.constexpr, TRANSPOSED: tl.constexpr, Q: tl.constexpr):
    """What a finite window needs in every row, found once: where blocks begin and end, a bit for each column of a lane.

    The window of j is a plain part, j - window ... j + ahead, and a decayed one, j + ahead + 1 ... j + window. Blocks
    as long as the plain part begin at column 0, those as long as the decayed one at `end`, beyond which there is
    nothing. Transposed, columns count from the right.

    At the beginning of a decayed block a column weighs 2**y_place, by its place in the block; 2**y_use makes of such a
    sum what it is from j on. Its end decays as it is summed, up to j + ahead + 1: 2**y_next is what is left to do.
    """
    W: tl.constexpr = len(Q)
    LAST: tl.constexpr = lane.shape[0] * W - 1
    ahead = tl.minimum(window, MARGIN)
    plain, decayed = window + ahead + 1, tl.maximum(window - ahead, 1)
    starts, ends, left_out = lane * 0, lane * 0, lane * 0
    decayed_starts, decayed_ends = lane * 0, lane * 0
    y_place, y_use = [], []
    for q in tl.static_range(W):
        column = LAST - lane * W - q if TRANSPOSED else lane * W + q
        used = column + ahead
        starts |= (column % plain == 0).to(tl.int32) << q
        ends |= ((column + 1) % plain == 0).to(tl.int32) << q
        # a window that is a block counts once, and blocks that begin beyond the row hold nothing
        left_out |= (((used + 1) % plain == 0) | (used // plain > (plain * 0 + LAST) // plain)).to(tl.int32) << q
        place = (column - end + end * decayed) % decayed  # the remainder of a negative number would be negative
        place_used = (used - end + end * decayed) % decayed
        decayed_starts |= (place == 0).to(tl.int32) << q
        decayed_ends |= (place == decayed - 1).to(tl.int32) << q
        y_place += [place.to(tl.float32) * decay]
        once = (window > ahead) & (place_used < decayed - 1)
        y_use += [tl.where(once, (decayed - place_used).to(tl.float32) * decay, float("-inf"))]
    y_next = tl.where(window > ahead, decay, float("-inf"))
    return ahead, starts, ends, left_out, decayed_starts, decayed_ends, y_place, y_use, y_next


@triton.jit
def bit(bits, q: tl.constexpr):
    return (bits & (1 << q)) != 0


@triton.jit
def cut_sum(y, starts, r, e, lane, RIGHT_TO_LEFT: tl.constexpr, Q: tl.constexpr):
    """The running sum in each block, decaying by 2**y. `starts` are where a block begins in the order of the scan."""
    y = [tl.where(bit(starts, q), NEVER, y) for q in Q]
    x, f, _, _ = sum_scan(y, r, e, lane, None, None, RIGHT_TO_LEFT, Q)
    return x, f


@triton.jit
def finite_window(
    y, r, e, lane, window, decay, blocks, MARGIN: tl.constexpr, TRANSPOSED: tl.constexpr, Q: tl.constexpr
):
    """K times the sum over each column's window, as r and e; y None: the sum alone."""
    W: tl.constexpr = len(Q)
    SIGN: tl.constexpr = -1 if TRANSPOSED else 1
    ahead, starts, ends, left_out, decayed_starts, decayed_ends, y_place, y_use, y_next = blocks
    undecayed = tl.zeros_like(decay)
    # the window's last columns: the beginning of a block, which beyond the row is as its last column
    p1, e1 = cut_sum(undecayed, starts, r, e, lane, TRANSPOSED, Q)
    LAST: tl.constexpr = 0 if TRANSPOSED else W - 1
    last_lane = lane * 0 if TRANSPOSED else lane * 0 + lane.shape[0] - 1
    p1 = shifted_ahead(p1, lane, ahead, MARGIN, tl.gather(p1[LAST], last_lane, 0), SIGN, Q)
    e1 = shifted_ahead(e1, lane, ahead, MARGIN, tl.gather(e1[LAST], last_lane, 0), SIGN, Q)
    p1 = [tl.where(bit(left_out, q), 0.0, p1[q]) for q in Q]
    e1 = [tl.where(bit(left_out, q), NEVER, e1[q]) for q in Q]
    # its first ones: the end of a block
    s1, f1 = cut_sum(undecayed, ends, r, e, lane, not TRANSPOSED, Q)
    s1 = shifted_by(s1, lane, window, 0.0, -SIGN, Q)
    f1 = shifted_by(f1, lane, window, NEVER, -SIGN, Q)
    # the penalised part likewise; there a block's beginning weighs by the place in it, so that its sum is a plain one
    s2, f2 = cut_sum(decay, decayed_ends, r, e, lane, not TRANSPOSED, Q)
    s2 = shifted_ahead(s2, lane, ahead + 1, MARGIN + 1, 0.0, SIGN, Q)
    f2 = shifted_ahead(f2, lane, ahead + 1, MARGIN + 1, NEVER, SIGN, Q)
    placed, e_placed = times(r, e, y_place, Q)
    p2, e2 = cut_sum(undecayed, decayed_starts, placed, e_placed, lane, TRANSPOSED, Q)
    p2 = shifted_by(p2, lane, window, 0.0, SIGN, Q)
    e2 = shifted_by(e2, lane, window, NEVER, SIGN, Q)

    f = [tl.maximum(tl.maximum(e1[q], f1[q]), tl.maximum(e2[q] + y_use[q], f2[q] + y_next)) for q in Q]
    if y is None:
        near = [p1[q] * tl.exp2(e1[q] - f[q]) + s1[q] * tl.exp2(f1[q] - f[q]) for q in Q]
        far = [p2[q] * tl.exp2((e2[q] - f[q]) + y_use[q]) + s2[q] * tl.exp2((f2[q] - f[q]) + y_next) for q in Q]
    else:
        f = [f[q] + y[q] for q in Q]
        y = reaching(y, f, Q)
        near = [p1[q] * tl.exp2((e1[q] - f[q]) + y[q]) + s1[q] * tl.exp2((f1[q] - f[q]) + y[q]) for q in Q]
        p2 = [p2[q] * tl.exp2((e2[q] - f[q]) + (y[q] + y_use[q])) for q in Q]
        far = [p2[q] + s2[q] * tl.exp2((f2[q] - f[q]) + (y[q] + y_next)) for q in Q]
    return [near[q] + far[q] for q in Q], f


@triton.jit
def both(y, near, e_near, far, e_far, decay, Q: tl.constexpr):
    """K (near + q far); y None: without K."""
    f = [tl.maximum(e_near[q], e_far[q] + decay) for q in Q]
    if y is None:
        near = [near[q] * tl.exp2(e_near[q] - f[q]) for q in Q]
        r = [near[q] + far[q] * tl.exp2((e_far[q] - f[q]) + decay) for q in Q]
    else:
        f = [f[q] + y[q] for q in Q]
        y = reaching(y, f, Q)
        near = [near[q] * tl.exp2((e_near[q] - f[q]) + y[q]) for q in Q]
        r = [near[q] + far[q] * tl.exp2((e_far[q] - f[q]) + (y[q] + decay)) for q in Q]
    return r, f


@triton.jit
def reach_of(windows, pair, M, WINDOWED: tl.constexpr):
    """The pair's window as int32, no wider than its text."""
    reach = M
    if WINDOWED:
        reach = tl.maximum(tl.minimum(tl.load(windows + pair), M.to(tl.int64)), 0).to(tl.int32)
    return reach


@triton.jit
def start_column(i, N, M, band, NARROW: tl.constexpr, W: tl.constexpr):
    """The column of lane 0: one or more left of the band. A pair of one step has its last text alone."""
    column = M * 0
    if NARROW:
        low, _ = band_edges(i, N, M, band)
        column = band_start(tl.where(N > 1, low, M - 1), W)
    return column


@triton.jit(do_not_specialize=SIZES)
def forward(
    cost,  # (B, n, >= limit) float32
    steps,
    texts,
    windows,  # (B,) int64
    spoiled,
    value,  # (B,) out
    corner,  # (B, 2) out: r and e of the pair's last cell
    table_r,
    table_e,  # (B, n, table_row4 * 4) out: every cell
    n,
    limit4,
    row4,
    pair4,
    table_row4,
    scale,
    decay,
    band,
    MARGIN: tl.constexpr,
    WINDOWED: tl.constexpr,
    STORE: tl.constexpr,
    BAND: tl.constexpr,
    NARROW: tl.constexpr,
    EVERY: tl.constexpr,
    Q: tl.constexpr,
    L: tl.constexpr,
):
    W: tl.constexpr = len(Q)
    pair = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, L)
    N, M, is_spoiled = lengths(steps, texts, spoiled, pair)
    N = tl.where(is_spoiled, 0, N)
    window = reach_of(windows, pair, M, WINDOWED)
    decay = tl.full((L,), decay, tl.float32)
    limit, table_row = limit4 * 4, (table_row4 if NARROW else limit4) * 4
    cost += pair * pair4 * 4
    table_r += pair * row_at(n, table_row4)
    table_e += pair * row_at(n, table_row4)
    if WINDOWED:
        blocks = window_blocks(lane, window, M, decay, MARGIN, False, Q)
    base = start_column(0, N, M, band, NARROW, W)
    cost_row, r_row, e_row = cost, table_r, table_e
    # the row above the first one: as if at the first text, but a window from before it reaches one text less
    first = tl.where(N > 0, lane * W, 1)
    r = [tl.where(first == 0 - q, 1.0, 0.0) for q in Q]
    e = [tl.where(first == 0 - q, START, NEVER) for q in Q]
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
        y = weights(load(cost_row + base, lane, limit - base, Q), outside, scale, Q)
        if WINDOWED:
            r, e = finite_window(y, r, e, lane, window, decay, blocks, MARGIN, False, Q)
            outside = outside_row(lane, 0, M - 1 - base, False, Q)
        else:
            near, e_near, far, e_far = whole_window(r, e, lane, decay, lanes, MARGIN, False, Q)
            r, e = both(y, near, e_near, far, e_far, decay, Q)
        if (i & (EVERY - 1)) == EVERY - 1:
            r, e = renormalised(r, e, Q)
        if STORE:
            store(r_row, r, lane, table_row, Q)
            store(e_row, e, lane, table_row, Q)
            r_row += table_row
            e_row += table_row
        cost_row += row4 * 4
    r, e = renormalised(r, e, Q)
    r_end, e_end = at(r, lane, M - 1 - base, Q), at(e, lane, M - 1 - base, Q)
    tl.store(corner + 2 * pair, tl.where(e_end > 0.5 * NEVER, r_end, 0.0))
    tl.store(corner + 2 * pair + 1, e_end)
    tl.store(value + pair, value_of(r_end, e_end, scale, is_spoiled))


@triton.jit(do_not_specialize=SIZES)
def backward(
    cost,
    steps,
    texts,
    windows,
    spoiled,
    corner,
    table_r,  # as the forward pass left it; `alignment` may be the same memory
    table_e,
    alignment,  # (B, n, limit) out
    n,
    limit4,
    row4,
    pair4,
    table_row4,
    scale,
    decay,
    band,
    MARGIN: tl.constexpr,
    WINDOWED: tl.constexpr,
    BAND: tl.constexpr,
    NARROW: tl.constexpr,
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
    window = reach_of(windows, pair, M, WINDOWED)
    decay = tl.full((L,), decay, tl.float32)
    limit, table_row = limit4 * 4, (table_row4 if NARROW else limit4) * 4
    cost += pair * pair4 * 4
    table_r += pair * row_at(n, table_row4)
    table_e += pair * row_at(n, table_row4)
    alignment += pair * row_at(n, limit4)
    if WINDOWED:
        blocks = window_blocks(lane, window, M * 0 + W * L, decay, MARGIN, True, Q)
    base = start_column(tl.maximum(N - 1, 0), N, M, band, NARROW, W)
    outside = outside_row(lane, 0, M - 1 - base, False, Q)
    # what a cell still collects on its way to the end, over the total
    t = [tl.where(lane * W == M - 1 - base - q, 1.0 / r_end, 0.0) for q in Q]
    f = [tl.where(lane * W == M - 1 - base - q, 0.0 - e_end, NEVER) for q in Q]
    cost_row = cost + row_at(N - 1, row4)
    r_row, e_row = table_r + row_at(N - 1, table_row4), table_e + row_at(N - 1, table_row4)
    share_row = alignment + row_at(N - 1, limit4) if NARROW else r_row
    for turn in range(done):
        i = N - 1 - turn
        r, e = load(r_row, lane, table_row, Q), load(e_row, lane, table_row, Q)
        if BAND:
            low, high = band_edges(i, N, M, band)
            outside = outside_row(lane, low - base, high - base, BAND, Q)
        y = weights(load(cost_row + base, lane, limit - base, Q), outside, scale, Q)
        share = [r[q] * t[q] * tl.exp2(tl.minimum(e[q] + f[q], 120.0)) for q in Q]
        # every video step takes one text: dividing by the row's own sum takes out the error that its cells share
        in_lane = share[0]
        for q in tl.static_range(1, W):
            in_lane += share[q]
        whole = 1.0 / tl.maximum(tl.sum(in_lane, 0), 1.0e-37)
        share = [share[q] * whole for q in Q]
        store((share_row if NARROW else r_row) + base, share, lane, limit - base, Q)
        cost_row -= row4 * 4
        r_row -= table_row
        e_row -= table_row
        if NARROW:
            share_row -= limit
        v, ev = times(t, f, y, Q)
        if WINDOWED:
            t, f = finite_window(None, v, ev, lane, window, decay, blocks, MARGIN, True, Q)
        else:
            lanes = None
            if NARROW:
                before = base
                base = start_column(tl.maximum(i - 1, 0), N, M, band, NARROW, W)
                lanes = (base - before) // W
            near, e_near, far, e_far = whole_window(v, ev, lane, decay, lanes, MARGIN, True, Q)
            t, f = both(None, near, e_near, far, e_far, decay, Q)
        if (i & (EVERY - 1)) == 0:
            t, f = renormalised(t, f, Q)
    fill_unvisited(alignment, limit4, n, N, M, done, 1, is_spoiled, lane, NARROW, Q, L)

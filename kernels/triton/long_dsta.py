"""soft-DSTA and DSTA where no program holds a row at once: wide rows, and finite windows in a band that moves.

The recurrence is that of soft_dsta.py, with its rows in memory. What a row hands on are running sums, written block
after block of W * L columns, from the left and from the right; the next row then reads those few that each of its
windows is the sum of, wherever they lie. Only the columns between a row's first and last (its band) are visited.

    near         p <= j + margin: a running sum from the left
    far          p > j + margin: a decayed one from the right
    near_left    for a finite window, whose blocks are as long as it is: the first of them begins here,
    far_right    and the second ends here

Without softness (SOFT false) the exponents alone remain, as gains: sums become maxima.

The backward pass is the same in mirrored columns, M - 1 - column, from the last row up: there the transposed window is
the window, and the band moves to the right again.
"""

import triton
import triton.language as tl

from .rows import SIZES, band_edges, fill_unvisited, lengths, outside_row, row_at
from .semiring import (
    NEVER,
    START,
    cost_of,
    exponent_scan,
    load,
    plus,
    renormalised,
    store,
    sum_scan,
    times,
    value_of,
    weights,
)
from .soft_dsta import reach_of, start_column

#: the rows of a pair in scratch memory, each with its r (if SOFT) and its e
CELLS, NEAR, FAR, NEAR_LEFT, FAR_RIGHT = (tl.constexpr(k) for k in range(5))


@triton.jit
def edges(i, N, M, band, BAND: tl.constexpr, NARROW: tl.constexpr):
    """First and last column of row i; a pair of one step has its last text alone, if the table is a narrow one."""
    low, high = M * 0, M - 1
    if BAND:
        low, high = band_edges(i, N, M, band)
        if NARROW:
            low = tl.where(N > 1, low, M - 1)
    return low, high


@triton.jit
def write_sums(
    rows_r, rows_e, SLOT: tl.constexpr, y, r, e, base, limit, lane, carry_r, carry_e,
    RIGHT_TO_LEFT: tl.constexpr, SOFT: tl.constexpr, Q: tl.constexpr,
):  # fmt: skip
    """Writes the running sums of a block, and returns the last of them for the next block."""
    W: tl.constexpr = len(Q)
    if SOFT:
        x, f, _, _ = sum_scan(y, r, e, lane, carry_r, carry_e, RIGHT_TO_LEFT, Q)
        store(rows_r + SLOT * limit + base, x, lane, limit - base, Q)
    else:
        f, _ = exponent_scan(y, e, lane, carry_e, RIGHT_TO_LEFT, Q)
        x = f
    store(rows_e + SLOT * limit + base, f, lane, limit - base, Q)
    if RIGHT_TO_LEFT:
        x_end, f_end = tl.gather(x[0], lane * 0, 0), tl.gather(f[0], lane * 0, 0)
    else:
        end = lane * 0 + lane.shape[0] - 1
        x_end, f_end = tl.gather(x[W - 1], end, 0), tl.gather(f[W - 1], end, 0)
    return x_end, f_end


@triton.jit
def sum_up(
    rows_r, rows_e, low, high, window, decay, limit, lane,
    MARGIN: tl.constexpr, WINDOWED: tl.constexpr, SOFT: tl.constexpr, Q: tl.constexpr,
):  # fmt: skip
    """The running sums of the row whose cells lie in columns low ... high.

    Blocks of a finite window begin at column 0: those of its part without penalty, window + ahead + 1 long, and those
    of the other part, window - ahead long. In the latter's beginnings a column weighs by its place, so that the sum is
    a plain one.
    """
    W: tl.constexpr = len(Q)
    STEP: tl.constexpr = W * lane.shape[0]
    ahead = tl.minimum(window, MARGIN)
    plain, decayed = window + ahead + 1, tl.maximum(window - ahead, 1)
    free, nothing, never = tl.zeros_like(decay), tl.zeros_like(decay), tl.zeros_like(decay) + NEVER
    first = low // W * W
    count = (high - first) // STEP + 1
    near, e_near, right, e_right = nothing, never, nothing, never
    far, e_far, left, e_left = nothing, never, nothing, never
    tl.debug_barrier()
    for block in range(count):
        base = first + block * STEP
        e = load(rows_e + CELLS * limit + base, lane, limit - base, Q, NEVER)
        r = load(rows_r + CELLS * limit + base, lane, limit - base, Q) if SOFT else e
        column = [base + lane * W + q for q in Q]
        y = None
        if WINDOWED:
            y = [tl.where(column[q] % plain == 0, NEVER, free) for q in Q]
        near, e_near = write_sums(rows_r, rows_e, NEAR, y, r, e, base, limit, lane, near, e_near, False, SOFT, Q)
        if WINDOWED:
            place = [column[q] % decayed for q in Q]
            y_place = [place[q].to(tl.float32) * decay for q in Q]
            if SOFT:
                r, e = times(r, e, y_place, Q)
            else:
                e = [e[q] + y_place[q] for q in Q]
            y = [tl.where(place[q] == 0, NEVER, free) for q in Q]
            right, e_right = write_sums(
                rows_r, rows_e, FAR_RIGHT, y, r, e, base, limit, lane, right, e_right, False, SOFT, Q
            )
    for block in range(count):
        base = first + (count - 1 - block) * STEP
        e = load(rows_e + CELLS * limit + base, lane, limit - base, Q, NEVER)
        r = load(rows_r + CELLS * limit + base, lane, limit - base, Q) if SOFT else e
        column = [base + lane * W + q for q in Q]
        y = [decay for _ in Q]
        if WINDOWED:
            y = [tl.where((column[q] + 1) % decayed == 0, NEVER, decay) for q in Q]
        far, e_far = write_sums(rows_r, rows_e, FAR, y, r, e, base, limit, lane, far, e_far, True, SOFT, Q)
        if WINDOWED:
            y = [tl.where((column[q] + 1) % plain == 0, NEVER, free) for q in Q]
            left, e_left = write_sums(
                rows_r, rows_e, NEAR_LEFT, y, r, e, base, limit, lane, left, e_left, True, SOFT, Q
            )
    tl.debug_barrier()


@triton.jit
def picked(rows_r, rows_e, SLOT: tl.constexpr, column, there, limit, SOFT: tl.constexpr, Q: tl.constexpr):
    """The sums at any columns, and nothing where `there` is false."""
    e = [tl.load(rows_e + SLOT * limit + column[q], there[q], other=NEVER) for q in Q]
    r = [tl.load(rows_r + SLOT * limit + column[q], there[q], other=0.0) for q in Q] if SOFT else e
    return r, e


@triton.jit
def joined(r1, e1, r2, e2, y, SOFT: tl.constexpr, Q: tl.constexpr):
    """R1 + 2**y R2, or the better of both."""
    if SOFT:
        r, e = plus(r1, e1, r2, e2, y, Q)
    else:
        e = [tl.maximum(e1[q], e2[q] + y[q]) for q in Q]
        r = e
    return r, e


@triton.jit
def collect(
    rows_r, rows_e, base, low, high, window, decay, limit, lane,
    MARGIN: tl.constexpr, WINDOWED: tl.constexpr, SOFT: tl.constexpr, Q: tl.constexpr,
):  # fmt: skip
    """What each window from column `base` on gets from the row above, whose cells lie in columns low ... high.

    A window's end beyond the cells is as the last of them, if that is in the same block, and its beginning likewise.
    """
    W: tl.constexpr = len(Q)
    ahead = tl.minimum(window, MARGIN)
    plain, decayed = window + ahead + 1, tl.maximum(window - ahead, 1)
    column = [base + lane * W + q for q in Q]
    end = [column[q] + ahead for q in Q]
    last = [tl.minimum(end[q], high) for q in Q]
    there = [last[q] >= low for q in Q]
    if WINDOWED:
        # a window that is one block counts once
        there = [there[q] & ((end[q] + 1) % plain != 0) & (end[q] // plain == last[q] // plain) for q in Q]
    r, e = picked(rows_r, rows_e, NEAR, last, there, limit, SOFT, Q)
    there = [(end[q] + 1 >= low) & (end[q] + 1 <= high) & (window > ahead) for q in Q]
    far, e_far = picked(rows_r, rows_e, FAR, [end[q] + 1 for q in Q], there, limit, SOFT, Q)
    r, e = joined(r, e, far, e_far, [decay for _ in Q], SOFT, Q)
    if WINDOWED:
        begin = [column[q] - window for q in Q]
        first = [tl.maximum(begin[q], low) for q in Q]
        there = [(begin[q] >= 0) & (first[q] <= high) for q in Q]
        there = [there[q] & (tl.maximum(begin[q], 0) // plain == first[q] // plain) for q in Q]
        left, e_left = picked(rows_r, rows_e, NEAR_LEFT, first, there, limit, SOFT, Q)
        r, e = joined(r, e, left, e_left, [tl.zeros_like(decay) for _ in Q], SOFT, Q)
        to = [column[q] + window for q in Q]
        last = [tl.minimum(to[q], high) for q in Q]
        there = [(last[q] >= low) & (window > ahead) & ((to[q] + 1) % decayed != 0) for q in Q]
        there = [there[q] & (to[q] // decayed == last[q] // decayed) for q in Q]
        right, e_right = picked(rows_r, rows_e, FAR_RIGHT, last, there, limit, SOFT, Q)
        y = [(to[q] // decayed * decayed - end[q]).to(tl.float32) * decay for q in Q]
        r, e = joined(r, e, right, e_right, y, SOFT, Q)
    return r, e


@triton.jit(do_not_specialize=SIZES)
def forward(
    cost,  # (B, n, >= limit) float32
    steps,
    texts,
    windows,  # (B,) int64
    spoiled,
    value,  # (B,) out
    corner,  # (B, 2) out, if SOFT: r and e of the pair's last cell
    table_r,
    table_e,  # (B, n, table_row4 * 4) out: every cell; table_r if SOFT
    rows_r,
    rows_e,  # (B, 5, limit) scratch; rows_r if SOFT
    n,
    limit4,
    row4,
    pair4,
    table_row4,
    scale,  # -1 for gains
    decay,
    band,
    MARGIN: tl.constexpr,
    WINDOWED: tl.constexpr,
    SOFT: tl.constexpr,
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
    N = tl.where(is_spoiled | (M == 0), 0, N)
    window = reach_of(windows, pair, M, WINDOWED)
    decay = tl.full((L,), decay, tl.float32)
    limit, table_row = limit4 * 4, table_row4 * 4
    cost += pair * pair4 * 4
    table_r += pair * row_at(n, table_row4)
    table_e += pair * row_at(n, table_row4)
    rows_r += pair * limit * 5
    rows_e += pair * limit * 5
    # the row above the first one: as if at the first text, but a window from before it reaches one text less
    low, high, reached = M * 0, M * 0, tl.minimum(M, window) - 1
    begin = START if SOFT else 0.0
    e = [tl.where(lane * W == 0 - q, begin, NEVER) for q in Q]
    store(rows_e, e, lane, limit, Q)
    if SOFT:
        store(rows_r, [tl.where(lane * W == 0 - q, 1.0, 0.0) for q in Q], lane, limit, Q)
    for i in range(N):
        sum_up(rows_r, rows_e, low, high, window, decay, limit, lane, MARGIN, WINDOWED, SOFT, Q)
        low_above, high_above = low, high
        low, high = edges(i, N, M, band, BAND, NARROW)
        start = start_column(i, N, M, band, NARROW, W)
        cost_row, at_row = cost + row_at(i, row4), row_at(i, table_row4)
        for base in range(low // W * W, high + 1, W * L):
            outside = outside_row(lane, low - base, tl.minimum(high, reached) - base, BAND, Q)
            y = weights(load(cost_row + base, lane, limit - base, Q), outside, scale, Q)
            r, e = collect(
                rows_r, rows_e, base, low_above, high_above, window, decay, limit, lane, MARGIN, WINDOWED, SOFT, Q
            )
            if SOFT:
                r, e = times(r, e, y, Q)
                r, e = renormalised(r, e, Q)
                store(rows_r + CELLS * limit + base, r, lane, limit - base, Q)
            else:
                e = [tl.maximum(e[q] + y[q], NEVER) for q in Q]
            store(rows_e + CELLS * limit + base, e, lane, limit - base, Q)
            if STORE:
                held = tl.minimum(table_row - (base - start), limit - base)
                store(table_e + at_row + base - start, e, lane, held, Q)
                if SOFT:
                    store(table_r + at_row + base - start, r, lane, held, Q)
        reached = M - 1
    tl.debug_barrier()
    last = tl.where(N > 0, M - 1, 0)
    e_end = tl.where(N > 0, tl.load(rows_e + last), NEVER)
    if SOFT:
        r_end = tl.where(e_end > 0.5 * NEVER, tl.load(rows_r + last), 0.0)
        tl.store(corner + 2 * pair, r_end)
        tl.store(corner + 2 * pair + 1, e_end)
        tl.store(value + pair, value_of(r_end, e_end, scale, is_spoiled))
    else:
        tl.store(value + pair, cost_of(e_end, is_spoiled))


@triton.jit(do_not_specialize=SIZES)
def backward(
    cost,
    steps,
    texts,
    windows,
    spoiled,
    corner,
    table_r,
    table_e,  # as the forward pass left them
    alignment,  # (B, n, limit) in: zeros; out
    rows_r,
    rows_e,  # (B, 5, limit) scratch, in mirrored columns
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
    limit = limit4 * 4
    cost += pair * pair4 * 4
    table_r += pair * row_at(n, table_row4)
    table_e += pair * row_at(n, table_row4)
    alignment += pair * row_at(n, limit4)
    rows_r += pair * limit * 5
    rows_e += pair * limit * 5
    # the row below the last one: what a cell still collects on its way to the end, over the total
    low, high, reached = M * 0, M * 0, M * 0
    store(rows_r, [tl.where(lane * W == 0 - q, 1.0 / r_end, 0.0) for q in Q], lane, limit, Q)
    store(rows_e, [tl.where(lane * W == 0 - q, 0.0 - e_end, NEVER) for q in Q], lane, limit, Q)
    for turn in range(done):
        i = N - 1 - turn
        sum_up(rows_r, rows_e, low, high, window, decay, limit, lane, MARGIN, WINDOWED, True, Q)
        low_below, high_below = low, high
        left, right = edges(i, N, M, band, BAND, NARROW)
        low, high = M - 1 - right, M - 1 - left
        start = start_column(i, N, M, band, NARROW, W)
        cost_row, share_row = cost + row_at(i, row4), alignment + row_at(i, limit4)
        r_row, e_row = table_r + row_at(i, table_row4) - start, table_e + row_at(i, table_row4) - start
        whole = tl.zeros_like(decay)
        for base in range(low // W * W, high + 1, W * L):
            t, f = collect(
                rows_r, rows_e, base, low_below, high_below, window, decay, limit, lane, MARGIN, WINDOWED, True, Q
            )
            column = [M - 1 - base - lane * W - q for q in Q]
            real = [(column[q] >= M - 1 - tl.minimum(high, reached)) & (column[q] <= right) for q in Q]
            y = [tl.maximum(tl.load(cost_row + column[q], real[q], other=float("inf")) * scale, NEVER) for q in Q]
            r = [tl.load(r_row + column[q], real[q], other=0.0) for q in Q]
            e = [tl.load(e_row + column[q], real[q], other=NEVER) for q in Q]
            share = [r[q] * t[q] * tl.exp2(tl.minimum(e[q] + f[q], 120.0)) for q in Q]
            for q in tl.static_range(W):
                whole += share[q]
                tl.store(share_row + column[q], share[q], real[q])
            t, f = times(t, f, y, Q)
            t, f = renormalised(t, f, Q)
            store(rows_r + CELLS * limit + base, t, lane, limit - base, Q)
            store(rows_e + CELLS * limit + base, f, lane, limit - base, Q)
        # every video step takes one text: dividing by the row's own sum takes out the error that its cells share
        whole = 1.0 / tl.maximum(tl.sum(whole, 0), 1.0e-37)
        tl.debug_barrier()
        for base in range(left // 4 * 4, right + 1, W * L):
            share = load(share_row + base, lane, limit - base, Q)
            store(share_row + base, [share[q] * whole for q in Q], lane, limit - base, Q)
        reached = M - 1
    fill_unvisited(alignment, limit4, n, N, M, done, 1, is_spoiled, lane, True, Q, L)

"""Rows of an alignment table as scans over the sum-product semiring, in scaled-linear numbers.

A cell is R = r * 2**e: r a float32, e a float32 that only has to be roughly log2 R. So the exponents of a row can come
from a scan of their own (a running maximum plus weights), and once they are known r follows a plain linear recurrence
x[j] = a[j] * x[j-1] + b[j], whose coefficients 2**((e_before - e) + y) are near 1 or below. There is no log and no
exponent in the recurrence itself. The rounding of e does no harm: coefficients are made of the very e that is kept
beside r, so that r is what the rounded e leaves of R, and r * 2**e is R all the same.

One program computes one pair. Lane l of L = warps * warp size owns columns l*W ... l*W+W-1 of a row; a row is a tuple
of W lane vectors, indexed by q in Q = (0, 1, ..., W-1). So scans and shifts inside a lane cost registers only, and
what crosses lanes is one scan over the L lane totals. Lanes are scanned forwards always; a row that runs from right to
left mirrors its lane totals.

Words that all kernels share:
- scale is -log2(e) / gamma: cost * scale is log2 of a weight exp(-cost / gamma), and log2(R) / scale is a value again.
- spoiled, for each pair: not 0 where a real cell is NaN or -inf, or the lengths lie beyond the table (rows.py). Its
  value is NaN, and its rows are not visited.
- limit is the number of columns of a row with its padding, a multiple of 4, as is every stride: arguments that end in 4
  count in units of 4 floats (limit4, row4, pair4), so that the compiler knows each row to be 16-byte aligned.
- STORE, BAND, NARROW, MOVING, CHUNKED and EVERY are explained at soft_dtw.forward, which has them all.
"""

import triton
import triton.language as tl

#: the exponent of an unreachable cell: a power of two, so that sums of it are exact, and 10**7 of them finite
NEVER = tl.constexpr(-(2.0**100))
#: the exponent that alignments begin with: so far from 0, neighbours' exponents are so alike that they subtract exactly
START = tl.constexpr(-8192.0)
#: what enters a scan from outside the row, below every sum of unreachable cells
OUTSIDE = tl.constexpr(-3.0e38)


# ---------------------------------------------------------------- rows in and out


@triton.jit
def same(value, lane, Q: tl.constexpr):
    """A row that is `value` everywhere."""
    return [tl.full(lane.shape, value, tl.float32) for _ in Q]


@triton.jit
def load(start, lane, limit, Q: tl.constexpr, other=0.0, since=None):
    """The row at `start`, 16-byte aligned; columns before `since` and from `limit` on (multiples of 4) read `other`."""
    W: tl.constexpr = len(Q)
    column = lane[:, None] * W + tl.arange(0, 4)[None, :]
    place = start + column
    row = []
    for part in tl.static_range(W // 4):
        inside = column + 4 * part < limit
        if since is not None:
            inside = inside & (column + 4 * part >= since)
        four = tl.load(place + 4 * part, inside, other=other)
        even, odd = tl.split(tl.reshape(four, (lane.shape[0], 2, 2)))
        x0, x2 = tl.split(even)
        x1, x3 = tl.split(odd)
        row += [x0, x1, x2, x3]
    return row


@triton.jit
def store(start, x, lane, limit, Q: tl.constexpr, since=None):
    """Writes the columns from `since` to before `limit`, both multiples of 4."""
    W: tl.constexpr = len(Q)
    column = lane[:, None] * W + tl.arange(0, 4)[None, :]
    place = start + column
    for part in tl.static_range(W // 4):
        even, odd = tl.join(x[4 * part], x[4 * part + 2]), tl.join(x[4 * part + 1], x[4 * part + 3])
        inside = column + 4 * part < limit
        if since is not None:
            inside = inside & (column + 4 * part >= since)
        tl.store(place + 4 * part, tl.reshape(tl.join(even, odd), (lane.shape[0], 4)), inside)


# ---------------------------------------------------------------- shifts


@triton.jit
def from_lane(x, lane, ahead, fill):
    """x of the lane `ahead` of each lane (behind, where negative); `fill` beyond either end."""
    source = lane + ahead
    last: tl.constexpr = lane.shape[0] - 1
    inside = (source >= 0) & (source <= last)
    return tl.where(inside, tl.gather(x, tl.minimum(tl.maximum(source, 0), last), 0), fill)


@triton.jit
def shifted(x, lane, by: tl.constexpr, fill, Q: tl.constexpr):
    """out[j] = x[j + by], `fill` beyond either end."""
    W: tl.constexpr = len(Q)
    out = []
    for q in tl.static_range(W):
        if (q + by) // W == 0:
            out += [x[(q + by) % W]]
        else:
            out += [from_lane(x[(q + by) % W], lane, (q + by) // W, fill)]
    return out


@triton.jit
def rebased(x, lane, lanes, fill, Q: tl.constexpr):
    """The row seen from `lanes` lanes further right, a number known at run time only (a band's left edge moves)."""
    return [from_lane(x[q], lane, lanes, fill) for q in Q]


@triton.jit
def shifted_by(x, lane, by, fill, SIGN: tl.constexpr, Q: tl.constexpr):
    """out[j] = x[j + SIGN * by] for a number `by` >= 0 that is known at run time only."""
    W: tl.constexpr = len(Q)
    for bit in tl.static_range(W.bit_length() - 1):
        if (by & 2**bit) != 0:
            x = shifted(x, lane, SIGN * 2**bit, fill, Q)
    return rebased(x, lane, SIGN * (by // W), fill, Q)


@triton.jit
def shifted_ahead(x, lane, by, usual: tl.constexpr, fill, SIGN: tl.constexpr, Q: tl.constexpr):
    """`shifted_by` where `by` is nearly always `usual`, which costs less."""
    if by == usual:  # noqa: SIM108, since Triton's ternary takes no rows
        x = shifted(x, lane, SIGN * usual, fill, Q)
    else:
        x = shifted_by(x, lane, by, fill, SIGN, Q)
    return x


@triton.jit
def at(x, lane, column, Q: tl.constexpr):
    """The value at a column, as a scalar; 0 where there is no such column."""
    W: tl.constexpr = len(Q)
    value = 0.0
    for q in tl.static_range(W):
        value += tl.sum(tl.where(lane * W == column - q, x[q], 0.0), 0)
    return value


# ---------------------------------------------------------------- scans


@triton.jit
def linear_step(a, x, b, y):
    return a * b, x * b + y


@triton.jit
def maximum_step(a, x, b, y):
    return a + b, tl.maximum(x + b, y)


@triton.jit
def larger(x, y):
    return tl.maximum(x, y)


@triton.jit
def mirrored(x, lane):
    return tl.gather(x, lane.shape[0] - 1 - lane, 0)


@triton.jit
def entering(total, lane, first, RIGHT_TO_LEFT: tl.constexpr):
    """What enters each lane: the scanned total of the lane before it; `first` for the first."""
    order = lane.shape[0] - 1 - lane if RIGHT_TO_LEFT else lane
    return tl.where(order == 0, first, tl.gather(total, tl.maximum(order - 1, 0), 0))


@triton.jit
def linear_scan(a, b, lane, first, RIGHT_TO_LEFT: tl.constexpr, Q: tl.constexpr):
    """x[j] = a[j] * x[j-1] + b[j], with x[-1] = `first` (0 for None). Returns x, and x[j-1] at every j.

    The second costs nothing, and the next row needs it: what lies left of j in this row is its diagonal neighbour.
    """
    W: tl.constexpr = len(Q)
    if RIGHT_TO_LEFT:
        a, b = a[::-1], b[::-1]
    A, B = a[0], b[0]
    for q in tl.static_range(1, W):
        A, B = linear_step(A, B, a[q], b[q])
    if RIGHT_TO_LEFT:
        A, B = mirrored(A, lane), mirrored(B, lane)
    if first is not None:
        B = tl.where(lane == 0, A * first + B, B)
    A, B = tl.associative_scan((A, B), 0, linear_step)
    x = entering(B, lane, 0.0 if first is None else first, RIGHT_TO_LEFT)
    out, before = [], []
    for q in tl.static_range(W):
        before += [x]
        x = a[q] * x + b[q]
        out += [x]
    if RIGHT_TO_LEFT:
        out, before = out[::-1], before[::-1]
    return out, before


@triton.jit
def exponent_scan(k, h, lane, first, RIGHT_TO_LEFT: tl.constexpr, Q: tl.constexpr):
    """e[j] = max(e[j-1] + k[j], h[j]), with e[-1] = `first`; k None is 0. Returns e, and e[j-1] at every j.

    Sums of floats depend on their order, so a lane's last e is its scanned total, the very number that its neighbour
    goes on from.
    """
    W: tl.constexpr = len(Q)
    if RIGHT_TO_LEFT:
        h = h[::-1]
        if k is not None:
            k = k[::-1]
    total = h[0]
    if k is None:
        for q in tl.static_range(1, W):
            total = tl.maximum(total, h[q])
        if RIGHT_TO_LEFT:
            total = mirrored(total, lane)
        if first is not None:
            total = tl.where(lane == 0, tl.maximum(total, first), total)
        total = tl.associative_scan(total, 0, larger)
    else:
        K = k[0]
        for q in tl.static_range(1, W):
            K, total = K + k[q], tl.maximum(total + k[q], h[q])
        if RIGHT_TO_LEFT:
            K, total = mirrored(K, lane), mirrored(total, lane)
        if first is not None:
            total = tl.where(lane == 0, tl.maximum(total, K + first), total)
        K, total = tl.associative_scan((K, total), 0, maximum_step)
    e = entering(total, lane, OUTSIDE if first is None else first, RIGHT_TO_LEFT)
    out, before = [], [e]
    for q in tl.static_range(W - 1):
        e = tl.maximum(e if k is None else e + k[q], h[q])
        out += [e]
        before += [e]
    out += [mirrored(total, lane) if RIGHT_TO_LEFT else total]
    if RIGHT_TO_LEFT:
        out, before = out[::-1], before[::-1]
    return out, before


@triton.jit
def sum_scan(y, r, e, lane, first_r, first_e, RIGHT_TO_LEFT: tl.constexpr, Q: tl.constexpr):
    """X[j] = 2**y[j] * X[j-1] + R[j], given X before the first column (None: 0); y None: a plain running sum.

    Returns X, and X[j-1] at every j, each as r and e.
    """
    f, f_before = exponent_scan(y, e, lane, first_e, RIGHT_TO_LEFT, Q)
    if y is None:
        a = [tl.exp2(f_before[q] - f[q]) for q in Q]
    else:
        y = reaching(y, f, Q)
        a = [tl.exp2((f_before[q] - f[q]) + y[q]) for q in Q]
    x, before = linear_scan(a, [r[q] * tl.exp2(e[q] - f[q]) for q in Q], lane, first_r, RIGHT_TO_LEFT, Q)
    return x, f, before, f_before


# ---------------------------------------------------------------- numbers r * 2**e


@triton.jit
def weights(cost, outside, scale, Q: tl.constexpr):
    """log2 of a row's weights: cost * scale, with scale = -log2(e) / gamma.

    NEVER where the cost is +inf, and, whatever it is (NaN too), `outside`.

    `outside` is -inf in columns that do not count, and 0 in the others.
    """
    return [tl.maximum(cost[q] * scale + outside[q], NEVER) for q in Q]


@triton.jit
def reaching(y, e, Q: tl.constexpr):
    """The weights y to use in a row whose exponents are e: y, but far below 0 in the cells that nothing reaches.

    There e is NEVER whatever the weight, as floats are, so (e_before - e) + y is y alone. For a negative cost 2**y may
    be inf, and r is 0: their product would be NaN. e * 2**-76 is -2**24 there, and about 0 elsewhere.
    """
    return [y[q] + e[q] * 2.0**-76 for q in Q]


@triton.jit
def times(r, e, y, Q: tl.constexpr):
    """R * 2**y, cell by cell. What the sum of exponents rounds away goes to r; an unreachable cell takes y whole."""
    f = [e[q] + y[q] for q in Q]
    return [r[q] * tl.exp2(tl.minimum(y[q] - (f[q] - e[q]), 1.0)) for q in Q], f


@triton.jit
def renormalised(r, e, Q: tl.constexpr):
    """r in [1, 2), its exponent moved into e; what is 0 becomes unreachable."""
    bits = [r[q].to(tl.int32, bitcast=True) for q in Q]
    # an exponent byte as a float, without a conversion: it is the low end of 2**23's mantissa
    power_of_r = [((bits[q] >> 23) | 0x4B000000).to(tl.float32, bitcast=True) - 8388735.0 for q in Q]
    mantissa = [((bits[q] & 0x007FFFFF) | 0x3F800000).to(tl.float32, bitcast=True) for q in Q]
    # where e + power has fewer bits after the point than e had, r takes what they said
    mantissa, f = times(mantissa, e, power_of_r, Q)
    r = [tl.where(bits[q] == 0, 0.0, mantissa[q]) for q in Q]
    e = [tl.where(bits[q] == 0, NEVER, f[q]) for q in Q]
    return r, e


@triton.jit
def put_edge(place, r, e, lane, owner):
    """Writes r and e of one lane for the block beside this one, renormalised, as a long row drifts with its weights."""
    r, e = renormalised([r], [e], (0,))
    tl.store(place + lane * 0, r[0], lane == owner)
    tl.store(place + 1 + lane * 0, e[0], lane == owner)


@triton.jit
def plus(r1, e1, r2, e2, y, Q: tl.constexpr):
    """R1 + 2**y R2, cell by cell; y None is 0."""
    if y is None:
        e = [tl.maximum(e1[q], e2[q]) for q in Q]
        r2 = [r2[q] * tl.exp2(e2[q] - e[q]) for q in Q]
    else:
        e = [tl.maximum(e1[q], e2[q] + y[q]) for q in Q]
        y = reaching(y, e, Q)
        r2 = [r2[q] * tl.exp2((e2[q] - e[q]) + y[q]) for q in Q]
    return [r1[q] * tl.exp2(e1[q] - e[q]) + r2[q] for q in Q], e


@triton.jit
def value_of(r, e, scale, spoiled):
    """The value that a scalar r * 2**e stands for, which began at 2**START; +inf for 0, NaN if `spoiled`."""
    safe = tl.maximum(r, 1.0e-37)
    bits = (e.to(tl.float64) - START + tl.log2(safe).to(tl.float64)) / tl.cast(scale, tl.float64)
    value = tl.where((r > 0.0) & (e > 0.5 * NEVER), bits.to(tl.float32), float("inf"))
    return tl.where(spoiled, float("nan"), value)


# ---------------------------------------------------------------- hard forms: exponents alone


@triton.jit
def gains(cost, outside, Q: tl.constexpr):
    """-cost, and NEVER as in `weights`: the hard forms maximise a sum of gains, with the scan of the exponents."""
    return [tl.maximum(outside[q] - cost[q], NEVER) for q in Q]


@triton.jit
def cost_of(gain, spoiled):
    value = tl.where(gain > 0.5 * NEVER, 0.0 - gain, float("inf"))
    return tl.where(spoiled, float("nan"), value)


@triton.jit
def gain_at(x, lane, column, Q: tl.constexpr):
    """The gain at a column, as a scalar; unreachable where there is no such column."""
    W: tl.constexpr = len(Q)
    value = -3.0e38
    for q in tl.static_range(W):
        value = tl.maximum(value, tl.max(tl.where(lane * W == column - q, x[q], -3.0e38), 0))
    return value

"""Which cells a program visits: lengths, bands, and the column blocks of long rows."""

import triton
import triton.language as tl

from .semiring import store

#: sizes that differ from call to call: a kernel is compiled once for all of them
SIZES = [
    "n",
    "m",
    "rows",
    "longest",
    "limit4",
    "row4",
    "pair4",
    "share_row4",
    "table_row4",
    "choice_row4",
    "band",
]

#: what spoils a pair: a NaN or -inf among its costs, lengths beyond the table
UNORDERED, MISFIT = tl.constexpr(1), tl.constexpr(2)


@triton.jit
def lengths(steps, texts, spoiled, pair):
    """The pair's number of video steps and of texts, as int32, and whether it is spoiled; 0 where they do not fit."""
    fault = tl.load(spoiled + pair)
    fits = (fault & MISFIT) == 0
    N = tl.where(fits, tl.load(steps + pair), 0).to(tl.int32)
    M = tl.where(fits, tl.load(texts + pair), 0).to(tl.int32)
    return N, M, fault != 0


@triton.jit
def band_edges(i, N, M, band):
    """First and last column of row i that lie inside the band (int32): |j (N-1) - i (M-1)| <= band (N-1)."""
    low, high = M * 0, tl.where(N > 0, M - 1, -1)
    if N > 1:  # a pair of one step keeps its whole row
        middle, reach = (M - 1).to(tl.int64) * i, (N - 1).to(tl.int64) * band
        low = (tl.maximum(middle - reach + N - 2, 0) // (N - 1)).to(tl.int32)
        high = tl.minimum((middle + reach) // (N - 1), M - 1).to(tl.int32)
    return low, high


@triton.jit
def band_start(low, W: tl.constexpr):
    """The first column held of a band whose row begins at `low`: one left of it or more, a multiple of W."""
    return tl.maximum(low - 1, 0) // W * W


@triton.jit
def first_column(low, block, N, MOVING: tl.constexpr, W: tl.constexpr, L: tl.constexpr):
    """The column that lane 0 owns: where the band starts if lanes move with it, or the block."""
    column = block * (W * L)
    if MOVING:
        column = tl.where(N > 1, band_start(low, W), column)
    return column


@triton.jit
def row_at(i, row4):
    """Where row i starts in a table whose rows are row4 * 4 long, as int64 (from the product of two int32)."""
    return tl.cast(i, tl.int64) * tl.cast(row4, tl.int64) * 4


@triton.jit
def place_of(base, low, row, n, N, NARROW: tl.constexpr, MOVING: tl.constexpr, W: tl.constexpr):
    """Where in a row of a stored table column `base` lies (left of the row, if negative), and which columns it holds.

    Those are since ... held - 1, both counted from `base`. A narrow table holds a band's row from `band_start` on; the
    only row of a pair of one step goes over its whole.
    """
    place, held, since = base, row, None
    if NARROW:
        start = base if MOVING else band_start(low, W)
        whole = tl.minimum(tl.cast(n, tl.int64) * row, 2**30).to(tl.int32)  # 2**30: more columns than any row has
        place, held = tl.where(N > 1, base - start, base), tl.where(N > 1, row, whole)
        if not MOVING:
            since = 0 - place
    return place, held - place, since


@triton.jit
def blocks(M, N, MOVING: tl.constexpr, W: tl.constexpr, L: tl.constexpr):
    """How many column blocks a pair takes. Lanes that move take one; but a pair of one step has no band."""
    count = tl.maximum((M + W * L - 1) // (W * L), 1)
    if MOVING:
        count = tl.where(N > 1, 1, count)
    return count


@triton.jit
def outside_row(lane, low, high, BAND: tl.constexpr, Q: tl.constexpr):
    """-inf in columns outside low ... high, 0 inside; both relative to lane 0, and low is 0 without a band."""
    W: tl.constexpr = len(Q)
    column = lane * W
    row = [tl.where(column <= high - q, 0.0, float("-inf")) for q in Q]
    if BAND:
        row = [tl.where(column >= low - q, row[q], float("-inf")) for q in Q]
    return row


@triton.jit
def fill_unvisited(
    alignment, limit4, n, N, M, done, visited, spoiled, lane, ZEROED: tl.constexpr, Q: tl.constexpr, L: tl.constexpr
):
    """Writes what the row loop left: rows from `done` on, and the blocks after the first `visited` unless ZEROED.

    Zeros, but NaN on the real cells of a spoiled pair.
    """
    W: tl.constexpr = len(Q)
    limit = limit4 * 4
    for block in range((limit + W * L - 1) // (W * L)):
        base = block * (W * L)
        for i in range(tl.where((block < visited) | ZEROED, done, 0), n):
            last = tl.where(spoiled & (i < N), M - 1 - base, -1)
            row = [tl.where(lane * W <= last - q, float("nan"), 0.0) for q in Q]
            store(alignment + row_at(i, limit4) + base, row, lane, limit - base, Q)


@triton.jit(do_not_specialize=SIZES)
def find_spoiled(cost, steps, texts, spoiled, n, m, row4, pair4, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """spoiled[b], 0 before: whether a real cell is NaN or -inf, or the lengths lie outside 0 ... n and 0 ... m.

    A program looks at ROWS rows: going through a long pair, load after load, would take as long as its recurrence.
    The programs of a pair that find a fault all write the same.
    """
    pair = tl.program_id(0).to(tl.int64)
    first_row = tl.program_id(1) * ROWS
    column = tl.arange(0, BLOCK)
    N, M = tl.load(steps + pair), tl.load(texts + pair)
    fits = (N >= 0) & (M >= 0) & (n >= N) & (m >= M)
    N, M = tl.where(fits, N, 0).to(tl.int32), tl.where(fits, M, 0).to(tl.int32)
    cost += pair * pair4 * 4
    found = tl.zeros((BLOCK,), dtype=tl.int32)
    for i in range(first_row, tl.minimum(first_row + ROWS, N)):
        for base in range(0, M, BLOCK):
            cell = tl.load(cost + row_at(i, row4) + base + column, base + column < M, other=0.0)
            found = tl.where(cell > float("-inf"), found, UNORDERED)
    fault = tl.where(fits, tl.max(found, 0), MISFIT)
    tl.store(spoiled + pair, fault, fault != 0)

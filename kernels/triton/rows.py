"""Which cells a program visits: lengths, bands, and the column blocks of long rows."""

import triton
import triton.language as tl

from .semiring import store

#: sizes that differ from call to call: a kernel is compiled once for all of them
SIZES = ["n", "rows", "blocks", "longest", "limit4", "row4", "pair4", "share_row4", "table_row4", "choice_row4", "band"]


@triton.jit
def lengths(steps, texts, spoiled, pair):
    """The pair's number of video steps and of texts, as int32, and whether it holds a NaN."""
    return (
        tl.load(steps + pair).to(tl.int32),
        tl.load(texts + pair).to(tl.int32),
        tl.load(spoiled + pair) != 0,
    )


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
def first_column(low, block, N, NARROW: tl.constexpr, W: tl.constexpr, L: tl.constexpr):
    """The column that lane 0 starts at: a multiple of W one or more left of the band, or the block's."""
    column = block * (W * L)
    if NARROW:
        column = tl.where(N > 1, tl.maximum(low - 1, 0) // W * W, column)
    return column


@triton.jit
def row_at(i, row4):
    """Where row i starts in a table whose rows are row4 * 4 long, as int64 (from the product of two int32)."""
    return tl.cast(i, tl.int64) * tl.cast(row4, tl.int64) * 4


@triton.jit
def place_of(i, base, row4, n, N, NARROW: tl.constexpr):
    """Where row i of a stored table has the columns from `base` on, and how many of them it holds.

    A narrow table holds a band's row from its first column on; the only row of a pair of one step goes over its whole.
    """
    column, limit = base, row4 * 4
    if NARROW:
        column, limit = tl.where(N > 1, 0, base), tl.where(N > 1, 1, n) * limit
    return row_at(i, row4) + column, limit - column


@triton.jit
def blocks(M, N, NARROW: tl.constexpr, W: tl.constexpr, L: tl.constexpr):
    """How many column blocks a pair takes. A band that moves takes one, and a pair of one step has no band."""
    count = tl.maximum((M + W * L - 1) // (W * L), 1)
    if NARROW:
        count = tl.where(N > 1, 1, count)
    return count


@triton.jit
def forbidden_row(lane, low, high, BAND: tl.constexpr, Q: tl.constexpr):
    """+inf in columns outside low ... high, -inf inside; both relative to lane 0, and low is 0 without a band."""
    W: tl.constexpr = len(Q)
    column = lane * W
    row = [tl.where(column + q <= high, float("-inf"), float("inf")) for q in Q]
    if BAND:
        row = [tl.where(column + q >= low, row[q], float("inf")) for q in Q]
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
            row = [tl.where(lane * W + q <= last, float("nan"), 0.0) for q in Q]
            store(alignment + row_at(i, limit4) + base, row, lane, limit - base, Q)


@triton.jit(do_not_specialize=SIZES)
def find_spoiled(cost, steps, texts, spoiled, row4, pair4, BLOCK: tl.constexpr):
    """spoiled[b]: whether a real cell of the pair is NaN or -inf."""
    pair = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    N, M = tl.load(steps + pair).to(tl.int32), tl.load(texts + pair).to(tl.int32)
    cost += pair * pair4 * 4
    found = tl.zeros((BLOCK,), dtype=tl.int32)
    for i in range(N):
        for base in range(0, M, BLOCK):
            cell = tl.load(cost + row_at(i, row4) + base + column, base + column < M, other=0.0)
            found = tl.where(cell > float("-inf"), found, 1)
    tl.store(spoiled + pair, tl.max(found, 0))

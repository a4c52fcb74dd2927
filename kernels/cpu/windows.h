// Sums of extended-range numbers over windows of a row, without subtraction.
#pragma once
#include "rows.h"

// Up to so many additions for each cell of a row, doubling is quicker than two running sums.
constexpr int MOST_ADDITIONS = 8;

// Running sums of x in `direction`, for the blocks of [begin, end).  `of(j)` is the block x[j ..], which is nothing
// outside of `span`.
template <int direction, class Of> INLINE void sums_so_far(Of of, Span span, long begin, long end, Row sums) {
  long behind = direction > 0 ? span.begin : end, ahead = direction > 0 ? end : span.begin;
  if (direction > 0) {
    for (long j = begin; j < behind; j += LANES) store(sums, j, zero());
  } else {
    for (long j = span.end; j < behind; j += LANES) store(sums, j, zero());
  }
  Extended total = zero();
  each_block<direction>(span.begin, span.end, [&](long j) INLINED {
    const Extended here = running_sum<direction>(of(j)) + total;
    store(sums, j, here);
    total = last_lane<direction>(here);
  });
  if (direction > 0) {
    for (long j = span.end; j < ahead; j += LANES) store(sums, j, total);
  } else {
    for (long j = begin; j < ahead; j += LANES) store(sums, j, total);
  }
}

// Sums within segments of `segment` columns, whole blocks from `begin` on: each column adds what came before it in its
// segment.
template <int direction, class Of>
INLINE void segment_sums(Of of, Span span, long segment, long begin, long end, Row sums) {
  Extended total = zero();
  long left = segment; // columns of this segment that are still to come
  each_block<direction>(begin, end, [&](long j) INLINED {
    const bool empty = j + LANES <= span.begin || j >= span.end;
    const Extended here = empty ? total : running_sum<direction>(of(j)) + total;
    store(sums, j, here);
    left -= LANES;
    total = left ? last_lane<direction>(here) : zero();
    left = left ? left : segment;
  });
}

// sums[j] = x[j] + ... + x[j + width - 1] for j in [begin, end), where width >= LANES.  Segments are the whole blocks
// that fit the window, so that every window meets a border: it is the sum from j up to the border and the sum from
// there on (van Herk; Gil and Werman), and a whole segment between where it meets two.
template <class Of>
INLINE void wide_window_sums(Of of, Span span, long width, long begin, long end, Row so_far, Row sums) {
  begin = block_floor(begin), end = block_ceiling(end);
  const long segment = block_floor(width), surplus = width - segment;
  const long segments = (end - begin + segment - 1) / segment, last = begin + segments * segment;
  const bool meets_last = last - LANES < end; // some window may hold the whole segment from `last` on
  segment_sums<LEFTWARDS>(of, span, segment, begin, meets_last ? last + segment : last, sums);
  segment_sums<RIGHTWARDS>(of, span, segment, begin + segment, block_ceiling(end + width), so_far);
  if (surplus == 0) // the window from a border on is its segment, and has no second part
    for (long border = begin; border < last; border += segment) clear(so_far, border + segment - 1, border + segment);
  if (surplus > 1)
    for (long border = begin + segment; border < last + meets_last; border += segment) {
      const Extended whole = last_lane<LEFTWARDS>(load(sums, border));
      const Extended between = where(LANE > (int32_t)(LANES - surplus), whole, zero());
      store(sums, border - LANES, load(sums, border - LANES) + between);
    }
  for (long j = begin; j < end; j += LANES) store(sums, j, load(sums, j) + load(so_far, j + width - 1));
}

// The same from sums of 1, 2, 4, ... cells, of which the bits of `width` pick those that are needed: less work where
// the window is narrow.  x must be readable up to end + width + LANES.
template <class Of> INLINE void narrow_window_sums(Of of, long width, long begin, long end, Row doubled, Row sums) {
  long taken = 0;
  for (long size = 1; size <= width; size *= 2) {
    auto cells = [&](long j) INLINED { return size == 1 ? of(j) : load(doubled, j); };
    if (width & size) {
      for (long j = begin; j < end; j += LANES)
        store(sums, j, taken ? load(sums, j) + cells(j + taken) : cells(j));
      taken += size;
    }
    if (2 * size > width) break;
    for (long j = begin; j <= end + width - 2 * size; j += LANES) store(doubled, j, cells(j) + cells(j + size));
  }
}

// Whether sums over windows are quicker by doubling, which also runs past the row, on average by half a window.
static bool quicker_doubled(long width, long columns) {
  const int additions = 62 - __builtin_clzl(width) + __builtin_popcountl(width);
  return width < LANES || additions * (columns + width / 2) <= MOST_ADDITIONS * columns;
}

template <class Of> INLINE void window_sums(Of of, Span span, long width, long begin, long end, Row scratch, Row sums) {
  if (quicker_doubled(width, end - begin))
    narrow_window_sums(of, width, begin, end, scratch, sums);
  else
    wide_window_sums(of, span, width, begin, end, scratch, sums);
}

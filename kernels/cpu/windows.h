// Sums of extended-range numbers over windows of a row, without subtraction.
#pragma once
#include "rows.h"

// sums[j] = x[j] + x[j + 1] + ... to the end of the walk's past, for the blocks of [begin, end): walked in
// `direction`, each column adds what came before it.  `of(j)` is the block x[j ..]; x is nothing outside of `span`.
template <int direction, class Of> INLINE void sums_so_far(Of of, Span span, long begin, long end, Row sums) {
  long behind = direction > 0 ? span.begin : end, ahead = direction > 0 ? end : span.begin;
  if (direction > 0) {
    for (long j = begin; j < behind; j += LANES) store(sums, j, zero());
  } else {
    for (long j = span.end; j < behind; j += LANES) store(sums, j, zero());
  }
  Extended total = zero();
  each_block<direction>(span.begin, span.end, [&](long j) INLINED {
    Extended here = running_sum<direction>(of(j)) + total;
    store(sums, j, here);
    total = last_lane<direction>(here);
  });
  if (direction > 0) {
    for (long j = span.end; j < ahead; j += LANES) store(sums, j, total);
  } else {
    for (long j = begin; j < ahead; j += LANES) store(sums, j, total);
  }
}

// sums[j] = x[j] + ... + x[j + width - 1] for j in [begin, end), from sums of 1, 2, 4, ... cells: the bits of `width`
// pick those that are needed.  x must be readable up to end + width + LANES.
template <class Of> INLINE void window_sums(Of of, long width, long begin, long end, Row doubled, Row sums) {
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

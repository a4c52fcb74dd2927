// Walks along antidiagonals, for recurrences in which a cell depends on its neighbours to the left, above and between.
//
// The table is cut into strips of rows.  A strip is walked along its antidiagonals, one row to a lane: on the d-th, lane
// l stands at column begin + d - l, so all lanes move at once and no cell waits for another.
#pragma once
#include "rows.h"

// cells[l][t] to cells[t][l], by swapping ever larger blocks across the diagonal.
template <class Vector, class Index, int count> INLINE void transpose(Vector (&cells)[count], Index lane) {
#pragma GCC unroll 4
  for (int size = 1; size < count; size *= 2) {
    const Index own = lane & size;
    const Index low = own ? lane - size + count : lane, high = own ? lane + count : lane + size;
#pragma GCC unroll 16
    for (int k = 0; k < count; k++) {
      if (k & size) continue;
      const Vector a = cells[k], b = cells[k + size];
      cells[k] = __builtin_shuffle(a, b, low), cells[k + size] = __builtin_shuffle(a, b, high);
    }
  }
}

// The columns of each row that a path may touch, none in the rows below the table; and the antidiagonals to walk, in
// chunks, of which the last ends in the last column of the last row.
template <int height> struct Strip {
  long first, rows; // of the table, and how many
  long low[height], high[height];
  long begin, diagonals;
  long inner, outer; // from antidiagonal `inner` up to `outer` every lane has a cell
  template <class T> Strip(const Cost<T> &cost, long first, long chunk) : first(first) {
    rows = cost.steps - first < height ? cost.steps - first : height;
    for (long l = 0; l < height; l++) {
      const Span span = l < rows ? span_of(cost, first + l) : Span(0, -1);
      low[l] = span.low, high[l] = span.high;
    }
    const long width = high[rows - 1] + rows - low[0];
    diagonals = (width + chunk - 1) / chunk * chunk;
    begin = low[0] + width - diagonals;
    inner = 0, outer = rows < height ? 0 : diagonals;
    for (long l = 0; l < rows; l++) {
      const long from = low[l] + l - begin, to = high[l] + 1 + l - begin;
      inner = from > inner ? from : inner, outer = to < outer ? to : outer;
    }
  }
};

// Costs of `count` antidiagonals from `d` on, for as many rows of the strip from `l` on; +inf where there is no cell.
template <int height, class T, class Vector, class Index, int count>
INLINE void load_diagonals(const Cost<T> &cost, const Strip<height> &strip, long l, long d, Vector (&cells)[count],
                           Index lane) {
  if (d >= strip.inner && d + count <= strip.outer) {
#pragma GCC unroll 16
    for (int k = 0; k < count; k++) read(cells[k], cost.row(strip.first + l + k) + (strip.begin + d - l - k));
    return transpose(cells, lane);
  }
  const T *const first = cost.data, *const last = cost.row(cost.steps - 1) + cost.texts;
  Vector inf = {};
  inf += __builtin_inff();
  for (int k = 0; k < count; k++) {
    const long j = strip.begin + d - l - k, from = strip.low[l + k] - j, to = strip.high[l + k] + 1 - j;
    const T *row = cost.row(strip.first + l + k) + j;
    if (from <= 0 && to >= count) {
      read(cells[k], row);
    } else if (from >= count || to <= 0 || from >= to) {
      cells[k] = inf;
    } else if (row >= first && row + count <= last) {
      read(cells[k], row);
      cells[k] = (lane >= (int32_t)from) & (lane < (int32_t)to) ? cells[k] : inf;
    } else {
      cells[k] = inf;
      for (long t = from > 0 ? from : 0; t < (to < count ? to : count); t++) cells[k][t] = row[t];
    }
  }
  transpose(cells, lane);
}

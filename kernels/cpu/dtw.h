// DTW:  D[i, j] = C[i, j] + min(D[i-1, j-1], D[i-1, j], D[i, j-1]), in double, ties in this order.
//
// The table is cut into strips of STRIP rows.  A strip is walked along its antidiagonals, one row to a lane: after the
// d-th, lane l holds D[first + l, d - l].  Two registers side by side hide the latency of one another.
#pragma once
#include "rows.h"

constexpr int STRIP = LANES; // two registers of HALF doubles
typedef int8_t Codes __attribute__((vector_size(HALF)));
typedef Codes UnalignedCodes __attribute__((aligned(1), may_alias));
constexpr int64_t UP = 1, LEFT = 2; // and 0: diagonally

// rows[l][t] to diagonals[t][l], for HALF x HALF cells, by zipping both halves log2(HALF) times.
INLINE void transpose(Doubles (&cells)[HALF]) {
  const Longs low = (HALF_LANE >> 1) + (HALF_LANE & 1) * HALF, high = low + HALF / 2;
  for (int round = 1; round < HALF; round *= 2) {
    Doubles zipped[HALF];
#pragma GCC unroll 8
    for (int k = 0; k < HALF / 2; k++) {
      zipped[2 * k] = __builtin_shuffle(cells[k], cells[k + HALF / 2], low);
      zipped[2 * k + 1] = __builtin_shuffle(cells[k], cells[k + HALF / 2], high);
    }
#pragma GCC unroll 8
    for (int k = 0; k < HALF; k++) cells[k] = zipped[k];
  }
}

// STRIP rows: the columns of each that a path may touch (none below the table), the column and the number of
// antidiagonals at which the walk begins and goes on, and the moves found there, STRIP for each antidiagonal.
struct Strip {
  long low[STRIP], high[STRIP], begin, diagonals;
  int8_t *moves;
};

template <class T> static Strip make_strip(const Cost<T> &cost, long first) {
  Strip strip;
  for (long l = 0; l < STRIP; l++) {
    const bool real = first + l < cost.steps;
    const Span span = real ? span_of(cost, first + l) : Span(0, -1);
    strip.low[l] = span.low, strip.high[l] = span.high;
  }
  const long last = cost.steps - first < STRIP ? cost.steps - first - 1 : STRIP - 1;
  const long width = strip.high[last] + 1 - strip.low[0] + last;
  strip.begin = strip.low[0], strip.diagonals = (width + HALF - 1) / HALF * HALF, strip.moves = nullptr;
  return strip;
}

// Costs of HALF antidiagonals from `d` on, for the HALF rows of the strip from `l` on; +inf where there is no cell.
template <class T>
INLINE void load_diagonals(const Cost<T> &cost, long first, const Strip &strip, long l, long d,
                           Doubles (&cells)[HALF]) {
#pragma GCC unroll 8
  for (long k = 0; k < HALF; k++) {
    const long j = strip.begin + d - l - k, from = strip.low[l + k] - j, to = strip.high[l + k] + 1 - j;
    if (from <= 0 && to >= HALF) {
      cells[k] = load_doubles(cost.row(first + l + k) + j);
    } else {
      cells[k] = all_lanes(__builtin_inf());
      const T *row = cost.row(first + l + k) + j;
      for (long t = from > 0 ? from : 0; t < (to < HALF ? to : HALF); t++) cells[k][t] = row[t];
    }
  }
  transpose(cells);
}

// Walks one strip; `above` holds the last row of the strip before, and then that of this one, its `depth`-th row.
template <bool wanted, bool full, class T>
static void walk_strip(const Cost<T> &cost, long first, const Strip &strip, long depth, double *above) {
  const Doubles inf = all_lanes(__builtin_inf());
  Doubles now[2] = {inf, inf};    // D on the last antidiagonal: what lies to the left of the next
  Doubles before[2] = {inf, inf}; // what lay above the last: what lies diagonally before the next
  before[0] = shift<1>(inf, all_lanes(above[strip.begin - 1]));
  for (long d = 0; d < strip.diagonals; d += HALF) {
    Doubles cells[2][HALF];
    load_diagonals(cost, first, strip, 0, d, cells[0]);
    load_diagonals(cost, first, strip, HALF, d, cells[1]);
#pragma GCC unroll 8
    for (int t = 0; t < HALF; t++) {
      const long j = strip.begin + d + t;
      const Doubles upper[2] = {shift<1>(now[0], all_lanes(above[j])), shift<1>(now[1], now[0])};
#pragma GCC unroll 2
      for (int half = 0; half < 2; half++) {
        const Doubles straight = smaller(now[half], upper[half]);
        if (wanted) {
          const Longs side = upper[half] <= now[half] ? (Longs){} + UP : (Longs){} + LEFT;
          const Longs move = before[half] <= straight ? (Longs){} : side;
          *(UnalignedCodes *)(strip.moves + (d + t) * STRIP + half * HALF) = __builtin_convertvector(move, Codes);
        }
        now[half] = smaller(straight, before[half]) + cells[half][t];
        before[half] = upper[half];
      }
      above[j - depth] = full ? now[1][HALF - 1] : now[depth / HALF][depth % HALF];
    }
  }
}

// Writes the path from the corner back to the start, then turns it round.
template <class T> static long trace_dtw(const Cost<T> &cost, const Strip *strips, int64_t *path) {
  long i = cost.steps - 1, j = cost.texts - 1, length = 0;
  for (;;) {
    path[2 * length] = i, path[2 * length + 1] = j, length++;
    if (i == 0 && j == 0) break;
    const Strip &strip = strips[i / STRIP];
    const long l = i % STRIP;
    const int8_t move = strip.moves[(j - strip.begin + l) * STRIP + l];
    i -= move != LEFT, j -= move != UP;
  }
  for (long head = 0, tail = length - 1; head < tail; head++, tail--)
    for (int axis = 0; axis < 2; axis++) {
      int64_t swap = path[2 * head + axis];
      path[2 * head + axis] = path[2 * tail + axis], path[2 * tail + axis] = swap;
    }
  return length;
}

// The path is (i, j) from start to end; null where it is not wanted.
template <class T> static double dtw_of(const Cost<T> &cost, int64_t *path, int64_t *length, Workspace &workspace) {
  const long steps = cost.steps, texts = cost.texts, count = (steps + STRIP - 1) / STRIP;
  const double inf = __builtin_inf();
  const Band band(cost);
  if (length) *length = 0;
  if (!band.whole) return inf;
  double *above = workspace.take<double>(texts + 4 * STRIP) + 2 * STRIP;
  for (long j = -2 * STRIP; j < texts + 2 * STRIP; j++) above[j] = inf;
  above[-1] = 0;
  Strip *strips = workspace.take<Strip>(count);
  for (long s = 0; s < count; s++) {
    const long first = s * STRIP, depth = steps - first < STRIP ? steps - first - 1 : STRIP - 1;
    Strip &strip = strips[s] = make_strip(cost, first);
    if (path) strip.moves = workspace.take<int8_t>(strip.diagonals * STRIP);
    if (path && depth == STRIP - 1)
      walk_strip<true, true>(cost, first, strip, depth, above);
    else if (path)
      walk_strip<true, false>(cost, first, strip, depth, above);
    else
      walk_strip<false, false>(cost, first, strip, depth, above);
  }
  const double value = above[texts - 1];
  if (path && value < inf) *length = trace_dtw(cost, strips, path);
  return value;
}
static double dtw(const Cost<float> &cost, int64_t *path, int64_t *length, Workspace &workspace) {
  return dtw_of(cost, path, length, workspace);
}
static double dtw_double(const Cost<double> &cost, int64_t *path, int64_t *length, Workspace &workspace) {
  return dtw_of(cost, path, length, workspace);
}

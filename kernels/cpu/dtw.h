// DTW:  D[i, j] = C[i, j] + min(D[i-1, j-1], D[i-1, j], D[i, j-1]), in double, ties in this order.
//
// Several registers side by side hide the latency of one another.
#pragma once
#include "strips.h"

constexpr int HARD_REGISTERS = LANES == 16 ? 2 : 4, HARD_HEIGHT = HARD_REGISTERS * HALF;
typedef Strip<HARD_HEIGHT> HardStrip;
constexpr int8_t UP = 1, LEFT = 2; // and 0: diagonally

// Walks one strip; `above` holds the last row of the strip before, and then that of this one.  Moves are stored
// antidiagonal by antidiagonal.
template <bool with_path, bool full, class T>
static void walk_strip(const Cost<T> &cost, const HardStrip &strip, int8_t *moves, double *above) {
  const long depth = strip.rows - 1;
  const Doubles inf = all_lanes(__builtin_inf());
  Doubles now[HARD_REGISTERS];    // D on the last antidiagonal: what lies to the left of the next
  Doubles before[HARD_REGISTERS]; // what lay above the last: what lies diagonally before the next
  for (int h = 0; h < HARD_REGISTERS; h++) now[h] = before[h] = inf;
  before[0] = shift<1>(inf, all_lanes(above[strip.begin - 1]));
  for (long d = 0; d < strip.diagonals; d += HALF) {
    Doubles cells[HARD_REGISTERS][HALF];
    for (int h = 0; h < HARD_REGISTERS; h++) load_diagonals(cost, strip, h * HALF, d, cells[h], HALF_LANE);
#pragma GCC unroll 8
    for (int t = 0; t < HALF; t++) {
      const long j = strip.begin + d + t;
      Doubles upper[HARD_REGISTERS];
#pragma GCC unroll 4
      for (int h = 0; h < HARD_REGISTERS; h++) upper[h] = shift<1>(now[h], h ? now[h - 1] : all_lanes(above[j]));
#pragma GCC unroll 4
      for (int h = 0; h < HARD_REGISTERS; h++) {
        const Doubles straight = smaller(now[h], upper[h]);
        if (with_path) {
          const Longs aside = before[h] > straight, up = upper[h] <= now[h];
          store(moves + (d + t) * HARD_HEIGHT + h * HALF, bits_of<0>({aside & up, aside & ~up}));
        }
        now[h] = smaller(straight, before[h]) + cells[h][t];
        before[h] = upper[h];
      }
      above[j - depth] = full ? now[HARD_REGISTERS - 1][HALF - 1] : now[depth / HALF][depth % HALF];
    }
  }
}

// The moves into every cell of a strip.
struct Moves {
  long begin;
  int8_t *codes;
  int8_t at(long l, long j) const { return codes[(j - begin + l) * HARD_HEIGHT + l]; }
};

// Writes the path from the corner back to the start, then turns it round.
static long trace_dtw(long steps, long texts, const Moves *strips, int64_t *path) {
  long i = steps - 1, j = texts - 1, length = 0;
  for (;;) {
    path[2 * length] = i, path[2 * length + 1] = j, length++;
    if (i == 0 && j == 0) break;
    const int8_t move = strips[i / HARD_HEIGHT].at(i % HARD_HEIGHT, j);
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
  const long steps = cost.steps, texts = cost.texts, margin = 2 * HARD_HEIGHT;
  const double inf = __builtin_inf();
  const Band band(cost);
  if (length) *length = 0;
  if (!band.whole) return inf;
  double *above = workspace.take<double>(texts + 2 * margin) + margin;
  for (long j = -margin; j < texts + margin; j++) above[j] = inf;
  above[-1] = 0;
  Moves *moves = workspace.take<Moves>((steps + HARD_HEIGHT - 1) / HARD_HEIGHT);
  for (long first = 0; first < steps; first += HARD_HEIGHT) {
    const HardStrip strip(cost, first, HALF);
    Moves &here = moves[first / HARD_HEIGHT] = {strip.begin, nullptr};
    if (path) here.codes = workspace.take<int8_t>(strip.diagonals * HARD_HEIGHT);
    if (path && strip.rows == HARD_HEIGHT)
      walk_strip<true, true>(cost, strip, here.codes, above);
    else if (path)
      walk_strip<true, false>(cost, strip, here.codes, above);
    else
      walk_strip<false, false>(cost, strip, nullptr, above);
  }
  const double value = above[texts - 1];
  if (path && value < inf) *length = trace_dtw(steps, texts, moves, path);
  return value;
}
static double dtw(const Cost<float> &cost, int64_t *path, int64_t *length, Workspace &workspace) {
  return dtw_of(cost, path, length, workspace);
}
static double dtw_double(const Cost<double> &cost, int64_t *path, int64_t *length, Workspace &workspace) {
  return dtw_of(cost, path, length, workspace);
}

// Hard double Drop-DTW: the machine of the soft form with min for softmin, in double.
//   M[i, j] = C[i, j] + min(T[i-1, j-1], stay[i-1, j])      X[i, j] = drop_video[i] + min(M, X)[i-1, j]
//   Z[i, j] = drop_text[j] + min(M[i, j-1], Z[i, j-1])      W[i, j] = drop_video[i] + min(Z, W)[i-1, j]
// with T = min(M, X, Z, W), and stay = M, or min(M, X) where dropped steps may lie inside a text.  With P the running
// sum of drop_text, Z[j] = P[j] + min over p < j of (M[p] - P[p]), so it is a running minimum.
// Ties prefer matching to dropping, and the next text to staying.
#pragma once
#include "rows.h"

// What the best path does at each cell, one byte for each of the table (steps + 1) x (texts + 1).
constexpr int8_t OPEN_DROPPED = 1;   // X is better than M
constexpr int8_t CLOSED_DROPPED = 2; // W is better than Z
constexpr int8_t GAP_CLOSED = 4;     // min(Z, W) is better than min(M, X)
constexpr int8_t STAYED = 8;         // M of the next row came from its own text, not from the one before
constexpr int8_t RUN = 16;           // Z of the next column came from Z here, not from M

struct DropStates {
  double *M, *X, *Z, *W, *paid; // columns 0..texts, with +inf around
  long columns;
};

// Z of a row from its M, and marks where a run of dropped texts goes on.
template <bool with_path> INLINE void drop_run(const DropStates &states, int8_t *marks) {
  Doubles best = all_lanes(__builtin_inf());
  for (long j = 0; j < states.columns; j += HALF) {
    const Doubles opened = load_doubles(states.M + j) - load_doubles(states.paid + j);
    const Doubles here = running_minimum<RIGHTWARDS>(opened), run = smaller(here, best); // min over p <= j
    if (with_path) store(marks + j, bits_of<4>({run < opened}));
    store(states.Z + j + 1, run + load_doubles(states.paid + j + 1));
    best = smaller(best, last_lane<RIGHTWARDS>(here)); // not from `run`: the next block waits for this one alone
  }
}

// All states of a row from those of the row before, in place.
template <bool with_path, class T>
INLINE void drop_step(const DropStates &states, const T *cost, Span span, double drop, bool contiguous, bool drops_text,
                      int8_t *marks_before, int8_t *marks) {
  const Doubles inf = all_lanes(__builtin_inf());
  Doubles before = inf;
  for (long j = 0; j < states.columns; j += HALF) {
    const Doubles M = load_doubles(states.M + j), X = load_doubles(states.X + j);
    const Doubles Z = load_doubles(states.Z + j), W = load_doubles(states.W + j);
    const Doubles open = smaller(M, X), closed = smaller(Z, W), any = smaller(open, closed);
    const Doubles next = shift<1>(any, before), staying = contiguous ? M : open;
    before = any;
    Doubles cells = inf; // text j is column j + 1
    if (j > span.low && j + HALF - 1 <= span.high + 1)
      cells = load_doubles(cost + j - 1);
    else
      for (long t = 0; t < HALF; t++)
        if (j + t - 1 >= span.low && j + t - 1 <= span.high) cells[t] = cost[j + t - 1];
    store(states.M + j, smaller(next, staying) + cells);
    store(states.X + j, open + drop);
    store(states.W + j, closed + drop);
    if (with_path) {
      const HalfBytes bits = bits_of<0>({X < M, W < Z, closed < open, staying < next});
      store(marks_before + j, load_bytes(marks_before + j) | bits);
    }
  }
  states.Z[0] = __builtin_inf();
  if (drops_text)
    drop_run<with_path>(states, marks);
  else if (with_path)
    __builtin_memset(marks, 0, states.columns + HALF);
}

enum DropState { MATCHED, OPEN, TEXT_DROPPED, VIDEO_DROPPED };

static void trace_drop_dtw(long steps, long texts, DropState state, bool contiguous, const int8_t *marks, long width,
                           int64_t *labels) {
  long i = steps, j = texts;
  while (i > 0) {
    if (state == TEXT_DROPPED) { // back along the run to the match before it
      state = marks[i * width + --j] & RUN ? TEXT_DROPPED : MATCHED;
      continue;
    }
    i--;
    const bool stayed = state == MATCHED && marks[i * width + j] & STAYED;
    labels[i] = state == MATCHED ? j - 1 : -1;
    if (state == MATCHED && !stayed) j--;
    const int8_t from = marks[i * width + j];
    const bool closed = state == MATCHED ? !stayed && from & GAP_CLOSED : state == VIDEO_DROPPED;
    if (closed)
      state = from & CLOSED_DROPPED ? VIDEO_DROPPED : TEXT_DROPPED;
    else
      state = from & OPEN_DROPPED && !(stayed && contiguous) ? OPEN : MATCHED;
  }
}

// Labels: the text of each step, -1 where it is dropped; null where they are not wanted.
template <class T> static double drop_dtw_of(const Cost<T> &cost, Drops drops, int64_t *labels, Workspace &workspace) {
  const long steps = cost.steps, texts = cost.texts, width = texts + 1 + LANES;
  const double inf = __builtin_inf();
  DropStates states;
  states.columns = texts + 1;
  double **const all[] = {&states.M, &states.X, &states.Z, &states.W, &states.paid};
  for (double **state : all) {
    *state = workspace.take<double>(width);
    for (long j = 0; j < width; j++) (*state)[j] = state == &states.paid ? 0 : inf;
  }
  states.Z[0] = 0;
  for (long j = 0; j < texts && drops.text; j++) states.Z[j + 1] = states.paid[j + 1] = states.paid[j] + drops.text[j];
  int8_t *marks = labels ? workspace.take<int8_t>((steps + 1) * width) : nullptr;
  if (labels) __builtin_memset(marks, 0, width);
  for (long i = 1; i <= steps; i++) {
    const Span span = span_of(cost, i - 1);
    int8_t *after = labels ? marks + i * width : nullptr, *before = labels ? after - width : nullptr;
    const T *row = cost.row(i - 1);
    if (labels)
      drop_step<true>(states, row, span, drops.video[i - 1], drops.contiguous, drops.text, before, after);
    else
      drop_step<false>(states, row, span, drops.video[i - 1], drops.contiguous, drops.text, before, after);
  }
  const double ends[4] = {states.M[texts], states.X[texts], states.Z[texts], states.W[texts]};
  int best = 0;
  for (int state = 1; state < 4; state++)
    if (ends[state] < ends[best]) best = state;
  if (labels && ends[best] < inf) trace_drop_dtw(steps, texts, (DropState)best, drops.contiguous, marks, width, labels);
  return ends[best];
}
static double drop_dtw(const Cost<float> &cost, Drops drops, int64_t *labels, Workspace &workspace) {
  return drop_dtw_of(cost, drops, labels, workspace);
}
static double drop_dtw_double(const Cost<double> &cost, Drops drops, int64_t *labels, Workspace &workspace) {
  return drop_dtw_of(cost, drops, labels, workspace);
}

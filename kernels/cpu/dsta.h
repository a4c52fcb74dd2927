// Duration-shifts temporal alignment (DSTA), in double:
//   D[i, j] = C[i, j] + min over p, |p - j| <= window, of (D[i-1, p] + weight max(p - j - margin, 0)).
//
// As in the soft form the window has an even part and a penalised part, here minima of D and of D + weight p.  Rows are
// kept where labels are wanted; the way back looks for the smallest p that gave the minimum, once for each step.
#pragma once
#include "rows.h"

// least[j] = min of x[j .. j + width - 1] for j in [begin, end): two overlapping windows of a power of two.
template <class Of> INLINE void window_minima(Of of, long width, long begin, long end, double *doubled, double *least) {
  const long last = end + width + HALF;
  for (long j = begin; j < last; j += HALF) store(doubled + j, of(j));
  long size = 1;
  for (; 2 * size <= width; size *= 2)
    for (long j = begin; j < last - size; j += HALF)
      store(doubled + j, smaller(load_doubles(doubled + j), load_doubles(doubled + j + size)));
  for (long j = begin; j < end; j += HALF)
    store(least + j, smaller(load_doubles(doubled + j), load_doubles(doubled + j + width - size)));
}

// least[j] = min of x so far along the walk over [begin, end).
template <int direction, class Of> INLINE void minima_so_far(Of of, long begin, long end, double *least) {
  Doubles best = all_lanes(__builtin_inf());
  const long count = (end - begin + HALF - 1) / HALF;
  for (long block = 0; block < count; block++) {
    const long j = begin + (direction > 0 ? block : count - 1 - block) * HALF;
    const Doubles here = running_minimum<direction>(of(j));
    store(least + j, smaller(here, best));
    best = smaller(best, last_lane<direction>(here)); // all that the next block waits for
  }
}

struct DstaSearch {
  long window, margin;
  bool free, late;
  double weight;
  double *near, *far, *doubled, *penalty; // penalty[j] = weight j
};

// D of a row from D of the row before, both addressed by column, with +inf around the span of the row before.
template <class T>
INLINE void dsta_step(const DstaSearch &search, const T *cost, Span before, Span span, const double *above,
                      double *row) {
  const long window = search.window, margin = search.margin;
  const auto plain = [&](long j) INLINED { return load_doubles(above + j); };
  const auto penalised = [&](long j) INLINED { return load_doubles(above + j) + load_doubles(search.penalty + j); };
  long near = -window;
  if (search.free) {
    const long begin = before.low < span.low ? before.low : span.low, end = span.high + margin + 2;
    const long far_end = before.high > end ? before.high + 1 : end + 1;
    near = margin;
    minima_so_far<RIGHTWARDS>(plain, begin, end, search.near);
    if (search.late) minima_so_far<LEFTWARDS>(penalised, span.low, far_end, search.far);
  } else {
    const long low = span.low, end = span.high + 1, far = margin + 1;
    window_minima(plain, window + margin + 1, low - window, end - window, search.doubled, search.near);
    if (search.late) window_minima(penalised, window - margin, low + far, end + far, search.doubled, search.far);
  }
  long j = span.low;
  for (; j <= span.high; j += HALF) {
    Doubles least = load_doubles(search.near + j + near);
    if (search.late)
      least = smaller(least, load_doubles(search.far + j + margin + 1) - load_doubles(search.penalty + j + margin));
    Doubles cells = all_lanes(__builtin_inf());
    if (j + HALF <= span.high + 1)
      cells = load_doubles(cost + j);
    else
      for (long t = 0; j + t <= span.high; t++) cells[t] = cost[j + t];
    store(row + j, least + cells);
  }
}

// Labels from the last row to the first; `rows` holds D, each row with its own span.
static void trace_dsta(long steps, const DstaSearch &search, const Span *spans, double *const *rows, long last,
                       int64_t *labels) {
  long j = labels[steps - 1] = last;
  for (long i = steps - 1; i > 0; i--) {
    const Span &above = spans[i - 1];
    long best = -1;
    double least = __builtin_inf();
    const long low = j - search.window > above.low ? j - search.window : above.low;
    const long high = j + search.window < above.high ? j + search.window : above.high;
    for (long p = low; p <= high; p++) {
      const long back = p - j - search.margin;
      const double paid = rows[i - 1][p] + (back > 0 ? search.weight * back : 0.0);
      if (paid < least) least = paid, best = p;
    }
    labels[i - 1] = j = best;
  }
}

// Labels: the text of each step; null where they are not wanted.
template <class T>
static double dsta_of(const Cost<T> &cost, OrderPenalty order, int64_t *labels, Workspace &workspace) {
  const long steps = cost.steps, texts = cost.texts;
  const double inf = __builtin_inf();
  const Band band(cost);
  if (!band.whole || order.window == 0) return inf;
  DstaSearch search;
  search.free = order.window >= texts - 1;
  search.window = search.free ? texts - 1 : order.window;
  search.margin = order.margin < search.window ? order.margin : search.window;
  search.late = search.window > search.margin;
  search.weight = order.weight;
  const long margin = 2 * search.window + 4 * LANES, all = texts + 2 * margin;
  const auto make = [&] {
    double *row = workspace.take<double>(all) + margin;
    for (long j = -margin; j < texts + margin; j++) row[j] = inf;
    return row;
  };
  search.near = make(), search.far = make(), search.doubled = make(), search.penalty = make();
  for (long j = -margin; j < texts + margin; j++) search.penalty[j] = order.weight * j;

  double *above = make(), *row = make();
  double **rows = labels ? workspace.take<double *>(steps) : nullptr;
  Span *spans = workspace.take<Span>(steps);
  for (long i = 0; i < steps; i++) {
    const Span span = spans[i] = span_of(cost, i);
    if (i == 0) {
      for (long j = 0; j <= span.high && j < order.window; j++) row[j] = cost.row(0)[j];
    } else {
      dsta_step(search, cost.row(i), spans[i - 1], span, above, row);
      for (long j = spans[i - 1].low; j <= spans[i - 1].high + LANES; j++) above[j] = inf;
    }
    if (labels) {
      rows[i] = workspace.take<double>(span.high - span.low + 1) - span.low;
      __builtin_memcpy(rows[i] + span.low, row + span.low, (span.high - span.low + 1) * sizeof(double));
    }
    double *swap = above;
    above = row, row = swap;
  }
  const double value = above[texts - 1];
  if (labels && value < inf) trace_dsta(steps, search, spans, rows, texts - 1, labels);
  return value;
}
static double dsta(const Cost<float> &cost, OrderPenalty order, int64_t *labels, Workspace &workspace) {
  return dsta_of(cost, order, labels, workspace);
}
static double dsta_double(const Cost<double> &cost, OrderPenalty order, int64_t *labels, Workspace &workspace) {
  return dsta_of(cost, order, labels, workspace);
}

// Rows and tables of extended-range numbers, and the pieces that every soft recurrence is built from.
#pragma once
#include "backend.h"
#include "extended.h"

static const double LOG2_E = 1.4426950408889634, LN_2 = 0.6931471805599453;

INLINE long block_floor(long column) { return column & -(long)LANES; }
INLINE long block_ceiling(long column) { return (column + LANES - 1) & -(long)LANES; }

// Columns low..high of one row, and the blocks [begin, end) that cover them.
struct Span {
  long low, high, begin, end;
  Span(long low, long high) : low(low), high(high), begin(block_floor(low)), end(block_ceiling(high + 1)) {}
};

// The columns of row i that a path may touch: |j (steps - 1) - i (texts - 1)| <= band (steps - 1).
template <class T> INLINE Span span_of(const Cost<T> &cost, long i) {
  long last = cost.texts - 1, down = cost.steps - 1;
  if (cost.band < 0 || down == 0) return Span(0, last);
  long line = i * last, below = line / down, above = (line + down - 1) / down;
  long low = above - cost.band, high = below + cost.band;
  return Span(low > 0 ? low : 0, high < last ? high : last);
}

// Whether each row has a cell at all, and how many columns the blocks of the widest row take.
struct Band {
  bool whole = true;
  long width = 0;
  template <class T> explicit Band(const Cost<T> &cost) {
    if (cost.band < 0) {
      width = block_ceiling(cost.texts);
      return;
    }
    for (long i = 0; i < cost.steps; i++) {
      Span span = span_of(cost, i);
      whole &= span.low <= span.high;
      width = span.end - span.begin > width ? span.end - span.begin : width;
    }
  }
};

template <int direction, class Body> INLINE void each_block(long begin, long end, Body body) {
  if (direction > 0)
    for (long j = begin; j < end; j += LANES) body(j);
  else
    for (long j = end - LANES; j >= begin; j -= LANES) body(j);
}

// One row, addressed by column; nothing lies in the columns around it.
struct Row {
  float *mantissa;
  int32_t *exponent;
  Row operator+(long columns) const { return {mantissa + columns, exponent + columns}; }
};
INLINE Extended load(Row row, long j) { return {load_floats(row.mantissa + j), load_ints(row.exponent + j)}; }
INLINE void store(Row row, long j, Extended x) {
  store(row.mantissa + j, x.mantissa);
  store(row.exponent + j, x.exponent);
}
static void clear(Row row, long begin, long end) {
  for (long j = begin; j < end; j++) row.mantissa[j] = 0, row.exponent[j] = NOTHING;
}
INLINE void put(Row row, long j, double log2) {
  double whole = __builtin_floor(log2);
  row.mantissa[j] = (float)__builtin_exp2(log2 - whole);
  row.exponent[j] = (int32_t)whole;
}

// `columns` cells with `margin` of nothing on both sides, whole blocks each.
static Row make_row(Workspace &workspace, long columns, long margin = LANES) {
  margin = block_ceiling(margin);
  long all = block_ceiling(columns) + 2 * margin;
  Row row = {workspace.take<float>(all), workspace.take<int32_t>(all)};
  clear(row, 0, all);
  return row + margin;
}

// One stored row for each step, as wide as the widest span; not cleared.
struct Table {
  Row cells;
  long width;
  Table() : cells{}, width(0) {}
  Table(Workspace &workspace, long rows, long width) : width(width) {
    cells = {workspace.take<float>(rows * width), workspace.take<int32_t>(rows * width)};
  }
  // addressed by column, from the first block of the span on
  INLINED Row row(long i, long begin) const { return cells + (i * width - begin); }
};

// The weights exp(-cost / gamma) of one row, in the blocks of its span; nothing outside of the span.
INLINE void weigh(const float *cost, long texts, Span span, Factor factor, Row weight) {
  long whole = span.end <= texts ? span.end : block_floor(texts);
  for (long j = span.begin; j < whole; j += LANES) store(weight, j, exp2(load_floats(cost + j), factor));
  if (whole < span.end) {
    Floats rest = all_lanes(__builtin_inff());
    __builtin_memcpy(&rest, cost + whole, (texts - whole) * sizeof(float));
    store(weight, whole, exp2(rest, factor));
  }
  clear(weight, span.begin, span.low);
  if (span.high + 1 < texts) clear(weight, span.high + 1, span.end);
}

// Writes a block of one row of the alignment, of which `texts` columns are real.
INLINE void write(float *row, long j, long texts, Floats x) {
  if (j + LANES <= texts)
    store(row + j, x);
  else
    __builtin_memcpy(row + j, &x, (texts - j) * sizeof(float));
}

// Every path crosses every row once, so a row's probabilities add up to one: dividing by their sum takes away the
// rounding that gathered on the way.  Columns outside of the span get 0.
INLINE void finish_row(float *row, Span span, long texts, long width, float mass) {
  float scale = 1.0f / mass;
  long end = span.end < texts ? span.end : texts, j = span.begin;
  if (span.begin) __builtin_memset(row, 0, span.begin * sizeof(float));
  for (; j + LANES <= end; j += LANES) store(row + j, load_floats(row + j) * scale);
  for (; j < end; j++) row[j] *= scale;
  if (end < width) __builtin_memset(row + end, 0, (width - end) * sizeof(float));
}
static void scale(float *x, long count, float factor) {
  long k = 0;
  for (; k + LANES <= count; k += LANES) store(x + k, load_floats(x + k) * factor);
  for (; k < count; k++) x[k] *= factor;
}
static void no_alignment(Alignment alignment, long steps) {
  if (alignment.data) __builtin_memset(alignment.data, 0, steps * alignment.width * sizeof(float));
}

// -gamma log(x) at one column, +inf where nothing arrived.
static double soft_value(Row row, long j, double gamma) {
  if (row.exponent[j] < NOTHING / 2) return __builtin_inf();
  return -gamma * (__builtin_log((double)row.mantissa[j]) + row.exponent[j] * LN_2);
}
static Extended reciprocal(Row row, long j) {
  return {all_lanes(1.0f / row.mantissa[j]), all_lanes(-row.exponent[j])};
}

// Soft-DTW (Cuturi and Blondel, 2017):  D[i, j] = C[i, j] + softmin(D[i-1, j-1], D[i-1, j], D[i, j-1]).
//
// In weights R = exp(-D / gamma) and K = exp(-C / gamma) a row is R[j] = K[j] (A[j] + R[j-1]), where
// A[j] = R'[j-1] + R'[j] comes from the row before: affine maps of R[j-1], composed over the lanes.  The adjoint obeys
// the same recurrence from the last row upwards, right to left.
#pragma once
#include "rows.h"

// Replaces `row` (the row before) by the next one.  Shows visit(j, A, R[j-1], R) for each block.
template <int direction, class Visit> INLINE void soft_dtw_row(Row weight, Span span, Row row, Visit visit) {
  long outside = direction > 0 ? span.begin - LANES : span.end;
  Extended before = load(row, outside), beside = zero();
  store(row, outside, zero());
  each_block<direction>(span.begin, span.end, [&](long j) INLINED {
    Extended above = load(row, j), arriving = above + shift<direction>(above, before);
    before = above;
    Extended slope = load(weight, j), offset = slope * arriving;
    compose_lanes<direction>(slope, offset);
    Extended reached = normalised(offset + slope * beside);
    store(row, j, reached);
    visit(j, arriving, shift<direction>(reached, beside), reached);
    beside = last_lane<direction>(reached);
  });
}

static double soft_dtw(const Cost<float> &cost, double gamma, Alignment alignment, Workspace &workspace) {
  const long steps = cost.steps, texts = cost.texts;
  const Band band(cost);
  if (!band.whole) return no_alignment(alignment, steps), __builtin_inf();
  const Factor factor(-LOG2_E / gamma);
  Row weight = make_row(workspace, texts), row = make_row(workspace, texts);
  Table reached = alignment.data ? Table(workspace, steps, band.width) : Table();

  row.mantissa[-1] = 1, row.exponent[-1] = 0; // the start lies diagonally before the first cell
  for (long i = 0; i < steps; i++) {
    Span span = span_of(cost, i);
    weigh(cost.row(i), texts, span, factor, weight);
    if (alignment.data) {
      Row stored = reached.row(i, span.begin);
      soft_dtw_row<RIGHTWARDS>(weight, span, row,
                               [&](long j, Extended, Extended, Extended x) INLINED { store(stored, j, x); });
    } else {
      soft_dtw_row<RIGHTWARDS>(weight, span, row, [](long, Extended, Extended, Extended) INLINED {});
    }
  }
  const double value = soft_value(row, texts - 1, gamma);
  if (!alignment.data) return value;
  if (value == __builtin_inf()) return no_alignment(alignment, steps), value;

  const Extended whole = reciprocal(row, texts - 1);
  clear(row, 0, block_ceiling(texts));
  row.mantissa[texts] = 1, row.exponent[texts] = 0; // the end lies diagonally behind the last cell
  for (long i = steps - 1; i >= 0; i--) {
    Span span = span_of(cost, i);
    Row stored = reached.row(i, span.begin);
    float *out = alignment.row(i);
    Floats mass = {}; // a path leaves each row downwards exactly once
    weigh(cost.row(i), texts, span, factor, weight);
    soft_dtw_row<LEFTWARDS>(weight, span, row, [&](long j, Extended below, Extended beside, Extended) INLINED {
      Extended here = load(stored, j) * whole;
      Floats leaving = to_float(here * below);
      mass += leaving;
      write(out, j, texts, leaving + to_float(here * beside));
    });
    finish_row(out, span, texts, alignment.width, sum(mass));
  }
  return value;
}

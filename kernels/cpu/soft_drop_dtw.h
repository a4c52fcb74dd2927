// Soft double Drop-DTW, with one derivation for each alignment: in a gap texts are dropped before video steps.
// After i steps and j texts a path is in one of four states:
//   M  step i shows text j               M[i, j] = K[i, j] (T[i-1, j-1] + stay[i-1, j])
//   X  step i dropped, text j open       X[i, j] = exp(-drop_video[i] / gamma) U[i-1, j]
//   Z  text j dropped                    Z[i, j] = exp(-drop_text[j] / gamma) (M[i, j-1] + Z[i, j-1])
//   W  step i dropped in a closed gap    W[i, j] = exp(-drop_video[i] / gamma) V[i-1, j]
// with U = M + X (open), V = Z + W (closed), T = U + V, and stay = M where a text's steps are neighbours, else U.
// Only Z runs along the row, and its factors are the same in each row: with Q[j] = exp(-(drop_text up to j) / gamma),
// Z[j] = Q[j] (sum of M[p] / Q[p] for p < j), a plain running sum.  Column 0 comes before the first text.
#pragma once
#include "rows.h"

struct DropRows {
  long columns, end;           // texts + 1, and in whole blocks
  bool contiguous, drops_text;
  Row weight, M, X, Z, W;
  Row decay, growth;           // Q and 1 / Q
};

static DropRows make_drop_rows(const Cost<float> &cost, Drops drops, double gamma, Workspace &workspace) {
  DropRows rows;
  rows.columns = cost.texts + 1, rows.end = block_ceiling(rows.columns);
  rows.contiguous = drops.contiguous, rows.drops_text = drops.text;
  Row *const all[] = {&rows.weight, &rows.M, &rows.X, &rows.Z, &rows.W, &rows.decay, &rows.growth};
  for (Row *row : all)
    *row = make_row(workspace, rows.columns + LANES);
  double dropped = 0;
  for (long j = 0; j < rows.columns && drops.text; j++) {
    if (j) dropped -= drops.text[j - 1] / gamma * LOG2_E;
    put(rows.decay, j, dropped), put(rows.growth, j, -dropped);
  }
  rows.Z.mantissa[0] = 1, rows.Z.exponent[0] = 0; // the start
  return rows;
}

static void weigh_texts(const Cost<float> &cost, long i, Factor factor, const DropRows &rows) {
  Span span = span_of(cost, i);
  Row weight = rows.weight + 1; // text j is column j + 1
  if (span.low > span.high) return clear(rows.weight, 0, rows.end);
  clear(weight, 0, span.begin);
  weigh(cost.row(i), cost.texts, span, factor, weight);
  clear(weight, span.end, rows.end);
}

// Z of a row from its M.
INLINE void drop_texts(const DropRows &rows, bool start) {
  Extended total = zero(), before = zero();
  if (start) total = one();
  for (long j = 0; j < rows.end; j += LANES) {
    Extended opened = load(rows.M, j) * load(rows.growth, j);
    Extended sum = running_sum<RIGHTWARDS>(shift<1>(opened, before)) + total;
    before = opened;
    total = last_lane<RIGHTWARDS>(sum);
    store(rows.Z, j, normalised(sum * load(rows.decay, j)));
  }
}

// The corner's weight, the sum of its four states, in the first column of `end`.
static void sum_corner(const DropRows &rows, Row end) {
  const long j = rows.columns - 1;
  store(end, 0, normalised((load(rows.M, j) + load(rows.X, j)) + (load(rows.Z, j) + load(rows.W, j))));
}

// What the adjoint needs of the forward pass: arrivals at M, U and V of the row before, and Z.
struct DropTables {
  Table arrivals, open, closed, Z;
};

template <bool kept> INLINE void drop_row(const DropRows &rows, Extended drop, const DropTables &tables, long i) {
  Extended before = zero();
  for (long j = 0; j < rows.end; j += LANES) {
    Extended M = load(rows.M, j), open = M + load(rows.X, j), closed = load(rows.Z, j) + load(rows.W, j);
    Extended any = open + closed, arriving = shift<1>(any, before) + (rows.contiguous ? M : open);
    before = any;
    store(rows.M, j, normalised(arriving * load(rows.weight, j)));
    store(rows.X, j, normalised(open * drop));
    store(rows.W, j, normalised(closed * drop));
    if (kept) {
      store(tables.arrivals.row(i, 0), j, arriving);
      store(tables.open.row(i, 0), j, open);
      store(tables.closed.row(i, 0), j, closed);
    }
  }
  if (rows.drops_text)
    drop_texts(rows, false);
  else
    clear(rows.Z, 0, 1); // nothing but the start
}
INLINE void keep(Row row, Row stored, long end) {
  for (long j = 0; j < end; j += LANES) store(stored, j, load(row, j));
}

// Probabilities of one row by column, before they are divided by the mass of the row.
struct DropShares {
  float *match, *text;
  Floats matched, dropped;
};

// The adjoints, each times the weight of its own cell, stand where the states stood: M of the row below becomes M of
// this one, and so for X and W; Z's adjoint is a running sum from the right.
INLINE void adjoint_drop_row(const DropRows &rows, Extended drop, const DropTables &tables, long i, Extended whole,
                             DropShares &shares) {
  Extended before = load(rows.M, rows.end), before_run = zero(), total = zero();
  clear(rows.M, rows.end, rows.end + 1);
  for (long j = rows.end - LANES; j >= 0; j -= LANES) {
    Extended match = load(rows.M, j), next = shift<-1>(match, before);
    Extended open = next + load(rows.X, j), closed = next + load(rows.W, j), staying = open + match, matched = staying;
    before = match;
    if (rows.drops_text) {
      Extended run = running_sum<LEFTWARDS>(closed * load(rows.decay, j)) + total, growth = load(rows.growth, j);
      matched = matched + shift<-1>(run, before_run) * growth;
      before_run = run;
      total = last_lane<LEFTWARDS>(run);
      store(shares.text + j, to_float(load(tables.Z.row(i, 0), j) * (run * growth) * whole));
    }
    Extended M = normalised(matched * load(rows.weight, j));
    Extended X = normalised((rows.contiguous ? open : staying) * drop), W = normalised(closed * drop);
    store(rows.M, j, M), store(rows.X, j, X), store(rows.W, j, W);
    if (i == 0) continue;
    Floats share = to_float(load(tables.arrivals.row(i, 0), j) * M * whole);
    store(shares.match + j, share);
    shares.matched += share;
    shares.dropped += to_float(load(tables.open.row(i, 0), j) * X * whole);
    shares.dropped += to_float(load(tables.closed.row(i, 0), j) * W * whole);
  }
}

static void no_drops(const Cost<float> &cost, Alignment alignment, DropGradients gradients) {
  no_alignment(alignment, cost.steps);
  __builtin_memset(gradients.video, 0, cost.steps * sizeof(float));
  if (gradients.text) __builtin_memset(gradients.text, 0, cost.texts * sizeof(float));
}

static double soft_drop_dtw(const Cost<float> &cost, Drops drops, double gamma, Alignment alignment,
                            DropGradients gradients, Workspace &workspace) {
  const long steps = cost.steps, texts = cost.texts;
  const double scale = -LOG2_E / gamma;
  const Factor factor(scale);
  const DropRows rows = make_drop_rows(cost, drops, gamma, workspace);
  DropTables tables;
  if (alignment.data) {
    tables.arrivals = Table(workspace, steps + 1, rows.end);
    tables.open = Table(workspace, steps + 1, rows.end);
    tables.closed = Table(workspace, steps + 1, rows.end);
    if (drops.text) tables.Z = Table(workspace, steps + 1, rows.end);
  }

  for (long i = 0; i <= steps; i++) {
    if (i == 0) {
      if (drops.text) drop_texts(rows, true);
    } else {
      const Extended drop = exp2(drops.video[i - 1] * scale);
      weigh_texts(cost, i - 1, factor, rows);
      if (alignment.data)
        drop_row<true>(rows, drop, tables, i);
      else
        drop_row<false>(rows, drop, tables, i);
    }
    if (alignment.data && drops.text) keep(rows.Z, tables.Z.row(i, 0), rows.end);
  }
  const Row end = make_row(workspace, LANES);
  sum_corner(rows, end);
  const double value = soft_value(end, 0, gamma);
  if (!alignment.data) return value;
  if (value == __builtin_inf()) return no_drops(cost, alignment, gradients), value;

  const Extended whole = reciprocal(end, 0);
  const Row adjoint[] = {rows.M, rows.X, rows.W, rows.weight};
  for (Row row : adjoint) clear(row, 0, rows.end + LANES);
  rows.M.mantissa[texts + 1] = 1, rows.M.exponent[texts + 1] = 0; // the end lies diagonally behind the last cell
  DropShares shares = {workspace.take<float>(rows.end + LANES), workspace.take<float>(rows.end + LANES), {}, {}};
  float *text = workspace.take<float>(rows.end), unit = 1;
  __builtin_memset(text, 0, rows.end * sizeof(float));
  for (long i = steps; i >= 0; i--) {
    const Extended drop = i ? exp2(drops.video[i - 1] * scale) : zero();
    if (i) weigh_texts(cost, i - 1, factor, rows);
    shares.matched = shares.dropped = (Floats){};
    adjoint_drop_row(rows, drop, tables, i, whole, shares);
    if (i) { // every path matches or drops step i: both shares add up to one
      const float dropped = sum(shares.dropped);
      unit = 1 / (sum(shares.matched) + dropped);
      float *out = alignment.row(i - 1);
      for (long j = 0; j < texts; j++) out[j] = shares.match[j + 1] * unit;
      for (long j = texts; j < alignment.width; j++) out[j] = 0;
      gradients.video[i - 1] = dropped * unit;
    }
    for (long j = 0; j < rows.end && drops.text; j += LANES)
      store(text + j, load_floats(text + j) + load_floats(shares.text + j) * unit);
  }
  for (long j = 0; j < texts && drops.text; j++) gradients.text[j] = text[j + 1];
  return value;
}

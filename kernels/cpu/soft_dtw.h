// Soft-DTW (Cuturi and Blondel, 2017):  D[i, j] = C[i, j] + softmin(D[i-1, j-1], D[i-1, j], D[i, j-1]).
//
// In weights R = exp(-D / gamma) and K = exp(-C / gamma) a cell is R[i, j] = K[i, j] times the sum of its three
// neighbours.  The adjoint obeys the same recurrence from the other corner, so the same antidiagonals are walked back.
#pragma once
#include "strips.h"

constexpr int SOFT_HEIGHT = 2 * LANES; // two registers side by side hide the latency of one another
typedef Strip<SOFT_HEIGHT> SoftStrip;

INLINE Extended sum(Extended a, Extended b, Extended c) {
  const Ints top = larger(larger(a.exponent, b.exponent), c.exponent), base = top - 127;
  const Floats two = a.mantissa * power_of_two(a.exponent - base) + b.mantissa * power_of_two(b.exponent - base);
  return {two + c.mantissa * power_of_two(c.exponent - base), top};
}
INLINE Extended spread(Row row, long j) { return {all_lanes(row.mantissa[j]), all_lanes(row.exponent[j])}; }

// R along the antidiagonals of a strip, stored one behind the other; where it is not kept, the last LANES of them.
// `above` holds R of the row above the strip, and `last` takes that of its own last row.
template <int registers, bool kept>
static void walk_down(const Cost<float> &cost, Factor factor, const SoftStrip &strip, Row stored, Row above, Row last) {
  constexpr int height = registers * LANES;
  Extended now[registers], before[registers]; // on the last antidiagonal, and what lay above the one before
  for (int h = 0; h < registers; h++) now[h] = before[h] = zero();
  before[0] = shift<1>(zero(), spread(above, strip.begin - 1));
  for (long d = 0; d < strip.diagonals; d += LANES) {
    Floats cells[registers][LANES];
    for (int h = 0; h < registers; h++) {
      load_diagonals(cost, strip, h * LANES, d, cells[h], LANE);
      now[h] = normalised(now[h]); // often enough: a mantissa grows by less than 2^34 until the next time
    }
    Row here = kept ? stored + d * height : stored;
    for (int t = 0; t < LANES; t++, here = here + height) {
      const long j = strip.begin + d + t;
      Extended upper[registers];
      for (int h = 0; h < registers; h++) upper[h] = shift<1>(now[h], h ? now[h - 1] : spread(above, j));
      for (int h = 0; h < registers; h++) {
        now[h] = exp2(cells[h][t], factor) * sum(now[h], upper[h], before[h]);
        before[h] = upper[h];
        store(here, h * LANES, now[h]);
      }
      last.mantissa[j - height + 1] = now[registers - 1].mantissa[LANES - 1];
      last.exponent[j - height + 1] = now[registers - 1].exponent[LANES - 1];
    }
  }
}

// The way back: probabilities by row and antidiagonal, `width` to a row, and the mass of each row.  `below` holds the
// adjoint of the row below the strip, and `first` takes that of its own first row.
template <int registers>
static void walk_up(const Cost<float> &cost, Factor factor, const SoftStrip &strip, Row stored, Extended whole,
                    Row below, Row first, float *shares, long width, float *mass) {
  constexpr int height = registers * LANES;
  Extended now[registers], before[registers];
  Floats masses[registers] = {};
  for (int h = 0; h < registers; h++) now[h] = before[h] = zero();
  if (strip.first + strip.rows == cost.steps) // the end lies diagonally behind the last cell
    before[registers - 1] = one_where(LANE == (int32_t)(strip.rows - 1 - (height - LANES)));
  else
    before[registers - 1] = shift<-1>(zero(), spread(below, strip.begin + strip.diagonals - height + 1));
  for (long d = strip.diagonals - LANES; d >= 0; d -= LANES) {
    Floats cells[registers][LANES];
    for (int h = 0; h < registers; h++) {
      load_diagonals(cost, strip, h * LANES, d, cells[h], LANE);
      now[h] = normalised(now[h]);
    }
    Row here = stored + (d + LANES - 1) * height;
    for (int t = LANES - 1; t >= 0; t--, here = here + -height) {
      const long j = strip.begin + d + t;
      Extended lower[registers];
      for (int h = 0; h < registers; h++)
        lower[h] = shift<-1>(now[h], h + 1 < registers ? now[h + 1] : spread(below, j - height + 1));
      for (int h = 0; h < registers; h++) {
        const Extended reached = load(here, h * LANES) * whole, down = lower[h] + before[h];
        const Floats leaving = to_float(reached * down); // a path leaves each row downwards exactly once
        masses[h] += leaving;
        const Extended weight = exp2(cells[h][t], factor);
        cells[h][t] = leaving + to_float(reached * now[h]);
        now[h] = weight * (down + now[h]);
        before[h] = lower[h];
      }
      first.mantissa[j] = now[0].mantissa[0];
      first.exponent[j] = now[0].exponent[0];
    }
    for (int h = 0; h < registers; h++) {
      transpose(cells[h], LANE);
      for (int l = 0; l < LANES; l++) store(shares + (h * LANES + l) * width + d, cells[h][l]);
    }
  }
  for (int h = 0; h < registers; h++) store(mass + h * LANES, masses[h]);
}

// Shares of one row, by column, as probabilities: divided by their mass; nothing outside of low..high.
INLINE void write_row(const float *share, long low, long high, float mass, float *out, long width) {
  const float scale = 1 / mass;
  long j = low;
  __builtin_memset(out, 0, low * sizeof(float));
  for (; j + LANES <= high + 1; j += LANES) store(out + j, load_floats(share + j) * scale);
  for (; j <= high; j++) out[j] = share[j] * scale;
  __builtin_memset(out + j, 0, (width - j) * sizeof(float));
}

static double soft_dtw(const Cost<float> &cost, double gamma, Alignment alignment, Workspace &workspace) {
  const long steps = cost.steps, texts = cost.texts, margin = 4 * LANES;
  const Band band(cost);
  if (!band.whole) return no_alignment(alignment, steps), __builtin_inf();
  const Factor factor(-LOG2_E / gamma);
  const auto make_cells = [&](long count) {
    return Row{workspace.take<float>(count), workspace.take<int32_t>(count)};
  };
  Row row = make_row(workspace, texts, margin), next = make_row(workspace, texts, margin);
  const auto next_strip = [&] {
    const Row done = row;
    row = next, next = done;
    clear(next, -margin, texts + margin);
  };
  Row *tables = workspace.take<Row>((steps + SOFT_HEIGHT - 1) / SOFT_HEIGHT), corner = {};
  const Row passing = make_cells(SOFT_HEIGHT * LANES);
  long width = 0; // of the longest walk

  row.mantissa[-1] = 1, row.exponent[-1] = 0; // the start lies diagonally before the first cell
  for (long first = 0; first < steps; first += SOFT_HEIGHT) {
    const SoftStrip strip(cost, first, LANES);
    const long height = strip.rows > LANES ? 2 * LANES : LANES;
    width = strip.diagonals > width ? strip.diagonals : width;
    if (alignment.data) {
      const Row cells = tables[first / SOFT_HEIGHT] = make_cells(strip.diagonals * height);
      (height > LANES ? walk_down<2, true> : walk_down<1, true>)(cost, factor, strip, cells, row, next);
      corner = cells + (strip.diagonals - 1) * height;
    } else {
      (height > LANES ? walk_down<2, false> : walk_down<1, false>)(cost, factor, strip, passing, row, next);
      corner = passing + (LANES - 1) * height;
    }
    corner = corner + (strip.rows - 1); // the last strip ends there
    next_strip();
  }
  const double value = soft_value(corner, 0, gamma);
  if (!alignment.data) return value;
  if (value == __builtin_inf()) return no_alignment(alignment, steps), value;

  const Extended whole = reciprocal(corner, 0);
  width += LANES; // so that its rows do not all fall on the same lines of the cache
  float *shares = workspace.take<float>(SOFT_HEIGHT * width);
  clear(row, -margin, texts + margin);
  for (long first = (steps - 1) / SOFT_HEIGHT * SOFT_HEIGHT; first >= 0; first -= SOFT_HEIGHT) {
    const SoftStrip strip(cost, first, LANES);
    const Row cells = tables[first / SOFT_HEIGHT];
    float mass[SOFT_HEIGHT];
    (strip.rows > LANES ? walk_up<2> : walk_up<1>)(cost, factor, strip, cells, whole, row, next, shares, width, mass);
    for (long l = 0; l < strip.rows; l++)
      write_row(shares + l * width + l - strip.begin, strip.low[l], strip.high[l], mass[l], alignment.row(first + l),
                alignment.width);
    next_strip();
  }
  return value;
}

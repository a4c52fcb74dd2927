// Soft duration-shifts temporal alignment (DSTA; Video2Subtitle, equations 2 to 8):
//   D[i, j] = C[i, j] + softmin over p, |p - j| <= window, of (D[i-1, p] + weight max(p - j - margin, 0)).
//
// A row depends on the row before alone.  In weights, with q = exp(-weight / gamma), its window falls into two parts:
//   A[j] = sum of R'[p] for p in [j - window, j + margin]
//          + q^-(j + margin) (sum of q^p R'[p] for p in (j + margin, j + window])
// and both are plain sums.  The adjoint is the same with the window mirrored.
#pragma once
#include "windows.h"

// Smaller by so many powers of two, a sum is lost in the rounding of another, however many cells they are of.
constexpr int NEGLIGIBLE = 48;

// A penalty soon leaves next to nothing, and then a sum through the rest of the row, which costs half of one over a
// window, is the same.  After so many rows in which it is not, it is no longer tried.
constexpr int CHANCES = 8;

struct DstaRows {
  long texts, window, margin; // margin <= window
  bool free;                  // the window is wider than any step between two rows
  bool late;                  // there is a penalised part
  int chances;                // how many more rows may show that it is not over within the window
  Row weight, row, near, far, doubled;
  Row decay, growth; // q^j and q^-j
};

// 2^(step j) for the blocks that hold j in [begin, end).
static void put_powers(Row row, long begin, long end, double step) {
  Row lanes = row + block_floor(begin); // the first block serves to make the powers of one block
  for (long lane = 0; lane < LANES; lane++) put(lanes, lane, step * lane);
  const Extended within = load(lanes, 0);
  for (long j = block_floor(begin); j < end; j += LANES) store(row, j, normalised(exp2(step * j) * within));
}

// The farthest that two neighbouring rows lie apart.
static long widest_step(const Cost<float> &cost) {
  if (cost.band < 0) return cost.texts - 1;
  long widest = 0;
  for (long i = 1; i < cost.steps; i++) {
    Span above = span_of(cost, i - 1), below = span_of(cost, i);
    long right = below.high - above.low, left = above.high - below.low;
    widest = right > widest ? right : widest;
    widest = left > widest ? left : widest;
  }
  return widest;
}

static DstaRows make_dsta_rows(const Cost<float> &cost, OrderPenalty order, double gamma, Workspace &workspace) {
  DstaRows rows;
  const long texts = rows.texts = cost.texts, widest = widest_step(cost);
  rows.free = order.window >= widest;
  rows.window = rows.free ? widest : order.window;
  rows.margin = order.margin < rows.window ? order.margin : rows.window;
  rows.late = rows.window > rows.margin;
  const long reach = rows.free ? rows.margin + 1 : 4 * rows.window + 4 * LANES; // how far sums look past the row
  rows.weight = make_row(workspace, texts);
  rows.row = make_row(workspace, texts, reach + 2 * LANES);
  rows.near = make_row(workspace, texts, reach + 2 * LANES);
  rows.far = make_row(workspace, texts, reach + 2 * LANES);
  if (!rows.free) rows.doubled = make_row(workspace, texts, reach + 2 * LANES);
  rows.decay = make_row(workspace, texts, reach + 2 * LANES);
  rows.growth = make_row(workspace, texts, reach + 2 * LANES);
  const double step = -order.weight / gamma * LOG2_E;
  const long penalised = rows.window - rows.margin;
  rows.chances = penalised >= LANES && -step * penalised > NEGLIGIBLE ? CHANCES : 0;
  if (rows.late) {
    put_powers(rows.decay, -rows.margin, texts + rows.margin, step);
    put_powers(rows.growth, -rows.margin, texts + rows.margin, -step);
  }
  return rows;
}

// Whether sums[j + far], through the rest of the row, are those over `width` columns: what lies beyond is negligible.
template <int direction> INLINE bool faded(Row sums, Span before, Span span, long far, long width) {
  long begin = span.begin, end = span.end; // of the columns whose window ends within the row
  if (direction > 0 && before.end - far - width < end) end = before.end - far - width;
  if (direction < 0 && before.begin - far + width - LANES > begin)
    begin = block_floor(before.begin - far + width - LANES);
  Ints counts = {};
  for (long j = begin; j < end; j += LANES) {
    const Ints all = load_ints(sums.exponent + j + far), beyond = load_ints(sums.exponent + j + far + direction * width);
    counts |= (all - beyond < NEGLIGIBLE) & (all > NOTHING / 2);
  }
  return !any(counts);
}

// Shows arrive(j, A) for the blocks of `span`, from the row before.
template <int direction, class Arrive>
INLINE void dsta_arrivals(DstaRows &rows, Span before, Span span, Arrive arrive) {
  const long window = rows.window, margin = rows.margin;
  const Row decay = direction > 0 ? rows.decay : rows.growth, growth = direction > 0 ? rows.growth : rows.decay;
  const auto plain = [&](long j) INLINED { return load(rows.row, j); };
  const auto decayed = [&](long j) INLINED { return load(rows.row, j) * load(decay, j); };
  long near = direction * margin, far = direction * (margin + 1); // where the sums for column j stand
  const long begin = block_floor(direction > 0 ? span.begin : span.begin - margin - 1);
  const long end = block_ceiling(direction > 0 ? span.end + margin + 1 : span.end);
  if (rows.free) {
    sums_so_far<direction>(plain, before, begin, end, rows.near);
  } else {
    near = direction > 0 ? -window : -margin;
    window_sums(plain, before, window + margin + 1, span.begin + near, span.end + near, rows.doubled, rows.near);
  }
  bool summed = !rows.late;
  if (rows.late && (rows.free || rows.chances)) {
    sums_so_far<-direction>(decayed, before, begin, end, rows.far);
    summed = rows.free || faded<direction>(rows.far, before, span, far, window - margin);
    rows.chances -= !summed;
  }
  if (!summed) {
    far = direction > 0 ? margin + 1 : -window;
    window_sums(decayed, before, window - margin, span.begin + far, span.end + far, rows.doubled, rows.far);
  }
  for (long j = span.begin; j < span.end; j += LANES) {
    Extended arriving = load(rows.near, j + near);
    if (rows.late) arriving = arriving + load(rows.far, j + far) * load(growth, j + direction * margin);
    arrive(j, arriving);
  }
}

// Replaces rows.row (the row before, in the blocks of `before`) by the next one.  Shows visit(j, A, R) for each block.
template <int direction, class Visit> INLINE void dsta_row(DstaRows &rows, Span before, Span span, Visit visit) {
  dsta_arrivals<direction>(rows, before, span, [&](long j, Extended arriving) INLINED {
    Extended reached = normalised(arriving * load(rows.weight, j));
    store(rows.row, j, reached);
    visit(j, arriving, reached);
  });
  if (before.begin < span.begin) clear(rows.row, before.begin, span.begin < before.end ? span.begin : before.end);
  if (before.end > span.end) clear(rows.row, span.end > before.begin ? span.end : before.begin, before.end);
}

// The outermost row: reached from nowhere but the corner, in the columns low..high.
template <class Visit> INLINE void first_dsta_row(const DstaRows &rows, Span span, long low, long high, Visit visit) {
  for (long j = span.begin; j < span.end; j += LANES) {
    Ints column = LANE + (int32_t)j;
    Extended arriving = one_where((column >= (int32_t)low) & (column <= (int32_t)high));
    Extended reached = normalised(arriving * load(rows.weight, j));
    store(rows.row, j, reached);
    visit(j, arriving, reached);
  }
}

static double soft_dsta(const Cost<float> &cost, OrderPenalty order, double gamma, Alignment alignment,
                        Workspace &workspace) {
  const long steps = cost.steps, texts = cost.texts;
  const Band band(cost);
  if (!band.whole || order.window == 0) return no_alignment(alignment, steps), __builtin_inf();
  const Factor factor(-LOG2_E / gamma);
  DstaRows rows = make_dsta_rows(cost, order, gamma, workspace);
  Table arrivals = alignment.data ? Table(workspace, steps, band.width) : Table();

  for (long i = 0; i < steps; i++) {
    Span span = span_of(cost, i);
    Row stored = alignment.data ? arrivals.row(i, span.begin) : Row{};
    weigh(cost.row(i), texts, span, factor, rows.weight);
    auto keep = [&](long j, Extended arriving, Extended) INLINED {
      if (alignment.data) store(stored, j, arriving);
    };
    if (i == 0)
      first_dsta_row(rows, span, 0, order.window - 1, keep);
    else
      dsta_row<RIGHTWARDS>(rows, span_of(cost, i - 1), span, keep);
  }
  const double value = soft_value(rows.row, texts - 1, gamma);
  if (!alignment.data) return value;
  if (value == __builtin_inf()) return no_alignment(alignment, steps), value;

  const Extended whole = reciprocal(rows.row, texts - 1);
  clear(rows.row, 0, block_ceiling(texts));
  for (long i = steps - 1; i >= 0; i--) {
    Span span = span_of(cost, i);
    Row stored = arrivals.row(i, span.begin);
    float *out = alignment.row(i);
    Floats mass = {};
    auto share = [&](long j, Extended, Extended leaving) INLINED {
      Floats probability = to_float(load(stored, j) * leaving * whole);
      mass += probability;
      write(out, j, texts, probability);
    };
    weigh(cost.row(i), texts, span, factor, rows.weight);
    if (i == steps - 1)
      first_dsta_row(rows, span, texts - 1, texts - 1, share);
    else
      dsta_row<LEFTWARDS>(rows, span_of(cost, i + 1), span, share);
    finish_row(out, span, texts, alignment.width, sum(mass));
  }
  return value;
}

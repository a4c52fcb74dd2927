// The C interface, called through ctypes: picks an instruction set, looks at each pair, and runs its recurrence.
#include "batches.h"

#include <cmath>
#include <cstring>
#include <limits>

#define EXPORT extern "C" __attribute__((visibility("default")))

// A batch of cost matrices, as `kernels/cpu/library.py` declares it.
struct Batch {
  const void *cost;
  int64_t pairs, n, m, pair_stride, row_stride; // in elements
  const int64_t *steps, *texts;
  int64_t band;    // < 0: none
  int64_t doubles; // whether costs, prices of drops and values are double, else float
  int64_t threads;
  void *value; // (pairs,), BEYOND_RANGE where a pair must go to the reference
};

// Sequences of vectors, strides in elements.
struct Sequences {
  const float *data;
  int64_t count, length, stride, row_stride;
};

namespace {

const Recurrences *const SETS[] = {
#if defined(__x86_64__)
    &avx512_recurrences, &avx2_recurrences,
#endif
    &plain_recurrences};

bool supported(const Recurrences *set) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (set == &avx512_recurrences)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
  if (set == &avx2_recurrences) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return true;
}

const Recurrences *chosen = nullptr;

// The arithmetic holds |cost| / gamma up to these, for one cell and for the sum along a path.
constexpr double LARGEST_CELL = 7e5, LARGEST_PATH = 2.3e7;
constexpr double INF = std::numeric_limits<double>::infinity();
constexpr double NOT_A_NUMBER = std::numeric_limits<double>::quiet_NaN();
constexpr double BEYOND_RANGE = -INF; // which is no pair's value: a cost of -inf makes it NaN

template <class T> Cost<T> cost_of(const Batch &batch, int64_t pair) {
  const T *data = (const T *)batch.cost + pair * batch.pair_stride;
  return {data, batch.row_stride, batch.steps[pair], batch.texts[pair], batch.band};
}
Inspection inspect(const Cost<float> &cost) { return chosen->inspect(cost); }
bool is_spoiled(const Cost<float> &cost) { return chosen->inspect(cost).spoiled; }
bool is_spoiled(const Cost<double> &cost) { return chosen->spoiled_double(cost); }

Inspection inspect(const double *drops, int64_t count) {
  Inspection found = {false, 0};
  for (int64_t k = 0; k < count && drops; k++) {
    found.spoiled |= !(drops[k] > -INF);
    if (drops[k] < INF) found.largest = std::fmax(found.largest, std::fabs(drops[k]));
  }
  return found;
}

void put_value(const Batch &batch, int64_t pair, double value) {
  if (batch.doubles)
    ((double *)batch.value)[pair] = value;
  else
    ((float *)batch.value)[pair] = (float)value;
}

// `real` of `all` elements get the value, the others 0.
void fill(float *to, int64_t real, int64_t all, float value) {
  for (int64_t k = 0; k < all && to; k++) to[k] = k < real ? value : 0;
}

// The whole alignment of a pair for which nothing is computed: `value` where it is real, 0 in the padding.
void fill(const Batch &batch, int64_t pair, Alignment alignment, float value) {
  for (int64_t i = 0; i < batch.n && alignment.data; i++)
    fill(alignment.row(i), i < batch.steps[pair] ? batch.texts[pair] : 0, batch.m, value);
}
Alignment alignment_of(const Batch &batch, int64_t pair, float *alignment) {
  return {alignment ? alignment + pair * batch.n * batch.m : nullptr, batch.m};
}
void clear_padding(const Batch &batch, int64_t pair, Alignment alignment) {
  const int64_t steps = batch.steps[pair];
  if (alignment.data) std::memset(alignment.row(steps), 0, (batch.n - steps) * batch.m * sizeof(float));
}

// The prices of one pair's drops, of which there may be none.
const double *prices_of(const Batch &batch, const void *all, int64_t pair, int64_t count, Workspace &workspace) {
  if (!all) return nullptr;
  if (batch.doubles) return (const double *)all + pair * count;
  double *prices = workspace.take<double>(count);
  for (int64_t k = 0; k < count; k++) prices[k] = ((const float *)all)[pair * count + k];
  return prices;
}
Drops drops_of(const Batch &batch, const void *video, const void *text, int64_t contiguous, int64_t pair,
               Workspace &workspace) {
  return {prices_of(batch, video, pair, batch.n, workspace), prices_of(batch, text, pair, batch.m, workspace),
          contiguous != 0};
}

// Runs body(pair, workspace) -> value for each pair.  Returns how many pairs must go to the reference, -1 where memory
// ran out.
template <class Body> int64_t run(const Batch &batch, Body body) {
  std::atomic<int64_t> beyond{0};
  const bool enough = for_each_pair(batch.pairs, batch.threads, [&](int64_t pair, Workspace &workspace) {
    const double value = body(pair, workspace);
    put_value(batch, pair, value);
    if (value == BEYOND_RANGE) beyond++;
  });
  return enough ? beyond.load() : -1;
}

} // namespace

// Picks the named instruction set, or the widest where there is no name.  Returns its name, null where this processor
// or this build does not have it.
EXPORT const char *weaksync_choose(const char *name) {
  for (const Recurrences *set : SETS)
    if ((!name || !std::strcmp(name, set->name)) && supported(set)) return chosen = set, set->name;
  return nullptr;
}
EXPORT int64_t weaksync_lanes() { return chosen->lanes; }
EXPORT void weaksync_expect_large(void *memory, int64_t bytes) { expect_large(memory, bytes); }

// 1 - the products of all videos with all texts, and `extra` (n, m) of each text, `extra_stride` apart, where it is not
// null: (videos, texts, n, m), dealt out in tiles of texts.
EXPORT int64_t weaksync_unit_cost(const Sequences *videos, const Sequences *texts, const float *extra,
                                  int64_t extra_stride, int64_t depth, int64_t threads, float *costs) {
  const int64_t n = videos->length, m = texts->length, width = chosen->tile, tiles = (m + width - 1) / width;
  const bool enough = for_each_pair(videos->count * texts->count * tiles, threads, [&](int64_t k, Workspace &workspace) {
    const int64_t pair = k / tiles, first = k % tiles * width, count = m - first < width ? m - first : width;
    const float *video = videos->data + pair / texts->count * videos->stride;
    const int64_t own = pair % texts->count;
    const float *text = texts->data + own * texts->stride + first * texts->row_stride;
    chosen->unit_cost({video, videos->row_stride, n, depth}, {text, texts->row_stride, count, depth},
                      extra ? extra + own * extra_stride + first : nullptr, costs + pair * n * m + first, m, workspace);
  });
  return enough ? 0 : -1;
}

// Multiplies the alignment of each pair by a factor of its own.
EXPORT int64_t weaksync_scale(float *alignments, int64_t pairs, int64_t cells, const float *factors, int64_t threads) {
  const bool enough = for_each_pair(pairs, threads, [=](int64_t pair, Workspace &) {
    chosen->scale(alignments + pair * cells, cells, factors[pair]);
  });
  return enough ? 0 : -1;
}

EXPORT int64_t weaksync_soft_dtw(const Batch *batch, double gamma, float *alignments) {
  return run(*batch, [=](int64_t pair, Workspace &workspace) {
    const Cost<float> cost = cost_of<float>(*batch, pair);
    const Alignment alignment = alignment_of(*batch, pair, alignments);
    const Inspection found = inspect(cost);
    const double largest = found.largest / gamma;
    if (found.spoiled) return fill(*batch, pair, alignment, NOT_A_NUMBER), NOT_A_NUMBER;
    if (cost.steps == 0 || cost.texts == 0) return fill(*batch, pair, alignment, 0), INF;
    const double path = largest * (cost.steps + cost.texts - 1);
    if (!(largest < LARGEST_CELL && path < LARGEST_PATH)) return BEYOND_RANGE;
    clear_padding(*batch, pair, alignment);
    return chosen->soft_dtw(cost, gamma, alignment, workspace);
  });
}

EXPORT int64_t weaksync_soft_dsta(const Batch *batch, const int64_t *windows, int64_t margin, double weight,
                                  double gamma, float *alignments) {
  return run(*batch, [=](int64_t pair, Workspace &workspace) {
    const Cost<float> cost = cost_of<float>(*batch, pair);
    const Alignment alignment = alignment_of(*batch, pair, alignments);
    const OrderPenalty order = {windows ? windows[pair] : cost.texts, margin, weight};
    const Inspection found = inspect(cost);
    const double largest = found.largest / gamma, step = weight / gamma;
    if (found.spoiled) return fill(*batch, pair, alignment, NOT_A_NUMBER), NOT_A_NUMBER;
    if (cost.steps == 0 || cost.texts == 0) return fill(*batch, pair, alignment, 0), INF;
    const double back = std::fmin(order.window, cost.texts - 1) - margin; // what the longest step back pays for
    if (!(largest < LARGEST_CELL && largest * cost.steps < LARGEST_PATH)) return BEYOND_RANGE;
    if (back > 0 && !(step * 2 * cost.texts < LARGEST_PATH)) return BEYOND_RANGE;
    clear_padding(*batch, pair, alignment);
    const double value = chosen->soft_dsta(cost, order, gamma, alignment, workspace);
    // masks may leave no path but one that goes back so often that the sum of its penalties is out of range
    const bool far_back = back > 0 && !((largest + step * back) * cost.steps < LARGEST_PATH);
    return value == INF && far_back ? BEYOND_RANGE : value;
  });
}

EXPORT int64_t weaksync_soft_drop_dtw(const Batch *batch, const void *drop_video, const void *drop_text,
                                      int64_t contiguous, double gamma, float *alignments, float *video_drops,
                                      float *text_drops) {
  return run(*batch, [=](int64_t pair, Workspace &workspace) {
    const Cost<float> cost = cost_of<float>(*batch, pair);
    const Alignment alignment = alignment_of(*batch, pair, alignments);
    const int64_t n = batch->n, m = batch->m;
    const Drops drops = drops_of(*batch, drop_video, drop_text, contiguous, pair, workspace);
    const DropGradients gradients = {video_drops ? video_drops + pair * n : nullptr,
                                     text_drops ? text_drops + pair * m : nullptr};
    const auto fill_all = [&](float value) {
      fill(*batch, pair, alignment, value);
      fill(gradients.video, cost.steps, n, value);
      fill(gradients.text, cost.texts, m, value);
    };
    const Inspection found = inspect(cost);
    const Inspection video = inspect(drops.video, cost.steps), text = inspect(drops.text, cost.texts);
    if (found.spoiled || video.spoiled || text.spoiled) return fill_all(NOT_A_NUMBER), NOT_A_NUMBER;
    const double step = std::fmax(found.largest, video.largest);
    const double path = step * cost.steps + text.largest * cost.texts;
    if (!(found.largest / gamma < LARGEST_CELL && path / gamma < LARGEST_PATH)) return BEYOND_RANGE;
    fill_all(0);
    return chosen->soft_drop_dtw(cost, drops, gamma, alignment, gradients, workspace);
  });
}

EXPORT int64_t weaksync_dtw_path(const Batch *batch, int64_t *paths, int64_t *lengths) {
  return run(*batch, [=](int64_t pair, Workspace &workspace) {
    const int64_t longest = batch->n + batch->m - 1;
    int64_t *path = paths ? paths + pair * 2 * longest : nullptr, *length = paths ? lengths + pair : nullptr;
    if (path) *length = 0;
    const auto solve = [&](const auto &cost, auto recurrence) {
      if (is_spoiled(cost)) return NOT_A_NUMBER;
      return cost.steps && cost.texts ? recurrence(cost, path, length, workspace) : INF;
    };
    const double value = batch->doubles ? solve(cost_of<double>(*batch, pair), chosen->dtw_double)
                                        : solve(cost_of<float>(*batch, pair), chosen->dtw);
    for (int64_t k = path ? 2 * *length : 0; path && k < 2 * longest; k++) path[k] = -1;
    return value;
  });
}

EXPORT int64_t weaksync_dsta_path(const Batch *batch, const int64_t *windows, int64_t margin, double weight,
                                  int64_t *all_labels) {
  return run(*batch, [=](int64_t pair, Workspace &workspace) {
    const OrderPenalty order = {windows ? windows[pair] : batch->m, margin, weight};
    int64_t *labels = all_labels ? all_labels + pair * batch->n : nullptr;
    for (int64_t i = 0; labels && i < batch->n; i++) labels[i] = -1;
    const auto solve = [&](const auto &cost, auto recurrence) {
      if (is_spoiled(cost)) return NOT_A_NUMBER;
      return cost.steps && cost.texts ? recurrence(cost, order, labels, workspace) : INF;
    };
    return batch->doubles ? solve(cost_of<double>(*batch, pair), chosen->dsta_double)
                          : solve(cost_of<float>(*batch, pair), chosen->dsta);
  });
}

EXPORT int64_t weaksync_drop_dtw(const Batch *batch, const void *drop_video, const void *drop_text, int64_t contiguous,
                                 int64_t *all_labels) {
  return run(*batch, [=](int64_t pair, Workspace &workspace) {
    const Drops drops = drops_of(*batch, drop_video, drop_text, contiguous, pair, workspace);
    int64_t *labels = all_labels ? all_labels + pair * batch->n : nullptr;
    for (int64_t i = 0; labels && i < batch->n; i++) labels[i] = -1;
    const auto solve = [&](const auto &cost, auto recurrence) {
      const bool spoiled = inspect(drops.video, cost.steps).spoiled || inspect(drops.text, cost.texts).spoiled;
      return spoiled || is_spoiled(cost) ? NOT_A_NUMBER : recurrence(cost, drops, labels, workspace);
    };
    return batch->doubles ? solve(cost_of<double>(*batch, pair), chosen->drop_dtw_double)
                          : solve(cost_of<float>(*batch, pair), chosen->drop_dtw);
  });
}

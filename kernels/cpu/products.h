// Costs of every step with every text: 1 - the product of their vectors, and a prior.
//
// A tile of the result is summed up in registers: each vector of texts that is loaded serves all its rows, and each
// number of a row all its texts.  So that LANES texts lie side by side, they are packed into columns first.
#pragma once
#include "strips.h"

// As many sums as there are registers, with some to spare for what is multiplied.
constexpr int TILE_ROWS = LANES == 16 ? 8 : 6, TILE_BLOCKS = LANES == 16 ? 3 : 2;

// So many numbers, and 0 in the lanes behind them.
INLINE Floats load_some(const float *from, long numbers) {
  if (numbers >= LANES) return load_floats(from);
  Floats some = {};
  __builtin_memcpy(&some, from, numbers * sizeof(float));
  return some;
}

// Number k of text j to columns[k * width + j], for `width` texts, of which those beyond the last are 0.
static void pack(const Vectors &texts, long width, float *columns) {
  for (long j = 0; j < width; j += LANES)
    for (long k = 0; k < texts.depth; k += LANES) {
      const long numbers = texts.depth - k < LANES ? texts.depth - k : LANES;
      Floats cells[LANES] = {};
      for (long t = 0; t < LANES && j + t < texts.count; t++) cells[t] = load_some(texts.row(j + t) + k, numbers);
      transpose(cells, LANE);
      for (long t = 0; t < numbers; t++) store(columns + (k + t) * width + j, cells[t]);
    }
}

template <int blocks>
static void cost_tiles(const Vectors &steps, const Vectors &texts, float *columns, const float *extra,
                       float *cost, long width) {
  pack(texts, blocks * LANES, columns);
  for (long i = 0; i < steps.count; i += TILE_ROWS) {
    const long count = steps.count - i < TILE_ROWS ? steps.count - i : TILE_ROWS;
    const float *rows[TILE_ROWS];
    for (long l = 0; l < TILE_ROWS; l++) rows[l] = steps.row(i + (l < count ? l : 0));
    Floats products[TILE_ROWS][blocks] = {};
    for (long k = 0; k < steps.depth; k++) {
#pragma GCC unroll 8
      for (int l = 0; l < TILE_ROWS; l++)
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++) products[l][b] += rows[l][k] * load_floats(columns + (k * blocks + b) * LANES);
    }
    for (long l = 0; l < count; l++)
      for (int b = 0; b < blocks; b++) {
        const long here = (i + l) * width, j = b * LANES;
        const Floats more = extra ? load_some(extra + here + j, texts.count - j) : (Floats){};
        write(cost + here, j, texts.count, 1 - products[l][b] + more);
      }
  }
}

// Costs of up to TILE_BLOCKS * LANES texts, and what is added to them where `extra` is not null, in rows `width` apart.
static void unit_cost(const Vectors &steps, const Vectors &texts, const float *extra, float *cost, long width,
                      Workspace &workspace) {
  float *columns = workspace.take<float>(texts.depth * TILE_BLOCKS * LANES);
  const long blocks = (texts.count + LANES - 1) / LANES;
  const auto tiles = blocks == 1 ? cost_tiles<1> : blocks == 2 ? cost_tiles<2> : cost_tiles<TILE_BLOCKS>;
  tiles(steps, texts, columns, extra, cost, width);
}

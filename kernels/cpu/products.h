// Costs of every step with every text: 1 - the product of their vectors, over whole tiles of the result at a time.
//
// A tile is summed up in registers: each vector of texts that is loaded serves all its rows, and each number of a row
// all its texts.  So that LANES texts lie side by side, they are packed into columns first.
#pragma once
#include "strips.h"

// As many sums as there are registers, with some to spare for what is multiplied.
constexpr int TILE_ROWS = LANES == 16 ? 8 : 6, TILE_BLOCKS = LANES == 16 ? 3 : 2;

// Number k of text j to columns[k * width + j], for `width` texts, of which those beyond the last are 0.
static void pack(const Vectors &texts, long width, float *columns) {
  for (long j = 0; j < width; j += LANES)
    for (long k = 0; k < texts.depth; k += LANES) {
      const long numbers = texts.depth - k < LANES ? texts.depth - k : LANES;
      Floats cells[LANES] = {};
      for (long t = 0; t < LANES && j + t < texts.count; t++) {
        const float *from = texts.row(j + t) + k;
        if (numbers == LANES)
          cells[t] = load_floats(from);
        else
          __builtin_memcpy(&cells[t], from, numbers * sizeof(float));
      }
      transpose(cells, LANE);
      for (long t = 0; t < numbers; t++) store(columns + (k + t) * width + j, cells[t]);
    }
}

template <int blocks>
static void cost_tiles(const Vectors &steps, const Vectors &texts, float *columns, float *cost, long width) {
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
      for (int b = 0; b < blocks; b++) write(cost + (i + l) * width, b * LANES, texts.count, 1 - products[l][b]);
  }
}

// Costs of up to TILE_BLOCKS * LANES texts, in rows `width` apart.
static void unit_cost(const Vectors &steps, const Vectors &texts, float *cost, long width, Workspace &workspace) {
  float *columns = workspace.take<float>(texts.depth * TILE_BLOCKS * LANES);
  const long blocks = (texts.count + LANES - 1) / LANES;
  (blocks == 1 ? cost_tiles<1> : blocks == 2 ? cost_tiles<2> : cost_tiles<TILE_BLOCKS>)(steps, texts, columns, cost, width);
}

// One look at the real cells before anything is computed.
#pragma once
#include "backend.h"
#include "lanes.h"

// NaN and -inf spoil a pair; +inf forbids a cell and is no magnitude.
static Inspection inspect(const Cost<float> &cost) {
  const Floats inf = all_lanes(__builtin_inff());
  Floats largest = {};
  Ints sound = all_lanes(-1);
  float largest_rest = 0;
  bool spoiled = false;
  for (long i = 0; i < cost.steps; i++) {
    const float *row = cost.row(i);
    long j = 0;
    for (; j + LANES <= cost.texts; j += LANES) {
      Floats x = load_floats(row + j), size = (Floats)((Ints)x & 0x7fffffff);
      sound &= x > -inf;
      size = size < inf ? size : (Floats){};
      largest = size > largest ? size : largest;
    }
    for (; j < cost.texts; j++) {
      const float size = row[j] < 0 ? -row[j] : row[j];
      spoiled |= !(row[j] > -__builtin_inff());
      if (size < __builtin_inff() && size > largest_rest) largest_rest = size;
    }
  }
  for (int lane = 0; lane < LANES; lane++) {
    spoiled |= !sound[lane];
    largest_rest = largest[lane] > largest_rest ? largest[lane] : largest_rest;
  }
  return {spoiled, largest_rest};
}

static bool spoiled_double(const Cost<double> &cost) {
  const Doubles inf = all_lanes(__builtin_inf());
  Longs sound = {};
  sound = ~sound;
  bool spoiled = false;
  for (long i = 0; i < cost.steps; i++) {
    const double *row = cost.row(i);
    long j = 0;
    for (; j + HALF <= cost.texts; j += HALF) sound &= load_doubles(row + j) > -inf;
    for (; j < cost.texts; j++) spoiled |= !(row[j] > -__builtin_inf());
  }
  for (int lane = 0; lane < HALF; lane++) spoiled |= !sound[lane];
  return spoiled;
}

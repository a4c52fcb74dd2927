// Extended-range numbers: a float mantissa and an integer exponent for each lane.
//
// The soft recurrences are sums and products of exp(-cost / gamma), which no float can hold.  With the exponent apart
// they need one exponential for each cell and no logarithm, and keep the accuracy of float throughout.
#pragma once
#include "lanes.h"

// mantissa * 2^exponent.
struct Extended {
  Floats mantissa;
  Ints exponent;
};

// Nothing at all: 16 factors of it still fit an int32, and no sum of real costs comes near it (see LARGEST_PATH).
constexpr int32_t NOTHING = -(1 << 26);

INLINE Extended zero() { return {(Floats){}, all_lanes(NOTHING)}; }
INLINE Extended one() { return {all_lanes(1.0f), (Ints){}}; }
INLINE Extended one_where(Ints mask) {
  return {mask ? all_lanes(1.0f) : (Floats){}, mask ? (Ints){} : all_lanes(NOTHING)};
}

INLINE Extended where(Ints mask, Extended a, Extended b) {
  return {mask ? a.mantissa : b.mantissa, mask ? a.exponent : b.exponent};
}

// 2^(biased - 127), and 0 below the range of float.
INLINE Floats power_of_two(Ints biased) { return (Floats)(larger(biased, (Ints){}) << 23); }

INLINE Extended operator+(Extended a, Extended b) {
  Ints top = larger(a.exponent, b.exponent), base = top - 127;
  return {a.mantissa * power_of_two(a.exponent - base) + b.mantissa * power_of_two(b.exponent - base), top};
}
INLINE Extended operator*(Extended a, Extended b) { return {a.mantissa * b.mantissa, a.exponent + b.exponent}; }

// The same number with its mantissa in [1, 2); what is nothing stays so.
INLINE Extended normalised(Extended x) {
  Ints bits = (Ints)x.mantissa, surplus = (bits >> 23) - 127;
  return {(Floats)(bits - (surplus << 23)), larger(x.exponent + surplus, all_lanes(NOTHING))};
}

// As a plain float: for numbers up to 1, such as probabilities.
INLINE Floats to_float(Extended x) { return x.mantissa * power_of_two(x.exponent + 127); }

template <int distance> INLINE Extended shift(Extended x, Extended before) {
  return {shift<distance>(x.mantissa, before.mantissa), shift<distance>(x.exponent, before.exponent)};
}
template <int direction> INLINE Extended last_lane(Extended x) {
  return {last_lane<direction>(x.mantissa), last_lane<direction>(x.exponent)};
}

// A factor in two floats, so that cost * factor keeps its fraction where the product is large.
struct Factor {
  double exact;
  float high, low;
  explicit Factor(double exact) : exact(exact), high((float)exact), low((float)(exact - (float)exact)) {}
};

// 2^(cost * factor) to 1e-7; nothing where that is below 2^-(2^20), and so for a cost of +inf.
INLINE Extended exp2(Floats cost, Factor factor) {
  const float round = 12582912.0f; // 1.5 * 2^23: adding it leaves the nearest whole number in the low bits
  Ints kept = cost * factor.high > -1048576.0f;
  cost = kept ? cost : (Floats){};
#if FUSED || defined(__FMA__) || defined(__ARM_FEATURE_FMA)
  Floats rounded = cost * factor.high + round;
  Floats fraction = cost * factor.high - (rounded - round);
  fraction = cost * factor.low + fraction;
#else
  typedef double Wide __attribute__((vector_size(8 * LANES)));
  Wide product = __builtin_convertvector(cost, Wide) * factor.exact;
  Floats rounded = __builtin_convertvector(product, Floats) + round;
  Floats fraction = __builtin_convertvector(product - __builtin_convertvector(rounded - round, Wide), Floats);
#endif
  Floats power = fraction * 1.54035304e-4f + 1.33335581e-3f;
  power = power * fraction + 9.61812911e-3f;
  power = power * fraction + 5.55041087e-2f;
  power = power * fraction + 2.40226507e-1f;
  power = power * fraction + 6.93147182e-1f;
  power = power * fraction + 1.0f;
  return {kept ? power : (Floats){}, kept ? (Ints)rounded - 0x4B400000 : all_lanes(NOTHING)};
}

// 2^power in every lane, whatever its size.
INLINE Extended exp2(double power) {
  if (!(power > NOTHING)) return zero();
  double whole = __builtin_floor(power);
  return {all_lanes((float)__builtin_exp2(power - whole)), all_lanes((int32_t)whole)};
}

// Running sum over the lanes in the direction of the walk.  First each lane's exponent is the largest so far, then
// the mantissas are plain floats on that scale.
template <int direction> INLINE Extended running_sum(Extended x) {
  const Ints none = all_lanes(-(1 << 30)); // below every exponent, also of products: it must never fall along the walk
  Ints top = x.exponent;
  top = larger(top, shift<direction * 1>(top, none));
  top = larger(top, shift<direction * 2>(top, none));
  if (LANES > 4) top = larger(top, shift<direction * (LANES > 4 ? 4 : 1)>(top, none));
  if (LANES > 8) top = larger(top, shift<direction * (LANES > 8 ? 8 : 1)>(top, none));
  Ints base = top - 127;
  Floats total = x.mantissa * power_of_two(x.exponent - base);
#define ADD_FROM(distance)                              \
  total += shift<direction * (distance)>(total, (Floats){}) * \
           power_of_two(shift<direction * (distance)>(top, none) - base)
  ADD_FROM(1);
  ADD_FROM(2);
  if (LANES > 4) ADD_FROM(LANES > 4 ? 4 : 1);
  if (LANES > 8) ADD_FROM(LANES > 8 ? 8 : 1);
#undef ADD_FROM
  return {total, top};
}

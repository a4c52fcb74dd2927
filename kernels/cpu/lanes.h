// Vectors of LANES numbers, through the vector extensions of GCC.  Included once for each instruction set, with LANES
// defined; everything here has internal linkage, so that no code of a wider set leaks into a narrower one.
#pragma once
#include <stdint.h>

#define INLINE static inline __attribute__((always_inline))
#define INLINED __attribute__((always_inline))

typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef Floats UnalignedFloats __attribute__((aligned(4), may_alias));
typedef Ints UnalignedInts __attribute__((aligned(4), may_alias));

// Half as many doubles fill the same register.
constexpr int HALF = LANES / 2;
typedef double Doubles __attribute__((vector_size(8 * HALF)));
typedef int64_t Longs __attribute__((vector_size(8 * HALF)));
typedef Doubles UnalignedDoubles __attribute__((aligned(8), may_alias));
#if LANES == 8
typedef uint32_t HalfBytes; // which GCC keeps out of the vector registers
#else
typedef int8_t HalfBytes __attribute__((vector_size(HALF)));
#endif
typedef HalfBytes UnalignedHalfBytes __attribute__((aligned(1), may_alias));

// A row is walked block by block, a block being LANES columns.  Forward tables are filled rightwards, and their
// adjoints, which obey the same recurrence seen from the other corner, leftwards.
enum Direction { LEFTWARDS = -1, RIGHTWARDS = 1 };

#if LANES == 16
static const Ints LANE = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const Longs HALF_LANE = {0, 1, 2, 3, 4, 5, 6, 7};
#elif LANES == 8
static const Ints LANE = {0, 1, 2, 3, 4, 5, 6, 7};
static const Longs HALF_LANE = {0, 1, 2, 3};
#else
static const Ints LANE = {0, 1, 2, 3};
static const Longs HALF_LANE = {0, 1};
#endif

INLINE Floats load_floats(const float *from) { return *(const UnalignedFloats *)from; }
INLINE Ints load_ints(const int32_t *from) { return *(const UnalignedInts *)from; }
INLINE Doubles load_doubles(const double *from) { return *(const UnalignedDoubles *)from; }
INLINE Doubles load_doubles(const float *x) { // spelled out this becomes one instruction; __builtin_convertvector, five
#if LANES == 16
  return (Doubles){x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]};
#elif LANES == 8
  return (Doubles){x[0], x[1], x[2], x[3]};
#else
  return (Doubles){x[0], x[1]};
#endif
}
INLINE void read(Floats &x, const float *from) { x = load_floats(from); }
template <class T> INLINE void read(Doubles &x, const T *from) { x = load_doubles(from); }
INLINE void store(float *to, Floats x) { *(UnalignedFloats *)to = x; }
INLINE void store(int32_t *to, Ints x) { *(UnalignedInts *)to = x; }
INLINE void store(double *to, Doubles x) { *(UnalignedDoubles *)to = x; }

// One byte for each of HALF small numbers.
INLINE HalfBytes load_bytes(const int8_t *from) { return *(const UnalignedHalfBytes *)from; }
INLINE void store(int8_t *to, HalfBytes x) { *(UnalignedHalfBytes *)to = x; }

// Bit first + k of each byte tells whether masks[k] holds there.
template <int first, int count> INLINE HalfBytes bits_of(const Longs (&masks)[count]) {
#if LANES == 8 // a table turns four bits into four bytes in a third of the time that narrowing the lanes takes
  static const uint32_t SPREAD[16] = {0x00000000, 0x00000001, 0x00000100, 0x00000101, 0x00010000, 0x00010001,
                                      0x00010100, 0x00010101, 0x01000000, 0x01000001, 0x01000100, 0x01000101,
                                      0x01010000, 0x01010001, 0x01010100, 0x01010101};
  HalfBytes bits = 0;
  for (int k = 0; k < count; k++) bits |= SPREAD[__builtin_ia32_movmskpd256((Doubles)masks[k])] << (first + k);
  return bits;
#else
  Longs bits = {};
  for (int k = 0; k < count; k++) bits |= masks[k] & (int64_t)1 << (first + k);
  return __builtin_convertvector(bits, HalfBytes);
#endif
}

INLINE Floats all_lanes(float x) { return x - (Floats){}; }
INLINE Ints all_lanes(int32_t x) { return x - (Ints){}; }
INLINE Doubles all_lanes(double x) { return x - (Doubles){}; }

INLINE Ints larger(Ints a, Ints b) { return a > b ? a : b; }
INLINE Doubles smaller(Doubles a, Doubles b) { return b < a ? b : a; }

// Whether a comparison holds in any lane.
INLINE bool any(Ints mask) {
  int32_t found = 0;
  for (int lane = 0; lane < LANES; lane++) found |= mask[lane];
  return found;
}

// Lane l takes x[l - distance]; lanes without a source take theirs from the block that is walked through before.
template <int distance> INLINE Floats shift(Floats x, Floats before) {
  if (distance > 0) return __builtin_shuffle(before, x, LANE + (LANES - distance));
  return __builtin_shuffle(x, before, LANE - distance);
}
template <int distance> INLINE Ints shift(Ints x, Ints before) {
  if (distance > 0) return __builtin_shuffle(before, x, LANE + (LANES - distance));
  return __builtin_shuffle(x, before, LANE - distance);
}
template <int distance> INLINE Doubles shift(Doubles x, Doubles before) {
  if (distance > 0) return __builtin_shuffle(before, x, HALF_LANE + (HALF - distance));
  return __builtin_shuffle(x, before, HALF_LANE - distance);
}

// The lane that is walked through last, in every lane.
template <int direction> INLINE Floats last_lane(Floats x) {
  return __builtin_shuffle(x, (Ints){} + (direction > 0 ? LANES - 1 : 0));
}
template <int direction> INLINE Ints last_lane(Ints x) {
  return __builtin_shuffle(x, (Ints){} + (direction > 0 ? LANES - 1 : 0));
}
template <int direction> INLINE Doubles last_lane(Doubles x) {
  return __builtin_shuffle(x, (Longs){} + (direction > 0 ? HALF - 1 : 0));
}

INLINE float sum(Floats x) {
  float total = 0;
  for (int lane = 0; lane < LANES; lane++) total += x[lane];
  return total;
}

// Running minimum over the lanes, in the direction of the walk.
template <int direction> INLINE Doubles running_minimum(Doubles x) {
  const Doubles none = all_lanes(__builtin_inf());
  x = smaller(x, shift<direction * 1>(x, none));
  if (HALF > 2) x = smaller(x, shift<direction * (HALF > 2 ? 2 : 1)>(x, none));
  if (HALF > 4) x = smaller(x, shift<direction * (HALF > 4 ? 4 : 1)>(x, none));
  return x;
}

// What the interface and the recurrences agree on: one pair's input and output, and the table of functions that each
// instruction set fills.
#pragma once
#include <stddef.h>
#include <stdint.h>

// Memory for one pair, handed out in pieces and used again for the next one.
struct Workspace {
  struct Chunk {
    char *memory;
    size_t size, used;
    Chunk *next;
  } *chunks = nullptr;

  void *take_bytes(size_t bytes); // 64-byte aligned, not cleared
  void reset();                   // all pieces are free again; what was scattered becomes one chunk
  void release();
  size_t bytes() const;
  template <class T> T *take(long count) { return (T *)take_bytes(count * sizeof(T)); }
};

// Asks for huge pages where memory is large: writing it for the first time then takes one fault for each 2 MiB.
void expect_large(void *memory, size_t bytes);

// Costs of one pair: `steps` rows of `texts` columns, the rows `stride` elements apart.
template <class T> struct Cost {
  const T *data;
  long stride, steps, texts, band; // band < 0: none
  const T *row(long i) const { return data + i * stride; }
};

// The gradient with respect to the cost: rows of `width` columns, of which the real ones are computed and the others 0.
struct Alignment {
  float *data; // null: not wanted
  long width;
  float *row(long i) const { return data + i * width; }
};

struct OrderPenalty {
  long window, margin;
  double weight;
};

struct Drops {
  const double *video, *text; // text null: every text must be matched
  bool contiguous;
};

struct DropGradients {
  float *video, *text;
};

// `count` vectors of `depth` numbers.
struct Vectors {
  const float *data;
  long stride, count, depth;
  const float *row(long i) const { return data + i * stride; }
};

// What a look at the real cells tells: NaN or -inf among them, and the largest finite magnitude.
struct Inspection {
  bool spoiled;
  double largest;
};

struct Recurrences {
  const char *name;
  int lanes, tile; // `tile`: how many texts unit_cost takes at most
  void (*unit_cost)(const Vectors &steps, const Vectors &texts, const float *extra, float *cost, long width,
                    Workspace &);
  void (*scale)(float *, long count, float factor);
  Inspection (*inspect)(const Cost<float> &);
  bool (*spoiled_double)(const Cost<double> &); // hard recurrences, which take double too, need no magnitude
  // each returns the value of the pair, +inf where no path is left
  double (*soft_dtw)(const Cost<float> &, double gamma, Alignment, Workspace &);
  double (*soft_dsta)(const Cost<float> &, OrderPenalty, double gamma, Alignment, Workspace &);
  double (*soft_drop_dtw)(const Cost<float> &, Drops, double gamma, Alignment, DropGradients, Workspace &);
  double (*dtw)(const Cost<float> &, int64_t *path, int64_t *length, Workspace &);
  double (*dtw_double)(const Cost<double> &, int64_t *path, int64_t *length, Workspace &);
  double (*dsta)(const Cost<float> &, OrderPenalty, int64_t *labels, Workspace &);
  double (*dsta_double)(const Cost<double> &, OrderPenalty, int64_t *labels, Workspace &);
  double (*drop_dtw)(const Cost<float> &, Drops, int64_t *labels, Workspace &);
  double (*drop_dtw_double)(const Cost<double> &, Drops, int64_t *labels, Workspace &);
};

extern const Recurrences avx512_recurrences, avx2_recurrences, plain_recurrences;

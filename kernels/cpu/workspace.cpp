#include "backend.h"

#include <cstdlib>
#include <new>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace {
constexpr size_t PAGE = 4096, HUGE_PAGE = size_t(2) << 20, ALIGNMENT = 64, LEAST_CHUNK = size_t(64) << 10;

size_t rounded(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }
} // namespace

void expect_large(void *memory, size_t bytes) {
#if defined(MADV_HUGEPAGE)
  if (bytes < 2 * HUGE_PAGE) return;
  const size_t begin = rounded((size_t)memory, HUGE_PAGE), end = ((size_t)memory + bytes) / HUGE_PAGE * HUGE_PAGE;
  if (begin < end) madvise((void *)begin, end - begin, MADV_HUGEPAGE); // a hint: it may well be refused
#else
  (void)memory, (void)bytes;
#endif
}

void *Workspace::take_bytes(size_t bytes) {
  bytes = rounded(bytes, ALIGNMENT);
  if (!chunks || chunks->used + bytes > chunks->size) {
    size_t size = rounded(bytes > LEAST_CHUNK ? bytes : LEAST_CHUNK, PAGE);
    char *memory = (char *)std::aligned_alloc(PAGE, size);
    if (!memory) throw std::bad_alloc();
    expect_large(memory, size);
    chunks = new Chunk{memory, size, 0, chunks};
  }
  void *piece = chunks->memory + chunks->used;
  chunks->used += bytes;
  return piece;
}

void Workspace::reset() {
  if (!chunks) return;
  if (!chunks->next) {
    chunks->used = 0;
    return;
  }
  const size_t all = bytes();
  release();
  take_bytes(all);
  chunks->used = 0;
}

void Workspace::release() {
  while (Chunk *chunk = chunks) {
    chunks = chunk->next;
    std::free(chunk->memory);
    delete chunk;
  }
}

size_t Workspace::bytes() const {
  size_t all = 0;
  for (const Chunk *chunk = chunks; chunk; chunk = chunk->next) all += chunk->size;
  return all;
}

#if defined(__x86_64__)
#pragma GCC target("avx2,fma")
#define LANES 8
#define FUSED 1
#define NAME "avx2"
#define RECURRENCES avx2_recurrences
#include "instruction_set.h"
#endif

#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,fma")
#define LANES 16
#define FUSED 1
#define NAME "avx512"
#define RECURRENCES avx512_recurrences
#include "instruction_set.h"
#endif

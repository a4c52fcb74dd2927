#define LANES 4
#define FUSED 0
#define NAME "plain"
#define RECURRENCES plain_recurrences
#include "instruction_set.h"

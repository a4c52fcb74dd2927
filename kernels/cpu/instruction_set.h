// Everything that depends on the vector width.  Include with LANES, FUSED (whether multiply-add rounds once), NAME and
// RECURRENCES defined, after the target pragma.
#include "drop_dtw.h"
#include "dsta.h"
#include "dtw.h"
#include "inspect.h"
#include "products.h"
#include "soft_drop_dtw.h"
#include "soft_dsta.h"
#include "soft_dtw.h"

extern const Recurrences RECURRENCES = {
    NAME, LANES,      TILE_BLOCKS * LANES, unit_cost,   scale,    inspect,        spoiled_double, soft_dtw,
    soft_dsta, soft_drop_dtw, dtw,         dtw_double,  dsta,     dsta_double,    drop_dtw,       drop_dtw_double,
};

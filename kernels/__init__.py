"""What is hard: alignment recurrences over a cost matrix, video first, with a readable reference of each."""

from .costs import cosine_cost, logit_costs, percentile_drop
from .hard import drop_dtw, dsta_path, dtw_path
from .soft import (
    soft_drop_dtw,
    soft_drop_dtw_alignment,
    soft_dsta,
    soft_dsta_alignment,
    soft_dtw,
    soft_dtw_alignment,
)

__all__ = [
    "cosine_cost",
    "drop_dtw",
    "dsta_path",
    "dtw_path",
    "logit_costs",
    "percentile_drop",
    "soft_drop_dtw",
    "soft_drop_dtw_alignment",
    "soft_dsta",
    "soft_dsta_alignment",
    "soft_dtw",
    "soft_dtw_alignment",
]

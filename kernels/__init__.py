"""What is hard: alignment recurrences over a cost matrix, video first, with a readable reference of each."""

# With the repository's root on the path, `import kernels` finds this folder, and transformers looks for a package of
# that name.  It must then find nothing: a second registration would pull the operators from under the first.
if __name__ == "weaksync.kernels":
    from .costs import cosine_cost, duration_prior, logit_costs, pairwise_cosine_cost, percentile_drop
    from .hard import drop_dtw, dsta_path, dtw_path
    from .pairwise import pairwise_dsta, pairwise_dtw, pairwise_soft_dsta, pairwise_soft_dtw
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
    "duration_prior",
    "logit_costs",
    "pairwise_cosine_cost",
    "pairwise_dsta",
    "pairwise_dtw",
    "pairwise_soft_dsta",
    "pairwise_soft_dtw",
    "percentile_drop",
    "soft_drop_dtw",
    "soft_drop_dtw_alignment",
    "soft_dsta",
    "soft_dsta_alignment",
    "soft_dtw",
    "soft_dtw_alignment",
]

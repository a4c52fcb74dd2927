"""What is hard: alignment recurrences over a cost matrix, video first, with a readable reference of each."""

from .costs import cosine_cost, logit_costs, percentile_drop
from .reference import drop_dtw

__all__ = ["cosine_cost", "drop_dtw", "logit_costs", "percentile_drop"]

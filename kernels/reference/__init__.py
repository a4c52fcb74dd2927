"""The alignment recurrences in plain float64 torch: the truth that the fast backends are held to, and their stand-in.

Every function takes what every backend takes: `cost` (B, n, m), lengths (B,) of each pair, and the settings.
`with_alignment` and `with_path` ask for what follows the value; where they do not, it comes back empty.
"""

from .drop_dtw import drop_dtw
from .hard import dsta_path, dtw_path
from .soft import soft_dsta, soft_dtw
from .soft_drop_dtw import soft_drop_dtw

__all__ = ["drop_dtw", "dsta_path", "dtw_path", "soft_drop_dtw", "soft_dsta", "soft_dtw"]

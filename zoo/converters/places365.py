"""DenseNet-161 as published by CSAILVision/places365 (365 scenes), and by torchvision (1000 objects)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..models.cues import PictureNet
from .published import create, fill, read_tensors

#: classes of the file -> the model
MODELS = {365: "densenet161-places365", 1000: "densenet161-imagenet"}

#: names that Python 3.7 made impossible: norm.1 is norm1 today
_OLD = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.((?:[12])\.(?:weight|bias|running_mean|running_var))$")


def read(file: str | Path, **arguments: Any) -> PictureNet:
    """The model with the weights of a published file, in evaluation mode; raises as `convert` does.

    Counts of batches, which the old files lack, are 0.

    Args:
        arguments: of the model that shall differ.
    """
    file = Path(file)
    tensors = {_OLD.sub(r"\1\2", name.removeprefix("module.")): tensor for name, tensor in read_tensors(file).items()}
    classes = tensors.get("classifier.bias")
    if classes is None or len(classes) not in MODELS:
        found = "no classifier" if classes is None else f"{len(classes)} classes"
        raise ValueError(f"{file}: not a DenseNet of Places365 (365 classes) or ImageNet (1000): it has {found}")
    model = create(PictureNet, MODELS[len(classes)], arguments)
    counters = {name: tensor for name, tensor in model.net.state_dict().items() if name.endswith("num_batches_tracked")}
    if not counters.keys() & tensors.keys():
        tensors |= counters
    fill(model.net, tensors, file)
    return model.eval()

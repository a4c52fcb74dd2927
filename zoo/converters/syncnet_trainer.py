"""SyncNet as published by joonson/syncnet_trainer, for instance voxsrc2020_baseline.model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from torch import Tensor

from ..models.syncnet import SyncNet
from .published import create, fill, read_tensors

MODEL = "syncnet"

#: the scales of the losses that it was trained with, and the tables of torchaudio's spectrum, which ours computes
_LEFT_OUT = re.compile(r"__L__\.[wb][IC]|__S__\.torchfb\.(spectrogram\.window|mel_scale\.fb)")
_FIRST = "__S__.netcnnlip.0.weight"


def read(file: str | Path, **arguments: Any) -> SyncNet:
    """The model with the weights of a published state dict, in evaluation mode; raises as `convert` does.

    The published network takes BGR and ours RGB, so the first convolution's weights are reordered.

    Args:
        arguments: of the model that shall differ, such as ``stride=2``, with which the published weights were trained.
            At stride 1, which is the default, features are computed at the places in between as well.
    """
    file = Path(file)
    tensors = {re.sub(r"(?<![^.])module\.", "", name): tensor for name, tensor in read_tensors(file).items()}
    if not any(name.startswith("__S__.") for name in tensors):
        raise ValueError(f"{file}: not a SyncNet of syncnet_trainer: it has no __S__.* tensors")
    tensors = {name: _flat(name, tensor) for name, tensor in tensors.items() if not _LEFT_OUT.fullmatch(name)}
    last = tensors.get("__S__.netfcaud.3.weight")
    if last is not None:
        arguments.setdefault("embed_dim", len(last))
    model = create(SyncNet, MODEL, arguments)
    fill(model, tensors, file, "__S__.{}".format)
    return model.eval()


def _flat(name: str, tensor: Tensor) -> Tensor:
    """Weights of a convolution over time and picture as those of one over the picture, with five frames as channels."""
    if tensor.ndim != 5:
        return tensor
    if name == _FIRST:
        tensor = tensor.flip(1)  # blue, green, red to red, green, blue
    return tensor.transpose(1, 2).flatten(1, 2)  # (out, frames * in, height, width)

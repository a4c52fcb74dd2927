"""Reading weights that others published: without unpickling objects, and without letting a tensor go astray."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

#: faults that an error spells out; the rest is counted
NAMED_FAULTS = 12


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The state dict of a PyTorch or safetensors file; one level of ``state_dict`` or ``model`` is unwrapped.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: truncated, not a state dict, or with objects in it, which are never unpickled.
    """
    if not file.is_file():
        raise FileNotFoundError(f"no such weights file: {file}")
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as fault:
        raise ValueError(
            f"{file}: not tensors alone, or damaged; objects are never unpickled here. Fetch it again, or save its "
            "state dict with safetensors where you trust it"
        ) from fault
    except (RuntimeError, EOFError, SafetensorError, ValueError) as fault:
        raise ValueError(f"{file}: damaged or not a weights file ({str(fault)[:200]}); fetch it again") from fault
    for wrapper in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ValueError(f"{file}: holds no state dict (a mapping of names to tensors)")
    return dict(content)


def fill(model: nn.Module, tensors: dict[str, Tensor], file: Path) -> None:
    """Load `tensors` into `model`.  Raises ValueError that names every tensor missing, surplus or of another shape."""
    own = model.state_dict()
    faults = [f"missing: {name} {tuple(own[name].shape)}" for name in own if name not in tensors]
    faults += [f"surplus: {name} {tuple(tensors[name].shape)}" for name in tensors if name not in own]
    faults += [
        f"misshaped: {name} {tuple(tensors[name].shape)}, not {tuple(own[name].shape)}"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    if faults:
        named = "\n  ".join(faults[:NAMED_FAULTS])
        more = f"\n  and {len(faults) - NAMED_FAULTS} more" if len(faults) > NAMED_FAULTS else ""
        raise ValueError(f"{file}: not weights of {type(model).__name__}:\n  {named}{more}")
    model.load_state_dict({name: tensors[name].to(own[name].dtype) for name in own})


def file_hash(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()

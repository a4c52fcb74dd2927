"""Published weights, read without unpickling objects and without losing a tensor."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from .. import registry, tokenizers
from ..checkpoint import Pretrained
from ..models.dual_encoder import DualEncoder

#: a model's name of a tensor to the published one
Naming = Callable[[str], str]
Model = TypeVar("Model", bound=Pretrained)


def outline(kind: type[Model], name: str, arguments: dict[str, Any]) -> Model:
    """A model that has shapes alone, so that what is wrong shows before anything is computed; see `build`."""
    with torch.device("meta"):
        return create(kind, name, arguments)


def build(
    needed: Model,
    arguments: dict[str, Any],
    tensors: Mapping[str, Tensor],
    file: Path,
    naming: Naming,
    check_text: Callable[[Model], Any],
) -> Model:
    """The model of an `outline` with published weights, in evaluation mode.

    Args:
        needed: the outline, made of `arguments`.
        naming: its names of tensors to the published ones.
        check_text: holds its tokenizer against the word table, before anything heavy.

    Raises:
        ValueError: as `check` does.
    """
    check(needed, tensors, file, naming)
    check_text(needed)
    model = create(type(needed), needed.registry_name, arguments)
    fill(model, tensors, file, naming)
    return model.eval()


def create(kind: type[Model], name: str, arguments: dict[str, Any]) -> Model:
    """A registered model, to be filled.  Raises ValueError as `zoo.create`, and where the name is of another class."""
    model = registry.create(name, **arguments)
    if not isinstance(model, kind):
        raise ValueError(f"{name} is a {type(model).__name__}, not a {kind.__name__}")
    return model


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The state dict of a PyTorch or safetensors file; one level of ``state_dict`` or ``model`` is unwrapped.

    Tensors are mapped into memory and read when they are used, except from PyTorch's format before 1.6.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: truncated, not a state dict, or with objects in it, which are never unpickled.
    """
    if not file.is_file():
        raise FileNotFoundError(f"no such weights file: {file}")
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
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


def read_folder(folder: Path, stem: str) -> dict[str, Tensor]:
    """The tensors of ``<stem>.safetensors`` in a folder, or of all its parts where it comes in several.

    Raises:
        FileNotFoundError: there is none, or a part is absent.
        ValueError: damaged.
    """
    files = weights_files(folder, stem)
    return {name: tensor for file in files for name, tensor in read_tensors(file).items()}


def weights_files(folder: Path, stem: str) -> list[Path]:
    """The weights of a folder; raises FileNotFoundError where there are none."""
    index = folder / f"{stem}.safetensors.index.json"
    if index.is_file():
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        return [folder / Path(name).name for name in names]
    if not (folder / f"{stem}.safetensors").is_file():
        raise FileNotFoundError(
            f"{folder}: no {stem}.safetensors: fetch it whole; a .bin or .pt file is read by weaksync convert FILE"
        )
    return [folder / f"{stem}.safetensors"]


def check(model: nn.Module, tensors: Mapping[str, Tensor], file: Path, naming: Naming = str) -> None:
    """Compare `tensors` with what `model` needs, by name and shape; the model may be on the meta device.

    Raises:
        ValueError: names every tensor missing, surplus or of another shape, as the file calls them.
    """
    needed = {naming(name): tensor.shape for name, tensor in model.state_dict().items()}
    faults = [f"missing: {name} {tuple(needed[name])}" for name in needed if name not in tensors]
    faults += [f"surplus: {name} {tuple(tensors[name].shape)}" for name in tensors if name not in needed]
    faults += [
        f"misshaped: {name} {tuple(tensors[name].shape)}, not {tuple(needed[name])}"
        for name in needed
        if name in tensors and tensors[name].shape != needed[name]
    ]
    if faults:
        raise ValueError("\n  ".join([f"{file}: not weights of {type(model).__name__}:", *faults]))


def fill(model: nn.Module, tensors: Mapping[str, Tensor], file: Path, naming: Naming = str) -> None:
    """Copy `tensors` into `model`; raises as `check` does."""
    check(model, tensors, file, naming)
    model.load_state_dict({name: tensors[naming(name)] for name in model.state_dict()})


def check_vocabulary(model: DualEncoder, reads: str, fits: str, framing: tuple[int | None, int, int]) -> None:
    """Hold a model's tokenizer against the word table, which lies as its weights were learnt.

    Args:
        reads: whose tokens these are, for people.
        fits: hub id of a tokenizer that fits.
        framing: ids of start, padding and end.

    Raises:
        FileNotFoundError: there is no tokenizer.
        ValueError: it is another than the one that the word table was learnt with.
    """
    name, rows = model.config.tokenizer, model.config.vocab_size
    try:
        found = tokenizers.load(name, reading=model.reading)
    except FileNotFoundError as absent:
        raise FileNotFoundError(
            f"{type(model).__name__} reads {reads}'s tokens, and there is no tokenizer at {name!r}: name a folder that "
            "holds one (--tokenizer DIR), or a hub id while online; no checkpoint is written without it"
        ) from absent
    ids = (found.start_id, found.pad_id, found.end_id)
    if found.vocab_size != rows or ids != framing:
        raise ValueError(
            f"the tokenizer {name!r} is not the one of these weights: it has {found.vocab_size} ids with start, "
            f"padding and end at {ids}, the weights {rows} rows with {framing}; {fits} fits"
        )

"""Models as commands name them: a run, a checkpoint folder, ``hf://org/repo``, or a registry name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import torch

from .. import zoo
from ..zoo.checkpoint import Pretrained
from ..zoo.models.dual_encoder import DualEncoder
from .console import err
from .runs import source_of

Model = TypeVar("Model", bound=Pretrained)
LISTED = "`weaksync ls models` lists what does"


def load_model(
    source: str | Path, kind: type[Model], purpose: str, *, seed: int | None = None, advice: str = LISTED
) -> Model:
    """A model of one kind, in evaluation mode.

    Args:
        source: a run, a checkpoint folder, or a hub id; with a `seed` also a registry name, for random weights.
        kind: class of the model.
        purpose: what others do not do, such as ``align stories``.
        seed: of random weights.
        advice: what to do about another kind.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is of another kind, or of a run that has not ended.
    """
    if seed is not None and source in {row.name for row in zoo.list_models()}:
        torch.manual_seed(seed)
        model = zoo.create(str(source)).eval()
        err.print(f"{source} has random weights: name a run or a checkpoint for features that mean something")
    else:
        model = zoo.load(source_of(source)).eval()
    if not isinstance(model, kind):
        raise ValueError(f"{source} is a {type(model).__name__}, which does not {purpose}; {advice}")
    return model


def dual_encoder(source: str | Path, purpose: str = "align stories", **more: Any) -> DualEncoder:
    """A model that encodes clips and texts into one space; arguments and errors as `load_model`."""
    return load_model(source, DualEncoder, purpose, **more)  # type: ignore[type-abstract]

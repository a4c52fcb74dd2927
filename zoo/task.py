"""What the tasks of the zoo share: a model that learns from batches, and is scored on whole items of all ranks."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import Any, Protocol, TypeVar

import lightning as L
import torch.distributed as dist

from .checkpoint import Pretrained

# the figures of an epoch are computed from what all ranks found, so they are the same on every rank already
warnings.filterwarnings("ignore", message=r".*when logging on epoch level in distributed setting.*")


class Task(L.LightningModule, ABC):
    """A LightningModule that examines items one by one in evaluation, and scores those of all ranks together.

    Figures do not depend on the number of ranks: what two ranks saw counts once.
    """

    model: Any

    def __init__(self, model: Pretrained) -> None:
        super().__init__()
        self.model = model
        self._found: list[Any] = []

    @abstractmethod
    def evaluate_batch(self, batch: Any, stage: str) -> list[Any]:
        """What is found of the items of an evaluation batch, each with an ``id``; `stage` is ``val`` or ``test``."""

    @abstractmethod
    def score(self, found: list[Any], stage: str) -> None:
        """Keep what all ranks found, by id, and log its figures."""

    def on_fit_start(self) -> None:
        """A model that was loaded comes in evaluation mode."""
        self.model.train()

    def validation_step(self, batch: Any, batch_index: int) -> None:
        self._found += self.evaluate_batch(batch, "val")

    def test_step(self, batch: Any, batch_index: int) -> None:
        self._found += self.evaluate_batch(batch, "test")

    def on_validation_epoch_end(self) -> None:
        self._end("val")

    def on_test_epoch_end(self) -> None:
        self._end("test")

    def _end(self, stage: str) -> None:
        own, self._found = self._found, []
        self.score(gather_by_id(own), stage)


class _Named(Protocol):
    @property
    def id(self) -> str: ...


Named = TypeVar("Named", bound=_Named)


def gather_by_id(items: list[Named]) -> list[Named]:
    """The items of all ranks, sorted by id: what a rank saw twice, to fill its share, counts once."""
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        everyone: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(everyone, items)
        items = [item for share in everyone for item in share]
    unique = {item.id: item for item in items}
    return [unique[id] for id in sorted(unique)]

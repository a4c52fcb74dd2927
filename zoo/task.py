"""The base of the zoo's LightningModules: training on batches, scores of whole items over all ranks."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import Any, Protocol, TypeVar

import lightning as L
import torch.distributed as dist

from .checkpoint import Pretrained

# an epoch's figures are computed from the findings of all ranks, so every rank has the same already
warnings.filterwarnings("ignore", message=r".*when logging on epoch level in distributed setting.*")


class Task(L.LightningModule, ABC):
    """A LightningModule that evaluates items one by one, and scores those of all ranks together.

    Metrics do not depend on the number of ranks: an item that two ranks saw counts once.
    """

    model: Any

    def __init__(self, model: Pretrained) -> None:
        super().__init__()
        self.model = model
        self._found: list[Any] = []

    @abstractmethod
    def evaluate_batch(self, batch: Any, stage: str) -> list[Any]:
        """The findings on an evaluation batch, one for each item, with its ``id``; `stage` is ``val`` or ``test``."""

    @abstractmethod
    def score(self, found: list[Any], stage: str) -> None:
        """Keep what all ranks found, by id, and log its figures."""

    def on_fit_start(self) -> None:
        """Back to training mode: a loaded model comes in evaluation mode."""
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
    """The items of all ranks, sorted by id; a duplicate that filled a rank's share counts once."""
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        gathered: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(gathered, items)
        items = [item for share in gathered for item in share]
    unique = {item.id: item for item in items}
    return [unique[id] for id in sorted(unique)]

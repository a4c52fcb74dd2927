"""Training that goes on where it was, on any rank: what its loaders and their data modules share."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

import lightning
import torch.distributed


class Resumable(ABC):
    """A training loader that knows its place: the epoch, and the step in it.

    The place advances as a batch is handed out, never as one is read ahead.  Iterating goes on from it to the end of
    the epoch; the next iteration is the next epoch.

    Args:
        identity: what a state belongs to, by name (seed, hash of the data, ...); a state of another is refused.
    """

    def __init__(self, identity: dict[str, Any]) -> None:
        self.identity = identity
        self.epoch = self.step = 0

    @abstractmethod
    def __len__(self) -> int:
        """Steps of a whole epoch, the same on every rank."""

    def advance(self) -> None:
        """One more step is handed out."""
        self.step += 1
        if self.step == len(self):
            self.epoch, self.step = self.epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Plain values, the same on every rank: where the run is, and what it runs on."""
        return {"epoch": self.epoch, "step": self.step, **self.identity}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state.

        Raises:
            ValueError: naming everything that is not as it was when the state was saved, or a step that is none here.
        """
        refuse_changed(self.identity, state)
        epoch, step = int(state["epoch"]), int(state["step"])
        if epoch < 0 or not 0 <= step < len(self):
            raise ValueError(
                f"cannot resume this data stream at step {step} of epoch {epoch}: an epoch has {len(self)} steps. "
                "Start a new run from the weights"
            )
        self.epoch, self.step = epoch, step


Loader = TypeVar("Loader", bound=Resumable)


class ResumableDataModule(lightning.LightningDataModule, Generic[Loader], ABC):
    """Keeps the place of the one training loader, and hands it back when that is made."""

    def __init__(self) -> None:
        super().__init__()
        self._training: Loader | None = None
        self._placed = (0, 1)
        self._resumed: dict[str, Any] = {}

    @abstractmethod
    def training_loader(self, rank: int, world: int) -> Loader:
        """One rank's share of the steps of training, from their beginning."""

    def train_dataloader(self) -> Loader:
        """Steps of training.  The same loader for the life of the module: asking again does not lose the place."""
        placed = self.place()
        if self._training is None or self._placed != placed:
            loader = self.training_loader(*placed)
            if self._resumed:
                loader.load_state_dict(self._resumed)
            self._training, self._placed = loader, placed
        return self._training

    def state_dict(self) -> dict[str, Any]:
        """Where the training stream is; Lightning keeps it with the checkpoint.

        Lightning saves the loader's own state too, but restores it only if it takes the run for one interrupted in
        mid-epoch.
        """
        return self._training.state_dict() if self._training is not None else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there.  Raises ValueError, naming what, if settings or data are others now."""
        self._resumed = state
        if self._training is not None and state:
            self._training.load_state_dict(state)

    def place(self) -> tuple[int, int]:
        """Rank and number of ranks: the trainer's, else the process group's, else the launcher's, else (0, 1)."""
        if self.trainer is not None:
            return self.trainer.global_rank, self.trainer.world_size
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return torch.distributed.get_rank(), torch.distributed.get_world_size()
        if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
            return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        return 0, 1


def refuse_changed(identity: dict[str, Any], state: dict[str, Any]) -> None:
    """Raises ValueError naming everything in which a saved state differs from what it would go on with."""
    changed = [
        f"{name} was {state.get(name)!r} and is {value!r}"
        for name, value in identity.items()
        if state.get(name) != value
    ]
    if changed:
        raise ValueError(
            f"cannot resume this data stream: {'; '.join(changed)}. Restore it, or start a new run from the weights"
        )

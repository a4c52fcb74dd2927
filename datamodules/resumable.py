"""What data modules of an exact order share: training that goes on where it was, on any rank."""

from __future__ import annotations

import os
from typing import Any, Protocol

import lightning


class Resumable(Protocol):
    """A loader that knows its place."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class ResumableDataModule(lightning.LightningDataModule):
    """Keeps the place of the one training loader, and hands it back when that is made."""

    def __init__(self) -> None:
        super().__init__()
        self._training: Resumable | None = None
        self._resumed: dict[str, Any] = {}

    def state_dict(self) -> dict[str, Any]:
        """Where the training stream is; Lightning keeps it with the checkpoint."""
        return self._training.state_dict() if self._training is not None else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there.  Raises ValueError, naming what, if settings or data are others now."""
        self._resumed = state
        if self._training is not None and state:
            self._training.load_state_dict(state)

    def place(self) -> tuple[int, int]:
        """Rank and number of ranks: the trainer's, else the launcher's, else (0, 1)."""
        if self.trainer is not None:
            return self.trainer.global_rank, self.trainer.world_size
        return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))

"""Checkpoints of a run that survive kill -9, a full disk and a flipped bit.

Lightning writes its temporary file to ``$TMPDIR``, which may be another device, and neither torch nor safetensors
notices a flipped bit in tensor data.  Here the temporary file lies beside the checkpoint, is flushed to disk before it
takes its name, and a digest beside it is compared before the checkpoint is used again.
"""

from __future__ import annotations

import hashlib
import io
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException

from ...datamodules.files import write_whole
from ..console import err

DIGEST = ".sha256"


class DurableCheckpointIO(TorchCheckpointIO):
    """Saves whole or not at all, with a digest beside; loads plain data and tensors alone."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write `checkpoint` to `path` and its sha256 to ``<path>.sha256``; an OSError leaves what was there."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        # the digest last: a checkpoint without one was cut short, and is passed over
        path.with_name(path.name + DIGEST).unlink(missing_ok=True)
        write_whole(path, buffer.getbuffer())
        write_whole(path.with_name(path.name + DIGEST), hashlib.sha256(buffer.getbuffer()).hexdigest().encode())

    def load_checkpoint(
        self, path: str | Path, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read `path` without unpickling anything but tensors and plain data.  Raises ValueError if it is damaged."""
        fault = damage(Path(path))
        if fault:
            raise ValueError(f"checkpoint {path} {fault}")
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint and its digest."""
        super().remove_checkpoint(path)
        Path(f"{path}{DIGEST}").unlink(missing_ok=True)


class NewestCheckpoints(ModelCheckpoint):
    """Keeps the checkpoints of the last steps, ``step=<step>.ckpt``; a signal makes one more of the step it ends.

    So does the last of `max_steps`: a checkpoint made later would say that its epoch is over, and nothing could go on.

    SIGUSR1, which a job's script sends before its time is over, may reach some of several processes alone: at the end
    of a step they agree on it, save together, and end.  SIGTERM ends them without asking the others, so a checkpoint is
    made of one process alone.
    """

    @property
    def state_key(self) -> str:
        """By which it finds its state again, also where the steps between checkpoints have changed."""
        return type(self).__name__

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        self.stop_requested = False
        if stage == "fit" and threading.current_thread() is threading.main_thread():  # no other gets signals
            self.before = signal.signal(signal.SIGUSR1, self._note)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        super().teardown(trainer, pl_module, stage)
        if stage == "fit" and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGUSR1, self.before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.stop_requested = True

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        ends = trainer.strategy.reduce_boolean_decision(self.stop_requested, all=False)
        alone = trainer.received_sigterm and trainer.world_size == 1
        last = trainer.global_step == trainer.max_steps
        if (ends or alone or last) and not self._should_skip_saving_checkpoint(trainer):
            self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))
        if ends:
            raise SIGTERMException


def damage(path: Path) -> str:
    """What is wrong with a checkpoint file, as the end of a sentence; nothing where it is whole."""
    digest = path.with_name(path.name + DIGEST)
    if not path.is_file():
        return "is not there"
    if not digest.is_file():
        return f"has no {digest.name} beside it: its writing was cut short"
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    expected = digest.read_text().strip()
    return "" if found == expected else f"is damaged: its sha256 is {found[:12]}…, {digest.name} says {expected[:12]}…"


def step_of(path: Path) -> int:
    """The step at which ``step=<step>.ckpt`` was made."""
    return int(path.stem.partition("=")[2])


def latest_good(folder: Path, *, say: Callable[[str], None] = err.print) -> Path | None:
    """The newest undamaged ``step=*.ckpt`` of `folder`; each that is passed over is named through `say`."""
    for path in sorted(folder.glob("step=*.ckpt"), reverse=True):
        fault = damage(path)
        if not fault:
            return path
        say(f"passing over a checkpoint: {path} {fault}")
    return None

"""Where a job runs: Lightning's Trainer from a recipe's settings, under torchrun, SLURM or by itself."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import Callback, RichProgressBar
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException

from ..console import Pace, err
from ..runs import RECIPE
from ..settings.config import TrainerConfig
from .checkpointing import step_of


def trainer(config: TrainerConfig, **settings: Any) -> L.Trainer:
    """A Trainer with the recipe's settings; under torchrun the number of processes is the launcher's.

    Raises:
        ValueError: where the recipe asks for another number of devices or nodes than torchrun started, or for what
            this machine or Lightning has not.
    """
    # what Lightning says of itself, and warns of in its own code, is of no use to whoever runs a recipe
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module=r"lightning\.pytorch\.utilities\._pytree")
    for words in (
        "does not have many workers",
        "directory .* exists and is not empty",
        "have overridden `transfer_batch_to_device`",
        "is smaller than the logging interval",
        "in eval mode at the start of training",
        "`srun` command is available on your system but is not used",
    ):
        warnings.filterwarnings("ignore", message=f".*{words}")
    asked = asdict(config)
    if "TORCHELASTIC_RUN_ID" in os.environ:
        here, all_ = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
        found = {"devices": here, "num_nodes": all_ // here}
        for key, count in found.items():
            if asked[key] not in ("auto", 1, count):
                raise ValueError(f"trainer.{key} is {asked[key]}, but torchrun started {count}: leave it out")
        asked.update(found)
    elif SLURMEnvironment.detect():
        # requeueing is the job script's: Lightning's own saves in mid-step and loses samples
        settings["plugins"] = [*settings.get("plugins", []), SLURMEnvironment(auto_requeue=False)]
    try:
        made = L.Trainer(
            **asked,
            use_distributed_sampler=False,
            enable_progress_bar=err.is_terminal,
            enable_model_summary=False,
            **settings,
        )
    except MisconfigurationException as fault:  # such as an accelerator that this machine lacks
        raise ValueError(f"trainer: {fault}") from fault
    if isinstance(made.accelerator, CPUAccelerator) and config.precision != "32-true":
        say(
            f"note: {config.precision} is for a GPU, and this runs on a CPU: for one are trainer.precision=32-true, "
            "data.workers=0 and a tiny model (weaksync ls models); heads of recipes have more (weaksync cp)"
        )
    return made


def is_rank_zero() -> bool:
    """Whether this is the first of all processes: the one that prints and writes."""
    return int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", os.environ.get("LOCAL_RANK", "0")))) == 0


def processes() -> int:
    """How many processes torchrun or srun started for this work."""
    if "WORLD_SIZE" in os.environ:
        return int(os.environ["WORLD_SIZE"])
    return int(os.environ["SLURM_NTASKS"]) if SLURMEnvironment.detect() else 1


@contextmanager
def together() -> Iterator[None]:
    """What torchrun has started can gather within, on the CPU; for work that needs no Trainer.

    Each process computes on a GPU of its own where there are enough.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    dist.init_process_group("gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def say(line: str) -> None:
    """A line on standard error, from the first process alone."""
    if is_rank_zero():
        err.print(line, highlight=False, soft_wrap=True)


def progress_bar() -> list[Callback]:
    """Lightning's progress bar where somebody can see it; in a log file, a line an epoch, and some in long ones."""
    return [EpochBar()] if err.is_terminal else [EpochLines()]


#: the command that resumes what is running, and which part of it that is; empty for a run by itself
_COMMAND: ContextVar[str] = ContextVar("command", default="")
_PART: ContextVar[str] = ContextVar("part", default="")


@contextmanager
def resumed_by(command: str) -> Iterator[None]:
    """Long work that can be resumed: an interruption is reported with the command for it; the outermost block counts.

    Args:
        command: what resumes the work.

    Raises:
        SystemExit: with exit code 130, for an interruption that has been reported.
    """
    if _COMMAND.get():
        yield
        return
    before = _COMMAND.set(command), _PART.set("")
    try:
        yield
    except KeyboardInterrupt as stop:  # outside of training, where `ReportInterruption` reports it
        say(f"{_stopped()}: {command} goes on")
        raise SystemExit(128 + signal.SIGINT) from stop
    finally:
        _COMMAND.reset(before[0])
        _PART.reset(before[1])


@contextmanager
def part(name: str) -> Iterator[None]:
    """A part of long work, named where an interruption is reported."""
    before = _PART.set(name)
    try:
        yield
    finally:
        if not isinstance(sys.exception(), KeyboardInterrupt):  # which is still to be reported
            _PART.reset(before)


def _stopped() -> str:
    return f"stopped in {_PART.get()}" if _PART.get() else "stopped"


class ReportInterruption(Callback):
    """Says where a run was interrupted, or told to end, and which command resumes it.

    Args:
        checkpoints: folder of the run's checkpoints.
    """

    def __init__(self, checkpoints: Path) -> None:
        self.checkpoints = checkpoints

    def on_exception(self, trainer: L.Trainer, task: L.LightningModule, exception: BaseException) -> None:
        if not isinstance(exception, KeyboardInterrupt | SIGTERMException):
            return
        found = [step_of(path) for path in self.checkpoints.glob("step=*.ckpt")]
        steps = [step for step in found if step <= trainer.global_step]  # a damaged one may lie further on
        by = _COMMAND.get() or f"weaksync train {self.checkpoints.with_name(RECIPE)} --resume"
        how = f"{by} goes on from step {max(steps)}" if steps else f"no checkpoint yet, {by} begins it again"
        say(f"{_stopped()} at step {trainer.global_step}: {how}")


@contextmanager
def signal_exit_codes(*, reported: bool = False) -> Iterator[None]:
    """End with the exit codes that a shell expects: 143 after SIGTERM and 130 after an interruption.

    Lightning ends with 0 and 1.

    Args:
        reported: the Trainer has a `ReportInterruption`.

    Raises:
        KeyboardInterrupt: for an interruption that is still to be reported.
        SystemExit: for one that has been.
    """
    try:
        yield
    except SIGTERMException as stop:
        raise SystemExit(128 + signal.SIGTERM) from stop
    except SystemExit as stop:
        if not isinstance(stop.__context__, KeyboardInterrupt):
            raise
        raise (SystemExit(128 + signal.SIGINT) if reported else KeyboardInterrupt()) from stop


class EpochBar(RichProgressBar):
    """Lightning's progress bar; figures of validation say of which epoch they are, as it may not be in every one."""

    validated = 0

    def on_validation_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        self.validated = trainer.current_epoch + 1
        super().on_validation_end(trainer, task)  # shows the figures

    def get_metrics(self, trainer: L.Trainer, task: L.LightningModule) -> dict[str, Any]:
        figures = super().get_metrics(trainer, task)
        return {
            f"{name} (epoch {self.validated})" if name.startswith("val/") else name: value
            for name, value in figures.items()
        }


class EpochLines(Callback):
    """One line for each epoch of training, with its time and its figures; within what takes long, where it is."""

    shown = (
        "train/loss",
        "train/accuracy",
        "train/chance",
        "val/f1",
        "val/gap_closed",
        "val/r1",
        "val/mrr",
        "val/content_accuracy",
        "val/auc",
    )

    def setup(self, trainer: L.Trainer, task: L.LightningModule, stage: str) -> None:
        self.pace = Pace()

    def on_train_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        self.start = time.monotonic()
        self.validated = False

    def on_validation_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        self.validated = True

    def on_train_batch_end(
        self, trainer: L.Trainer, task: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.pace.due():
            loss = trainer.callback_metrics.get("train/loss")
            figure = "" if loss is None else f": train/loss {float(loss):.3f}"
            step = f"step {batch_idx + 1:,} of {trainer.num_training_batches:,}"
            say(f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}, {step}{figure}")

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        task: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self.pace.due():
            say(f"validation: batch {batch_idx + 1:,} of {sum(trainer.num_val_batches):,}")

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        task: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self.pace.due():
            say(f"scoring: batch {batch_idx + 1:,} of {sum(trainer.num_test_batches):,}")

    def on_train_epoch_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        figures = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if name in self.shown
            and (self.validated or not name.startswith("val/"))  # else they are an earlier epoch's
        }
        self.validated = False
        words = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
        seconds, self.start = time.monotonic() - self.start, time.monotonic()
        say(f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}, {seconds:.0f} s: {words}")

"""What training says: of its machine, and of its epochs figures of validation where there was one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import RichProgressBar

from weaksync.recipes.settings.config import TrainerConfig
from weaksync.recipes.training import launch


def test_a_line_shows_validation_only_of_its_own_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(launch, "say", said.append)
    figures = {"train/loss": torch.tensor(1.0), "val/f1": torch.tensor(0.5)}
    trainer = SimpleNamespace(current_epoch=0, max_epochs=3, callback_metrics=figures)
    lines = launch.EpochLines()
    lines.on_train_start(trainer, None)
    for epoch, validates in enumerate((False, True, False)):
        trainer.current_epoch = epoch
        if validates:
            lines.on_validation_end(trainer, None)
        lines.on_train_epoch_end(trainer, None)
    assert ["val/f1 0.500" in line for line in said] == [False, True, False]
    assert all("train/loss 1.000" in line for line in said)


def test_the_bar_says_of_which_epoch_its_validation_is(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, float]] = []
    monkeypatch.setattr(RichProgressBar, "_update_metrics", lambda bar, *a: shown.append(bar.get_metrics(*a)))
    monkeypatch.setattr(RichProgressBar, "get_metrics", lambda *a: {"train/loss": 1.0, "val/f1": 0.5})
    bar = launch.EpochBar()
    bar.on_validation_end(SimpleNamespace(current_epoch=3, state=SimpleNamespace(fn="fit")), None)
    assert shown == [{"train/loss": 1.0, "val/f1 (epoch 4)": 0.5}]
    assert bar.get_metrics(SimpleNamespace(current_epoch=5), None) == {"train/loss": 1.0, "val/f1 (epoch 4)": 0.5}


@pytest.mark.parametrize(("precision", "lines"), [("bf16-mixed", 1), ("32-true", 0)])
def test_settings_for_a_gpu_are_told_on_a_cpu(precision: Any, lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(launch, "say", told.append)
    launch.trainer(TrainerConfig(accelerator="cpu", precision=precision), logger=False, enable_checkpointing=False)
    assert len(told) == lines and all(line.startswith(f"note: {precision} is for a GPU") for line in told)

"""Story alignment as a LightningModule: the dual encoder, its loss, its optimiser, and nothing else."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import lightning as L
from torch import Tensor

from ..datamodules.batches import PairBatch
from . import optim
from .losses import InfoNCE
from .models.cclm import CCLM
from .optim import OptimConfig


class StoryAlignment(L.LightningModule):
    """Trains a dual encoder on weak clip-sentence pairs."""

    def __init__(self, model: CCLM, loss: InfoNCE | None = None, config: OptimConfig | None = None) -> None:
        super().__init__()
        self.model = model
        self.loss = loss or InfoNCE()
        self.optim = config or OptimConfig()
        self.save_hyperparameters({"optim": asdict(self.optim)})

    def training_step(self, batch: PairBatch, batch_index: int) -> Tensor:
        clips, texts = self.model(batch.pixels, batch.input_ids, batch.attention_mask)
        out = self.loss(clips, texts, self.model.temp, video=batch.video, sentence=batch.sentence, weight=batch.weight)
        self.log("train/loss", out.loss.detach(), prog_bar=True)
        self.log("train/accuracy", out.accuracy)
        return out.loss

    def configure_optimizers(self) -> dict[str, Any]:
        optimizer = optim.optimizer(self.model, self.optim)
        steps = int(self.trainer.estimated_stepping_batches)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": optim.schedule(optimizer, self.optim, steps), "interval": "step"},
        }

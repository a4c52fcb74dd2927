"""Active speaker detection as a LightningModule: it learns from windows of face tracks, and is scored on whole ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Adam
from torch.optim.lr_scheduler import ExponentialLR
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

from ..datamodules.batches import TubeBatch
from .models.speaking import Speaking
from .speaking import SAMPLES_A_FRAME, LipsAndVoice
from .task import Task


@dataclass(frozen=True)
class ScoredTrack:
    """The scores of one whole track, (T,) each.

    Attributes:
        score: of the model, a probability.
        baseline: of `LipsAndVoice`.
        speaking: the truth.
    """

    id: str
    score: Tensor
    baseline: Tensor
    speaking: Tensor


class ActiveSpeakerDetection(Task):
    """Trains `Speaking`, an active speaker detector, on tracks labelled with when the face speaks.

    Validation scores whole tracks: the area under the curve ``auc`` and the average precision ``ap`` over all frames,
    beside those of the baseline, the same for any number of ranks.

    Args:
        model: what is trained.
        lr: of Adam, in the first epoch.
        decay: factor of the rate after each epoch.
        weight_decay: added to gradients.

    Attributes:
        tracks: what the last evaluation found of each track of all ranks, by id.
    """

    model: Speaking

    def __init__(self, model: Speaking, *, lr: float = 3e-3, decay: float = 0.8, weight_decay: float = 0.0) -> None:
        super().__init__(model)
        self.lr, self.decay, self.weight_decay = lr, decay, weight_decay
        self.tracks: list[ScoredTrack] = []
        self._baseline = LipsAndVoice()
        optim = {"lr": lr, "decay": decay, "weight_decay": weight_decay}
        self.save_hyperparameters({"model": model.registry_name, "arguments": model.arguments, "optim": optim})

    def training_step(self, batch: TubeBatch, batch_index: int) -> Tensor:
        truth = _known(batch).to(self.dtype)
        logits = self.model(batch.frames, batch.waveform)
        loss = F.binary_cross_entropy_with_logits(logits, truth)
        right = ((logits > 0) == (truth > 0.5)).float().mean()
        metrics = {"train/loss": loss, "train/accuracy": right}
        self.log_dict(metrics, on_step=False, on_epoch=True, batch_size=len(batch), sync_dist=True)
        return loss

    def evaluate_batch(self, batch: TubeBatch, stage: str) -> list[ScoredTrack]:
        return [self.score_track(batch)]

    def score_track(self, batch: TubeBatch) -> ScoredTrack:
        """A whole track as the model and as the baseline see it."""
        frames, sound = batch.frames[0].cpu(), batch.waveform[0].cpu()
        return ScoredTrack(
            id=batch.ids[0],
            score=self.model.score(frames, sound),
            baseline=self._baseline(frames, sound[: len(frames) * SAMPLES_A_FRAME]),
            speaking=_known(batch)[0].cpu(),
        )

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = Adam(self.model.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        return {"optimizer": optimizer, "lr_scheduler": ExponentialLR(optimizer, self.decay)}

    def score(self, found: list[ScoredTrack], stage: str) -> None:
        """The metrics over the frames of all tracks."""
        self.tracks = found
        if self.trainer.sanity_checking or not self.tracks:
            return
        for name, value in track_metrics(self.tracks).items():
            self.log(f"{stage}/{name}", value, prog_bar=name == "auc")


def track_metrics(tracks: list[ScoredTrack]) -> dict[str, float]:
    """Area under the curve and average precision over the frames of all tracks, of the model and of the baseline."""
    truth = torch.cat([track.speaking for track in tracks]).long()
    found = {}
    for prefix, scores in (
        ("", torch.cat([track.score for track in tracks])),
        ("baseline_", torch.cat([track.baseline for track in tracks])),
    ):
        found[f"{prefix}auc"] = float(binary_auroc(scores, truth))
        found[f"{prefix}ap"] = float(binary_average_precision(scores, truth))
    return found


def _known(batch: TubeBatch) -> Tensor:
    if batch.speaking is None:
        raise ValueError(f"{batch.ids[0]} has no labels of when its face speaks: train on a set of face tracks")
    return batch.speaking

"""NeuMATCH as a LightningModule: actions learnt by teacher forcing, whole videos aligned and scored."""

from __future__ import annotations

import torch
import torch.distributed as dist
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from ..datamodules.batches import FeatureVideo
from .actions import actions_of, monotone
from .decoding import Decoder, VideoSimilarity
from .evaluation import evaluate
from .lars import AdamLARS
from .losses.gather import world_size
from .models.neumatch import PADDING, NeuMATCH
from .task import Task

#: a model that labels clips by itself says 1 where it matched and 0 elsewhere; this reads its labels back, unchanged
AS_LABELLED = Decoder(drop_clip=0.5, drop_sentence=0.0, policy="constant", contiguous=False)


class ActionAlignment(Task):
    """Trains NeuMATCH on the actions that labels amount to; decodes whole videos greedily, and scores them.

    Labels that go back in the text are no actions: as few clips as possible are dropped to make them monotone.  Several
    ranks train as one process does on all their videos.

    Args:
        model: what is trained.
        lr: of Adam, or the factor of its steps under LARS.
        trust: the trust coefficient of LARS; None for plain Adam.
        weight_decay: added to gradients.
        smoothing: share of each target that is spread over all actions.
        patience: epochs without a lower training loss after which the rate is multiplied by `factor`.

    Attributes:
        videos: what the last evaluation found of each video of all ranks, by id: similarity 1 where a clip was matched
            with a sentence, 0 elsewhere, for `AS_LABELLED`.
    """

    model: NeuMATCH

    def __init__(
        self,
        model: NeuMATCH,
        *,
        lr: float = 7.0,
        trust: float | None = 1e-3,
        weight_decay: float = 0.0,
        smoothing: float = 0.03,
        patience: int = 10,
        factor: float = 0.5,
    ) -> None:
        super().__init__(model)
        self.lr, self.trust, self.weight_decay = lr, trust, weight_decay
        self.smoothing = smoothing
        self.patience, self.factor = patience, factor
        self.videos: list[VideoSimilarity] = []
        self.save_hyperparameters(
            {
                "model": model.registry_name,
                "arguments": model.arguments,
                "optim": {
                    "lr": lr,
                    "trust": trust,
                    "weight_decay": weight_decay,
                    "patience": patience,
                    "factor": factor,
                },
                "smoothing": smoothing,
            }
        )

    def training_step(self, batch: list[FeatureVideo], batch_index: int) -> Tensor:
        actions = pad_sequence(
            [actions_of(monotone(video.labels.cpu()), len(video.sentence_features)).to(self.device) for video in batch],
            batch_first=True,
            padding_value=PADDING,
        )
        with self._full_precision():
            logits = self.model(
                pad_sequence([video.clip_features for video in batch], batch_first=True),
                pad_sequence([video.sentence_features for video in batch], batch_first=True),
                torch.tensor([len(video.clip_features) for video in batch], device=self.device),
                torch.tensor([len(video.sentence_features) for video in batch], device=self.device),
                actions,
            )
        real = actions != PADDING
        total = F.cross_entropy(logits[real], actions[real], label_smoothing=self.smoothing, reduction="sum")
        right = (logits[real].argmax(dim=-1) == actions[real]).float().mean()
        count = real.sum()
        metrics = {"train/loss": total.detach() / count, "train/accuracy": right}
        self.log_dict(metrics, on_epoch=True, on_step=False, batch_size=int(count), sync_dist=True)
        if world_size() > 1:
            dist.all_reduce(count)
        return total * world_size() / count  # the mean over the actions of all ranks, scaled for the averaging of DDP

    def evaluate_batch(self, batch: FeatureVideo, stage: str) -> list[VideoSimilarity]:
        return [self.labelled(batch)]

    def labelled(self, video: FeatureVideo) -> VideoSimilarity:
        """A whole video with the labels that the model gives its clips, as similarities of 1 and 0."""
        with self._full_precision():
            labels = self.model.decode([video.clip_features], [video.sentence_features])[0]
        similarity = torch.zeros(len(labels), len(video.sentence_features))
        similarity[labels >= 0, labels[labels >= 0]] = 1.0
        return VideoSimilarity(
            id=video.id,
            language=video.language,
            similarity=similarity,
            clips=video.clips.cpu(),
            segments=video.segments.cpu(),
            narrations=video.narrations.cpu(),
            annotated=video.annotated,
        )

    def configure_optimizers(self) -> OptimizerLRScheduler:
        learnt = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        optimizer: Optimizer
        if self.trust is None:
            optimizer = Adam(learnt, lr=self.lr, weight_decay=self.weight_decay)
        else:
            optimizer = AdamLARS(learnt, lr=self.lr, trust=self.trust, weight_decay=self.weight_decay)
        plateau = ReduceLROnPlateau(optimizer, factor=self.factor, patience=self.patience)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": "train/loss"}}

    def _full_precision(self) -> torch.autocast:
        """Full precision: recurrences run over hundreds of steps, and half precision would not speed them up."""
        return torch.autocast(self.device.type, enabled=False)

    def score(self, found: list[VideoSimilarity], stage: str) -> None:
        """F1 and its parts, over the videos that people annotated."""
        self.videos = found
        if self.trainer.sanity_checking or not any(video.annotated for video in self.videos):
            return
        scores = evaluate(self.videos, AS_LABELLED, resamples=1)  # their intervals are of no use in a curve
        model = scores["model"]
        self.log(f"{stage}/f1", model.f1.value, prog_bar=True)
        self.log(f"{stage}/clip_accuracy", model.clip_accuracy.value)
        self.log(f"{stage}/sentence_iou", model.sentence_iou.value)
        self.log(f"{stage}/gap_closed", scores.gap_closed.value)

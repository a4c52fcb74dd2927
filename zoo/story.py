"""Story alignment as a LightningModule: the dual encoder, its loss, its optimiser and its scores."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from ..datamodules.batches import PairBatch, VideoBatch
from . import optim
from .decoding import Decoder, VideoSimilarity
from .evaluation import evaluate
from .losses import InfoNCE, WindowNCE
from .models.dual_encoder import DualEncoder
from .optim import OptimConfig
from .task import Task
from .tuning import tune

#: similarities of a language whose deviation is below this do not tell clips apart
COLLAPSED = 0.01

# whole videos stay on the CPU on purpose, whatever the data module
warnings.filterwarnings("ignore", message=r".*You have overridden `transfer_batch_to_device`.*")


class StoryAlignment(Task):
    """Trains a dual encoder on weak clip-sentence pairs; scores it on whole videos, decoded with Drop-DTW.

    Args:
        model: what is trained.
        optim: how; `OptimConfig`'s defaults if None.
        negatives, false_negatives: of `InfoNCE`.
        alignment: ``none``, or the aligner of `WindowNCE`, which then is the loss.
        chunk: how many clips, or sentences, of a video are encoded at once in evaluation.

    Attributes:
        videos: similarities of the last evaluation's videos, of all ranks, by id.
    """

    model: DualEncoder

    def __init__(
        self,
        model: DualEncoder,
        *,
        optim: OptimConfig | None = None,
        negatives: str = "video",
        false_negatives: str = "exclude",
        alignment: str = "none",
        chunk: int = 64,
    ) -> None:
        super().__init__(model)
        self.loss = InfoNCE(negatives, false_negatives) if alignment == "none" else WindowNCE(alignment)
        self.optim = optim or OptimConfig()
        self.chunk = chunk
        self.videos: list[VideoSimilarity] = []
        # plain values alone, so that the checkpoint loads with weights_only=True
        self.save_hyperparameters(
            {
                "model": model.registry_name,
                "arguments": model.arguments,
                "optim": asdict(self.optim),
                "negatives": negatives,
                "false_negatives": false_negatives,
                "alignment": alignment,
            }
        )

    def setup(self, stage: str) -> None:
        """Raises ValueError for a precision that would round the times of clips to half a second."""
        if self.trainer.precision in ("bf16-true", "16-true"):
            mixed = self.trainer.precision.replace("true", "mixed")
            raise ValueError(f"precision {self.trainer.precision} rounds the clips' times as well: use {mixed}")

    def training_step(self, batch: PairBatch, batch_index: int) -> Tensor:
        self.model.clamp_temperature()
        clips, texts = self.model(batch.pixels, batch.input_ids, batch.attention_mask)
        out = self.loss(clips, texts, self.model.temp, video=batch.video, sentence=batch.sentence, weight=batch.weight)
        # steps differ in size, the last of an epoch most: the epoch's mean weighs them, by the pairs of all ranks
        size = int(out.pairs) if self.trainer.world_size > 1 else len(batch.keys)
        self.log("train/loss", out.value, prog_bar=True, on_step=True, on_epoch=True, batch_size=size)
        names = ("accuracy", "chance", "without_negatives", "spread")
        metrics = {f"train/{name}": getattr(out, name) for name in names}
        metrics["train/temperature"] = self.model.temp.detach()
        self.log_dict(metrics, on_step=True, on_epoch=True, batch_size=size)
        return out.loss

    def evaluate_batch(self, batch: VideoBatch, stage: str) -> list[VideoSimilarity]:
        return [self.similarity(batch, keep_vectors=stage == "test")]

    def predict_step(self, batch: VideoBatch, batch_index: int) -> VideoSimilarity:
        return self.similarity(batch)

    def score(self, found: list[VideoSimilarity], stage: str) -> None:
        """Validation tunes the decoder first.  Raises ValueError where the model has diverged."""
        self.videos = found
        broken = [video.id for video in found if video.similarity.isnan().any()]
        if broken:
            raise ValueError(f"similarities of {broken[0]} are not numbers: training diverged; lower optim.lr")
        if self.trainer.sanity_checking:
            return
        self._log_spread(stage)
        if not any(video.annotated for video in found):
            return
        if stage == "val":
            self.model.decoder = tune(found).to_dict()
        if self.decoder is not None:
            self._log_scores(stage, self.decoder)

    @property
    def decoder(self) -> Decoder | None:
        """Tuned on the annotated validation videos of the last epoch; None before, and where there are none."""
        return Decoder.from_dict(self.model.decoder) if self.model.decoder else None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["decoder"] = self.model.decoder

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.model.decoder = checkpoint["decoder"]

    def similarity(self, batch: VideoBatch, *, keep_vectors: bool = False) -> VideoSimilarity:
        """Cosine similarities of a whole video's clips and sentences, encoded a chunk at a time."""
        clips, texts = encode(self.model, batch.pixels, batch.input_ids, batch.attention_mask, chunk=self.chunk)
        return VideoSimilarity(
            id=batch.id,
            language=batch.language,
            similarity=compare(clips, texts).cpu(),
            clips=batch.clips.cpu(),
            segments=batch.segments.cpu(),
            narrations=batch.narrations.cpu(),
            annotated=batch.annotated,
            clip_vectors=clips.cpu() if keep_vectors else None,
            sentence_vectors=texts.cpu() if keep_vectors else None,
        )

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """As usual, but the pixels of a whole video stay where they are: their chunks follow when encoded."""
        if isinstance(batch, VideoBatch):
            return batch
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        steps = self.trainer.estimated_stepping_batches
        if steps == float("inf"):
            raise ValueError("the schedule needs an end: set trainer.max_epochs or trainer.max_steps")
        optimizer = optim.optimizer(self.model, self.optim)
        scheduler = optim.schedule(optimizer, self.optim, int(steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _log_scores(self, stage: str, decoder: Decoder) -> None:
        """F1 and its parts beside the baselines and the oracle, over the annotated videos."""
        scores = evaluate(self.videos, decoder, resamples=1)  # their intervals are of no use in a curve
        model = scores["model"]
        self.log(f"{stage}/f1", model.f1.value, prog_bar=True)
        self.log(f"{stage}/clip_accuracy", model.clip_accuracy.value)
        self.log(f"{stage}/sentence_iou", model.sentence_iou.value)
        self.log(f"{stage}/gap_closed", scores.gap_closed.value)

    def _log_spread(self, stage: str) -> None:
        """How far similarities of each language lie apart; says so where they do not."""
        for language in sorted({video.language for video in self.videos}):
            values = torch.cat([v.similarity.flatten() for v in self.videos if v.language == language])
            spread = float(values.std()) if len(values) > 1 else float("nan")
            self.log(f"{stage}/spread_{language or 'unknown'}", spread)
            if spread < COLLAPSED:
                warnings.warn(
                    f"similarities of {language or 'the only language'} have collapsed: {float(values.mean()):.3f} on "
                    f"average, {spread:.4f} apart; a lower learning rate or a longer warm-up may help",
                    stacklevel=2,
                )


@torch.no_grad()
def encode(
    model: DualEncoder, pixels: Tensor, input_ids: Tensor, attention_mask: Tensor, *, chunk: int = 64
) -> tuple[Tensor, Tensor]:
    """Unit vectors of clips (n, D) and sentences (m, D), with memory bounded by `chunk`.

    Args:
        pixels: (n, F, 3, S, S), on any device.
        input_ids, attention_mask: (m, L).
        chunk: how many clips, or sentences, are encoded at once.

    Returns:
        Both float32, on the model's device.
    """
    device = model.temp.device
    clips = [model.encode_clips(part.to(device, non_blocking=True)) for part in pixels.split(chunk)]
    texts = [
        model.encode_text(ids.to(device), mask.to(device))
        for ids, mask in zip(input_ids.split(chunk), attention_mask.split(chunk), strict=True)
    ]
    return torch.cat(clips).float(), torch.cat(texts).float()


def compare(clips: Tensor, texts: Tensor) -> Tensor:
    """Cosine similarities (n, m) of unit vectors."""
    with torch.autocast(clips.device.type, enabled=False):  # eight bits do not tell clips apart
        return clips @ texts.T

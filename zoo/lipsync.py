"""SyncNet's pre-training as a LightningModule: it learns from windows of face tubes, and is scored on whole clips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Generator, Tensor
from torch.nn.functional import normalize
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import ExponentialLR

from ..datamodules.batches import TubeBatch
from ..kernels.costs import cosines
from .batchnorm import over_all_ranks
from .losses import SyncNetLoss
from .models.syncnet import SyncNet, lip_steps
from .task import Task

#: steps, of 0.04 s where the stride is 1, that speech may be early or late while a clip's offset is sought
OFFSETS = 15


@dataclass(frozen=True)
class ClipSync:
    """The metrics of one whole clip.

    Attributes:
        content_accuracy: share of the times whose own speech is the nearest, among those of its window.
        chance: of that, for features that know nothing.
        offset: steps between lips and speech at which they agree best, 0 in a clip that is in sync.
        face, voice: unit vectors of who is seen and of who is heard, at the middle and on average.
    """

    id: str
    content_accuracy: float
    chance: float
    offset: int
    face: Tensor
    voice: Tensor


class LipSync(Task):
    """Trains a SyncNet on what is said at the same time, and by whom (Nagrani et al., 2020).

    Validation scores whole clips, each cut to consecutive windows: ``content_accuracy``, its ``chance``, ``in_sync``
    (share of clips whose lips and speech agree best at most a step from where they should), and with a weight of the
    identity ``identity_accuracy``, over all clips.  All are means over clips, the same for any number of ranks.

    Args:
        model: what is trained.
        content_weight, identity_weight: of `SyncNetLoss`.
        method: ``sgd`` or ``adam``.
        lr: in the first epoch.
        momentum: of SGD.
        weight_decay: added to gradients.
        decay: factor of the rate after each epoch.
        window: frames that a window of validation has, as those of training have.
        seed: of the times at which faces are seen.

    Attributes:
        clips: what the last evaluation found of each clip of all ranks, by id.
    """

    model: SyncNet

    def __init__(
        self,
        model: SyncNet,
        *,
        content_weight: float = 1.0,
        identity_weight: float = 1.0,
        method: Literal["sgd", "adam"] = "sgd",
        lr: float = 1e-3,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        decay: float = 0.95,
        window: int = 50,
        seed: int = 0,
    ) -> None:
        super().__init__(model)
        self.loss = SyncNetLoss(content_weight=content_weight, identity_weight=identity_weight)
        self.method, self.lr, self.momentum = method, lr, momentum
        self.weight_decay, self.decay = weight_decay, decay
        self.window = window
        self.seed = seed
        self.clips: list[ClipSync] = []
        optim = {"method": method, "lr": lr, "momentum": momentum, "weight_decay": weight_decay, "decay": decay}
        self.save_hyperparameters(
            {
                "model": model.registry_name,
                "arguments": model.arguments,
                "content_weight": content_weight,
                "identity_weight": identity_weight,
                "optim": optim,
                "window": window,
                "seed": seed,
            }
        )

    def setup(self, stage: str) -> None:
        if self.trainer.world_size > 1:
            self.model = over_all_ranks(self.model, self.trainer.strategy.root_device)

    def training_step(self, batch: TubeBatch, batch_index: int) -> Tensor:
        out = self.model(batch.frames, batch.waveform)
        # the same time on every rank, and after a run was resumed
        chance = Generator().manual_seed((self.seed << 32) + self.global_step)
        found = self.loss(out.lip_content, out.speech_content, out.face, out.voice, generator=chance)
        metrics = {"train/loss": found.loss, "train/content_accuracy": found.content_accuracy}
        if self.loss.identity_weight:
            metrics["train/identity_accuracy"] = found.identity_accuracy
        self.log_dict(metrics, on_step=False, on_epoch=True, batch_size=len(batch), sync_dist=True)
        loss: Tensor = found.loss
        return loss

    def evaluate_batch(self, batch: TubeBatch, stage: str) -> list[ClipSync]:
        return [self.score_clip(batch)]

    @torch.no_grad()
    def score_clip(self, batch: TubeBatch) -> ClipSync:
        """How well one whole clip's lips and speech find each other."""
        out = self.model(batch.frames, batch.waveform)
        similarity = cosines(out.lip_content[0], out.speech_content[0]).cpu()
        accuracy, chance = nearest_in_windows(similarity, self.steps_of_window)
        return ClipSync(
            id=batch.ids[0],
            content_accuracy=accuracy,
            chance=chance,
            offset=best_offset(similarity, OFFSETS),
            face=normalize(out.face[0, len(similarity) // 2].float().cpu(), dim=-1),
            voice=normalize(out.voice[0].float().mean(dim=0).cpu(), dim=-1),
        )

    @property
    def steps_of_window(self) -> int:
        """Lip features in a window."""
        return lip_steps(self.window, self.model.config.stride)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        learnt = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer: Optimizer
        if self.method == "sgd":
            optimizer = SGD(learnt, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay)
        else:
            optimizer = Adam(learnt, lr=self.lr, weight_decay=self.weight_decay)
        return {"optimizer": optimizer, "lr_scheduler": ExponentialLR(optimizer, self.decay)}

    def score(self, found: list[ClipSync], stage: str) -> None:
        """Means over clips."""
        self.clips = found
        if self.trainer.sanity_checking or not self.clips:
            return
        for name, value in sync_metrics(self.clips, identity=self.loss.identity_weight > 0).items():
            self.log(f"{stage}/{name}", value, prog_bar=name == "content_accuracy")


def sync_metrics(clips: list[ClipSync], *, identity: bool) -> dict[str, float]:
    """Means over clips: how well lips find their speech and, with `identity`, faces their voices."""
    found = {
        "content_accuracy": sum(clip.content_accuracy for clip in clips) / len(clips),
        "chance": sum(clip.chance for clip in clips) / len(clips),
        "in_sync": sum(abs(clip.offset) <= 1 for clip in clips) / len(clips),
    }
    if identity:
        faces, voices = torch.stack([clip.face for clip in clips]), torch.stack([clip.voice for clip in clips])
        nearest = (faces @ voices.T).argmax(dim=1)
        found["identity_accuracy"] = float((nearest == torch.arange(len(clips))).float().mean())
    return found


def nearest_in_windows(cosines: Tensor, steps: int) -> tuple[float, float]:
    """Share of rows whose largest cosine is their own column, and what chance has, in windows of `steps`.

    Args:
        cosines: (n, n) of lips and speech at the same times.
        steps: of a window; a last one that is shorter is left out, unless there is no other.
    """
    steps = min(steps, len(cosines))
    right, count = 0, 0
    for first in range(0, len(cosines) - steps + 1, steps):
        window = cosines[first : first + steps, first : first + steps]
        right += int((window.argmax(dim=1) == torch.arange(steps)).sum())
        count += steps
    return right / count, 1 / steps


def best_offset(cosines: Tensor, most: int) -> int:
    """The shift of speech, in steps from ``-most`` to `most`, at which lips and speech agree best.

    Args:
        cosines: (n, n) of lips and speech.
    """
    most = min(most, len(cosines) - 1)
    return max(range(-most, most + 1), key=lambda shift: float(cosines.diagonal(shift).mean()))

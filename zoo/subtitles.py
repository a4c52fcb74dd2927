"""Subtitle matching as a LightningModule: contrastive training on clips and their subtitles, ranking in a pool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.optim import Adam
from torch.optim.lr_scheduler import StepLR

from ..datamodules.batches import SpokenBatch, SubtitleBatch
from .batchnorm import over_all_ranks
from .encoded import EncodedClip, EncodedText, Pool, alignment_costs, cue_costs, half_units
from .losses import PairwiseRanking, PathCrossEntropy, path_cells
from .losses.gather import world_size
from .models.gsm import GSM
from .models.lipspeech import LipSpeech, pooled_times
from .models.syncnet import SyncNet, lip_times, speech_times
from .optim import StepOptimConfig
from .pool import join_ranks, pool_metrics, pool_ranks
from .retrieval import Ranks
from .task import Task, gather_by_id

#: clips that are compared with the pool together: always the same ones, so that ranks change no figure
CLIPS_AT_ONCE = 8


@dataclass
class EncodedPair:
    """A clip and its own subtitle, as a pool holds them."""

    id: str
    language: str
    clip: EncodedClip
    text: EncodedText


@dataclass
class RankedClip:
    """The rank of a clip's own subtitle in the pool; see `Ranks`."""

    id: str
    ranks: Ranks


class SubtitleMatching(Task):
    """Trains the front end of lips and speech, or one global cue; validates by ranking every subtitle for every clip.

    With a `syncnet` there are no cached features: batches are `SpokenBatch`es, and its convolutions learn too, at
    `syncnet_lr`.  Its batch normalisation keeps its statistics and learns scale and shift alone, as a few faces, whose
    frames are much alike, say little of them; so a clip is computed by itself, alike on any number of ranks, and with
    `checkpoint_activations` in bounded memory.  Its heads are not used, and stay as they were.

    Args:
        model: what is trained: `LipSpeech`, or `GSM`.
        margin: of the ranking loss, in units of cost (per video step).
        directions: of `PairwiseRanking`.
        alignment_weight: of the alignment loss (Eq. 15) of `LipSpeech`, beside the ranking loss; 0 leaves it out.
        optim: how; `StepOptimConfig`'s defaults if None.
        syncnet: makes the features of lips and speech; None where they are cached.
        syncnet_lr: factor of the rate for it; 0 leaves it as it is.

    Attributes:
        distractors: further subtitles that the clips of an evaluation choose from; None where there are none.
        encoded: clips of the last evaluation with their subtitles, of all ranks, by id.
        ranked: the ranks of their subtitles, by id.

    Raises:
        ValueError: an alignment loss, or a SyncNet, for a model without an alignment.
    """

    model: LipSpeech | GSM

    def __init__(
        self,
        model: LipSpeech | GSM,
        *,
        margin: float = 0.1,
        directions: str = "video",
        alignment_weight: float = 1.0,
        optim: StepOptimConfig | None = None,
        syncnet: SyncNet | None = None,
        syncnet_lr: float = 0.1,
    ) -> None:
        if (alignment_weight or syncnet is not None) and not isinstance(model, LipSpeech):
            raise ValueError(f"a {type(model).__name__} has no alignment: set alignment_weight=0 and syncnet=None")
        super().__init__(model)
        self.syncnet = syncnet
        self.syncnet_lr = syncnet_lr
        if syncnet is not None:
            syncnet.requires_grad_(False)
            for stack in (syncnet.netcnnlip, syncnet.netcnnaud):  # a head has no gradient, which processes wait for
                stack.requires_grad_(syncnet_lr > 0)
        self.optim = optim or StepOptimConfig()
        self.alignment_weight = alignment_weight
        self.ranking = PairwiseRanking(model.values, margin=margin, directions=directions)
        self.path_loss = PathCrossEntropy(reduction="none")
        self.distractors: Pool | None = None
        self.encoded: list[EncodedPair] = []
        self.ranked: list[RankedClip] = []
        self.save_hyperparameters(
            {
                "model": model.registry_name,
                "arguments": model.arguments,
                "optim": asdict(self.optim),
                "margin": margin,
                "directions": directions,
                "alignment_weight": alignment_weight,
            }
            | ({} if syncnet is None else {"syncnet": syncnet.arguments, "syncnet_lr": syncnet_lr})
        )

    def setup(self, stage: str) -> None:
        """Several processes normalise over the batch of all, as one does."""
        if stage == "fit" and self.trainer.world_size > 1:
            self.model = over_all_ranks(self.model, self.trainer.strategy.root_device)

    def on_fit_start(self) -> None:
        """A model that was loaded comes in evaluation mode, in which SyncNet stays."""
        super().on_fit_start()
        if self.syncnet is not None:
            self.syncnet.eval()

    def training_step(self, batch: SubtitleBatch | SpokenBatch, batch_index: int) -> Tensor:
        loss, parts = self.losses(self.streams(batch))
        how: dict[str, Any] = {"on_step": True, "on_epoch": True, "batch_size": len(batch), "sync_dist": True}
        self.log("train/loss", loss.detach(), prog_bar=True, **how)
        self.log_dict({f"train/{name}": value for name, value in parts.items()}, **how)
        return loss

    def streams(self, batch: SubtitleBatch | SpokenBatch) -> SubtitleBatch:
        """A batch of features as it is, or those that SyncNet makes of pictures and sound."""
        if isinstance(batch, SubtitleBatch):
            return batch
        if self.syncnet is None:
            raise ValueError("pictures and sound need a syncnet, which makes their features")
        return encode_streams(self.syncnet, batch)

    def losses(self, batch: SubtitleBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a step, the same on every rank that shares it, and its parts by name."""
        if isinstance(self.model, GSM):
            video = self.model.encode_video(batch.video, batch.video_lengths)[:, None]
            text = self.model.encode_text(batch.text, batch.text_lengths)[:, None]
            rank = self.ranking(video, text)
            return rank, {"ranking": rank.detach()}
        lips, n = self.model.encode_lips(batch.video, batch.video_lengths)
        speech, m = self.model.encode_speech(batch.text, batch.text_lengths)
        texts = self.model.with_rates(speech, batch.languages)
        loss = rank = self.ranking(lips, texts, video_lengths=n, text_lengths=m)
        parts = {"ranking": rank.detach()}
        if self.alignment_weight:
            path = alignment_paths(batch, lips.shape[1], speech.shape[1], self.model.lips.groups)
            align = self._alignment(lips, speech, path)
            loss = rank + self.alignment_weight * align
            parts["alignment"] = align.detach()
        return loss, parts

    def _alignment(self, lips: Tensor, speech: Tensor, path: Tensor) -> Tensor:
        """The alignment loss: a mean over the pairs of all ranks that have a path, scaled for the averaging of DDP."""
        each = self.path_loss(lips, speech, path.to(lips.device))
        count = path.flatten(1).any(dim=1).sum().to(lips.device)
        if world_size() > 1:
            dist.all_reduce(count)
        return each.sum() * world_size() / count.clamp(min=1)

    def evaluate_batch(self, batch: SubtitleBatch | SpokenBatch, stage: str) -> list[EncodedPair]:
        return encode_batch(self.model, self.streams(batch))

    @property
    def pool(self) -> int:
        """The number of subtitles that each clip of the last evaluation was ranked against."""
        return len(self.encoded) + (0 if self.distractors is None else len(self.distractors))

    def score(self, found: list[EncodedPair], stage: str) -> None:
        """Rank the subtitles of all clips for each of them, a share of the clips on each rank."""
        self.encoded = found
        if self.trainer.sanity_checking or not self.encoded:
            return
        self.ranked = rank_all(self.model, self.encoded, self.distractors)
        metrics = pool_metrics(join_ranks(each.ranks for each in self.ranked), self.pool)
        for name, value in metrics.logged().items():
            self.log(f"{stage}/{name}", value, prog_bar=name == "r1")

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Features and lengths, or pictures and sound, alone: paths are made of the times on the CPU."""
        if isinstance(batch, SpokenBatch):
            batch.tubes = [each.to(device, non_blocking=True) for each in batch.tubes]
            batch.speech = [each.to(device, non_blocking=True) for each in batch.speech]
            return batch
        if not isinstance(batch, SubtitleBatch):
            return super().transfer_batch_to_device(batch, device, dataloader_idx)
        for name in ("video", "video_lengths", "text", "text_lengths"):
            setattr(batch, name, getattr(batch, name).to(device, non_blocking=True))
        return batch

    def configure_optimizers(self) -> OptimizerLRScheduler:
        learnt = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        groups: list[dict[str, Any]] = [{"params": learnt}] if learnt else []
        if self.syncnet is not None and self.syncnet_lr:
            learnt = [parameter for parameter in self.syncnet.parameters() if parameter.requires_grad]
            groups.append({"params": learnt, "lr": self.optim.lr * self.syncnet_lr, "name": "syncnet"})
        if not groups:
            raise ValueError("the model has no parameters to train: set front_end: conv, or let syncnet learn")
        optimizer = Adam(groups, lr=self.optim.lr, weight_decay=self.optim.weight_decay)
        steps = StepLR(optimizer, self.optim.decay_epochs, self.optim.decay)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": steps, "interval": "epoch"}}


def encode_streams(syncnet: SyncNet, batch: SpokenBatch) -> SubtitleBatch:
    """The features of lips and speech, as cached ones; each clip is encoded by itself, without padding."""
    config = syncnet.config
    lips = [syncnet.encode_lips(tube[None])[0].float() for tube in batch.tubes]
    speech = [syncnet.encode_speech(waveform[None])[0].float() for waveform in batch.speech]
    video_times = [lip_times(len(steps), config.fps, config.stride).double() for steps in lips]
    text_times = [speech_times(len(steps), config.stride).double() for steps in speech]

    def lengths(streams: list[Tensor]) -> Tensor:
        return torch.tensor([len(steps) for steps in streams], device=streams[0].device)

    return SubtitleBatch(
        ids=batch.ids,
        languages=batch.languages,
        video=pad_sequence(lips, batch_first=True),
        video_lengths=lengths(lips),
        text=pad_sequence(speech, batch_first=True),
        text_lengths=lengths(speech),
        video_times=pad_sequence(video_times, batch_first=True),
        text_times=pad_sequence(text_times, batch_first=True),
        spoken=batch.spoken,
        synthesised=batch.synthesised,
    )


def alignment_paths(batch: SubtitleBatch, n: int, m: int, groups: int) -> Tensor:
    """The known path of every pair, (B, n, m) bool on the CPU, from the times of a batch; see `path_cells`.

    Args:
        n, m: steps of the padded sequences after the front end.
        groups: of the front end, each of which halves the pace.

    Raises:
        ValueError: the batch has no times.
    """
    if batch.video_times is None or batch.text_times is None or batch.spoken is None or batch.synthesised is None:
        raise ValueError(
            "the alignment loss needs to know when everything is said: lips with speech, not other streams"
        )
    paths = torch.zeros(len(batch), n, m, dtype=torch.bool)
    lengths = zip(batch.video_lengths.tolist(), batch.text_lengths.tolist(), strict=True)
    for pair, (video, text) in enumerate(lengths):
        cells = path_cells(
            pooled_times(batch.video_times[pair, :video], groups),
            pooled_times(batch.text_times[pair, :text], groups),
            batch.spoken[pair],
            batch.synthesised[pair],
        )
        paths[pair, : cells.shape[0], : cells.shape[1]] = cells
    return paths


@torch.no_grad()
def encode_batch(model: LipSpeech | GSM, batch: SubtitleBatch) -> list[EncodedPair]:
    """Clips with their subtitles, as a pool holds them."""
    if isinstance(model, GSM):
        video = torch.nn.functional.normalize(model.encode_video(batch.video, batch.video_lengths).float(), dim=-1)
        clips = [EncodedClip(torch.zeros(0, 0), torch.zeros(0), {model.config.cue: one}) for one in video.cpu()]
    else:
        encoded, lengths = model.encode_lips(batch.video, batch.video_lengths)
        groups = model.lips.groups
        times = torch.zeros(batch.video.shape[:2]) if batch.video_times is None else batch.video_times
        clips = [
            EncodedClip(steps[:length].float().cpu(), pooled_times(when, groups)[:length])
            for steps, length, when in zip(encoded, lengths.tolist(), times, strict=True)
        ]
    texts = encode_texts(model, batch.text, batch.text_lengths)
    rows = zip(batch.ids, batch.languages, clips, texts, strict=True)
    return [EncodedPair(*row) for row in rows]


@torch.no_grad()
def encode_texts(model: LipSpeech | GSM, text: Tensor, lengths: Tensor) -> list[EncodedText]:
    """Subtitles (B, M, Dt) with lengths (B,), as a pool holds them."""
    if isinstance(model, GSM):
        vectors = half_units(model.encode_text(text, lengths))
        return [EncodedText(torch.zeros(0, 0, dtype=torch.float16), {model.config.cue: one}) for one in vectors]
    steps, lengths = model.encode_speech(text, lengths)
    return [EncodedText(half_units(each[:length])) for each, length in zip(steps, lengths.tolist(), strict=True)]


def rank_all(
    model: LipSpeech | GSM, encoded: Sequence[EncodedPair], distractors: Pool | None = None
) -> list[RankedClip]:
    """The rank of each clip's own subtitle among all of theirs and `distractors`; each process ranks a share.

    Clips are compared in the same blocks, and so at the same costs, for any number of ranks.

    Args:
        encoded: of all ranks, in one order on all of them.
        distractors: further subtitles to choose from.
    """
    pool = Pool.of([each.text for each in encoded], [each.language for each in encoded])
    rank, world = (dist.get_rank(), world_size()) if world_size() > 1 else (0, 1)
    found = []
    for first in list(range(0, len(encoded), CLIPS_AT_ONCE))[rank::world]:
        some = encoded[first : first + CLIPS_AT_ONCE]
        costs = pool_costs(model, [each.clip for each in some], pool)
        if distractors is not None:
            costs = torch.cat([costs, pool_costs(model, [each.clip for each in some], distractors)], dim=1)
        ranks = pool_ranks(costs, torch.arange(first, first + len(some)))
        for row, each in enumerate(some):
            own = slice(row, row + 1)
            found.append(RankedClip(each.id, Ranks(ranks.better[own], ranks.tied[own], ranks.relevant[own])))
    return gather_by_id(found)


@torch.no_grad()
def pool_costs(model: LipSpeech | GSM, clips: list[EncodedClip], pool: Pool) -> Tensor:
    """Costs of clips with a pool, (V, S) float32: the least fits best."""
    return cue_costs(clips, pool)[model.config.cue] if isinstance(model, GSM) else alignment_costs(model, clips, pool)

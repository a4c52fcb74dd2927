"""InfoNCE over clip-sentence pairs, with negatives from the same video or from the whole step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from .gather import all_rows, sizes_of_ranks, world_size
from .settings import REDUCTIONS, one_of, settings_of

NEGATIVES = ("video", "batch")
FALSE_NEGATIVES = ("exclude", "multi_positive")


@dataclass
class InfoNCEOutput:
    """A loss and its diagnostics; only `loss` carries a gradient.

    Attributes:
        loss: what to differentiate; a scalar, scaled for DDP's averaging, or (B,) without a reduction.
        value: the mean loss over the real pairs of all ranks.
        accuracy: share of the clips of all ranks whose sentence is nearer than every negative.
        chance: what `accuracy` is for random vectors.
        without_negatives: how many pairs of all ranks had no negative, and so no loss.
        pairs: how many real pairs all ranks had.
        spread: standard deviation of this rank's similarities; near 0 where the encoder has collapsed.
    """

    loss: Tensor
    value: Tensor
    accuracy: Tensor
    chance: Tensor
    without_negatives: Tensor
    pairs: Tensor
    spread: Tensor


class InfoNCE(nn.Module):
    """Symmetric InfoNCE over clip-sentence pairs (M-SyMoN, Eq. 2), with the positive in the denominator.

    The mean of both directions, clip to sentences and sentence to clips.  Features of all ranks are gathered with their
    gradients, and the loss is scaled for DDP's averaging: gradients are those of one process on the whole batch.

    Args:
        negatives: ``video``: the other pairs of the same video (Eq. 2); ``batch``: all other pairs.
        false_negatives: what to do with pairs of the same sentence: ``exclude`` takes them out of the denominator,
            ``multi_positive`` shares the target evenly among them (CCLM).
        reduction: ``mean`` over the pairs of all ranks; ``sum``; or ``none``, one loss for each pair of this rank.
    """

    def __init__(self, negatives: str = "video", false_negatives: str = "exclude", reduction: str = "mean") -> None:
        super().__init__()
        self.negatives = one_of("negatives", negatives, NEGATIVES)
        self.false_negatives = one_of("false_negatives", false_negatives, FALSE_NEGATIVES)
        self.reduction = one_of("reduction", reduction, REDUCTIONS)

    def extra_repr(self) -> str:
        return settings_of(self)

    def forward(
        self,
        clips: Tensor,
        texts: Tensor,
        temperature: Tensor | float,
        *,
        video: Tensor,
        sentence: Tensor,
        weight: Tensor | None = None,
    ) -> InfoNCEOutput:
        """The loss of a batch of pairs.

        Args:
            clips: (B, D) unit vectors.
            texts: (B, D) unit vectors; row i belongs to clip i.
            temperature: similarities are divided by it.
            video: (B,) int64, equal for pairs of one video, on every rank.
            sentence: (B,) int64, equal for pairs of one sentence, on every rank.
            weight: (B,) float, 1 for a real pair, 0 for one that only fills the batch.
        """
        if weight is None:
            weight = clips.new_ones(len(clips), dtype=torch.float32)
        # products of unit vectors divided by a small temperature need float32
        with torch.autocast(clips.device.type, enabled=False):
            return self._forward(clips.float(), texts.float(), temperature, video, sentence, weight)

    def _forward(
        self, clips: Tensor, texts: Tensor, temperature: Tensor | float, video: Tensor, sentence: Tensor, weight: Tensor
    ) -> InfoNCEOutput:
        everyone = gather(clips, texts, video, sentence, weight)
        own = torch.arange(len(clips), device=clips.device)[:, None] + everyone.first
        positive, negative = self._masks(everyone, own, video, sentence)
        rows = clips @ everyone.texts.T
        columns = texts @ everyone.clips.T
        candidate = positive | negative
        each = 0.5 * (
            _cross_entropy(rows / temperature, positive, candidate)
            + _cross_entropy(columns / temperature, positive, candidate)
        )
        # nothing to learn from a pair that has no negative
        teaches = weight * negative.any(dim=1)
        each = each * teaches

        with torch.no_grad():
            beaten = (negative & (rows >= rows.gather(1, own))).any(dim=1)
            odds = 1.0 / (1 + negative.sum(dim=1))
            totals = torch.stack([each.sum(), (teaches * ~beaten).sum(), (teaches * odds).sum(), teaches.sum()])
            if everyone.world > 1:
                dist.all_reduce(totals)
            total, right, chance, teaching = totals
            pairs = everyone.weight.sum()
        return InfoNCEOutput(
            loss=self._reduced(each, pairs, everyone.world),
            value=total / pairs.clamp(min=1),
            accuracy=right / teaching.clamp(min=1),
            chance=chance / teaching.clamp(min=1),
            without_negatives=pairs - teaching,
            pairs=pairs,
            spread=spread(rows),
        )

    def _masks(self, everyone: GatheredPairs, own: Tensor, video: Tensor, sentence: Tensor) -> tuple[Tensor, Tensor]:
        """Which of the B pairs of all ranks are positives and negatives of the b pairs of this rank, each (b, B).

        `own`, (b, 1), are the places of these among those.
        """
        real = everyone.weight > 0
        itself = torch.arange(len(real), device=own.device) == own
        same_video = video[:, None] == everyone.video
        same_sentence = sentence[:, None] == everyone.sentence
        if self.negatives == "video":
            same_sentence &= same_video
        else:
            same_video = torch.ones_like(same_video)
        positive = itself if self.false_negatives == "exclude" else itself | (same_sentence & real)
        return positive, same_video & ~same_sentence & real

    def _reduced(self, each: Tensor, pairs: Tensor, world: int) -> Tensor:
        """The losses (b,) of this rank, reduced over the `pairs` of all ranks and scaled for DDP's averaging."""
        if self.reduction == "none":
            return each
        total = each.sum() * world
        return total / pairs.clamp(min=1) if self.reduction == "mean" else total


def spread(similarities: Tensor) -> Tensor:
    """The standard deviation of similarities, without a gradient; 0 of a single one."""
    found = similarities.detach()
    return found.std() if found.numel() > 1 else found.new_zeros(())


def _cross_entropy(logits: Tensor, positive: Tensor, candidate: Tensor) -> Tensor:
    """(b, B) logits to (b,): soft cross-entropy over the candidates, the target even over the positives."""
    log_share = logits.masked_fill(~candidate, -torch.inf).log_softmax(dim=1)
    return -log_share.masked_fill(~positive, 0.0).sum(dim=1) / positive.sum(dim=1)


@dataclass
class GatheredPairs:
    """The pairs of all ranks, B of them.

    Attributes:
        clips, texts: (B, D), with their gradients.
        video, sentence, weight: (B,).
        first: row of this rank's first pair.
        world: how many ranks there are.
    """

    clips: Tensor
    texts: Tensor
    video: Tensor
    sentence: Tensor
    weight: Tensor
    first: int
    world: int


def gather(clips: Tensor, texts: Tensor, video: Tensor, sentence: Tensor, weight: Tensor) -> GatheredPairs:
    """The pairs of all ranks, in the order of ranks; ranks may have different numbers of them."""
    world = world_size()
    if world == 1:
        return GatheredPairs(clips, texts, video, sentence, weight, 0, 1)
    sizes = sizes_of_ranks(len(clips), clips.device)
    both = all_rows(torch.cat([clips, texts], dim=1), sizes)
    ids = all_rows(torch.stack([video, sentence], dim=1), sizes)
    weights = all_rows(weight.float(), sizes)
    width = clips.shape[1]
    first = sum(sizes[: dist.get_rank()])
    return GatheredPairs(both[:, :width], both[:, width:], ids[:, 0], ids[:, 1], weights, first, world)

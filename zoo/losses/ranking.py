"""A margin between the pairs that belong together and all others, over the batch of all ranks."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import pad

from ...kernels import pairwise_soft_dsta
from .gather import all_rows, sizes_of_ranks, world_size
from .settings import REDUCTIONS, one_of, settings_of

DIRECTIONS = ("video", "text", "both")


class PairwiseRanking(nn.Module):
    """max(cost of the right pair - cost of a wrong one + margin, 0), over every wrong pair (Video2Subtitle, Eq. 14).

    The equation is printed with the margin subtracted, under which a wrong pair teaches only where it is better by
    more than the margin; costs want it added.  Each rank aligns its videos with the texts of all ranks, so that no
    pair is computed twice; rows are gathered with their gradient, and the loss is that of one process on the whole
    batch, scaled for the averaging of DDP.

    Args:
        values: aligns every video with every text: takes video (V, n, d), text (S, m, d) and the keywords
            video_lengths (V,) and text_lengths (S,), and returns costs (V, S); one of `kernels.pairwise_*`, with its
            settings bound by functools.partial.
        margin: by how much a wrong pair should cost more, in units of cost per video step.
        directions: ``video``: wrong texts for each video; ``text``: wrong videos for each text; or ``both``.
        per_step: divide costs by the number of video steps.
        reduction: ``mean`` over the wrong pairs; ``sum``; or ``none``: (b,), the mean for each video of this rank,
            unscaled.
    """

    def __init__(
        self,
        values: Callable[..., Tensor] = pairwise_soft_dsta,
        *,
        margin: float = 0.1,
        directions: str = "video",
        per_step: bool = True,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        self.values = values
        self.margin = margin
        self.directions = one_of("directions", directions, DIRECTIONS)
        self.per_step = per_step
        self.reduction = one_of("reduction", reduction, REDUCTIONS)

    def extra_repr(self) -> str:
        return settings_of(self)

    def forward(
        self,
        video: Tensor,
        text: Tensor,
        *,
        video_lengths: Tensor | None = None,
        text_lengths: Tensor | None = None,
    ) -> Tensor:
        """The loss of b pairs: video (b, n, d) and text (b, m, d), row i of one belongs to row i of the other.

        Ranks may have different b, n and m.

        Raises:
            ValueError: where there are not as many texts as videos.
        """
        if len(video) != len(text):
            raise ValueError(
                f"{len(video)} videos and {len(text)} texts: row i of one must belong to row i of the other"
            )
        if video_lengths is None:
            video_lengths = torch.full((len(video),), video.shape[1], device=video.device)
        if text_lengths is None:
            text_lengths = torch.full((len(text),), text.shape[1], device=text.device)
        first, sizes = 0, [len(video)]
        everyone, everyone_lengths = text, text_lengths
        if world_size() > 1:
            sizes = sizes_of_ranks(len(video), video.device)
            first = sum(sizes[: dist.get_rank()])
            longest = max(sizes_of_ranks(text.shape[1], text.device))
            everyone = all_rows(pad(text, (0, 0, 0, longest - text.shape[1])), sizes)
            everyone_lengths = all_rows(text_lengths, sizes)

        cost = self.values(video, everyone, video_lengths=video_lengths, text_lengths=everyone_lengths)
        if self.per_step:
            cost = cost / video_lengths[:, None].to(cost.device)
        if world_size() > 1:
            cost = all_rows(cost, sizes)  # (b, B) of this rank to (B, B)
        each = self._per_video(cost)
        if self.reduction == "none":
            return each[first : first + len(video)]
        return each.mean() if self.reduction == "mean" else each.sum() * max(1, len(each) - 1)

    def _per_video(self, cost: Tensor) -> Tensor:
        """(B, B) to (B,): the mean over the wrong pairs of each video."""
        right = cost.diagonal()
        wrong = ~torch.eye(len(cost), dtype=torch.bool, device=cost.device)
        hinge = torch.zeros_like(cost)
        if self.directions in ("video", "both"):
            hinge = hinge + (right[:, None] - cost + self.margin).clamp(min=0)
        if self.directions in ("text", "both"):
            hinge = hinge + (right[None, :] - cost + self.margin).clamp(min=0)
        if self.directions == "both":
            hinge = hinge / 2
        return hinge.where(wrong, 0.0).sum(dim=1) / max(1, len(cost) - 1)

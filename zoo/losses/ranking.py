"""A margin between the pairs that belong together and all others, over the batch of all ranks."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import pad

from ...kernels import pairwise_soft_dsta
from .gather import all_rows, sizes_of_ranks, world_size
from .settings import REDUCTIONS, one_of, reduced, settings_of

DIRECTIONS = ("video", "text", "both")


class PairwiseRanking(nn.Module):
    """max(cost of the right pair - cost of a wrong one + margin, 0), over every wrong pair (Video2Subtitle, Eq. 14).

    The printed equation subtracts the margin, which suits similarities; costs want it added.  Each rank aligns its
    videos with the texts of all ranks, gathered with their gradients; the loss is scaled for DDP's averaging, so that
    gradients are those of one process on the whole batch.

    A wrong pair that cannot be aligned costs +inf and adds 0. A right pair that cannot be aligned is an error on the
    CPU; on a GPU, where checking would wait for the device, its terms are 0 and count in the mean.

    Args:
        values: aligns every video with every text: takes video (V, n, d), text (S, m, d) and the keywords
            video_lengths (V,) and text_lengths (S,), and returns costs (V, S); one of `kernels.pairwise_*`, with its
            settings bound by functools.partial.
        margin: by how much a wrong pair should cost more, in units of cost per video step; finite.
        directions: ``video``: wrong texts for each video; ``text``: wrong videos for each text; or ``both``.
        per_step: divide costs by the number of video steps.
        reduction: ``mean`` over the wrong pairs; ``sum``; or ``none``: (b,), the mean for each video of this rank,
            unscaled.  The mean of no pairs is 0.

    Raises:
        ValueError: for settings of another kind.
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
        if not callable(values):
            raise ValueError(f"values must be a function such as kernels.pairwise_soft_dsta, not {values!r}")
        if not isinstance(margin, int | float) or not math.isfinite(margin):
            raise ValueError(f"margin must be a finite number, not {margin!r}")
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
            ValueError: for other shapes; where there are not as many texts as videos; on the CPU, for a right pair
                without an alignment, by its place among the pairs of all ranks.
        """
        if video.dim() != 3 or text.dim() != 3:
            raise ValueError(f"video {tuple(video.shape)} and text {tuple(text.shape)} must be (b, n, d) and (b, m, d)")
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
            cost = cost / video_lengths[:, None].to(cost.device).clamp(min=1)  # +inf / 0 has the gradient NaN
        if world_size() > 1:
            cost = all_rows(cost, sizes)  # (b, B) of this rank to (B, B)
        if cost.device.type == "cpu":
            _check_right(cost)
        each = self._per_video(cost)
        if self.reduction == "none":
            return each[first : first + len(video)]
        return reduced(each, self.reduction) * (max(1, len(each) - 1) if self.reduction == "sum" else 1)

    def _per_video(self, cost: Tensor) -> Tensor:
        """(B, B) to (B,): the mean over the wrong pairs of each video."""
        right = cost.diagonal()
        right = right.masked_fill(right == torch.inf, -torch.inf)  # no hinge of it is above 0, and none is inf - inf
        wrong = ~torch.eye(len(cost), dtype=torch.bool, device=cost.device)
        hinge = torch.zeros_like(cost)
        if self.directions in ("video", "both"):
            hinge = hinge + (right[:, None] - cost + self.margin).clamp(min=0)
        if self.directions in ("text", "both"):
            hinge = hinge + (right[None, :] - cost + self.margin).clamp(min=0)
        if self.directions == "both":
            hinge = hinge / 2
        return hinge.where(wrong, 0.0).sum(dim=1) / max(1, len(cost) - 1)


def _check_right(cost: Tensor) -> None:
    """Raises ValueError, naming the pair, where a right pair of (B, B) costs +inf."""
    unaligned = (cost.detach().diagonal() == torch.inf).nonzero()[:, 0].tolist()
    if unaligned:
        more = f", nor can {len(unaligned) - 1} other right pairs" if len(unaligned) > 1 else ""
        raise ValueError(
            f"video {unaligned[0]} cannot be aligned with text {unaligned[0]}, its own{more}: the lengths do not fit "
            "the window or the band, or masks leave no path; widen them, or leave the pair out of the batch"
        )

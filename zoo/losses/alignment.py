"""Soft alignment values as losses: the cost of aligning pairs that belong together.

An encoder that learns from them alone collapses, since equal vectors cost nothing: add `PairwiseRanking`, or put
negatives into the costs, such as a log softmax over the texts.
"""

from __future__ import annotations

from torch import Tensor, nn

from ...kernels import soft_drop_dtw, soft_dsta, soft_dtw
from ...kernels.arguments import check_dsta_settings, check_positive, check_whole
from .settings import REDUCTIONS, one_of, reduced, settings_of


class _AlignmentLoss(nn.Module):
    """What the losses below share: a temperature, a band, the division by the length, and the reduction."""

    def __init__(
        self, gamma: float = 0.1, *, band: int | None = None, per_step: bool = True, reduction: str = "mean"
    ) -> None:
        super().__init__()
        check_positive("gamma", gamma)
        check_whole("band", band)
        self.gamma = gamma
        self.band = band
        self.per_step = per_step
        self.reduction = one_of("reduction", reduction, REDUCTIONS)

    def extra_repr(self) -> str:
        return settings_of(self)

    def _finish(self, value: Tensor, cost: Tensor, video_lengths: Tensor | None) -> Tensor:
        if self.per_step:
            # a pair without video steps is dropped text alone, and keeps its price
            value = value / (
                max(1, cost.shape[1]) if video_lengths is None else video_lengths.to(value.device).clamp(min=1)
            )
        return reduced(value, self.reduction)


class SoftDTW(_AlignmentLoss):
    """`kernels.soft_dtw` as a loss: every video step and every text lies on the path.

    Alone it collapses an encoder, as vectors that are all alike cost nothing: take `PairwiseRanking`, or costs with
    negatives.

    Args:
        gamma: temperature of the soft minimum, in units of cost; positive.
        band: keep only cells within `band` texts of the line from corner to corner; None keeps all.
        per_step: divide each value by the pair's number of video steps, so that long pairs do not weigh more.
        reduction: ``mean`` over the pairs, 0 where there are none; ``sum``; or ``none``: (B,).

    Raises:
        ValueError: for settings of another kind.
    """

    def forward(
        self, cost: Tensor, *, video_lengths: Tensor | None = None, text_lengths: Tensor | None = None
    ) -> Tensor:
        """The loss of pairs with costs (B, n, m) and lengths (B,); errors are those of `kernels.soft_dtw`."""
        value = soft_dtw(cost, video_lengths=video_lengths, text_lengths=text_lengths, gamma=self.gamma, band=self.band)
        return self._finish(value, cost, video_lengths)


class SoftDSTA(_AlignmentLoss):
    """`kernels.soft_dsta` as a loss: every video step takes one text, texts may be skipped.

    Alone it collapses an encoder, as vectors that are all alike cost nothing: take `PairwiseRanking`, or costs with
    negatives.

    Args:
        gamma: temperature of the soft minimum, in units of cost; positive.
        window: how far the text of one step may lie from that of the next; None: as far as it likes.
        order_weight: price of each text gone back beyond the margin.
        order_margin: how many texts one may go back for free.
        band: keep only cells within `band` texts of the line from corner to corner; None keeps all.
        per_step: divide each value by the pair's number of video steps, so that long pairs do not weigh more.
        reduction: ``mean`` over the pairs, 0 where there are none; ``sum``; or ``none``: (B,).

    Raises:
        ValueError: for settings of another kind.
    """

    def __init__(
        self,
        gamma: float = 0.1,
        *,
        window: int | None = None,
        order_weight: float = 1.0,
        order_margin: int = 1,
        band: int | None = None,
        per_step: bool = True,
        reduction: str = "mean",
    ) -> None:
        super().__init__(gamma, band=band, per_step=per_step, reduction=reduction)
        check_whole("window", window)
        check_dsta_settings(order_weight, order_margin, band)
        self.window = window
        self.order_weight = order_weight
        self.order_margin = order_margin

    def forward(
        self,
        cost: Tensor,
        *,
        video_lengths: Tensor | None = None,
        text_lengths: Tensor | None = None,
        window: Tensor | None = None,
    ) -> Tensor:
        """The loss of pairs with costs (B, n, m) and lengths (B,); `window` (B,) goes before the module's own.

        Errors are those of `kernels.soft_dsta`.
        """
        value = soft_dsta(
            cost,
            video_lengths=video_lengths,
            text_lengths=text_lengths,
            gamma=self.gamma,
            window=self.window if window is None else window,
            order_weight=self.order_weight,
            order_margin=self.order_margin,
            band=self.band,
        )
        return self._finish(value, cost, video_lengths)


class SoftDropDTW(_AlignmentLoss):
    """`kernels.soft_drop_dtw` as a loss: video steps and texts without a counterpart are dropped at a price.

    Alone it collapses an encoder, as vectors that are all alike cost nothing: take `PairwiseRanking`, or costs with
    negatives.

    Args:
        gamma: temperature of the soft minimum, in units of cost; positive.
        contiguous: whether the steps of one text must be neighbours.
        band: keep only cells within `band` texts of the line from corner to corner; None keeps all.
        per_step: divide each value by the pair's number of video steps, so that long pairs do not weigh more.
        reduction: ``mean`` over the pairs, 0 where there are none; ``sum``; or ``none``: (B,).

    Raises:
        ValueError: for settings of another kind.
    """

    def __init__(
        self,
        gamma: float = 0.1,
        *,
        contiguous: bool = True,
        band: int | None = None,
        per_step: bool = True,
        reduction: str = "mean",
    ) -> None:
        super().__init__(gamma, band=band, per_step=per_step, reduction=reduction)
        self.contiguous = contiguous

    def forward(
        self,
        cost: Tensor,
        drop_video: Tensor | float,
        drop_text: Tensor | float | None = None,
        *,
        video_lengths: Tensor | None = None,
        text_lengths: Tensor | None = None,
    ) -> Tensor:
        """The loss of pairs with costs (B, n, m); drop costs broadcast to (B, n) and (B, m) and may be learned.

        Errors are those of `kernels.soft_drop_dtw`.
        """
        value = soft_drop_dtw(
            cost,
            drop_video,
            drop_text,
            video_lengths=video_lengths,
            text_lengths=text_lengths,
            gamma=self.gamma,
            contiguous=self.contiguous,
            band=self.band,
        )
        return self._finish(value, cost, video_lengths)

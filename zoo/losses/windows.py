"""Contrast between windows: the soft alignment cost of one's clips with the sentences of each."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from ...kernels import pairwise_cosine_cost, pairwise_soft_dtw, percentile_drop, soft_drop_dtw
from ...kernels.arguments import check_positive
from .info_nce import InfoNCEOutput, gather, spread
from .settings import one_of, settings_of

ALIGNERS = ("soft_dtw", "soft_drop_dtw")


class WindowNCE(nn.Module):
    """Symmetric cross-entropy over windows of neighbouring clips and their sentences.

    `InfoNCE` trusts every weak pair; here a sentence only has to fit somewhere in its window, in order.  The logit of
    two windows is minus their soft alignment cost per step, over the temperature; windows of all ranks are negatives.
    ``soft_drop_dtw`` drops clips and sentences that fit nowhere, at Drop-DTW's percentile drop cost (Dvornik et al.,
    2021, section 3.3). A window is a run of pairs of one video, in the order of its clips; with windows of one pair
    ``soft_dtw`` is `InfoNCE` over the whole batch.

    Args:
        aligner: ``soft_dtw`` or ``soft_drop_dtw``.
        gamma: temperature of the soft minimum, in units of cost; positive.
        drop_share: quantile, in [0, 1], of all costs of the step that is the price of dropping.

    Raises:
        ValueError: for settings of another kind.
    """

    def __init__(self, aligner: str = "soft_drop_dtw", *, gamma: float = 0.1, drop_share: float = 0.3) -> None:
        super().__init__()
        self.aligner = one_of("aligner", aligner, ALIGNERS)
        check_positive("gamma", gamma)
        if not isinstance(drop_share, int | float) or not 0 <= drop_share <= 1:
            raise ValueError(f"drop_share must lie in [0, 1], not {drop_share!r}")
        self.gamma = gamma
        self.drop_share = drop_share

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
        """The loss of a batch of pairs; arguments as `InfoNCE.forward`, pairs of a window next to each other.

        Every rank computes the loss of all windows, gathered with their gradients; after DDP's averaging these are the
        gradients of one process.  ``accuracy`` is of windows; ``pairs`` and ``without_negatives`` count pairs.
        """
        if weight is None:
            weight = clips.new_ones(len(clips), dtype=torch.float32)
        with torch.autocast(clips.device.type, enabled=False):
            everyone = gather(clips.float(), texts.float(), video, sentence, weight)
            real = (everyone.weight > 0).nonzero()[:, 0]
            rows = windows(everyone.video[real], everyone.sentence[real])
            logits = -self._costs_per_step(everyone.clips[real], everyone.texts[real], rows) / temperature  # (G, G)
            target = torch.arange(len(rows), device=logits.device)
            loss = 0.5 * (cross_entropy(logits, target) + cross_entropy(logits.T, target))

        with torch.no_grad():
            others = logits.masked_fill(target[:, None] == target, -torch.inf)
            accuracy = (others < logits.diagonal()[:, None]).all(dim=1).float().mean()
        pairs = loss.new_tensor(len(real))
        return InfoNCEOutput(
            loss=loss,
            value=loss.detach(),
            accuracy=accuracy,
            chance=loss.new_tensor(1.0 / len(rows)),
            without_negatives=pairs if len(rows) == 1 else torch.zeros_like(pairs),
            pairs=pairs,
            spread=spread(clips.float() @ texts.float().T),
        )

    def _costs_per_step(self, clips: Tensor, texts: Tensor, rows: list[tuple[Tensor, Tensor]]) -> Tensor:
        """(G, G) alignment costs for each step, of windows of clips with windows of sentences; `rows` as `windows`."""
        n = torch.tensor([len(window) for window, _ in rows])
        m = torch.tensor([len(window) for _, window in rows])
        video = pad_sequence([clips[window] for window, _ in rows], batch_first=True)  # (G, n, D)
        text = pad_sequence([texts[window] for _, window in rows], batch_first=True)  # (G, m, D)
        if self.aligner == "soft_dtw":
            values = pairwise_soft_dtw(video, text, video_lengths=n, text_lengths=m, gamma=self.gamma)
            return values / torch.maximum(n[:, None], m).to(values)
        return self._drop_costs(video, text, n, m) / (n[:, None] + m).to(video)

    def _drop_costs(self, video: Tensor, text: Tensor, n: Tensor, m: Tensor) -> Tensor:
        cost = pairwise_cosine_cost(video, text)  # (G, G, n, m)
        with torch.no_grad():
            real_steps = torch.arange(cost.shape[2]) < n[:, None]
            real_texts = torch.arange(cost.shape[3]) < m[:, None]
            real = real_steps[:, None, :, None] & real_texts[:, None]
            price = percentile_drop(cost[real.to(cost.device)][None], torch.tensor([self.drop_share])).to(cost)
        values = soft_drop_dtw(
            cost.flatten(0, 1),
            price,
            price,
            video_lengths=n.repeat_interleave(len(m)),
            text_lengths=m.repeat(len(n)),
            gamma=self.gamma,
        )
        return values.view(len(n), len(m))


def windows(video: Tensor, sentence: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Where each window lies among pairs: rows of its clips, and the first row of each of its sentences, in order.

    Args:
        video: (B,) int64; a run of equal numbers is a window.
        sentence: (B,) int64; a run of equal numbers within a window is one sentence.

    Returns:
        for each window, (n,) and (m,) indices.

    Raises:
        ValueError: there is no pair.
    """
    if not len(video):
        raise ValueError("no pair in the whole batch, so no window")
    video, sentence = video.cpu(), sentence.cpu()
    rows = torch.arange(len(video))
    new_window = torch.ones(len(video), dtype=torch.bool)
    new_window[1:] = video[1:] != video[:-1]
    new_sentence = new_window.clone()
    new_sentence[1:] |= sentence[1:] != sentence[:-1]
    window = new_window.cumsum(0) - 1
    count = int(window[-1]) + 1
    return [(rows[window == each], rows[(window == each) & new_sentence]) for each in range(count)]

"""The alignment loss: cells on the known path should be near, all others far (Video2Subtitle, Eq. 15)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from .settings import REDUCTIONS, one_of, reduced, settings_of

#: least probability of a cell, so that no logarithm is infinite
LEAST = 1e-6


class PathCrossEntropy(nn.Module):
    """Binary cross-entropy of (cosine + 1) / 2 over the cells of pairs whose alignment is known.

    The printed target I(i = j) only fits sequences of one length and pace; here it is the path that timestamps give,
    `path_cells`. Cells on the path, which are few, and the others weigh one half each.

    Args:
        reduction: ``mean`` over the pairs that have a path, ``sum``, or ``none``: (B,), 0 for a pair without one.
    """

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = one_of("reduction", reduction, REDUCTIONS)

    def extra_repr(self) -> str:
        return settings_of(self)

    def forward(self, video: Tensor, text: Tensor, path: Tensor) -> Tensor:
        """The loss of B pairs.

        Args:
            video: (B, n, D).
            text: (B, m, D).
            path: (B, n, m) bool, true on the path.  Rows and columns without any such cell, where nobody speaks or
                where there is padding, do not count.

        Raises:
            ValueError: for another shape or type.
        """
        expected = (len(video), video.shape[1], text.shape[1])
        if path.dtype != torch.bool or path.shape != expected:
            raise ValueError(f"path must be bool (B, n, m) = {expected}, not {path.dtype} {tuple(path.shape)}")
        with torch.autocast(video.device.type, enabled=False):  # 1 - cosine of near cells needs all its digits
            cosines = normalize(video.float(), dim=-1) @ normalize(text.float(), dim=-1).transpose(1, 2)
        likely = (cosines + 1) / 2
        counted = path.any(dim=2, keepdim=True) & path.any(dim=1, keepdim=True)
        near = -likely.clamp(min=LEAST).log()
        far = -(1 - likely).clamp(min=LEAST).log()
        each = (_mean(near, path & counted) + _mean(far, ~path & counted)) / 2
        if self.reduction == "mean":
            return each.sum() / path.flatten(1).any(dim=1).sum().clamp(min=1)
        return reduced(each, self.reduction)


def path_cells(video_times: Tensor, text_times: Tensor, spoken: Tensor, synthesised: Tensor) -> Tensor:
    """The path that timestamps give: which steps of the synthesised speech say what is said at each video step.

    Within a sentence both run evenly: a step meets the other's step nearest to the same fraction of the sentence.  A
    step between sentences meets none.

    Args:
        video_times: (n,) seconds in the video that its steps stand for, ascending.
        text_times: (m,) seconds in the synthesised speech, ascending.
        spoken: (K, 2) when each sentence is spoken in the video, half open.
        synthesised: (K, 2) when it is spoken in the synthesised speech.

    Returns:
        (n, m) bool.

    Raises:
        ValueError: for other shapes, or a sentence that ends before it begins.
    """
    if spoken.shape != synthesised.shape or spoken.ndim != 2 or spoken.shape[1] != 2:
        raise ValueError(f"both spans must be (K, 2), not {tuple(spoken.shape)} and {tuple(synthesised.shape)}")
    for name, spans in (("spoken", spoken), ("synthesised", synthesised)):
        if bool((spans[:, 1] < spans[:, 0]).any()):
            raise ValueError(f"{name} sentence {int((spans[:, 1] < spans[:, 0]).nonzero()[0])} ends before it begins")
    cells = torch.zeros(len(video_times), len(text_times), dtype=torch.bool)
    if not cells.numel():
        return cells
    i, j = _meetings(video_times, text_times, spoken, synthesised)
    cells[i, j] = True
    j, i = _meetings(text_times, video_times, synthesised, spoken)
    cells[i, j] = True
    return cells


def _meetings(times: Tensor, others: Tensor, spans: Tensor, other_spans: Tensor) -> tuple[Tensor, Tensor]:
    """Steps of `times` inside a span, and which of `others` is nearest to the same place of the other span."""
    steps, nearest = [torch.zeros(0, dtype=torch.long)], [torch.zeros(0, dtype=torch.long)]
    for (start, end), (other_start, other_end) in zip(spans.tolist(), other_spans.tolist(), strict=True):
        candidates = ((others >= other_start) & (others < other_end)).nonzero().flatten()
        inside = ((times >= start) & (times < end)).nonzero().flatten()
        if not len(candidates) or not len(inside):
            continue
        when = other_start + (times[inside] - start) / (end - start) * (other_end - other_start)
        steps.append(inside)
        nearest.append(candidates[(others[candidates] - when[:, None]).abs().argmin(dim=1)])
    return torch.cat(steps), torch.cat(nearest)


def _mean(x: Tensor, where: Tensor) -> Tensor:
    """(B, n, m) to (B,): the mean over the cells of each pair, 0 where it has none."""
    return x.where(where, 0.0).flatten(1).sum(dim=1) / where.flatten(1).sum(dim=1).clamp(min=1)

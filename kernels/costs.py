"""From similarities to what an alignment pays: the cost of a match, and three policies for the cost of a drop.

A constant needs no function: `drop_dtw` takes numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def cosine_cost(video: Tensor, text: Tensor) -> Tensor:
    """1 - cosine, in [0, 2] (M-SyMoN, section 5).

    Args:
        video: (B, n, d) or (n, d), any length; a zero vector is at cost 1 from everything.
        text: (B, m, d) or (m, d).

    Returns:
        (B, n, m), or (n, m) for two matrices, in the dtype of the inputs.

    Raises:
        ValueError: where the shapes do not go together.
    """
    fits = video.dim() == text.dim() and video.dim() in (2, 3) and video.shape[-1] == text.shape[-1]
    if not fits or video.shape[:-2] != text.shape[:-2]:
        raise ValueError(
            f"video {tuple(video.shape)} and text {tuple(text.shape)} must be (B, n, d) and (B, m, d), "
            "or (n, d) and (m, d)"
        )
    return (1.0 - normalize(video, dim=-1) @ normalize(text, dim=-1).transpose(-1, -2)).clamp(0.0, 2.0)


def percentile_drop(cost: Tensor, shares: Tensor) -> Tensor:
    """Drop costs that sit at the same place in every video: quantiles of its own cost matrix.

    Args:
        cost: (n, m) of one video; masked cells (+inf) do not count.
        shares: (S,) in [0, 1].

    Returns:
        (S,) float64; zeros where no cell is left.

    Raises:
        ValueError: for a share outside [0, 1].
    """
    shares = torch.as_tensor(shares, dtype=torch.float64, device=cost.device)
    if shares.numel() and not bool(((shares >= 0) & (shares <= 1)).all()):
        raise ValueError(f"shares must lie in [0, 1], not {shares.tolist()}")
    kept = cost[cost.isfinite()].double()
    return torch.quantile(kept, shares) if len(kept) else torch.zeros_like(shares)


def logit_costs(similarity: Tensor, *, keep_share: float = 0.3, temperature: float = 0.1) -> tuple[Tensor, Tensor]:
    """Match and drop costs as negative log posteriors over texts and "none of them" (Drop-DTW, logit policy).

    "None" has the similarity of the entry that leaves the best `keep_share` of all entries above it.

    Args:
        similarity: (n, m) cosines of one video.
        keep_share: share of entries in (0, 1] that beat "none".
        temperature: divides the similarities before the softmax over texts.

    Returns:
        cost (n, m) and drop_video (n,), in nats, float64.

    Raises:
        ValueError: for a share outside (0, 1] or a temperature that is not positive.
    """
    if not 0 < keep_share <= 1:
        raise ValueError(f"keep_share must lie in (0, 1], not {keep_share}")
    if temperature <= 0:
        raise ValueError(f"temperature must be positive, not {temperature}")
    if similarity.numel() == 0:
        return similarity.double(), similarity.new_zeros(similarity.shape[0], dtype=torch.float64)
    similarity = similarity.double()
    kept = max(1, int(similarity.numel() * keep_share))
    none = similarity.flatten().topk(kept).values[-1].expand(len(similarity), 1)
    posterior = torch.softmax(torch.cat([similarity, none], dim=1) / temperature, dim=1)
    nats = -torch.log(posterior + 1e-5)
    return nats[:, :-1], nats[:, -1]

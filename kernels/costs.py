"""From similarities to what an alignment pays: the cost of a match, a prior on durations, and policies for drops.

A constant drop cost needs no function: `drop_dtw` takes numbers.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

from . import cpu, internals
from .arguments import at_least_float32
from .dispatch import call, operator

#: a vector shorter than this has no direction
SHORTEST = 1e-12


def cosine_cost(video: Tensor, text: Tensor) -> Tensor:
    """1 - cosine, in [0, 2] (M-SyMoN, section 5).

    Args:
        video: (B, n, d) or (n, d), any length; a zero vector, or one shorter than 1e-12, is at cost 1 from
            everything and has no gradient.
        text: (B, m, d) or (m, d).

    Returns:
        (B, n, m), or (n, m) for two matrices; float64 for float64 and float32 otherwise, also under autocast.

    Raises:
        ValueError: where the shapes do not go together.
    """
    fits = video.dim() == text.dim() and video.dim() in (2, 3) and video.shape[-1] == text.shape[-1]
    if not fits or video.shape[:-2] != text.shape[:-2]:
        raise ValueError(
            f"video {tuple(video.shape)} and text {tuple(text.shape)} must be (B, n, d) and (B, m, d), "
            "or (n, d) and (m, d)"
        )
    return (1.0 - cosines(video, text)).clamp(0.0, 2.0)


def pairwise_cosine_cost(video: Tensor, text: Tensor) -> Tensor:
    """1 - cosine of every step of every video with every step of every text.

    Args:
        video: (V, n, d), of any length, as in `cosine_cost`.
        text: (S, m, d).

    Returns:
        (V, S, n, m): contiguous from the C++ library on the CPU; else a view of one matrix product, whose rows lie
        S * m apart, without a copy.

    Raises:
        ValueError: where the shapes do not go together.
    """
    if video.dim() != 3 or text.dim() != 3 or video.shape[-1] != text.shape[-1]:
        raise ValueError(f"video {tuple(video.shape)} and text {tuple(text.shape)} must be (V, n, d) and (S, m, d)")
    return unit_cost(unit(video), unit(text))


def cosines(video: Tensor, text: Tensor) -> Tensor:
    """(..., n, m) of vectors (..., n, d) with vectors (..., m, d), float64 for float64 and float32 otherwise.

    Autocast is off meanwhile: the eight bits of bfloat16 do not tell neighbouring steps apart.
    """
    with torch.autocast(video.device.type, enabled=False):
        return unit(video) @ unit(text).transpose(-1, -2)


def unit(x: Tensor) -> Tensor:
    """Vectors (..., d) at length 1, float64 for float64 and float32 otherwise.

    One without a direction becomes 0, with gradient 0 where 1 / length explodes.
    """
    x = at_least_float32(x)
    length = x.norm(dim=-1, keepdim=True)
    short = length <= SHORTEST  # not so for NaN, which stays what it is
    return (x / length.masked_fill(short, 1.0)).masked_fill(short, 0.0)


def unit_cost(video: Tensor, text: Tensor, extra: Tensor | None = None) -> Tensor:
    """`pairwise_cosine_cost` of unit vectors, plus `extra` (S, n, m), or (1, n, m) for all texts."""
    with torch.autocast(video.device.type, enabled=False):
        return _unit_cost(at_least_float32(video), at_least_float32(text), extra)


def _unit_cost(video: Tensor, text: Tensor, extra: Tensor | None) -> Tensor:
    if _in_tiles(video, text, extra):
        return call(unit_cost_tiles, video, text, extra)
    products = torch.addmm(video.new_ones(1, 1), video.flatten(0, 1), text.flatten(0, 1).T, alpha=-1.0)
    costs = products.unflatten(1, text.shape[:2]).unflatten(0, video.shape[:2]).transpose(1, 2)
    return costs if extra is None else costs.add_(extra)


@operator("unit_cost")
def unit_cost_tiles(video: Tensor, text: Tensor, extra: Tensor | None) -> Tensor:
    """`unit_cost` in C++, without a derivative: contiguous, pair by pair, as the recurrences read it.

    It takes half the time of torch's matrix product on processors where that uses half of the vector width.
    """
    return cpu.unit_cost(video, text, extra)


@unit_cost_tiles.register_fake
def _(video: Tensor, text: Tensor, extra: Tensor | None) -> Tensor:
    return video.new_empty(len(video), len(text), video.shape[1], text.shape[1])


def _in_tiles(*given: Tensor | None) -> bool:
    """Whether the C++ library may compute the product: float32 on the CPU, and nobody asks for a derivative."""
    tensors = [x for x in given if x is not None]
    plain = all(x.is_cpu and x.dtype == torch.float32 and unpack_dual(x).tangent is None for x in tensors)
    followed = torch.is_grad_enabled() and any(x.requires_grad for x in tensors)
    transformed = torch.compiler.is_compiling() or internals.transforms_active()
    return not transformed and plain and not followed and cpu.available()


def duration_prior(
    n: int,
    m: int,
    *,
    rate: Tensor | float = 0.85,
    tolerance: float = 2.0,
    form: str = "square",
    device: torch.device | str | None = None,
) -> Tensor:
    """How unlikely it is that speech of a known rate is at text step j after video step i (Video2Subtitle, Eq. 5).

    1 - exp(-(j - rate i)^2 / (2 tolerance^2 i)), with i and j from 1: a Gaussian whose variance grows with time.  The
    equation is printed with |j - rate i| where its own derivation has the square; `form="printed"` gives that.

    Args:
        n: video steps.
        m: text steps.
        rate: text steps per video step, a number or a tensor (...), such as a learned rate for each pair's language.
        tolerance: standard deviation after one video step, in text steps.
        form: ``square`` or ``printed``.
        device: where to make it; that of `rate` if it is a tensor.

    Returns:
        (..., n, m) in [0, 1), to be added to a cost with a weight; differentiable in `rate`.

    Raises:
        ValueError: for another form, or a tolerance that is not positive.
    """
    if form not in ("square", "printed"):
        raise ValueError(f"form must be 'square' or 'printed', not {form!r}")
    if not tolerance > 0:
        raise ValueError(f"tolerance must be positive, not {tolerance}")
    rate = torch.as_tensor(rate, device=device)
    i = torch.arange(1, n + 1, device=rate.device, dtype=torch.float32)[:, None]
    j = torch.arange(1, m + 1, device=rate.device, dtype=torch.float32)
    away = j - rate[..., None, None] * i
    return 1.0 - torch.exp(-(away.square() if form == "square" else away.abs()) / (2.0 * tolerance**2 * i))


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
    if cost.device.type == "cpu" and not cost.requires_grad:
        return _quantiles(cost.flatten(), shares)
    kept = cost[cost.isfinite()].double()
    return torch.quantile(kept, shares) if len(kept) else torch.zeros_like(shares)


def _quantiles(values: Tensor, shares: Tensor) -> Tensor:
    """`torch.quantile` of the finite values; NumPy sorts many times as fast as torch, in the values' own precision."""
    plain = values if values.dtype in (torch.float32, torch.float64) else values.float()
    ordered = np.sort(plain.numpy())  # NaN stands last, after +inf
    first, last = np.searchsorted(ordered, -np.inf, side="right"), np.searchsorted(ordered, np.inf, side="left")
    kept = torch.from_numpy(ordered[first:last])
    if len(kept) == 0:
        return torch.zeros_like(shares)
    place = shares * (len(kept) - 1)
    below = place.long()
    low, high = kept[below].double(), kept[(below + 1).clamp(max=len(kept) - 1)].double()
    return torch.lerp(low, high, place - below)


def logit_costs(similarity: Tensor, *, keep_share: float = 0.3, temperature: float = 0.1) -> tuple[Tensor, Tensor]:
    """Match and drop costs as negative log posteriors over texts and "none of them" (Drop-DTW, logit policy).

    "None" has the similarity of the entry that leaves the best `keep_share` of all entries above it; no gradient flows
    through that choice.

    Args:
        similarity: (n, m) cosines of one video.
        keep_share: share of entries in (0, 1] that beat "none".
        temperature: divides the similarities before the softmax over texts.

    Returns:
        cost (n, m) and drop_video (n,), in nats, float64, at most 11.5: a posterior counts as 1e-5 at least.

    Raises:
        ValueError: for a share outside (0, 1] or a temperature that is not positive.
    """
    if not 0 < keep_share <= 1:
        raise ValueError(f"keep_share must lie in (0, 1], not {keep_share}")
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, not {temperature}")
    if similarity.numel() == 0:
        return similarity.double(), similarity.new_zeros(similarity.shape[0], dtype=torch.float64)
    kept = max(1, int(similarity.numel() * keep_share))
    none = _largest(similarity.detach().flatten().double(), kept).expand(len(similarity), 1)
    posterior = torch.softmax(torch.cat([similarity.double(), none], dim=1) / temperature, dim=1)
    nats = -torch.log(posterior + 1e-5)
    return nats[:, :-1], nats[:, -1]


def _largest(values: Tensor, count: int) -> Tensor:
    """The `count`-th largest of `values` (N,); NaN counts as the largest.  NumPy takes a tenth of torch's time."""
    place = len(values) - count
    if values.device.type != "cpu":
        return values.kthvalue(place + 1).values
    return torch.from_numpy(np.partition(values.numpy(), place))[place]

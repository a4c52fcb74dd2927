"""The pre-training of SyncNet (Nagrani et al., 2020): what is said at the same time, and who says it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from ...kernels.costs import cosines
from .gather import all_rows, sizes_of_ranks, world_size


@dataclass
class SyncNetLossOutput:
    """The loss and its diagnostics.

    Attributes:
        loss: weighted sum of the two below, with gradient.
        content: cross-entropy over the times of a clip.
        identity: cross-entropy over the clips of the batch.
        content_accuracy: share of times whose own speech is the nearest.
        identity_accuracy: share of faces whose own voice is the nearest.
    """

    loss: Tensor
    content: Tensor
    identity: Tensor
    content_accuracy: Tensor
    identity_accuracy: Tensor


class SyncNetLoss(nn.Module):
    """Cross-entropy of scaled cosines, scale and shift learned.

    Content: each time step of the lips against all of the clip's own speech.  Identity: one random time of each face
    against all voices of all ranks, averaged over time.

    Args:
        content_weight, identity_weight: of the two parts.
        scale, shift: at the start, for both parts.
    """

    def __init__(
        self, *, content_weight: float = 1.0, identity_weight: float = 1.0, scale: float = 10.0, shift: float = -5.0
    ) -> None:
        super().__init__()
        self.content_weight = content_weight
        self.identity_weight = identity_weight
        self.content_scale = nn.Parameter(torch.tensor(scale))
        self.content_shift = nn.Parameter(torch.tensor(shift))
        self.identity_scale = nn.Parameter(torch.tensor(scale))
        self.identity_shift = nn.Parameter(torch.tensor(shift))

    def forward(
        self,
        lip_content: Tensor,
        speech_content: Tensor,
        face: Tensor,
        voice: Tensor,
        *,
        generator: Generator | None = None,
    ) -> SyncNetLossOutput:
        """The loss of B clips from (B, T, D) embeddings, row i of each from the same clip.

        Args:
            generator: draws the time at which faces are seen.

        Raises:
            ValueError: where the four are not of one shape.
        """
        shapes = {tuple(x.shape) for x in (lip_content, speech_content, face, voice)}
        if len(shapes) != 1 or lip_content.ndim != 3:
            raise ValueError(f"embeddings must have one shape (B, T, D), not {sorted(shapes)}")
        clips, times = face.shape[:2]

        logits = (cosines(lip_content, speech_content) * self.content_scale + self.content_shift).flatten(0, 1)
        own_time = torch.arange(times, device=logits.device).repeat(clips)
        content = cross_entropy(logits, own_time)

        seen = int(torch.randint(times, (), generator=generator))
        voices, first = voice.float().mean(dim=1), 0
        if world_size() > 1:
            sizes = sizes_of_ranks(clips, voices.device)
            voices, first = all_rows(voices, sizes), sum(sizes[: dist.get_rank()])
        heard = cosines(face[:, seen], voices) * self.identity_scale + self.identity_shift
        own_clip = torch.arange(first, first + clips, device=heard.device)
        identity = cross_entropy(heard, own_clip)
        return SyncNetLossOutput(
            loss=self.content_weight * content + self.identity_weight * identity,
            content=content.detach(),
            identity=identity.detach(),
            content_accuracy=(logits.argmax(dim=1) == own_time).float().mean(),
            identity_accuracy=(heard.argmax(dim=1) == own_clip).float().mean(),
        )

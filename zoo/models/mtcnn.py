"""MTCNN: faces in pictures, by a cascade of three small networks.

Zhang et al., Joint Face Detection and Alignment Using Multi-task Cascaded Convolutional Networks, 2016; the networks
and their order of work as published with facenet-pytorch, whose weights they read.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import batched_nms

#: probability of a face that each network asks for
THRESHOLDS = (0.6, 0.7, 0.7)
#: side of the picture that the first network judges, and step from one judgement to the next, in pixels
CELL, STEP = 12, 2
#: from one size of the pictures to the next
SHRINK = 0.709
#: candidates that a network judges at once
AT_ONCE = 512


class ProposalNet(nn.Module):
    """P-Net: scores every 12 x 12 part of a picture at once."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.conv4_1, self.conv4_2 = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) to the probability of a face (B, h, w) and corrections of its box (B, 4, h, w)."""
        x = F.max_pool2d(self.prelu1(self.conv1(x)), 2, 2, ceil_mode=True)
        x = self.prelu3(self.conv3(self.prelu2(self.conv2(x))))
        return self.conv4_1(x).softmax(dim=1)[:, 1], self.conv4_2(x)


class RefineNet(nn.Module):
    """R-Net: scores candidates of 24 x 24."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 28, 3), nn.PReLU(28)
        self.conv2, self.prelu2 = nn.Conv2d(28, 48, 3), nn.PReLU(48)
        self.conv3, self.prelu3 = nn.Conv2d(48, 64, 2), nn.PReLU(64)
        self.dense4, self.prelu4 = nn.Linear(576, 128), nn.PReLU(128)
        self.dense5_1, self.dense5_2 = nn.Linear(128, 2), nn.Linear(128, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, 24, 24) to the probability of a face (B,) and corrections of its box (B, 4)."""
        x = F.max_pool2d(self.prelu1(self.conv1(x)), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.prelu2(self.conv2(x)), 3, 2, ceil_mode=True)
        x = self.prelu3(self.conv3(x)).transpose(-1, -3).flatten(1)
        x = self.prelu4(self.dense4(x))
        return self.dense5_1(x).softmax(dim=1)[:, 1], self.dense5_2(x)


class OutputNet(nn.Module):
    """O-Net: scores candidates of 48 x 48."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 32, 3), nn.PReLU(32)
        self.conv2, self.prelu2 = nn.Conv2d(32, 64, 3), nn.PReLU(64)
        self.conv3, self.prelu3 = nn.Conv2d(64, 64, 3), nn.PReLU(64)
        self.conv4, self.prelu4 = nn.Conv2d(64, 128, 2), nn.PReLU(128)
        self.dense5, self.prelu5 = nn.Linear(1152, 256), nn.PReLU(256)
        self.dense6_1, self.dense6_2 = nn.Linear(256, 2), nn.Linear(256, 4)
        self.dense6_3 = nn.Linear(256, 10)  # eyes, nose and corners of the mouth: published with the rest

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, 48, 48) to the probability of a face (B,) and corrections of its box (B, 4)."""
        x = F.max_pool2d(self.prelu1(self.conv1(x)), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.prelu2(self.conv2(x)), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.prelu3(self.conv3(x)), 2, 2, ceil_mode=True)
        x = self.prelu4(self.conv4(x)).transpose(-1, -3).flatten(1)
        x = self.prelu5(self.dense5(x))
        return self.dense6_1(x).softmax(dim=1)[:, 1], self.dense6_2(x)


class MTCNN(nn.Module):
    """The three networks as one detector.

    Args:
        smallest: side of the smallest face that is looked for, in pixels.
    """

    def __init__(self, smallest: int = 20) -> None:
        super().__init__()
        if smallest < CELL:
            raise ValueError(f"smallest is {smallest} pixels, but faces of fewer than {CELL} cannot be seen")
        self.smallest = smallest
        self.pnet, self.rnet, self.onet = ProposalNet(), RefineNet(), OutputNet()

    @torch.inference_mode()
    def forward(self, pictures: Tensor) -> list[Tensor]:
        """The faces of pictures of one size.

        Args:
            pictures: uint8 RGB (B, 3, H, W).

        Returns:
            B tensors (k, 5): x0 y0 x1 y1 in pixels, which may reach beyond the picture, and the probability.
        """
        pixels = pictures.to(self.pnet.conv1.weight)
        boxes, owners = self._propose(pixels)
        probability, shift, boxes, owners = self._classify(self.rnet, 24, THRESHOLDS[1], pixels, boxes, owners)
        kept = batched_nms(boxes, probability, owners, 0.7)
        boxes, owners = _squared(_corrected(boxes[kept], shift[kept], 1)), owners[kept]
        probability, shift, boxes, owners = self._classify(self.onet, 48, THRESHOLDS[2], pixels, boxes, owners)
        boxes = _corrected(boxes, shift, 1)
        faces = torch.cat([boxes, probability[:, None]], dim=1)
        return [_non_maximum_suppression(faces[owners == number]) for number in range(len(pictures))]

    def _propose(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Square candidates (k, 4), and the picture that each is in (k,)."""
        height, width = pixels.shape[-2:]
        found = []
        scale = CELL / self.smallest
        while min(height, width) * scale >= CELL:
            size = int(height * scale + 1), int(width * scale + 1)
            probability, shift = self.pnet(_normal(F.interpolate(pixels, size=size, mode="area")))
            owner, row, column = (probability >= THRESHOLDS[0]).nonzero(as_tuple=True)
            corner = STEP * torch.stack([column, row], dim=1) + 1
            boxes = torch.cat([corner, corner + CELL - 1], dim=1).to(pixels.dtype).div(scale).floor()
            score = probability[owner, row, column]
            kept = batched_nms(boxes, score, owner, 0.5)
            found.append((boxes[kept], score[kept], owner[kept], shift[owner, :, row, column][kept]))
            scale *= SHRINK
        if not found:
            return pixels.new_zeros(0, 4), torch.zeros(0, dtype=torch.int64, device=pixels.device)
        boxes, score, owner, shift = (torch.cat(parts) for parts in zip(*found, strict=True))
        kept = batched_nms(boxes, score, owner, 0.7)
        return _squared(_corrected(boxes[kept], shift[kept], 0)), owner[kept]

    def _classify(
        self, net: nn.Module, side: int, least: float, pixels: Tensor, boxes: Tensor, owners: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The candidates that `net` takes for faces, after their probabilities and box corrections."""
        height, width = pixels.shape[-2:]
        inside = boxes.trunc().long()
        inside[:, :2] = inside[:, :2].clamp(min=1) - 1
        inside[:, 2] = inside[:, 2].clamp(max=width)
        inside[:, 3] = inside[:, 3].clamp(max=height)
        there = (inside[:, 2:] > inside[:, :2]).all(dim=1)
        boxes, owners, inside = boxes[there], owners[there], inside[there]
        if not len(boxes):
            return boxes.new_zeros(0), boxes, boxes, owners
        parts = [
            F.interpolate(pixels[owner : owner + 1, :, y0:y1, x0:x1], size=(side, side), mode="area")
            for owner, (x0, y0, x1, y1) in zip(owners.tolist(), inside.tolist(), strict=True)
        ]
        judged = [net(_normal(torch.cat(parts[at : at + AT_ONCE]))) for at in range(0, len(parts), AT_ONCE)]
        probability, shift = (torch.cat(outputs) for outputs in zip(*judged, strict=True))
        kept = probability > least
        return probability[kept], shift[kept], boxes[kept], owners[kept]


def _normal(pixels: Tensor) -> Tensor:
    return (pixels - 127.5) / 128


def _corrected(boxes: Tensor, shift: Tensor, one: int) -> Tensor:
    """Boxes moved by shares of their sides; the later networks count a side from pixel to pixel inclusive."""
    sides = (boxes[:, 2:] - boxes[:, :2] + one).repeat(1, 2)
    return boxes + shift * sides


def _squared(boxes: Tensor) -> Tensor:
    """Boxes (k, 4) grown about their centres to squares."""
    sides = boxes[:, 2:] - boxes[:, :2]
    longer = sides.amax(dim=1, keepdim=True)
    corner = boxes[:, :2] + (sides - longer) / 2
    return torch.cat([corner, corner + longer], dim=1)


def _non_maximum_suppression(faces: Tensor) -> Tensor:
    """Non-maximum suppression: faces (k, 5) of a picture, the most probable first, none by 70 % within a better one."""
    kept: list[Tensor] = []
    for face in faces[faces[:, 4].argsort(descending=True)]:
        if all(_within(face, other) <= 0.7 for other in kept):
            kept.append(face)
    return torch.stack(kept) if kept else faces


def _within(a: Tensor, b: Tensor) -> float:
    """The share of the smaller face that lies in the other."""
    shared = (torch.minimum(a[2:4], b[2:4]) - torch.maximum(a[:2], b[:2]) + 1).clamp(min=0).prod()
    smaller = torch.minimum((a[2:4] - a[:2] + 1).prod(), (b[2:4] - b[:2] + 1).prod())
    return float(shared / smaller)

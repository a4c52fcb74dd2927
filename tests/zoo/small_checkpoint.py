"""A small checkpoint that the tests of checkpoints share."""

from __future__ import annotations

from pathlib import Path

import torch

from weaksync import zoo
from weaksync.zoo.models.cclm import CCLM

SMALL = {"embed_dim": 8, "num_heads": [1, 2, 2], "text_width": 32, "text_ffn": 64, "project_dim": 16}
DECODER = {"drop_clip": 0.1, "drop_sentence": 0.2, "policy": "percentile", "contiguous": True}


def small() -> CCLM:
    """The same small model at every call."""
    torch.manual_seed(0)
    return zoo.create("cclm-tiny", **SMALL).eval()


def save_small(folder: Path) -> Path:
    """Write it with a decoder and metrics; returns the folder."""
    return small().save_pretrained(folder, decoder=DECODER, metrics={"f1": 0.25, "val": {"sentence_iou": 0.5}})

"""Outputs of reference implementations, recorded elsewhere, with weights that are functions of their names."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

FIXTURES = os.environ.get("WEAKSYNC_FIXTURES")
needs_fixtures = pytest.mark.skipif(not FIXTURES, reason="WEAKSYNC_FIXTURES names no folder of recorded outputs")


def recorded(name: str) -> tuple[Any, dict[str, Tensor]]:
    """The recorded outputs of a file, and the weights that they were computed with."""
    file = np.load(Path(FIXTURES or "") / f"{name}.npz", allow_pickle=False)
    tensors = {}
    for key, shape, constant in zip(*(file[part].tolist() for part in ("keys", "shapes", "const_of")), strict=True):
        if constant:
            tensors[key] = torch.from_numpy(np.array(file[constant]))
            continue
        sizes = tuple(int(size) for size in shape.split("x"))
        rng = np.random.RandomState(zlib.crc32(key.encode()) & 0x7FFFFFFF)
        noise = torch.from_numpy(rng.standard_normal(sizes).astype(np.float32))
        leaf = key.rsplit(".", 1)[-1]
        if noise.ndim >= 2:
            tensors[key] = noise * float(file["table_scale" if leaf == "relative_position_bias_table" else "scale"])
        else:
            tensors[key] = 1.0 + 0.1 * noise if leaf == "weight" else 0.05 * noise
    return file, tensors

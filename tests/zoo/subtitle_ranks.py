"""Processes of `subtitle_rank.py`, and what they saved."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

SCRIPT = Path(__file__).with_name("subtitle_rank.py")


def outcomes(folder: Path, world: int) -> list[tuple[dict[str, Tensor], Any]]:
    """Gradients and places that each of `world` processes found with the model and the batch in `folder`."""
    ranks = [subprocess.Popen([sys.executable, "-P", SCRIPT, str(rank), str(world), folder]) for rank in range(world)]
    assert [rank.wait(300) for rank in ranks] == [0] * world
    return [
        (load_file(folder / f"rank{rank}.safetensors"), json.loads((folder / f"rank{rank}.json").read_text()))
        for rank in range(world)
    ]

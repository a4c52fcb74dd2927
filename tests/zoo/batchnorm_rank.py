"""One rank of the test of normalisation in test_lipsync.py: `batchnorm_rank.py RANK WORLD FOLDER`.

Twice forward and backward on its share of the batch, gradients summed over ranks; saves what came out.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import nn

from weaksync.zoo.batchnorm import over_all_ranks


def network() -> nn.Sequential:
    """What both sides train, the same every time."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(2), nn.BatchNorm1d(3))
    nn.init.uniform_(model[1].weight, 0.5, 1.5)  # type: ignore[arg-type]
    return model


if __name__ == "__main__":
    rank, world, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=world)
    model = over_all_ranks(network(), torch.device("cpu"))
    # shares of other sizes: the statistics are those of the rows, not means of the ranks'
    batch, weights = (tensor.split([2, 4])[rank] for tensor in load_file(folder / "batch.safetensors").values())
    for _ in range(2):
        out = model(batch)
        model.zero_grad()
        (out * weights).square().sum().backward()
    found = {"out": out.detach().contiguous(), **model.state_dict()}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        dist.all_reduce(parameter.grad)
        found[f"gradient of {name}"] = parameter.grad
    save_file(found, folder / f"found{rank}.safetensors")
    dist.destroy_process_group()

"""One rank of the gradient test in test_alignment_losses.py: `ranking_rank.py RANK WORLD FOLDER NAME DIRECTIONS`.

Encodes its share of the batch with one linear layer, padded no longer than its own pairs need, averages gradients as
DDP does, and saves them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file

from weaksync import kernels
from weaksync.zoo.losses import PairwiseRanking

rank, world, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=world)
batch = {name: tensor.tensor_split(world)[rank] for name, tensor in load_file(folder / "batch.safetensors").items()}
layer = load_file(folder / "layer.safetensors")["layer"].requires_grad_()
n, m = int(batch["video_lengths"].max()), int(batch["text_lengths"].max())
loss = PairwiseRanking(getattr(kernels, sys.argv[4]), directions=sys.argv[5], margin=0.3)(
    batch["video"][:, :n] @ layer,
    batch["text"][:, :m] @ layer,
    video_lengths=batch["video_lengths"],
    text_lengths=batch["text_lengths"],
)
loss.backward()
dist.all_reduce(layer.grad)
save_file({"loss": loss.detach(), "grad": layer.grad / world}, folder / f"rank{rank}.safetensors")
dist.destroy_process_group()

"""One rank of the gradient test in test_losses.py: `infonce_rank.py RANK WORLD FOLDER LOSS [SETTING ...]`.

Encodes its share of the batch with one linear layer, averages gradients as DDP does, and saves them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file

from weaksync.zoo import losses

rank, world, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=world)
batch = {name: tensor.tensor_split(world)[rank] for name, tensor in load_file(folder / "batch.safetensors").items()}
layers = load_file(folder / "layers.safetensors")
for layer in layers.values():
    layer.requires_grad_()
clips = torch.nn.functional.normalize(batch["clips"] @ layers["clip"], dim=1)
texts = torch.nn.functional.normalize(batch["texts"] @ layers["text"], dim=1)
out = getattr(losses, sys.argv[4])(*sys.argv[5:])(
    clips, texts, layers["temp"], video=batch["video"], sentence=batch["sentence"], weight=batch["weight"]
)
out.loss.backward()
for layer in layers.values():
    dist.all_reduce(layer.grad)
    layer.grad /= world
figures = {
    name: getattr(out, name).detach().clone() for name in ("value", "accuracy", "chance", "without_negatives", "pairs")
}
save_file({name: layer.grad for name, layer in layers.items()} | figures, folder / f"rank{rank}.safetensors")
dist.destroy_process_group()

"""One rank of the gradient test in test_neumatch.py: `actions_rank.py RANK WORLD FOLDER NAME`.

Takes its share of the videos through one step of `ActionAlignment`, averages gradients as DDP does, and saves them with
the state of the model.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor

from weaksync import zoo
from weaksync.datamodules.batches import FeatureVideo
from weaksync.zoo.neumatch import ActionAlignment

#: of all videos, those of each of two ranks
SHARES = ([0], [1, 2, 3])


def video(tensors: dict[str, Tensor], place: int) -> FeatureVideo:
    """A video with what training reads: features and labels."""
    clips, sentences, labels = (tensors[f"{name} {place}"] for name in ("clips", "sentences", "labels"))
    times = torch.zeros(len(clips), 2, dtype=torch.float64)
    segments = torch.zeros(len(sentences), 2, dtype=torch.float64)
    return FeatureVideo(f"video-{place}", "en", clips, sentences, labels, times, segments, segments, True)


def model(name: str) -> zoo.models.neumatch.NeuMATCH:
    """What both sides train, the same every time."""
    torch.manual_seed(0)
    return zoo.create(name, video_dim=8, text_dim=8, width=12, action_width=4, match_width=4)


if __name__ == "__main__":
    rank, world, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=world)
    task = ActionAlignment(model(sys.argv[4]))
    task.on_fit_start()
    tensors = load_file(folder / "videos.safetensors")
    task.training_step([video(tensors, place) for place in SHARES[rank]], 0).backward()
    found = {name: value.contiguous() for name, value in task.model.state_dict().items()}
    for name, parameter in task.model.named_parameters():
        assert parameter.grad is not None, name
        dist.all_reduce(parameter.grad)
        found[f"gradient of {name}"] = parameter.grad / world
    save_file(found, folder / f"found{rank}.safetensors")
    dist.destroy_process_group()

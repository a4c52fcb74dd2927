"""One rank of test_subtitles.py: `subtitle_rank.py RANK WORLD FOLDER`; saves its gradients and what it ranked.

Takes its share of the batch in the folder through the losses of `SubtitleMatching`, and its share of the clips through
the evaluation, as Lightning would.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file

from weaksync import zoo
from weaksync.datamodules.batches import SpokenBatch, SubtitleBatch
from weaksync.zoo.batchnorm import over_all_ranks
from weaksync.zoo.subtitles import SubtitleMatching, encode_batch, rank_all
from weaksync.zoo.task import gather_by_id

rank, world, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=world)
tensors = load_file(folder / "batch.safetensors")
settings = json.loads((folder / "settings.json").read_text())
syncnet = zoo.load(folder / "syncnet") if (folder / "syncnet").is_dir() else None


def share(places: list[int]) -> SubtitleBatch | SpokenBatch:
    """Some rows of the batch, padded no longer than they need."""
    if syncnet is not None:
        lists = {
            name: [tensors[f"{name} {place}"] for place in places]
            for name in ("tubes", "speech", "spoken", "synthesised")
        }
        return SpokenBatch(ids=[f"clip{place}" for place in places], languages=["en"] * len(places), **lists)
    n, m = (int(tensors[name][places].max()) for name in ("video_lengths", "text_lengths"))
    timed = settings["timed"]
    return SubtitleBatch(
        ids=[f"clip{place}" for place in places],
        languages=["en"] * len(places),
        video=tensors["video"][places, :n],
        video_lengths=tensors["video_lengths"][places],
        text=tensors["text"][places, :m],
        text_lengths=tensors["text_lengths"][places],
        video_times=tensors["video_times"][places, :n] if timed else None,
        text_times=tensors["text_times"][places, :m] if timed else None,
        spoken=[tensors["spoken"][place] for place in places] if timed else None,
        synthesised=[tensors["synthesised"][place] for place in places] if timed else None,
    )


model = zoo.load(folder / "model")
task = SubtitleMatching(model, alignment_weight=settings["alignment_weight"], syncnet=syncnet)  # type: ignore[arg-type]
task.on_fit_start()
if world > 1:
    over_all_ranks(task.model, torch.device("cpu"))
count = sum(name.startswith("tubes ") for name in tensors) if syncnet is not None else len(tensors["video"])
whole = list(range(count))
loss, _ = task.losses(task.streams(share([row.tolist() for row in torch.arange(count).tensor_split(world)][rank])))
loss.backward()
total = loss.detach().clone()
dist.all_reduce(total)
found = {"loss": total / world}
for name, parameter in task.named_parameters():
    if parameter.grad is not None:
        dist.all_reduce(parameter.grad)
        found[f"grad {name}"] = parameter.grad / world
task.model.eval()
own = [one for place in whole[rank::world] for one in encode_batch(task.model, task.streams(share([place])))]
ranked = rank_all(task.model, gather_by_id(own))
save_file(found, folder / f"rank{rank}.safetensors")
rows = [[each.id, int(each.ranks.better[0]), int(each.ranks.tied[0])] for each in ranked]
(folder / f"rank{rank}.json").write_text(json.dumps(rows))
dist.destroy_process_group()

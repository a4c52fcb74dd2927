"""One rank of the gathering test in test_story.py: `story_rank.py RANK WORLD FOLDER`; prints what it gathered."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from weaksync.zoo.decoding import VideoSimilarity
from weaksync.zoo.task import gather_by_id

rank, world, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
dist.init_process_group("gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=world)
none, seen = torch.empty(0, 2), []
for number in range(rank, 5 + rank, world):  # every rank but the first also sees what another one saw
    video = number % 5
    similarity = torch.full((2, 3), video / 10)
    seen.append(VideoSimilarity(f"v{video}", "en", similarity, none, none, none, False))
print(json.dumps([(video.id, float(video.similarity[0, 0])) for video in gather_by_id(seen)]))
dist.destroy_process_group()

"""Networks that see what synthetic speakers stand among: they have learnt drawn things and rooms, and no film.

The paper's cues see with networks of ImageNet and of Places365 (Video2Subtitle, section 3); those of random weights
tell rooms apart and hardly things.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, count, islice
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from ... import zoo
from ...datamodules.speakers.pictures import labelled_pictures
from ...datamodules.speakers.topics import THINGS, TOPICS
from ...datamodules.streams import OBJECT, SCENE
from ...zoo.checkpoint import CONFIG
from ...zoo.models.cues import PictureNet

#: pictures to learn from, and to be scored on
PICTURES, HELD_OUT = 4000, 500
BATCH, RATE = 32, 5e-3
#: rooms differ at a glance, things do not
EPOCHS = {OBJECT: 5, SCENE: 1}
#: light that a picture is seen in
LIGHT = 0.2


@dataclass(frozen=True)
class NetAccuracy:
    """How well a network sees pictures that it has not learnt from.

    Attributes:
        cue: ``object`` or ``scene``.
        right: share of pictures of which all things, or the room's topic, are told.
    """

    cue: str
    right: float


def picture_nets(
    folder: Path, *, seed: int = 0, track: Callable[[int, int], None] = lambda done, total: None
) -> list[NetAccuracy]:
    """Teach picturenet-tiny things, and another one rooms; keep them in ``<folder>/object`` and ``<folder>/scene``.

    What is there is taken, and not scored again.

    Args:
        seed: of the pictures and of the weights.
        track: called with how many steps are done, of how many.
    """
    absent = [cue for cue in (OBJECT, SCENE) if not (folder / cue / CONFIG).is_file()]
    if not absent:
        return []
    nets = {cue: _net(cue, seed) for cue in absent}
    pixels, labels = _pictures(nets[absent[0]], PICTURES + HELD_OUT, seed)
    steps = {cue: EPOCHS[cue] * PICTURES // BATCH for cue in absent}
    found, done = [], count(1)
    for cue, net in nets.items():
        for _ in _lessons(net, pixels[:PICTURES], labels[cue][:PICTURES], steps[cue]):
            track(next(done), sum(steps.values()))
        found.append(NetAccuracy(cue, _right(net, pixels[PICTURES:], labels[cue][PICTURES:])))
        net.save_pretrained(folder / cue)
    return found


def _net(cue: str, seed: int) -> PictureNet:
    torch.manual_seed(seed)
    net = zoo.create("picturenet-tiny", classes=len(TOPICS) * (THINGS if cue == OBJECT else 1))
    assert isinstance(net, PictureNet)
    return net


def _pictures(net: PictureNet, number: int, seed: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Pixels (N, 3, H, W), and (N, T) things and (N, topics) topics as 0 and 1."""
    pixels, things, topics = [], [], []
    for each in labelled_pictures(number, seed):
        pixels.append(net.preprocess(torch.tensor(each.picture).permute(2, 0, 1)[None]))
        things.append(torch.from_numpy(each.things))
        topics.append(each.topic)
    return torch.cat(pixels), {
        OBJECT: torch.stack(things).float(),
        SCENE: F.one_hot(torch.tensor(topics), len(TOPICS)).float(),
    }


def _lessons(net: PictureNet, pixels: Tensor, labels: Tensor, steps: int) -> Iterator[None]:
    """Teach the network, a step at a time.  Every thing is a question of its own, yes or no; so is every topic."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    batches = chain.from_iterable(torch.randperm(len(pixels)).split(BATCH) for _ in count())
    net.train()
    for chosen in islice(batches, steps):
        light = 1 - LIGHT + 2 * LIGHT * torch.rand(len(chosen), 1, 1, 1)
        loss = F.binary_cross_entropy_with_logits(net(pixels[chosen] * light), labels[chosen], reduction="none")
        optimizer.zero_grad()
        loss.sum(1).mean().backward()
        optimizer.step()
        schedule.step()
        yield
    net.eval()


@torch.inference_mode()
def _right(net: PictureNet, pixels: Tensor, labels: Tensor) -> float:
    logits = torch.cat([net(some) for some in pixels.split(BATCH)])
    return float(((logits > 0) == (labels > 0)).all(1).float().mean())

"""A base model for the synthetic world: it has read the same sentences in every language, and seen nothing.

The paper's strategies start from CCLM, whose pre-training matched parallel sentences of many languages (Zeng et al.,
section 3.3).  A model of random weights that is then taught English knows no other language, and a second stage would
have to teach it one; this is the least that makes the strategies comparable.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from ... import zoo
from ...datamodules.world import LANGUAGES, plot
from ...datamodules.world.language import tell
from ...zoo import optim
from ...zoo.checkpoint import CONFIG
from ...zoo.losses import InfoNCE
from ...zoo.models.cclm import CCLM
from ...zoo.optim import OptimConfig

STEPS, BATCH = 800, 64
#: stories that are told and never filmed: of another seed than any world
STORIES, OTHER_SEED = 240, 1_000_003


def base_model(folder: Path, *, seed: int = 0, steps: int = STEPS, track: Callable[[], None] = lambda: None) -> Path:
    """Teach cclm-tiny that sentences of two languages which tell the same are the same; keep it in `folder`.

    Args:
        folder: of the checkpoint; what is there is taken.
        seed: of its weights and its reading.
        steps: of training; two sentences of `BATCH` lines each.
        track: called after each step.

    Returns:
        `folder`.
    """
    if (folder / CONFIG).is_file():
        return folder
    torch.manual_seed(seed)
    chance = np.random.default_rng([seed, OTHER_SEED])
    model = zoo.create("cclm-tiny")
    assert isinstance(model, CCLM)
    lines = _parallel_lines(seed + OTHER_SEED)
    loss = InfoNCE("batch", "multi_positive")
    config = OptimConfig(lr=1e-3, weight_decay=0.2, schedule="cosine")
    optimizer = optim.optimizer(model, config)
    schedule = optim.schedule(optimizer, config, steps)
    model.train()
    for _ in range(steps):
        chosen = chance.choice(len(lines), BATCH, replace=False)
        pairs = [[lines[line][code] for code in chance.choice(len(LANGUAGES), 2, replace=False)] for line in chosen]
        own, other = (model.encode_text(*model.tokenize([pair[side] for pair in pairs])) for side in (0, 1))
        places = torch.arange(BATCH)
        model.clamp_temperature()
        optimizer.zero_grad()
        loss(own, other, model.temp, video=places, sentence=places, weight=torch.ones(BATCH)).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        track()
    with torch.no_grad():
        # what was learnt between sentences, a hundredth and less, would drown a vision that has learnt nothing yet
        model.temp.fill_(model.config.temperature)
    model.languages = list(LANGUAGES)
    model.save_pretrained(folder)
    return folder


def _parallel_lines(seed: int) -> list[list[str]]:
    """What each filmed line says in every language; commentary has other words in each."""
    lines: list[list[str]] = []
    for index in range(STORIES):
        story = plot(seed, index, sentences=22)
        told = [tell(seed, story, code) for code in LANGUAGES]
        lines += [
            [texts[number] for texts in told] for number, line in enumerate(story.lines) if line.event is not None
        ]
    return lines

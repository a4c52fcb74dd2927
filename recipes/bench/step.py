"""`weaksync bench step`: what Lightning costs: a training step beside a bare PyTorch loop of the same model."""

from __future__ import annotations

import itertools
import logging
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click
import lightning as L
import numpy as np
import torch
from torch import Generator

from ... import zoo
from ...datamodules.batches import PairBatch
from ...zoo import optim
from ...zoo.losses import InfoNCE
from ...zoo.models.dual_encoder import DualEncoder
from ...zoo.optim import OptimConfig
from ...zoo.story import StoryAlignment
from ..console import print_table, progress
from .timing import median_ratio


@dataclass
class StepTimes:
    """Seconds a step, (R,) each: repeat r of both loops ran one after the other."""

    lightning: np.ndarray
    bare: np.ndarray

    def ratio(self) -> tuple[float, float, float]:
        """Median of Lightning's time over the bare loop's, pair by pair, and its 95 % bootstrap interval."""
        return median_ratio(self.lightning, self.bare)


def measure(name: str, *, pairs: int = 64, steps: int = 6, repeats: int = 20) -> StepTimes:
    """Time both loops in turn on the same random batch of `pairs` pairs, `steps` steps a repeat."""
    batch = random_batch(name, pairs)
    with progress("repeats") as bar:
        times = [
            (lightning_loop(name, batch, steps), bare_loop(name, batch, steps))
            for _ in bar.track(range(repeats), description="repeats")
        ]
    lightning, bare = np.array(times).T
    return StepTimes(lightning, bare)


def random_batch(name: str, pairs: int) -> PairBatch:
    """A batch of noise in groups of eight."""
    model, generator = story_model(name), Generator().manual_seed(0)
    size, frames = model.preprocess.size, model.preprocess.frames
    groups = torch.arange(pairs) // 8
    return PairBatch(
        pixels=torch.randn(pairs, frames, 3, size, size, generator=generator),
        input_ids=torch.randint(5, 1000, (pairs, 24), generator=generator),
        attention_mask=torch.ones(pairs, 24, dtype=torch.int64),
        video=groups,
        sentence=torch.arange(pairs),
        weight=torch.ones(pairs),
        keys=[str(i) for i in range(pairs)],
    )


def story_model(name: str) -> DualEncoder:
    """A story model with random weights.  Raises ValueError for a model that does another job."""
    model = zoo.create(name)
    if not isinstance(model, DualEncoder):
        raise ValueError(f"{name} does not align stories; `weaksync ls models` lists what does")
    return model


def bare_loop(name: str, batch: PairBatch, steps: int) -> float:
    """Seconds a step of the loop that one would write by hand; the first step is not counted."""
    torch.manual_seed(0)
    model, loss, config = story_model(name).train(), InfoNCE(), OptimConfig()
    optimizer = optim.optimizer(model, config)
    schedule = optim.schedule(optimizer, config, steps)
    start = 0.0
    for step in range(steps):
        if step == 1:
            start = time.perf_counter()
        clips, texts = model(batch.pixels, batch.input_ids, batch.attention_mask)
        out = loss(clips, texts, model.temp, video=batch.video, sentence=batch.sentence, weight=batch.weight)
        optimizer.zero_grad()
        out.loss.backward()
        optimizer.step()
        schedule.step()
    return (time.perf_counter() - start) / (steps - 1)


def lightning_loop(name: str, batch: PairBatch, steps: int) -> float:
    """Seconds a step of `Trainer.fit` on the same batch; the first step is not counted."""
    torch.manual_seed(0)
    watch = _Watch()
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runner = L.Trainer(
            max_steps=steps,
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[watch],
        )
        runner.fit(StoryAlignment(story_model(name)), _Steps(batch, steps))
    return (watch.end - watch.start) / (steps - 1)


class _Steps:
    """A loader that yields one batch again and again."""

    def __init__(self, batch: PairBatch, steps: int) -> None:
        self.batch = batch
        self.steps = steps

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[PairBatch]:
        return itertools.repeat(self.batch, self.steps)


class _Watch(L.Callback):
    """When the second step began and the last one ended."""

    start = end = 0.0

    def on_train_batch_start(self, trainer: L.Trainer, task: L.LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx == 1:
            self.start = time.perf_counter()

    def on_train_batch_end(self, *_: Any) -> None:
        self.end = time.perf_counter()


@click.command()
@click.option("--model", "name", default="cclm-tiny", show_default=True, help="A name of `weaksync ls models`.")
@click.option("--pairs", default=64, show_default=True, help="Clip-sentence pairs in a batch.")
@click.option("--repeats", default=20, show_default=True, help="How often both loops run, in turn.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str, pairs: int, repeats: int, as_json: bool) -> None:
    """Time a training step under Lightning beside a bare PyTorch loop, interleaved."""
    times = measure(name, pairs=pairs, repeats=repeats)
    ratio, low, high = times.ratio()
    rows = [
        ("Lightning, ms a step", 1e3 * float(np.median(times.lightning))),
        ("bare loop, ms a step", 1e3 * float(np.median(times.bare))),
        ("ratio", ratio),
        ("ratio, 95 % from", low),
        ("ratio, 95 % to", high),
    ]
    title = f"{name}, {pairs} pairs, medians of {repeats} interleaved repeats"
    print_table(title, ["what", "value"], rows, as_json=as_json)

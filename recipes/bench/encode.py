"""`weaksync bench encode`: frames and sentences to vectors, beside bare calls of timm and transformers; and memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click
import numpy as np
import timm
import torch
from timm.models.swin_transformer import SwinTransformer
from torch import Generator, Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.functional import normalize
from transformers import PreTrainedModel

from ... import zoo
from ...zoo.losses import InfoNCE
from ...zoo.models.dual_encoder import DualEncoder
from ..console import print_table, progress
from .step import random_batch, story_model
from .timing import median_ratio

#: tokens of a sentence
TOKENS = 24
#: what the bare towers may differ by, relative to the largest value
TOLERANCE = 1e-5


@dataclass
class EncodeTimes:
    """CPU seconds a call, (R,) each: repeat r of both ran one after the other."""

    ours: np.ndarray
    bare: np.ndarray

    def ratio(self) -> tuple[float, float, float]:
        """Median of our time over the bare call's, pair by pair, and its 95 % bootstrap interval."""
        return median_ratio(self.ours, self.bare)


@torch.inference_mode()
def measure(name: str, *, clips: int = 2, sentences: int = 16, repeats: int = 20) -> dict[str, EncodeTimes]:
    """Time `encode_clips` and `encode_text` of a model with random weights in turn with bare calls of its towers.

    Time is that of the processor, over all threads, so that what else runs on the machine does not count.  The bare
    calls go to towers that timm and transformers make themselves, with the same weights, and end with the tower's
    output; ours also project and normalise.

    Raises:
        ValueError: a model that does another job, or one whose bare towers compute something else.
    """
    model, generator = story_model(name).eval(), Generator().manual_seed(0)
    size, frames = model.preprocess.size, model.preprocess.frames
    pixels = torch.randn(clips, frames, 3, size, size, generator=generator)
    length = min(TOKENS, model.config.max_tokens)
    ids = torch.randint(5, model.config.vocab_size, (sentences, length), generator=generator)
    mask = torch.ones_like(ids)
    vision, text = bare_tower(model.vision), bare_tower(model.text)
    _same("vision", model.vision, vision, pixels.flatten(0, 1)[:1])
    _same("text", model.text, text, ids[:1])
    return {
        "frames": _interleaved(lambda: model.encode_clips(pixels), lambda: vision(pixels.flatten(0, 1)), repeats),
        "sentences": _interleaved(lambda: model.encode_text(ids, mask), lambda: text(ids, mask), repeats),
    }


def bare_tower(tower: nn.Module) -> nn.Module:
    """The tower as its library makes it, with the same weights, which are shared and not copied."""
    with torch.device("meta"):
        if isinstance(tower, SwinTransformer):
            stages: Any = tower.layers
            bare: nn.Module = timm.create_model(
                "swin_base_patch4_window7_224",
                num_classes=0,
                img_size=tower.patch_embed.img_size,
                patch_size=tower.patch_embed.patch_size,
                embed_dim=tower.embed_dim,
                depths=[len(stage.blocks) for stage in stages],
                num_heads=[stage.blocks[0].attn.num_heads for stage in stages],
                window_size=stages[0].blocks[0].window_size[0],
            )
        elif isinstance(tower, PreTrainedModel):
            extra = {"add_pooling_layer": False} if hasattr(tower, "pooler") else {}
            bare = type(tower)(tower.config, **extra)
        else:
            raise ValueError(f"{type(tower).__name__} is no tower of timm or transformers: nothing to compare with")
    bare.load_state_dict(tower.state_dict(), assign=True)
    for name, buffer in tower.named_buffers():  # those that a checkpoint does not hold
        owner, _, leaf = name.rpartition(".")
        setattr(bare.get_submodule(owner), leaf, buffer)
    return bare.eval()


def activation_bytes(name: str, *, pairs: int = 8, checkpointed: bool = False) -> int:
    """Bytes that the forward pass of a training step keeps for its gradients, each tensor counted once."""
    model = zoo.create(name, checkpoint_activations=checkpointed)
    if not isinstance(model, DualEncoder):
        raise ValueError(f"{name} does not align stories; `weaksync ls models` lists what does")
    batch, loss = random_batch(name, pairs), InfoNCE()
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}
    held: list[Tensor] = []  # so that no address is used twice

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
            held.append(tensor)
        return tensor

    model.train()
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        clips, texts = model(batch.pixels, batch.input_ids, batch.attention_mask)
        loss(clips, texts, model.temp, video=batch.video, sentence=batch.sentence, weight=batch.weight)
    return sum(kept.values())


def _same(what: str, tower: nn.Module, bare: nn.Module, value: Tensor) -> None:
    ours, theirs = _output(tower(value)), _output(bare(value))
    off = float((ours - theirs).abs().max() / ours.abs().max())
    if not off < TOLERANCE:
        raise ValueError(f"the bare {what} tower computes something else (relative difference {off:.1e})")


def _output(found: object) -> Tensor:
    value = found if isinstance(found, Tensor) else found[0]  # type: ignore[index]
    return normalize(value.flatten(1), dim=-1)


def _interleaved(ours: Callable[[], object], bare: Callable[[], object], repeats: int) -> EncodeTimes:
    """Both in turn, the first of each pair changing; one pair beforehand is not counted."""
    seconds = np.empty((repeats + 1, 2))
    with progress("repeats") as bar:
        for number in bar.track(range(repeats + 1), description="repeats"):
            for which in (0, 1) if number % 2 else (1, 0):
                start = time.process_time()
                (ours, bare)[which]()
                seconds[number, which] = time.process_time() - start
    return EncodeTimes(*seconds[1:].T)


@click.command()
@click.option("--model", "name", default="cclm-base", show_default=True, help="A name of `weaksync ls models`.")
@click.option("--clips", default=2, show_default=True, help="Clips in a call.")
@click.option("--sentences", default=16, show_default=True, help=f"Sentences in a call, of {TOKENS} tokens.")
@click.option("--pairs", default=8, show_default=True, help="Clip-sentence pairs of the training step.")
@click.option("--repeats", default=20, show_default=True, help="How often each call runs, in turn.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str, clips: int, sentences: int, pairs: int, repeats: int, as_json: bool) -> None:
    """Time encoding beside bare calls of timm and transformers, interleaved; count what a training step keeps.

    Times are those of the processor, over all threads.
    """
    rows: list[tuple[str, float]] = []
    for what, times in measure(name, clips=clips, sentences=sentences, repeats=repeats).items():
        ratio, low, high = times.ratio()
        rows += [
            (f"{what}, ms a call", 1e3 * float(np.median(times.ours))),
            (f"{what}, ms a bare call", 1e3 * float(np.median(times.bare))),
            (f"{what}, ratio", ratio),
            (f"{what}, ratio, 95 % from", low),
            (f"{what}, ratio, 95 % to", high),
        ]
    for words, checkpointed in (("", False), (" with checkpoint_activations", True)):
        kept = activation_bytes(name, pairs=pairs, checkpointed=checkpointed)
        rows.append((f"MiB kept by a step of {pairs} pairs{words}", kept / 2**20))
    title = f"{name}, {clips} clips, {sentences} sentences, medians of {repeats} interleaved repeats"
    print_table(title, ["what", "value"], rows, as_json=as_json)

"""`weaksync bench syncnet`: lip features of a whole tube at once, beside sliding windows of the same network."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import click
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ... import zoo
from ...zoo.models.syncnet import LIP_FRAMES, SyncNet, lip_steps
from ..console import print_table, progress

#: windows together, as the published evaluation takes them
TOGETHER = 20


@dataclass
class Timing:
    """Medians of interleaved repeats.

    Attributes:
        way: how the features were computed.
        seconds: for the whole tube.
        rate: GFLOP a second; no way has less arithmetic, for the first layer takes a window's five frames to one map.
        error: largest difference from windows one by one, relative to their maximum.
    """

    way: str
    seconds: float
    rate: float
    error: float


@torch.inference_mode()
def measure(
    name: str = "syncnet", *, seconds: float = 30.0, windows: int = 40, repeats: int = 3, seed: int = 0
) -> list[Timing]:
    """Time a whole tube and, of its sliding windows, an even sample that stands for all.

    Windows are taken one by one and `TOGETHER` at a time, with the layers as published (three-dimensional
    convolutions, normalisation on its own); the features of every way are held against each other first.

    Args:
        name: a SyncNet of the registry.
        seconds: length of the tube.
        windows: how many windows are timed; their time is scaled to all.
    """
    model = zoo.create(name)
    if not isinstance(model, SyncNet):
        raise ValueError(f"{name} is no SyncNet; `weaksync ls models` lists them")
    model.eval()
    side, frames = model.config.image_size, round(seconds * model.config.fps)
    generator = torch.Generator().manual_seed(seed)
    tube = torch.randint(256, (1, frames, 3, side, side), generator=generator, dtype=torch.uint8)
    steps = lip_steps(frames)
    if steps < 1:
        raise ValueError(f"{seconds} s are {frames} frames; SyncNet sees {LIP_FRAMES} at once")
    starts = torch.linspace(0, steps - 1, min(windows, steps)).round().long().tolist()
    published = as_published(model)

    def sliding(together: int) -> Callable[[], Tensor]:
        def run() -> Tensor:
            groups = [starts[i : i + together] for i in range(0, len(starts), together)]
            stacks = [torch.cat([tube[:, t : t + LIP_FRAMES] for t in group]) for group in groups]
            return torch.cat([published(stack.transpose(1, 2).float()).flatten(1) for stack in stacks])

        return run

    whole = "whole tube at once"
    ways: dict[str, Callable[[], Tensor]] = {
        whole: lambda: model.encode_lips(tube)[0],
        "windows one by one": sliding(1),
        f"windows, {TOGETHER} at a time": sliding(TOGETHER),
    }
    found = {way: run() for way, run in ways.items()}
    found[whole] = found[whole][starts]
    truth = found["windows one by one"]
    with FlopCounterMode(display=False) as counter:
        published(tube[:, :LIP_FRAMES].transpose(1, 2).float())
    arithmetic = 1e-9 * steps * counter.get_total_flops()
    times: dict[str, list[float]] = {way: [] for way in ways}
    with progress("repeats") as bar:
        for _ in bar.track(range(repeats), description="repeats"):
            for way, run in ways.items():
                start = time.perf_counter()
                run()
                scale = 1.0 if way == whole else steps / len(starts)
                times[way].append(scale * (time.perf_counter() - start))
    medians = {way: statistics.median(times[way]) for way in ways}
    return [
        Timing(
            way, medians[way], arithmetic / medians[way], float((found[way] - truth).abs().max() / truth.abs().max())
        )
        for way in ways
    ]


def as_published(model: SyncNet) -> nn.Sequential:
    """The lip stack with the layers as published: (B, 3, T, H, W) to (B, D, T', 1, 1)."""
    layers: list[nn.Module] = []
    for layer in model.netcnnlip:
        if isinstance(layer, nn.Conv2d):
            depth = 1 if layers else LIP_FRAMES
            (rows, columns), (down, right), padding = layer.kernel_size, layer.stride, layer.padding
            after = nn.Conv3d(
                layer.in_channels // depth,
                layer.out_channels,
                (depth, rows, columns),
                (1, down, right),
                (0, int(padding[0]), int(padding[1])),
            )
            after.weight = nn.Parameter(layer.weight.unflatten(1, (depth, -1)).transpose(1, 2).contiguous())
            after.bias = layer.bias
            layers.append(after)
        elif isinstance(layer, nn.BatchNorm2d):
            normalisation = nn.BatchNorm3d(layer.num_features)
            normalisation.load_state_dict(layer.state_dict())
            layers.append(normalisation)
        elif isinstance(layer, nn.MaxPool2d):
            layers.append(nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1) if layer.padding else 0))
        else:
            layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers).eval()


@click.command()
@click.option("--model", "name", default="syncnet", show_default=True, help="A SyncNet of `weaksync ls models`.")
@click.option("--seconds", default=30.0, show_default=True, help="Length of the face tube.")
@click.option("--windows", default=40, show_default=True, help="Windows that are timed, to stand for all.")
@click.option("--repeats", default=3, show_default=True, help="Interleaved repeats.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str, seconds: float, windows: int, repeats: int, as_json: bool) -> None:
    """Lip features of a whole face tube at once, beside sliding windows of five frames."""
    measured = measure(name, seconds=seconds, windows=windows, repeats=repeats)
    whole = measured[0].seconds
    rows = [(each.way, each.seconds, each.seconds / whole, round(each.rate), f"{each.error:.0e}") for each in measured]
    title = f"{name}, a tube of {seconds:g} s, {torch.get_num_threads()} threads, medians of {repeats} repeats"
    print_table(title, ["way", "seconds", "times the whole", "GFLOP/s", "relative error"], rows, as_json=as_json)

"""`weaksync bench pairs`: every video against every text: the matrix product, the recurrence, and the memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import click
import torch
from torch import Tensor

from ... import kernels
from ...kernels import ops
from ...kernels.costs import unit_cost
from ..console import print_table, progress
from .timing import peak_memory

KERNELS: dict[str, tuple[Callable[..., Tensor], Callable[[Tensor], object]]] = {
    "DTW": (kernels.pairwise_dtw, lambda cost: ops.dtw_path(cost, None, None, None, False, False, False)),
    "soft-DTW": (kernels.pairwise_soft_dtw, kernels.soft_dtw),
    "DSTA": (
        kernels.pairwise_dsta,
        lambda cost: ops.dsta_path(cost, None, None, None, 1.0, 1, None, False, False, False),
    ),
    "soft-DSTA": (kernels.pairwise_soft_dsta, kernels.soft_dsta),
}


@torch.no_grad()
def measure(
    name: str, video: Tensor, text: Tensor, *, repeats: int = 3, tick: Callable[[], None] = lambda: None
) -> tuple[float, float, float]:
    """Pairs a second of the whole job, of the matrix product alone, and of the recurrence alone; medians in turns."""
    whole, recurrence = KERNELS[name]
    block = min(len(text), 128)
    costs = unit_cost(video[:1], text[:block])[0]
    rates: list[tuple[float, float, float]] = []
    for _ in range(repeats):
        total = _seconds(lambda: whole(video, text)) / (len(video) * len(text))
        product = _seconds(lambda: unit_cost(video[:1], text[:block])) / block
        rates.append((1 / total, 1 / product, block / _seconds(lambda: recurrence(costs))))
        tick()
    one, two, three = (statistics.median(column) for column in zip(*rates, strict=True))
    return one, two, three


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


@click.command()
@click.option(
    "--videos",
    default=8,
    show_default=True,
    type=click.IntRange(1),
    help="Videos that are timed; the rest is extrapolated.",
)
@click.option("--texts", default=1000, show_default=True, type=click.IntRange(1), help="Texts.")
@click.option("--video-steps", default=180, show_default=True, type=click.IntRange(1), help="Steps of a video.")
@click.option("--text-steps", default=200, show_default=True, type=click.IntRange(1), help="Steps of a text.")
@click.option("--width", default=512, show_default=True, type=click.IntRange(1), help="Dimensions of a step.")
@click.option("--threads", default=2, show_default=True, type=click.IntRange(1), help="Threads of the CPU.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    videos: int, texts: int, video_steps: int, text_steps: int, width: int, threads: int, as_json: bool
) -> None:
    """Time the alignment of every video with every text, as retrieval does it.

    In pairs a second: the whole job, its matrix product alone, and its recurrence alone; then how long the whole would
    take for 1000 videos with 1000 texts, and for 5000 with 5000.  The peak of memory, beyond the features, is that of
    all kernels together: in the title, or with --json in every row.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        generator = torch.Generator().manual_seed(0)
        video = torch.randn(videos, video_steps, width, generator=generator)
        text = torch.randn(texts, text_steps, width, generator=generator)
        features, repeats = peak_memory(), 3
        rows = []
        with progress("turns") as bar:
            task = bar.add_task("pairs", total=repeats * len(KERNELS))
            for name in KERNELS:
                rate, product, recurrence = measure(name, video, text, repeats=repeats, tick=lambda: bar.advance(task))
                minutes = [f"{count**2 / rate / 60:.0f} min" for count in (1000, 5000)]
                rows.append((name, round(rate), round(product), round(recurrence), *minutes))
        beyond = peak_memory() - features
        columns = ["kernel", "pairs/s", "product", "recurrence", "1000 x 1000", "5000 x 5000"]
        title = (
            f"{video_steps} x {text_steps} steps of {width}, {ops.describe()}, {threads} thread{'s' * (threads > 1)}; "
            f"peak memory beyond the features {beyond:.0f} MiB"
        )
        if as_json:
            columns, rows = [*columns, "peak MiB"], [(*row, round(beyond)) for row in rows]
        print_table(title, columns, rows, as_json=as_json)
    finally:
        torch.set_num_threads(before)

"""`weaksync bench match`: one clip against a large index: time and memory, and which share of it is unavoidable."""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import torch
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from ... import zoo
from ...kernels import ops
from ...zoo.encoded import EncodedClip, half_units
from ...zoo.fusion import PAPER_WEIGHTS
from ...zoo.matcher import Matcher
from ..console import print_table, progress
from ..matching.narrowing import Narrowing, write_search
from ..matching.pool import INDEX, STEPS, SUBTITLES, PoolInfo, Subtitle, open_index, write_array
from ..matching.ranking import rank
from .timing import peak_memory

#: steps of a subtitle of 15 to 30 s, 25 features a second, after two groups of the front end
SHORTEST, LONGEST = 92, 186
CUES, WIDTH, DIM = ("object", "scene", "action"), 2048, 512
#: names of operations in the profile
PRODUCT, KERNELS = ("weaksync::unit_cost", "aten::addmm", "aten::mm"), "weaksync::"


def write_random(folder: Path, subtitles: int, *, seed: int = 0) -> None:
    """An index of random features, of the size that real ones have, and what narrows it."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(SHORTEST, LONGEST + 1, (subtitles,), generator=generator).sort().values
    total = int(lengths.sum())

    def blocks(rows: int, width: int) -> Iterator[Any]:
        for start in range(0, rows, 8192):
            yield half_units(torch.randn(min(8192, rows - start), width, generator=generator)).numpy()

    write_array(folder / STEPS, (total, DIM), blocks(total, DIM))
    for cue in CUES:
        write_array(folder / f"{cue}.npy", (subtitles, WIDTH), blocks(subtitles, WIDTH))
    texts = [
        Subtitle(f"s{number}", "en", ("Nothing.",), ((0.0, 1.0),), 1.0, int(m), 0) for number, m in enumerate(lengths)
    ]
    (folder / SUBTITLES).write_text("".join(f"{json.dumps(text.to_dict())}\n" for text in texts), encoding="utf-8")
    sizes = {name: (folder / name).stat().st_size for name in (STEPS, SUBTITLES, *(f"{cue}.npy" for cue in CUES))}
    cues = dict.fromkeys(CUES, WIDTH)
    info = PoolInfo("", "random", DIM, cues, subtitles, total, 0.0, {"en": subtitles}, [], sizes)
    (folder / INDEX).write_text(info.to_json(), encoding="utf-8")
    write_search(open_index(folder))


def shares(run: Callable[[], object]) -> dict[str, float]:
    """Share of a call's time that its matrix products take, and its recurrences, out of a profile of it."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else it says on standard error that it has begun
    with profile(activities=[ProfilerActivity.CPU]) as found:
        start = time.perf_counter()
        run()
        seconds = time.perf_counter() - start
    spent = {event.key: event.self_cpu_time_total / 1e6 for event in found.key_averages()}
    product = sum(value for name, value in spent.items() if name in PRODUCT)
    recurrence = sum(value for name, value in spent.items() if name.startswith(KERNELS) and name not in PRODUCT)
    return {"product": product / seconds, "recurrence": recurrence / seconds}


def seconds_of(run: Callable[[], object], repeats: int, tick: Callable[[], None]) -> tuple[float, float]:
    """Medians of so many calls: seconds, and seconds of the processor, which a busy machine changes less."""
    taken = []
    for _ in range(repeats):
        start, worked = time.perf_counter(), time.process_time()
        run()
        taken.append((time.perf_counter() - start, time.process_time() - worked))
        tick()
    wall, processor = (statistics.median(column) for column in zip(*taken, strict=True))
    return wall, processor


@click.command()
@click.option("--subtitles", default=5000, show_default=True, type=click.IntRange(1), help="In the pool.")
@click.option("--steps", default=140, show_default=True, type=click.IntRange(1), help="Of the clip; 140 are 22 s.")
@click.option("--narrow", default=500, show_default=True, type=click.IntRange(1), help="Aligned after narrowing.")
@click.option("--threads", default=2, show_default=True, type=click.IntRange(1), help="Threads of the CPU.")
@click.option("--repeats", default=5, show_default=True, type=click.IntRange(1), help="Calls; the median is shown.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(subtitles: int, steps: int, narrow: int, threads: int, repeats: int, as_json: bool) -> None:
    """Rank a large index for one clip, exactly, and narrowed by faiss (pip install 'weaksync[search]').

    Features are random and of full size: subtitles of 15 to 30 s, steps of 512, three global cues of 2048.  The shares
    of the matrix product and of the recurrence come from a profile of the same call.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    matcher = Matcher(zoo.create("syncnet").eval(), zoo.create("lipspeech").eval(), weights=dict(PAPER_WEIGHTS))  # type: ignore[arg-type]
    clip = EncodedClip(
        torch.randn(steps, DIM),
        torch.arange(steps) * 0.16,
        {cue: F.normalize(torch.randn(WIDTH), dim=0) for cue in CUES},
    )
    try:
        with tempfile.TemporaryDirectory() as folder, progress("calls") as bar:
            task = bar.add_task("match", total=2 * repeats)
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:  # its memory is not ours
                other.submit(write_random, Path(folder), subtitles).result()
            index = open_index(folder)
            narrowing = Narrowing(index)
            ways = {
                "exact": (len(index), lambda: rank(matcher, clip, index)),
                f"narrowed to {narrow}": (
                    narrow,
                    lambda: rank(matcher, clip, index, narrowing=narrowing, keep=narrow),
                ),
            }
            rows = []
            for name, (aligned, run) in ways.items():
                run()
                wall, processor = seconds_of(run, repeats, lambda: bar.advance(task))
                part = shares(run)
                both = part["product"] + part["recurrence"]
                rows.append(
                    (name, aligned, wall, processor, part["product"], part["recurrence"], both, round(peak_memory()))
                )
            size = sum(index.info.sizes.values())
    finally:
        torch.set_num_threads(before)
    title = (
        f"{steps} steps against {subtitles} subtitles of {SHORTEST} to {LONGEST}, {ops.describe()}, {threads} threads; "
        f"index {size / 1e6:.0f} MB, {size // subtitles} bytes a subtitle"
    )
    print_table(
        title, ("", "aligned", "s", "CPU s", "product", "recurrence", "both", "peak MiB"), rows, as_json=as_json
    )

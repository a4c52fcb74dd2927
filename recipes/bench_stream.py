"""`weaksync bench stream`: what is left of a bare loop's speed when reading is exact and checked."""

from __future__ import annotations

import os
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import torch
from torch import Tensor

from ..datamodules.batches import PairBatch
from ..datamodules.index import ShardSet
from ..datamodules.media import decode_jpeg
from ..datamodules.sample_set import PlainTokenize, PlainTransform, make_set
from ..datamodules.shards import build_index, read_index
from ..datamodules.story import StoryDataModule
from .console import print_table, progress

FRAMES = 3
GROUPS, GROUP_SIZE = 4, 8
REPEATS = 15
LEAST_RATIO = 0.9
LEAST_INDEX_MB = 150.0
MOST_GROWTH_MB = 50.0


@dataclass
class StreamSpeed:
    """What `measure` found; rates are medians over interleaved repeats.

    Attributes:
        exact, bare: clips per second, of the data module and of a loop that only reads, decodes and stacks.
        index_mb: megabytes per second of indexing a shard that lies in the page cache.
        growth_mb: growth of resident memory while `samples` clips were read.
        samples: clips read for it.
    """

    exact: float
    bare: float
    index_mb: float
    growth_mb: float
    samples: int

    @property
    def ratio(self) -> float:
        return self.exact / self.bare


def measure(folder: Path, samples: int) -> StreamSpeed:
    """Measure reading of the training split of a shard set, in this process, on one thread."""
    torch.set_num_threads(1)
    transform = PlainTransform(FRAMES, 224, mirror=False)
    module = StoryDataModule(folder, transform, PlainTokenize(), global_batch=GROUPS, group_size=GROUP_SIZE)
    shards, pairs = module.shards, module.pairs
    per_repeat = min(len(pairs), 128)
    bar = progress("clips")
    with bar:
        task = bar.add_task("reading", total=samples + 2 * REPEATS * per_repeat)
        exact, bare = [], []
        for _ in range(REPEATS):
            exact.append(_rate(_exact_clips(module), per_repeat))
            bare.append(_rate(_bare_clips(shards, transform), per_repeat))
            bar.advance(task, 2 * per_repeat)
        warm, grown = min(2000, samples // 10), 0.0
        clips = _exact_clips(module)
        for number in range(samples):
            if number == warm:
                grown = _resident_mb()
            next(clips)
            bar.advance(task)
        grown = _resident_mb() - grown
    return StreamSpeed(statistics.median(exact), statistics.median(bare), _index_rate(folder, shards), grown, samples)


def _exact_clips(module: StoryDataModule) -> Iterator[Tensor]:
    """Clips as the data module yields them, endlessly."""
    loader = module.train_dataloader()
    while True:
        batch: PairBatch
        for batch in loader:
            yield from batch.pixels


def _bare_clips(shards: ShardSet, transform: PlainTransform) -> Iterator[Tensor]:
    """The same clips in the order of the file, with nothing around: read members, decode, transform, stack."""
    places: list[tuple[Path, list[tuple[int, int]]]] = []
    for shard in shards.manifest.shards:
        index = (shards.folder / shard.name.replace(".tar", ".index.json")).read_bytes()
        for sample in read_index(index, shard.name)[2]:
            offset, members = sample.offset, []
            for member, (count, _) in sample.members.items():
                if member.endswith(".jpg"):
                    members.append((offset + 512, count))
                offset += 512 + -(-count // 512) * 512
            if members and shard.split == "train":
                places.append((shards.folder / shard.name, members[:FRAMES]))
    files = {path: os.open(path, os.O_RDONLY) for path in {path for path, _ in places}}
    batch: list[Tensor] = []
    try:
        while True:
            for path, members in places:
                pictures = [decode_jpeg(os.pread(files[path], count, offset)) for offset, count in members]
                batch.append(transform(torch.stack(pictures)))
                if len(batch) == GROUPS * GROUP_SIZE:
                    yield from torch.stack(batch)
                    batch = []
    finally:
        for descriptor in files.values():
            os.close(descriptor)


def _rate(clips: Iterator[Tensor], count: int) -> float:
    for _ in range(32):  # what is opened and cached at the start is no part of the rate
        next(clips)
    start = time.perf_counter()
    for _ in range(count):
        next(clips)
    return count / (time.perf_counter() - start)


def _index_rate(folder: Path, shards: ShardSet) -> float:
    path = max((folder / shard.name for shard in shards.manifest.shards), key=lambda path: path.stat().st_size)
    path.read_bytes()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        build_index(path)
        times.append(time.perf_counter() - start)
    return path.stat().st_size / 1e6 / statistics.median(times)


def _resident_mb() -> float:
    """Resident memory now, or where /proc is absent the most there ever was."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


@click.command()
@click.option("--shards", type=click.Path(path_type=Path), help="A shard set; default: one made up for the run.")
@click.option(
    "--samples", default=20_000, show_default=True, type=click.IntRange(100), help="Clips to watch memory over."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(shards: Path | None, samples: int, as_json: bool) -> None:
    """Measure how fast training clips are read, beside a bare loop over the same bytes."""
    if shards is not None:
        speed = measure(shards, samples)
    else:
        with tempfile.TemporaryDirectory(prefix="weaksync-bench-") as temporary:
            folder = Path(temporary) / "set"
            make_set(folder, {"train": [60] * 20}, frames=FRAMES, size=(240, 320), shard_bytes=32 << 20)
            speed = measure(folder, samples)
    rows = [
        ("exact reading, clips/s", speed.exact, None),
        ("bare loop, clips/s", speed.bare, None),
        ("exact / bare", speed.ratio, f">= {LEAST_RATIO}"),
        ("indexing, MB/s", speed.index_mb, f">= {LEAST_INDEX_MB:.0f}"),
        (f"memory growth over {speed.samples} clips, MB", speed.growth_mb, f"< {MOST_GROWTH_MB:.0f}"),
    ]
    print_table("streaming, one process, one thread", ["measure", "median", "target"], rows, as_json=as_json)

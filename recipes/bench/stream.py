"""`weaksync bench stream`: what is left of a bare loop's speed when reading is exact and checked."""

from __future__ import annotations

import itertools
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import click
import torch
from torch import Tensor

from ...datamodules.elastic import ElasticLoader, GroupOrder
from ...datamodules.index import ShardSet, sample_key
from ...datamodules.media import decode_jpeg
from ...datamodules.pairs import choose_frames, sample_generator
from ...datamodules.sample_set import PlainTokenize, PlainTransform, make_set
from ...datamodules.shards import build_index, index_name, read_index
from ...datamodules.story import StoryDataModule
from ...datamodules.tarscan import BLOCK, Sample
from ..console import print_table, progress

FRAMES = 3
SIZE = 224  # pixels
GROUPS, GROUP_SIZE = 4, 8
STEPS, REPEATS = 4, 15  # batches a repeat
LEAST_RATIO = 0.9
LEAST_INDEX_MB = 150.0
MOST_GROWTH_MB = 50.0


@dataclass
class StreamSpeed:
    """What `measure` found; rates are medians over interleaved repeats.

    Attributes:
        exact, bare: clips per second of CPU time, of the data module and of a loop that only reads the same pictures
            in the same order, decodes and transforms them.  The module besides deals the pairs, reads and hashes whole
            samples, draws pictures and tokenises.
        index_mb: megabytes per second of indexing a shard that lies in the page cache.
        growth_mb: growth of resident memory while `samples` clips were read.
        samples: clips read for it.
        ratio: of exact to bare, the median over repeats, each beside the other.
    """

    exact: float
    bare: float
    index_mb: float
    growth_mb: float
    samples: int
    ratio: float


def measure(folder: Path, samples: int) -> StreamSpeed:
    """Measure reading of the training split of a shard set, in this process, on one thread."""
    torch.set_num_threads(1)
    transform = PlainTransform(FRAMES, SIZE, mirror=False)
    module = StoryDataModule(folder, transform, PlainTokenize(), global_batch=GROUPS, group_size=GROUP_SIZE)
    loader = cast(ElasticLoader, module.train_dataloader())
    exactly, barely = _exact(loader), _bare(_places(loader.steps.order, module.shards), transform)
    next(exactly), next(barely)  # what is opened and cached at the start is no part of the rate
    bar = progress("clips")
    with bar:
        task = bar.add_task("reading", total=samples + 2 * REPEATS * STEPS * GROUPS * GROUP_SIZE)
        exact, bare = [], []
        for _ in range(REPEATS):
            exact.append(_rate(exactly))
            bare.append(_rate(barely))
            bar.advance(task, 2 * STEPS * GROUPS * GROUP_SIZE)
        warm, seen, grown = min(2000, samples // 10), 0, 0.0
        while seen < samples:
            if seen <= warm:
                grown = _resident_mb()
            seen += len(next(exactly))
            bar.advance(task, GROUPS * GROUP_SIZE)
        grown = _resident_mb() - grown
    ratio = statistics.median(fast / bound for fast, bound in zip(exact, bare, strict=True))
    index_rate = _index_rate(folder, module.shards)
    return StreamSpeed(statistics.median(exact), statistics.median(bare), index_rate, grown, seen, ratio)


def _exact(loader: ElasticLoader) -> Iterator[Tensor]:
    """Batches of pixels as the data module yields them, endlessly."""
    while True:
        for batch in loader:
            yield batch.pixels


@dataclass
class Place:
    """Where the pictures of one training clip lie: offset and size in bytes of each, in one shard."""

    shard: Path
    pictures: list[tuple[int, int]]


def _places(order: GroupOrder, shards: ShardSet) -> list[list[Place]]:
    """The pictures that exact reading looks at in its first epoch, in its order and its batches."""
    samples: dict[str, tuple[Path, Sample]] = {}
    for shard in shards.manifest.shards:
        index = (shards.folder / index_name(shard.name)).read_bytes()
        for sample in read_index(index, shard.name)[2]:
            samples[sample.key] = (shards.folder / shard.name, sample)
    groups = []
    for number, group in order.epoch(0).tolist():
        video = order.pairs.videos[number]
        places = []
        for clip in video.clips[order.members(0, number, group)].tolist():
            key = sample_key(video.id, clip)
            path, sample = samples[key]
            pictures = _pictures(sample)
            chosen = choose_frames(len(pictures), FRAMES, sample_generator(order.seed, 0, key))
            places.append(Place(path, [pictures[picture] for picture in chosen]))
        groups.append(places)
    shares = [groups[first : first + GROUPS] for first in range(0, len(groups), GROUPS)]
    return [list(itertools.chain.from_iterable(share)) for share in shares]


def _pictures(sample: Sample) -> list[tuple[int, int]]:
    """Offset and size of the candidates of a clip, by their numbers."""
    found, offset = {}, sample.offset
    for member, (size, _) in sample.members.items():
        if member.endswith(".jpg"):
            found[int(member.partition(".")[0])] = (offset + BLOCK, size)
        offset += BLOCK + -(-size // BLOCK) * BLOCK
    return [found[number] for number in sorted(found)]


def _bare(batches: list[list[Place]], transform: PlainTransform) -> Iterator[Tensor]:
    """The same batches with nothing around, endlessly: read pictures, decode, transform, put into the batch."""
    files = {path: os.open(path, os.O_RDONLY) for path in {place.shard for places in batches for place in places}}
    try:
        while True:
            for places in batches:
                batch = torch.empty(len(places), FRAMES, 3, SIZE, SIZE)
                for row, place in enumerate(places):
                    encoded = [os.pread(files[place.shard], count, offset) for offset, count in place.pictures]
                    batch[row] = transform(torch.stack([decode_jpeg(picture) for picture in encoded]))
                yield batch
    finally:
        for descriptor in files.values():
            os.close(descriptor)


def _rate(batches: Iterator[Tensor]) -> float:
    """Clips per second of CPU time, over a few whole batches."""
    start = time.process_time()
    clips = sum(len(next(batches)) for _ in range(STEPS))
    return clips / (time.process_time() - start)


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

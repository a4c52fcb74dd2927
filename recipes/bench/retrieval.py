"""`weaksync bench retrieval`: every sentence of a large test set against every clip, with time and memory."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import click
import torch
from torch.nn import functional as F

from ...zoo.decoding import VideoSimilarity
from ...zoo.retrieval import retrieval
from ..console import print_table, progress
from ..scoring.tables import RETRIEVAL, retrieval_table
from .timing import peak_memory

#: a clip is so long in M-SyMoN, in seconds
CLIP_SECONDS = 2.4
#: how far a sentence's vector goes towards those of its clips; made so that the figures are of a model's kind
LIKENESS = 0.2


def synthetic(
    clips: int, sentences: int, width: int, *, languages: int = 7, seed: int = 0
) -> Iterator[VideoSimilarity]:
    """Videos of 300 clips with random unit vectors, every sentence a little like the clips of its segment."""
    chance = torch.Generator().manual_seed(seed)
    videos = max(1, clips // 300)
    for number in range(videos):
        n, m = (total * (number + 1) // videos - total * number // videos for total in (clips, sentences))
        pictures = F.normalize(torch.randn(n, width, generator=chance), dim=1)
        bounds = torch.linspace(0, n * CLIP_SECONDS, m + 1, dtype=torch.float64)
        middle = ((torch.arange(m) + 0.5) * n / max(m, 1)).long()
        texts = torch.randn(m, width, generator=chance) / math.sqrt(width) + LIKENESS * pictures[middle]
        times = torch.arange(n + 1, dtype=torch.float64) * CLIP_SECONDS
        yield VideoSimilarity(
            id=f"{number:05}",
            language=f"language {number * languages // videos + 1}",
            similarity=torch.empty(n, 0),
            clips=torch.stack([times[:-1], times[1:]], dim=1),
            segments=torch.stack([bounds[:-1], bounds[1:]], dim=1),
            narrations=torch.full((m, 2), math.nan, dtype=torch.float64),
            annotated=True,
            clip_vectors=pictures,
            sentence_vectors=F.normalize(texts, dim=1),
        )


@click.command()
@click.option("--clips", default=100_000, show_default=True, type=click.IntRange(1), help="Clips in all.")
@click.option("--sentences", default=30_000, show_default=True, type=click.IntRange(1), help="Sentences in all.")
@click.option("--width", default=256, show_default=True, type=click.IntRange(1), help="Dimensions of a vector.")
@click.option("--languages", default=7, show_default=True, type=click.IntRange(1), help="Languages, of equal size.")
@click.option("--threads", default=2, show_default=True, type=click.IntRange(1), help="Threads of the CPU.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(clips: int, sentences: int, width: int, languages: int, threads: int, as_json: bool) -> None:
    """Time the retrieval of every sentence among all clips, and within each language, with its memory.

    Vectors are random, each sentence's a little like its clips'.  The matrix of all scores would take
    `clips * sentences * 8` bytes; it is never made.  Seconds are of the clock and, which a busy machine disturbs less,
    of the processor, all threads added up; the peak is that of the whole process.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        videos = list(synthetic(clips, sentences, width, languages=languages))
        with progress("comparisons") as bar:
            task = bar.add_task("retrieval", total=None)
            start, used = time.perf_counter(), time.process_time()
            rows = retrieval(videos, track=lambda done, of: bar.update(task, completed=done, total=of))
            seconds, busy = time.perf_counter() - start, time.process_time() - used
    finally:
        torch.set_num_threads(before)
    rate = clips * sentences / seconds / 1e6
    line = [clips, sentences, width, threads, seconds, busy, rate, peak_memory()]
    columns = ["clips", "sentences", "width", "threads", "s", "CPU s", "M/s", "peak MiB"]
    print_table("Every sentence against every clip", columns, [line], as_json=as_json)
    if not as_json:
        print_table("What it found", RETRIEVAL, retrieval_table(rows))

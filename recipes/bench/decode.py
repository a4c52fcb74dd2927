"""`weaksync bench decode`: a full test set from similarities to labels, as evaluation does it."""

from __future__ import annotations

import itertools
import statistics
import time
from pathlib import Path

import click
import numpy as np
import torch

from ...datamodules import msymon
from ...zoo.decoding import Decoder, VideoSimilarity
from ..console import err, print_table, progress
from ..published import languages_present, release
from ..scoring.ceilings import CLIP_SECONDS

#: videos of M-SyMoN's seven test sets
VIDEOS = 271
#: of the published test videos: mean and deviation of the logarithm, which is about normal
MINUTES, SENTENCES_A_MINUTE = (2.31, 0.31), (2.35, 0.31)

WAYS = {
    "similarity alone": Decoder(0.8, 0.3, "constant"),
    "and times": Decoder(0.8, 0.3, "constant", timing=0.01),
    "within 1 s": Decoder(0.8, 0.3, "constant", within=1.0),
    "not contiguous": Decoder(0.8, 0.3, "constant", contiguous=False),
    "percentile": Decoder(0.1, 0.03),
    "logit": Decoder(0.3, 2.0, "logit"),
}


def lengths(root: Path | None) -> list[tuple[float, int]]:
    """(seconds, sentences) of `VIDEOS` videos: those of the release below `root`, in turn, or drawn like them."""
    if root is None:
        chance = np.random.default_rng(0)
        minutes = np.exp(chance.normal(*MINUTES, VIDEOS))
        rates = np.exp(chance.normal(*SENTENCES_A_MINUTE, VIDEOS))
        return [(60 * m, max(1, round(m * rate))) for m, rate in zip(minutes.tolist(), rates.tolist(), strict=True)]
    folder = release(root, "m-symon", "annotations")
    if folder is None:
        raise FileNotFoundError(f"{root} holds no m-symon/annotations")
    videos = [video for code in languages_present(folder) for video in msymon.read(folder, code, "test")]
    segments = [video.segments() for video in videos]
    known = [(float(np.nanmax(each)), len(each)) for each in segments if not np.isnan(each).all()]
    # two of the seven languages are not in every copy
    return list(itertools.islice(itertools.cycle(known), VIDEOS))


def story(number: int, seconds: float, sentences: int) -> VideoSimilarity:
    """A video of clips of `CLIP_SECONDS`, told evenly, whose similarities are noise around the right ones."""
    chance = torch.Generator().manual_seed(number)
    n = max(1, round(seconds / CLIP_SECONDS))
    cuts = torch.linspace(0, seconds, n + 1, dtype=torch.float64)
    bounds = torch.linspace(0, seconds, sentences + 1, dtype=torch.float64)
    similarity = 0.08 * torch.randn(n, sentences, generator=chance)
    similarity[torch.arange(n), torch.arange(n) * sentences // n] += 0.2
    spans = torch.stack([bounds[:-1], bounds[1:]], dim=1)
    return VideoSimilarity(
        f"{number:04}", "", similarity, torch.stack([cuts[:-1], cuts[1:]], dim=1), spans, spans + 2, True
    )


@click.command()
@click.option("--data", "root", type=click.Path(path_type=Path), help="Folder with m-symon/, for its true lengths.")
@click.option("--turns", default=5, show_default=True, type=click.IntRange(1), help="Of each way.")
@click.option("--threads", default=2, show_default=True, type=click.IntRange(1), help="Threads of the CPU.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(root: Path | None, turns: int, threads: int, as_json: bool) -> None:
    """Time the decoding of all test videos of M-SyMoN, from similarities to labels.

    Similarities are synthetic; lengths are those of the published annotations, or drawn like them.  In milliseconds for
    all videos together: the median and the fastest of some turns, and the least that all threads used of the processor,
    which a busy machine disturbs less.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        videos = [story(number, *each) for number, each in enumerate(lengths(root))]
        similarities = [video.similarity for video in videos]
        gaps = [video.gaps for video in videos]
        rows = []
        with progress("turns") as bar:
            task = bar.add_task("decode", total=turns * len(WAYS))
            for name, decoder in WAYS.items():
                decoder.decode(similarities[:2], gaps[:2])
                needed = gaps if decoder.timing or decoder.within is not None else None
                taken, busy = [], []
                for _ in range(turns):
                    start, used = time.perf_counter(), time.process_time()
                    decoder.decode(similarities, needed)
                    taken.append(time.perf_counter() - start)
                    busy.append(time.process_time() - used)
                    bar.advance(task)
                rows.append((name, *(round(1000 * each) for each in (statistics.median(taken), min(taken), min(busy)))))
    finally:
        torch.set_num_threads(before)
    clips, sentences = (np.array([each.shape[axis] for each in similarities]) for axis in (0, 1))
    title = (
        f"{len(videos)} videos of {clips.mean():.0f} clips and {sentences.mean():.0f} sentences, "
        f"{clips @ sentences / 1e6:.1f} million cells, {threads} thread{'s' * (threads > 1)}"
    )
    print_table(title, ["way", "ms", "fastest", "CPU ms"], rows, as_json=as_json)
    if root is None and not as_json:
        err.print("lengths are drawn; --data names the folder of the release, for the true ones")

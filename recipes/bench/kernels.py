"""`weaksync bench kernels`: the alignment kernels beside what else is installed, after checking that they are right."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import click
import torch
from rich.markup import escape
from torch import Tensor

from ... import kernels
from ...kernels import ops
from ..console import err, print_table, progress
from . import peers
from .peers import Peer

GAMMA = 0.1
DROP_VIDEO, DROP_TEXT = 0.4, 0.6

#: of the table; `Timing.row` fills the first
COLUMNS = ("job", "size", "ns a cell", "error", "fastest peer", "ratio")
GPU_COLUMNS = (*COLUMNS, "copies")

Call = Callable[[Tensor], Tensor]


@dataclass
class Job:
    """One recurrence on one size.

    Attributes:
        name: as the table shows it.
        size: B, n, m.
        value: the public function with its settings bound, returning (B,).
        soft: whether it has a gradient, which is then part of the job.
        peers: other implementations of the whole job.
    """

    name: str
    size: tuple[int, int, int]
    value: Call
    soft: bool = True
    peers: list[Peer] = field(default_factory=list)

    def cost(self, device: str) -> Tensor:
        """Random costs in [0, 2]."""
        return 2 * torch.rand(self.size, generator=torch.Generator().manual_seed(0)).to(device)

    def run(self, cost: Tensor) -> None:
        if self.soft:
            torch.autograd.grad(self.value(cost).sum(), cost)
        else:
            self.value(cost)

    def error(self, cost: Tensor) -> float:
        """max |g - g64| / max |g64| of the first pair; for a hard recurrence, its relative error in the value."""
        one, truth = cost[:1].clone(), cost[:1].double().cpu()
        if not self.soft:
            exact = self.value(truth).item()
            return abs(self.value(one).item() - exact) / abs(exact)
        gradients = []
        for leaf in (one.requires_grad_(), truth.requires_grad_()):
            (gradient,) = torch.autograd.grad(self.value(leaf).sum(), leaf)
            gradients.append(gradient.double().cpu())
        return float((gradients[0] - gradients[1]).abs().max() / gradients[1].abs().max())


@dataclass
class Timing:
    """Medians, in ns for each cell of the table."""

    job: str
    size: str
    ns: float
    error: float
    peer: str
    peer_ns: float

    def row(self) -> tuple[str, str, float, str, str, float | None]:
        """The last two: the fastest peer, and how often this library does the job while the peer does it once."""
        ratio = self.peer_ns / self.ns if self.peer else None
        return self.job, self.size, self.ns, f"{self.error:.1e}", self.peer, ratio


def jobs(device: str = "cpu") -> list[Job]:
    """Every recurrence on the sizes that the papers and their users meet, on a GPU also as many as fill it."""
    square = [(1, 200, 200), (16, 200, 200), (1, 1000, 1000), (16, 1000, 1000)]
    if device != "cpu":
        square.append((4096, 200, 200))
    story = [(1, 300, 130), (16, 300, 130)]
    found = [
        Job("soft-DTW", size, partial(kernels.soft_dtw, gamma=GAMMA), peers=peers.soft_dtw(GAMMA)) for size in square
    ]
    for name, window in (("soft-DSTA w7", 7), ("soft-DSTA w40", 40), ("soft-DSTA", None)):
        value = partial(kernels.soft_dsta, gamma=GAMMA, window=window)
        loop = peers.soft_dsta(GAMMA, window, 1.0, 1)
        # the loop over every window takes minutes at 1000 x 1000
        found += [Job(name, size, value, peers=loop if size[1] == 200 else []) for size in square]
    drops = partial(kernels.soft_drop_dtw, drop_video=DROP_VIDEO, drop_text=DROP_TEXT, gamma=GAMMA)
    found += [Job("soft Drop-DTW", size, drops) for size in [*story, *square[1:]]]
    labels = partial(_first, kernels.drop_dtw, drop_video=DROP_VIDEO, drop_text=DROP_TEXT)
    python = peers.drop_dtw(DROP_VIDEO, DROP_TEXT)
    found += [Job("Drop-DTW path", size, labels, soft=False, peers=python if size[0] == 1 else []) for size in story]
    path = partial(_first, kernels.dtw_path)
    found += [Job("DTW path", size, path, soft=False, peers=peers.dtw_path()) for size in square]
    return [*found, *(Job("DSTA path", size, partial(_first, kernels.dsta_path), soft=False) for size in square)]


def _first(function: Callable[..., tuple[Tensor, ...]], cost: Tensor, **settings: float) -> Tensor:
    return function(cost, **settings)[0]


def measure(job: Job, *, device: str = "cpu", repeats: int = 9) -> Timing:
    """Medians of repeats in which this library and its peers take turns."""
    cost = job.cost(device)
    error = job.error(cost)
    cells, threads = cost.numel(), torch.get_num_threads()
    peers_here = [(peer.name, peer.run) for peer in job.peers if peer.on_gpu or not cost.is_cuda]
    runs: list[tuple[str, Callable[[Tensor], object]]] = [("", job.run), *peers_here]
    seconds: dict[str, list[float]] = {name: [] for name, _ in runs}
    for _, run in runs:
        _seconds(run, cost, job.soft)  # compiles, and fills caches
    for _ in range(repeats):
        for name, run in runs:
            taken = seconds[name]
            torch.set_num_threads(threads)  # OpenMP's number, which Numba sets to its own
            if len(taken) < 3 or max(taken) < 0.2:  # three turns are enough for a slow peer
                taken.append(_seconds(run, cost, job.soft))
    medians = {name: 1e9 * statistics.median(taken) / cells for name, taken in seconds.items()}
    ours = medians.pop("")
    fastest = min(medians, key=medians.__getitem__, default="")
    size = "x".join(map(str, job.size))
    return Timing(job.name, size, ours, error, fastest, medians.get(fastest, float("nan")))


def _seconds(run: Callable[[Tensor], object], cost: Tensor, soft: bool) -> float:
    """Seconds a run, over as many as it takes to fill a twentieth of a second.

    A GPU is waited for only after the last of them, so that it, too, has the next run while it does one.
    """
    leaf = cost.clone().requires_grad_(soft)
    if cost.is_cuda:
        runs = math.ceil(0.05 / _seconds_of(1, run, leaf))
        return _seconds_of(runs, run, leaf) / runs
    runs = 0
    start = time.perf_counter()
    while (taken := time.perf_counter() - start) < 0.05:
        leaf.grad = None
        run(leaf)
        runs += 1
    return taken / runs


def _seconds_of(runs: int, run: Callable[[Tensor], object], leaf: Tensor) -> float:
    """Seconds of so many runs on a GPU, from when it has nothing to do until then."""
    torch.cuda.synchronize(leaf.device)
    start = time.perf_counter()
    for _ in range(runs):
        leaf.grad = None
        run(leaf)
    torch.cuda.synchronize(leaf.device)
    return time.perf_counter() - start


def copy_floor(device: str) -> float:
    """ns for each cell to read and write a table of costs once, out of memory and not a cache.

    Nothing that writes a gradient is faster, unless its costs lie in a cache.
    """
    cost = torch.rand(64, 1000, 1000, device=device)
    return 1e9 * statistics.median(_seconds(torch.clone, cost, False) for _ in range(9)) / cost.numel()


@click.command()
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:1.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1), help="Threads of the CPU.")
@click.option("--only", default="", help="Jobs whose name contains this.")
@click.option("--repeats", default=9, show_default=True, type=click.IntRange(1), help="How often each takes its turn.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(device: str, threads: int, only: str, repeats: int, as_json: bool) -> None:
    """Time the alignment kernels, gradients included, beside their peers.

    Sizes are B x n x m, and times in ns for each cell of the table; wN is a window of N texts.  The error is that of
    the gradient against float64, relative to its largest entry, or of the value where there is no gradient.  The ratio
    says how often this library does the job while its fastest peer does it once.  On a GPU, copies says how often a
    cell of a large table could be copied in the time of the job.

    Peers are what is installed of tslearn, pysdtw, dtaidistance and numba (pip install 'weaksync[bench]').
    """
    if device.partition(":")[0] not in ("cpu", "cuda"):
        raise ValueError(f"the kernels run on cpu and cuda, not on {device!r}")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError("no GPU is visible here: leave --device at cpu")
    if device.startswith("cuda") and (torch.device(device).index or 0) >= torch.cuda.device_count():
        raise ValueError(f"there is no {device} here: GPUs count from cuda:0 to cuda:{torch.cuda.device_count() - 1}")
    chosen = [job for job in jobs(device) if only.lower() in job.name.lower()]
    if not chosen:
        raise ValueError(f"no job is named like {only!r}; there are {', '.join(sorted({job.name for job in jobs()}))}")
    before = torch.get_num_threads()
    peers.set_threads(threads)
    torch.set_num_threads(threads)
    try:
        with progress("jobs") as bar:
            found = [measure(job, device=device, repeats=repeats) for job in bar.track(chosen, description="kernels")]
        backend = ops.describe(device)
        title = f"{backend}, {threads} thread{'s' * (threads > 1)}, medians of up to {repeats} turns"
        on_gpu = device.startswith("cuda")
        floor = copy_floor(device) if on_gpu or not as_json else math.nan  # what nothing shows is not timed
        rows = [(*one.row(), one.ns / floor) if on_gpu else one.row() for one in found]
        print_table(title, GPU_COLUMNS if on_gpu else COLUMNS, rows, as_json=as_json)
        if not as_json:
            err.print(f"copying the costs takes {floor:.2f} ns a cell")
            if absent := peers.missing():
                note = f"no {', '.join(absent)} here: pip install 'weaksync[bench]' fills the columns of peers"
                err.print(escape(note))
    finally:
        torch.set_num_threads(before)

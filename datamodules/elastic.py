"""Exact streaming: the same global batches on any number of ranks and workers, resumed without loss or repetition.

The order of an epoch is a pure function of the seed, the epoch and the data.  A step takes the next `global_batch`
groups of it and each rank its share, so that nothing depends on how many ranks or workers there are, and the state of
a run is two numbers: the epoch and the step.
"""

from __future__ import annotations

import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from .batches import ClipTransform, PairBatch, Tokenize
from .index import ShardSet, sample_key
from .pairs import Grouping, Pair, WeakPairs, collate, consecutive_groups, group_count, mixed_groups, seeded_rng
from .resumable import Resumable
from .tarscan import BadSample, Fault

BLOCK = 4  # shards whose groups are shuffled together: a process reads from so many at a time

Batch = TypeVar("Batch")


@dataclass
class Read(Generic[Batch]):
    """What a worker hands back: a batch (None where nothing was left of it), and what it had to leave out."""

    batch: Batch | None
    faults: list[Fault]

    @classmethod
    def attempt(cls, make: Callable[[], Batch]) -> Read[Batch]:
        """What `make` returns, or the fault of the BadSample that it raises, which cannot leave a worker as it is."""
        try:
            return cls(make(), [])
        except BadSample as bad:
            return cls(None, [bad.fault])

    def take(self) -> Batch:
        """The batch.  Raises BadSample where nothing was left of it."""
        if self.batch is None:
            raise BadSample(self.faults[-1])
        return self.batch


class GroupOrder:
    """The order of an epoch: shards permuted, then the groups inside blocks of shards.

    Args:
        pairs: the weak pairs.
        shards: shard of each video of `pairs`.
        group_size: pairs in a group, at most.
        seed: of everything.
        grouping: which pairs of a video make a group.
        block: shards whose groups are shuffled together.
    """

    def __init__(
        self,
        pairs: WeakPairs,
        shards: list[int],
        group_size: int,
        seed: int,
        grouping: Grouping = "mixed",
        block: int = BLOCK,
    ) -> None:
        self.pairs = pairs
        self.shards = np.array(shards, dtype=np.int64)
        self.group_size = group_size
        self.seed = seed
        self.grouping = grouping
        self.block = block
        self.counts = np.array([group_count(len(v.clips), group_size) for v in pairs.videos], dtype=np.int64)
        self._epoch: tuple[int, NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        return int(self.counts.sum())

    def epoch(self, epoch: int) -> NDArray[np.int64]:
        """(N, 2): video and number of the group within it, in the order of this epoch."""
        if self._epoch is None or self._epoch[0] != epoch:
            random = seeded_rng(self.seed, epoch)
            groups = np.stack(
                [
                    np.repeat(np.arange(len(self.counts)), self.counts),
                    np.concatenate([np.arange(count) for count in self.counts]),
                ],
                axis=1,
            )
            home = self.shards[groups[:, 0]]
            shards = random.permutation(np.unique(home))
            blocks = [shards[start : start + self.block] for start in range(0, len(shards), self.block)]
            order = [groups[random.permutation(np.flatnonzero(np.isin(home, block)))] for block in blocks]
            self._epoch = (epoch, np.concatenate(order))
        return self._epoch[1]

    def members(self, epoch: int, video: int, group: int) -> NDArray[np.int64]:
        """Indices into the video's pairs of one group."""
        sentences = self.pairs.videos[video].sentences
        if self.grouping == "consecutive":
            return consecutive_groups(len(sentences), self.group_size)[group]
        return mixed_groups(sentences, self.group_size, seeded_rng(self.seed, epoch, video))[group]


def even_share(count: int, part: int, parts: int) -> slice:
    """One of `parts` shares of `count` things: contiguous, and the shares differ by one at most."""
    small, more = divmod(count, parts)
    start = part * small + min(part, more)
    return slice(start, start + small + (part < more))


class PairSteps(Dataset[Read[PairBatch]]):
    """(epoch, step) -> this rank's share of that step.  What workers run; holds nothing that changes."""

    def __init__(
        self,
        shards: ShardSet,
        order: GroupOrder,
        preprocess: ClipTransform,
        tokenize: Tokenize,
        global_batch: int,
        rank: int,
        world: int,
    ) -> None:
        self.shards = shards
        self.order = order
        self.preprocess = preprocess
        self.tokenize = tokenize
        self.global_batch = global_batch
        self.rank = rank
        self.world = world

    def __len__(self) -> int:
        return -(-len(self.order) // self.global_batch)

    def __getitem__(self, place: tuple[int, int]) -> Read[PairBatch]:
        epoch, step = place
        groups = self.order.epoch(epoch)[step * self.global_batch : (step + 1) * self.global_batch]
        share = groups[even_share(len(groups), self.rank, self.world)]
        # in the last step of an epoch a rank may be left without a group: it gets one that counts for nothing
        weight, share = (1.0, share) if len(share) else (0.0, groups[-1:])
        pairs: list[Pair] = []
        faults: list[Fault] = []
        for video, group in share.tolist():
            for index in self.order.members(epoch, video, group).tolist():
                try:
                    pairs.append(self._read(video, index, weight))
                except BadSample as bad:
                    faults.append(bad.fault)
        if not pairs:
            return Read(None, faults)
        batch, more = collate(pairs, self.preprocess, self.tokenize, self.order.seed, epoch)
        return Read(batch, faults + more)

    def _read(self, number: int, index: int, weight: float) -> Pair:
        video = self.order.pairs.videos[number]
        clip, sentence = int(video.clips[index]), int(video.sentences[index])
        return Pair(
            shard=self.shards.shard_name(video.id),
            key=sample_key(video.id, clip),
            video=number,
            sentence=sentence,
            text=self.order.pairs.wordings[sentence],
            members=self.shards.read(video.id, clip),
            weight=weight,
        )


class Budget:
    """Counts bad samples; says each; raises when they are too many.

    Args:
        max_bad: how many are tolerated in an epoch: a number, or a share below 1 of what the process reads in it.
        samples: what it reads in an epoch.

    Raises:
        ValueError: for a `max_bad` that is neither.
    """

    def __init__(self, max_bad: int | float, samples: int) -> None:
        if not (max_bad >= 0 and (isinstance(max_bad, int) or max_bad < 1)):
            raise ValueError(f"max_bad={max_bad!r}: give a number of samples >= 0, or a share in [0, 1)")
        self.limit = max_bad if isinstance(max_bad, int) else int(max_bad * samples)
        self.skipped: list[Fault] = []

    def spend(self, faults: Iterable[Fault]) -> None:
        """Raises BadSample naming the sample that went past the budget."""
        for fault in faults:
            self.skipped.append(fault)
            if len(self.skipped) > self.limit:
                raise BadSample(fault) if self.limit == 0 else TooManyBadSamples(fault, len(self.skipped), self.limit)
            warnings.warn(f"left out a bad sample ({len(self.skipped)} of at most {self.limit}): {fault}", stacklevel=3)


class TooManyBadSamples(BadSample):
    """More bad samples than the budget allows; `fault` is the one that was too many."""

    def __init__(self, fault: Fault, count: int, limit: int) -> None:
        super().__init__(fault)
        self.args = (f"{count} bad samples, {limit} are tolerated (max_bad); the last: {fault}",)


class StepReader(Protocol[Batch]):
    """A data set of steps, as `workers_loader` drives it."""

    def __getitem__(self, place: Any) -> Read[Batch]: ...


def workers_loader(
    steps: StepReader[Batch], places: list[Any], workers: int, context: str | None, ahead: int = 2
) -> DataLoader[Read[Batch]]:
    """Run `steps` over `places` in order, in worker processes where `workers` > 0, each keeping `ahead` steps ready."""
    return DataLoader(steps, sampler=places, **worker_options(workers, context, ahead))  # type: ignore[arg-type]


def worker_options(workers: int, context: str | None, ahead: int = 2) -> dict[str, Any]:
    """How a DataLoader runs what already makes whole batches.  Raises ValueError for an unknown way to start."""
    if context is not None and context not in multiprocessing.get_all_start_methods():
        known = ", ".join(multiprocessing.get_all_start_methods())
        raise ValueError(f"start_method={context!r}: this system has {known}")
    return {
        "batch_size": None,
        "collate_fn": _identity,
        "worker_init_fn": _leave_process_group,
        "num_workers": workers,
        "multiprocessing_context": context if workers else None,
        "prefetch_factor": ahead if workers else None,
        "generator": torch.Generator(),  # its own: the seeds of workers must not draw from the model's stream
    }


def _leave_process_group(worker: int) -> None:
    """Leave the group of processes: a signal to all of it is the main one's to answer, which then ends its workers."""
    os.setpgid(0, 0)


def _identity(read: Any) -> Any:
    return read


class ElasticLoader(Resumable):
    """The training loader of exact mode.

    Args:
        steps: the steps of this rank.
        identity: see `Resumable`.
        max_bad: see `Budget`.
        workers: processes that read; 0 reads in this one.
        context: ``fork``, ``spawn``, ``forkserver`` or None for the system's choice.
    """

    def __init__(
        self, steps: PairSteps, identity: dict[str, Any], *, max_bad: int | float, workers: int, context: str | None
    ) -> None:
        super().__init__(identity)
        self.steps = steps
        self.max_bad = max_bad
        self.workers = workers
        self.context = context
        self.budget = self._budget()

    @property
    def skipped(self) -> list[Fault]:
        """Bad samples that this process left out in this epoch."""
        return self.budget.skipped

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[PairBatch]:
        epoch = self.epoch
        if self.step == 0:
            self.budget = self._budget()
        places = [(epoch, step) for step in range(self.step, len(self))]
        for read in workers_loader(self.steps, places, self.workers, self.context):
            self.budget.spend(read.faults)
            batch = read.take()
            self.advance()
            yield batch

    def _budget(self) -> Budget:
        return Budget(self.max_bad, len(self.steps.order.pairs) // self.steps.world)

"""Streaming with replacement through webdataset: for sets in an object store, or too large to read by offset.

Every worker of every rank draws shards at random, endlessly, splits their videos into groups of weak pairs and shuffles
these in a small buffer.  An epoch is a number of steps, the same on every rank.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import webdataset
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from webdataset.gopen import gopen, gopen_schemes
from webdataset.tariterators import tarfile_samples

from .batches import ClipTransform, PairBatch, Tokenize
from .elastic import Budget, Read, worker_options
from .index import sample_key
from .manifest import MANIFEST, Manifest, Shard
from .pairs import PAIR_SOURCES, Pair, PairSource, collate, mixed_groups, normalise_text, seeded_rng
from .records import AnnotatedVideo
from .resumable import Resumable
from .shards import index_name, read_index
from .tarscan import STORY, Fault, payload_fault

BUFFER = 64  # groups that a worker shuffles among


def address_of(folder: str | Path) -> str:
    """The address of a shard set as webdataset opens it.

    Raises:
        ValueError: for ``pipe:``, which would run a command, and for a scheme that webdataset does not know.
    """
    address = str(folder).rstrip("/")
    scheme = address.partition(":")[0] if ":" in address else "file"
    known = sorted({"file", *gopen_schemes} - {"pipe", "__default__"})
    if scheme == "pipe":
        raise ValueError(f"{address!r}: a `pipe:` address runs a command and is refused; name a folder or an https URL")
    if scheme not in known:
        raise ValueError(f"{address!r}: no way to open {scheme!r}; known are {', '.join(known)}")
    return address


def read_manifest(address: str) -> Manifest:
    """The manifest of a set at an address.  Raises ValueError or OSError naming it."""
    return Manifest.from_json(_fetch(f"{address}/{MANIFEST}"), f"{address}/{MANIFEST}")


def _fetch(url: str) -> bytes:
    with gopen(url) as stream:
        return stream.read()


@dataclass
class Video:
    """A video as it came out of the stream: its record, and the encoded members of its clips."""

    shard: str
    record: AnnotatedVideo
    clips: dict[int, dict[str, bytes]] = field(default_factory=dict)
    damaged: set[int] = field(default_factory=set)  # clips that came, but not as they were indexed


class VideoStream:
    """Whole videos from shards drawn at random, endlessly.  What is lost or damaged is put into `faults`.

    webdataset skips a cut or damaged tar silently, so all is checked against the manifest, the index and the record of
    the video.
    """

    def __init__(self, address: str, shards: Sequence[Shard], check_hashes: bool, seed: int) -> None:
        self.address = address
        self.shards = {f"{address}/{shard.name}": shard for shard in shards}
        self.check_hashes = check_hashes
        self.seed = seed
        self.faults: list[Fault] = []
        self.opened = 0
        self._checks: dict[str, dict[str, dict[str, tuple[int, int]]]] = {}

    def __iter__(self) -> Iterator[Video]:
        urls = webdataset.ResampledShards(
            list(self.shards), seed=self.seed, deterministic=True, worker_seed=_same_for_all_workers
        )
        for draw in urls:
            self.opened += 1
            yield from self._shard(draw["url"])

    def _shard(self, url: str) -> Iterator[Video]:
        shard = self.shards[url]
        video: Video | None = None
        whole = 0
        for sample in self._samples(shard, url):
            name, _, part = sample["__key__"].rpartition("/")
            members = {member: data for member, data in sample.items() if not member.startswith("__")}
            if reason := self._damage(shard, sample["__key__"], members):
                self.faults.append(Fault(shard.name, sample["__key__"], *reason))
                members = {}
            if part == STORY:
                if video is not None and self._is_whole(video):
                    yield video
                whole += 1
                video = self._begin(shard, name, members)
            elif video is not None and name == video.record.id:
                if members:
                    video.clips[int(part)] = members
                else:
                    video.damaged.add(int(part))
        if video is not None and self._is_whole(video):
            yield video
        if whole < shard.videos:
            self.faults.append(Fault(shard.name, "", "", f"{shard.videos} videos are announced, {whole} came"))

    def _samples(self, shard: Shard, url: str) -> Iterator[dict[str, Any]]:
        """The samples of a shard as webdataset groups them, up to where it can be read."""
        try:
            yield from tarfile_samples([{"url": url}])
        except tarfile.TarError as fault:
            self.faults.append(Fault(shard.name, "", "", f"cannot be read to its end: {fault.args[0]}"))

    def _begin(self, shard: Shard, name: str, members: dict[str, bytes]) -> Video | None:
        if not members:
            return None
        try:
            return Video(shard.name, AnnotatedVideo.from_dict(json.loads(members["json"])))
        except (KeyError, ValueError) as fault:
            self.faults.append(Fault(shard.name, f"{name}/{STORY}", "json", str(fault)))
            return None

    def _is_whole(self, video: Video) -> bool:
        """Whether there is something to use; clips that did not come are added to the faults."""
        for clip in range(len(video.record.clips or [])):
            if clip not in video.clips and clip not in video.damaged:
                self.faults.append(Fault(video.shard, sample_key(video.record.id, clip), "", "missing clip"))
        return bool(video.clips)

    def _damage(self, shard: Shard, key: str, members: dict[str, bytes]) -> tuple[str, str] | None:
        """(member, reason) of the first thing that differs from the index of the shard."""
        if not self.check_hashes:
            return None
        expected = self._index(shard).get(key)
        if expected is None:
            return "", "not in the index of its shard"
        for member, (size, crc) in expected.items():
            if member not in members:
                return member, "missing member"
            if len(members[member]) != size or zlib.crc32(members[member]) != crc:
                return member, payload_fault(member, members[member]) or "changed since it was indexed"
        return None

    def _index(self, shard: Shard) -> dict[str, dict[str, tuple[int, int]]]:
        if shard.name not in self._checks:
            url = f"{self.address}/{index_name(shard.name)}"
            data = _fetch(url)
            if hashlib.sha256(data).hexdigest() != shard.index_sha256:
                raise ValueError(f"{url} is not the index that the manifest knows: was the set changed?")
            self._checks[shard.name] = {sample.key: sample.members for sample in read_index(data, shard.name)[2]}
        return self._checks[shard.name]


@dataclass
class PairStream(IterableDataset[Read[PairBatch]]):
    """This rank's batches, endlessly.  What workers run; each has a stream of its own.

    Attributes:
        groups: in a batch of this rank.
        source: what pairs clips with sentences.
        start: (epoch, step) at which this run of the stream begins; part of its seed.
    """

    address: str
    shards: list[Shard]
    preprocess: ClipTransform
    tokenize: Tokenize
    groups: int
    group_size: int
    languages: list[str] | None
    seed: int
    rank: int
    check_hashes: bool
    source: PairSource = "weak"
    start: tuple[int, int] = (0, 0)

    def __iter__(self) -> Iterator[Read[PairBatch]]:
        worker = get_worker_info()
        random = seeded_rng(self.seed, *self.start, self.rank, 0 if worker is None else worker.id)
        videos = VideoStream(self.address, self.shards, self.check_hashes, int(random.integers(2**31)))
        groups = self._shuffled(self._dealt(videos, random), random)
        while True:
            pairs = [pair for _ in range(self.groups) for pair in next(groups)]
            # a clip may come again in the same epoch; its frames are then drawn anew
            batch, faults = collate(pairs, self.preprocess, self.tokenize, int(random.integers(2**31)), self.start[0])
            faults, videos.faults = videos.faults + faults, []
            yield Read(batch, faults)

    def _dealt(self, videos: VideoStream, random: np.random.Generator) -> Iterator[list[Pair]]:
        """The groups of each video in turn."""
        last = 0  # shards opened when a video had groups for the last time
        for video in videos:
            wanted = self.languages is None or video.record.language in self.languages
            groups = self._groups(video, random) if wanted else []
            if groups:
                last = videos.opened
            elif videos.opened - last > 20 + 10 * len(self.shards):
                raise ValueError(
                    f"{self.address}: {videos.opened - last} shards held no video to train on "
                    f"({self.source} pairs of two sentences, in the languages that were asked for)"
                )
            yield from groups

    def _groups(self, video: Video, random: np.random.Generator) -> list[list[Pair]]:
        found = PAIR_SOURCES[self.source]([video.record])
        if not found.videos:
            return []
        pairs, number = found.videos[0], _number(video.record.id)
        groups: list[list[Pair]] = []
        for members in mixed_groups(pairs.sentences, self.group_size, random):
            group: list[Pair] = []
            for clip, sentence in zip(pairs.clips[members].tolist(), pairs.sentences[members].tolist(), strict=True):
                if clip in video.clips:
                    text, key = found.wordings[sentence], sample_key(video.record.id, clip)
                    group.append(Pair(video.shard, key, number, _number(normalise_text(text)), text, video.clips[clip]))
            if group:
                groups.append(group)
        return groups

    def _shuffled(self, groups: Iterator[list[Pair]], random: np.random.Generator) -> Iterator[list[Pair]]:
        held: list[list[Pair]] = []
        for group in groups:
            held.append(group)
            if len(held) == BUFFER:
                place = int(random.integers(BUFFER))
                held[place], held[-1] = held[-1], held[place]
                yield held.pop()


class ResampledLoader(Resumable):
    """The training loader of resampled mode: a fixed number of steps an epoch, the same on every rank.

    Its state is the place in the epoch; what follows it after a resume is drawn anew.
    """

    def __init__(
        self,
        stream: PairStream,
        steps: int,
        samples: int,
        *,
        max_bad: int | float,
        workers: int,
        context: str | None,
    ) -> None:
        super().__init__({"steps_per_epoch": steps})
        self.stream = stream
        self.steps = steps
        self.samples = samples
        self.max_bad = max_bad
        self.workers = workers
        self.context = context
        self.budget = Budget(max_bad, samples)

    @property
    def skipped(self) -> list[Fault]:
        """Bad samples that this process left out in this epoch."""
        return self.budget.skipped

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[PairBatch]:
        epoch = self.epoch
        if self.step == 0:
            self.budget = Budget(self.max_bad, self.samples)
        stream = replace(self.stream, start=(epoch, self.step))
        for read in DataLoader(stream, **worker_options(self.workers, self.context)):
            self.budget.spend(read.faults)
            batch = read.take()
            self.advance()
            yield batch
            if self.epoch != epoch:
                return


def _same_for_all_workers() -> int:
    """What webdataset adds to the seed of a worker: nothing, as each stream has a seed of its own."""
    return 0


def _number(text: str) -> int:
    """A number that equal texts share, everywhere; 56 bits, so that two others all but never do."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")

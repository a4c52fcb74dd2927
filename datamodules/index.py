"""Open a shard set by its indexes, and read any sample by its offset."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .manifest import Manifest
from .records import AnnotatedVideo
from .shards import index_name, read_index
from .tarscan import STORY, BadSample, Fault, Sample, changed_members, members_of, read_span
from .verify import verify

__all__ = ["BadSample", "Fault", "ShardSet", "VideoEntry", "open_set", "verify"]

OPEN_FILES = 64  # shards a process keeps open; the order of reading stays within few at a time


@dataclass(frozen=True)
class VideoEntry:
    """Where a video lies: its shard's number in the manifest, the row of its text record, and its clips after it."""

    id: str
    split: str
    shard: int
    row: int
    clips: int


#: the command that makes sets of story videos
BUILD_STORY = "weaksync data build story"


def open_set(
    folder: str | Path,
    *,
    check_hashes: bool = True,
    what: str = "shard set",
    maker: str = BUILD_STORY,
) -> ShardSet:
    """Open a shard set, having checked that it is still the one that was indexed.

    Only sizes and the small files are looked at here; with `check_hashes` every sample's SHA-256 is checked as it is
    read, and `verify` reads everything at once.

    Args:
        what, maker: as of `Manifest.read`.

    Raises:
        FileNotFoundError: where there is no set, or one of its files is missing.
        ValueError: where a shard or its index is not the one that the manifest knows, naming it.
    """
    return ShardSet(Path(folder), Manifest.read(Path(folder), what, maker), check_hashes=check_hashes)


class ShardSet:
    """A shard set on a local disk.  Picklable; every process opens the files for itself.

    Attributes:
        folder: of the set.
        manifest: what it is.
        entries: video id -> where it lies, in the order of the shards.
    """

    def __init__(self, folder: Path, manifest: Manifest, *, check_hashes: bool = True) -> None:
        self.folder = folder
        self.manifest = manifest
        self.check_hashes = check_hashes
        self.entries: dict[str, VideoEntry] = {}
        self._files: OrderedDict[int, int] = OrderedDict()
        offsets: list[int] = []
        sizes: list[int] = []
        digests: list[bytes] = []
        for number in range(len(self.manifest.shards)):
            samples = self._read_index(number)
            self._enter(number, len(offsets), samples)
            offsets += [sample.offset for sample in samples]
            sizes += [sample.size for sample in samples]
            digests += [bytes.fromhex(sample.sha256) for sample in samples]
        # arrays, not lists: 48 bytes a sample, and quick to hand to a spawned worker
        self._offsets = np.array(offsets, dtype=np.int64)
        self._sizes = np.array(sizes, dtype=np.int64)
        self._digests = np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, 32)

    def _read_index(self, number: int) -> list[Sample]:
        shard = self.manifest.shards[number]
        path = self.folder / shard.name
        index = (self.folder / index_name(shard.name)).read_bytes()
        remedy = "`weaksync data check` names what changed; rebuild the set if that was meant"
        if hashlib.sha256(index).hexdigest() != shard.index_sha256:
            raise ValueError(f"{self.folder / index_name(shard.name)} changed since the set was made; {remedy}")
        if (size := path.stat().st_size) != shard.bytes:
            raise ValueError(f"{path} changed since its index: {size} bytes, {shard.bytes} are indexed; {remedy}")
        return read_index(index, shard.name)[2]

    def _enter(self, number: int, first_row: int, samples: list[Sample]) -> None:
        split = self.manifest.shards[number].split
        starts = [row for row, sample in enumerate(samples) if sample.key.endswith(f"/{STORY}")]
        for start, stop in zip(starts, [*starts[1:], len(samples)], strict=True):
            video = samples[start].key.partition("/")[0]
            if video in self.entries:
                raise ValueError(f"{self.manifest.shards[number].name}: video {video!r} occurs twice in the set")
            self.entries[video] = VideoEntry(video, split, number, first_row + start, stop - start - 1)

    @property
    def splits(self) -> list[str]:
        return list(self.manifest.counts)

    def split(self, split: str) -> list[VideoEntry]:
        """The videos of a split, in the order of its shards.  Raises ValueError where the set has no such split."""
        if split not in self.manifest.counts:
            raise ValueError(f"{self.folder} has no split {split!r}; it has {', '.join(self.splits)}")
        return [entry for entry in self.entries.values() if entry.split == split]

    def videos(self, split: str, languages: Sequence[str] | None = None) -> list[AnnotatedVideo]:
        """The records of a split, read from its shards; with `languages`, those alone.

        Raises:
            ValueError: for a split or a language that the set does not have.
            BadSample: for a record that cannot be read.
        """
        self.manifest.check_languages(languages, self.folder)
        records = [self.record(entry.id) for entry in self.split(split)]
        return [record for record in records if languages is None or record.language in languages]

    def record(self, video: str) -> AnnotatedVideo:
        """The text record of a video."""
        try:
            data = json.loads(self.read(video, None)["json"])
            return AnnotatedVideo.from_dict(data)
        except (KeyError, ValueError) as fault:
            if isinstance(fault, BadSample):
                raise
            raise self.bad(video, None, "json", f"not a text record ({fault})") from fault

    def stored_record(self, video: str) -> dict[str, Any]:
        """The text record of a video as it is stored, read without what lies beside it, and so without its hash.

        Raises:
            BadSample: where it is none.
        """
        entry = self.entries[video]
        descriptor, offset = self._descriptor(entry.shard), int(self._offsets[entry.row])
        try:
            head = tarfile.TarInfo.frombuf(read_span(descriptor, offset, tarfile.BLOCKSIZE), "utf-8", "strict")
            data = read_span(descriptor, offset + tarfile.BLOCKSIZE, head.size)
            return dict(json.loads(data))
        except (tarfile.TarError, ValueError, TypeError) as fault:
            raise self.bad(video, None, "json", f"not a text record ({fault})") from fault

    def clips(self, video: str) -> int:
        """How many clips a video has."""
        return self.entries[video].clips

    def read(self, video: str, clip: int | None) -> dict[str, bytes]:
        """Members of a clip (``0.jpg``, ``json``), or with None of the text record.

        Raises:
            BadSample: where the bytes are not those that were indexed, naming shard, key and member.
        """
        entry = self.entries[video]
        row = entry.row if clip is None else entry.row + 1 + clip
        span = read_span(self._descriptor(entry.shard), int(self._offsets[row]), int(self._sizes[row]))
        if len(span) < self._sizes[row] or (
            self.check_hashes and hashlib.sha256(span).digest() != self._digests[row].tobytes()
        ):
            raise self._changed(video, clip, span)
        try:
            return members_of(span)
        except ValueError as fault:
            raise self._changed(video, clip, span) from fault

    def bad(self, video: str, clip: int | None, member: str, reason: str) -> BadSample:
        """A fault of one member, ready to raise."""
        return BadSample(Fault(self.shard_name(video), sample_key(video, clip), member, reason))

    def shard_name(self, video: str) -> str:
        return self.manifest.shards[self.entries[video].shard].name

    def fingerprint(self, split: str) -> str:
        """One hash for all bytes of a split."""
        return self.manifest.fingerprint(split)

    def _changed(self, video: str, clip: int | None, span: bytes) -> BadSample:
        key = sample_key(video, clip)
        sample = next(s for s in self._read_index(self.entries[video].shard) if s.key == key)
        member, reason = changed_members(sample, span)[0]
        return self.bad(video, clip, member, reason)

    def _descriptor(self, shard: int) -> int:
        if shard not in self._files:
            if len(self._files) >= OPEN_FILES:
                os.close(self._files.popitem(last=False)[1])
            self._files[shard] = os.open(self.folder / self.manifest.shards[shard].name, os.O_RDONLY)
        self._files.move_to_end(shard)
        return self._files[shard]

    def close(self) -> None:
        """Close the files that reading has opened."""
        while self._files:
            os.close(self._files.popitem()[1])

    def __del__(self) -> None:
        if "_files" in self.__dict__:
            self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": OrderedDict()}


def sample_key(video: str, clip: int | None) -> str:
    """``video/00012``, or ``video/story`` for None."""
    return f"{video}/{STORY}" if clip is None else f"{video}/{clip:05d}"

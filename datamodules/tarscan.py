"""A strict, single-pass reader of shards: everything that is wrong with a tar, named by shard, key and member.

Readers of tar files forgive a lot: a cut archive, a corrupt header or a member that strayed from its sample passes in
silence and loses samples.  This one reads every byte once, hashes on the way, and forgives nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from .records import AnnotatedVideo

BLOCK = 512
END_OF_ARCHIVE = 2 * BLOCK  # bytes of zeros
STORY = "story"  # last part of the key of a video's text record

_NAME = re.compile(r"(?P<key>[A-Za-z0-9_-]+/[A-Za-z0-9_-]+)\.(?P<member>[A-Za-z0-9_.-]+)")
_ZEROS = bytes(BLOCK)


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a shard set; `key` and `member` are empty where it concerns more than one."""

    shard: str
    key: str
    member: str
    reason: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.shard, self.key, self.member, self.reason) if part)


class BadSample(ValueError):
    """A sample that cannot be used; `fault` says where it is and why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


@dataclass
class Sample:
    """The members of one key, which lie side by side.

    Attributes:
        key: ``video/clip`` or ``video/story``.
        offset: of its first header, in bytes from the start of the shard.
        size: bytes up to the header of the next sample.
        sha256: of those bytes, headers and padding included.
        members: name after the key (``0.jpg``, ``json``) -> (size of the payload in bytes, its CRC-32).
        data: what its JSON member holds.
    """

    key: str
    offset: int
    size: int = 0
    sha256: str = ""
    members: dict[str, tuple[int, int]] = field(default_factory=dict)
    data: Any = None


@dataclass
class Scan:
    """What one pass over a shard found.

    Attributes:
        bytes, sha256: of the whole file.
        end: offset up to which the headers could be followed; the end of the last sample in a sound shard.
        complete: whether the pass reached the end-of-archive marker.
    """

    shard: str
    bytes: int = 0
    sha256: str = ""
    samples: list[Sample] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    end: int = 0
    complete: bool = False


def scan(file: BinaryIO, shard: str, advance: Callable[[int], None] | None = None) -> Scan:
    """Read a whole shard once from `file`, which stands at its start; `advance` is told of every byte count read."""
    return _Pass(file, shard, advance).run()


class _Pass:
    def __init__(self, file: BinaryIO, shard: str, advance: Callable[[int], None] | None) -> None:
        self.file = file
        self.result = Scan(shard)
        self.advance = advance or (lambda count: None)
        self.whole = hashlib.sha256()
        self.part = hashlib.sha256()
        self.seen: set[str] = set()
        self.sample: Sample | None = None

    def run(self) -> Scan:
        while self._member():
            pass
        self._finish_sample(self.result.end)
        while self._read(1 << 20):
            pass
        self.result.bytes, self.result.sha256 = self.file.tell(), self.whole.hexdigest()
        return self.result

    def _read(self, count: int) -> bytes:
        data = self.file.read(count)
        self.whole.update(data)
        self.advance(len(data))
        return data

    def _fault(self, reason: str, key: str = "", member: str = "") -> None:
        self.result.faults.append(Fault(self.result.shard, key, member, reason))

    def _member(self) -> bool:
        """Read one header and its payload; False where nothing more can be read."""
        offset = self.result.end
        after = f"after {self.sample.key}" if self.sample else "at its start"
        header = self._read(BLOCK)
        if len(header) < BLOCK:
            self._fault(f"cut inside a header {after}" if header else f"no end-of-archive marker {after}; was it cut?")
            return False
        if header == _ZEROS:
            self._end_of_archive(after)
            return False
        try:
            name, size, kind = read_header(header)
        except ValueError as fault:
            self._fault(f"corrupt header at byte {offset} {after} ({fault})")
            return False

        padded = -(-size // BLOCK) * BLOCK
        block = self._read(padded)
        match = _NAME.fullmatch(name)
        key, member = (match["key"], match["member"]) if match else ("", name)
        if len(block) < padded:
            there = f"{len(block)} are there" if len(block) < size else "the padding behind them is not"
            self._fault(f"cut: {size} bytes are announced, {there}", key, member)
            return False
        self.result.end = offset + BLOCK + padded
        if kind not in b"0\0":
            self._fault(f"not a plain file (tar type {kind!r})", key, member)
        if match is None:
            self._fault(_bad_name(name), member=name)
        self._place(key or name, member, offset, header, block, block[:size])
        return True

    def _place(self, key: str, member: str, offset: int, header: bytes, block: bytes, payload: bytes) -> None:
        """Add a member to its sample."""
        if self.sample is None or key != self.sample.key:
            self._finish_sample(offset)
            if key in self.seen:
                self._fault("members of this key do not lie side by side, or the key occurs twice", key, member)
            self.seen.add(key)
            self.sample = Sample(key, offset)
            self.part = hashlib.sha256()
        if member in self.sample.members:
            self._fault("member occurs twice", key, member)
        self.part.update(header)
        self.part.update(block)
        self.sample.members[member] = (len(payload), zlib.crc32(payload))
        if reason := payload_fault(member, payload):
            self._fault(reason, key, member)
        elif member == "json":
            self.sample.data = json.loads(payload)

    def _finish_sample(self, end: int) -> None:
        if self.sample is not None:
            self.sample.size = end - self.sample.offset
            self.sample.sha256 = self.part.hexdigest()
            self.result.samples.append(self.sample)
            self.sample = None

    def _end_of_archive(self, after: str) -> None:
        rest = self._read(BLOCK)
        while not any(rest) and (more := self._read(1 << 16)):
            rest = more if any(more) else rest + more[: BLOCK - len(rest)]
        if any(rest):
            self._fault(f"zeroed header at byte {self.result.end} {after}, or data behind the end-of-archive marker")
        elif len(rest) < BLOCK:
            self._fault(f"the end-of-archive marker is cut {after}")
        else:
            self.result.complete = True


def payload_fault(member: str, payload: bytes) -> str | None:
    """What is wrong with the bytes of a member, as far as it shows without decoding pictures; None if nothing is."""
    if not payload:
        return "empty payload"
    if not any(payload):
        return "zeroed payload"
    if member.endswith(".jpg") and not (payload.startswith(b"\xff\xd8") and payload.rstrip(b"\0")[-2:] == b"\xff\xd9"):
        return "not a whole JPEG picture"
    if member == "json":
        try:
            json.loads(payload.decode("utf-8"))
        except UnicodeDecodeError as fault:
            return f"bad UTF-8 at byte {fault.start}"
        except ValueError as fault:
            return f"bad JSON ({fault})"
    return None


def read_header(block: bytes) -> tuple[str, int, bytes]:
    """Name, size and type of the member that a ustar header announces.  Raises ValueError where it is corrupt."""
    stored = block[148:156]
    if len(block) < BLOCK or sum(block) - sum(stored) + 8 * ord(" ") != _octal(stored):
        raise ValueError("bad checksum")
    name = block[:100].partition(b"\0")[0]
    if block[257:263] == b"ustar\0" and (prefix := block[345:500].partition(b"\0")[0]):
        name = prefix + b"/" + name
    return name.decode("utf-8"), _octal(block[124:136]), block[156:157]


def _octal(digits: bytes) -> int:
    return int(digits.strip(b"\0 ") or b"0", 8)


def members_of(span: bytes) -> dict[str, bytes]:
    """Name after the key -> payload, for the bytes of one sample.  Raises ValueError where a header is corrupt."""
    members, offset = {}, 0
    while offset < len(span):
        name, size, _ = read_header(span[offset : offset + BLOCK])
        start = offset + BLOCK
        members[name.rpartition("/")[2].partition(".")[2]] = span[start : start + size]
        offset = start + -(-size // BLOCK) * BLOCK
    return members


def story_faults(result: Scan, frames: int | None) -> list[Fault]:
    """Where a scanned shard departs from the layout of story shards.

    Args:
        result: the scan.
        frames: pictures that every clip must have; None takes any number that all clips of the shard share.
    """
    faults: list[Fault] = []
    if frames is None:
        frames = next((len(s.members) - 1 for s in result.samples if not s.key.endswith(f"/{STORY}")), 0)
    expected = {"json", *(f"{number}.jpg" for number in range(frames))}
    videos: dict[str, list[Sample]] = {}
    for sample in result.samples:
        videos.setdefault(sample.key.partition("/")[0], []).append(sample)
    for video, samples in videos.items():
        faults += [Fault(result.shard, key, member, reason) for key, member, reason in _video(video, samples, expected)]
    return faults


def _video(video: str, samples: list[Sample], expected: set[str]) -> list[tuple[str, str, str]]:
    """(key, member, reason) of everything that is wrong with the samples of one video."""
    faults: list[tuple[str, str, str]] = []
    story, *clips = samples
    if story.key != f"{video}/{STORY}":
        return [(f"{video}/{STORY}", "json", "the text record does not come first in its video")]
    if story.data is None:
        return [(story.key, "json", "missing member")] if "json" not in story.members else []
    try:
        record = AnnotatedVideo.from_dict(story.data)
    except ValueError as fault:
        return [(story.key, "json", str(fault))]
    if record.id != video:
        faults.append((story.key, "json", f"the record is of video {record.id!r}"))

    keys = [f"{video}/{number:05d}" for number in range(len(record.clips or []))]
    present = {clip.key for clip in clips}
    faults += [(key, "", "missing clip") for key in keys if key not in present]
    faults += [(key, "", "its video's record does not know this clip") for key in sorted(present - set(keys))]
    if (order := [clip.key for clip in clips if clip.key in set(keys)]) != sorted(order):
        faults.append((story.key, "", "its clips are not in order"))
    times = dict(zip(keys, record.clips or [], strict=True))
    for clip in clips:
        faults += [(clip.key, member, "missing member") for member in sorted(expected - clip.members.keys())]
        faults += [(clip.key, member, "not expected") for member in sorted(clip.members.keys() - expected)]
        if clip.data is not None and clip.key in times and clip.data != _clip_json(times[clip.key]):
            faults.append((clip.key, "json", f"its times {clip.data} differ from the record's {times[clip.key]}"))
    return faults


def _clip_json(times: tuple[float, float]) -> dict[str, float]:
    return {"start": times[0], "end": times[1]}


def _bad_name(name: str) -> str:
    if name.startswith("/"):
        return "absolute member name"
    if ".." in name.split("/"):
        return "member name with '..'"
    return "not a member name of a story shard (VIDEO/CLIP.MEMBER)"


def changed_members(sample: Sample, span: bytes) -> list[tuple[str, str]]:
    """(member, reason) for every member in which `span` departs from what the index knows of `sample`."""
    changed, offset = [], 0
    for member, (size, crc) in sample.members.items():
        header, payload = span[offset : offset + BLOCK], span[offset + BLOCK : offset + BLOCK + size]
        offset += BLOCK + -(-size // BLOCK) * BLOCK
        if len(payload) < size:
            changed.append((member, f"cut: {size} bytes are indexed, {len(payload)} are there"))
        elif reason := _header_fault(header, f"{sample.key}.{member}", size):
            changed.append((member, reason))
        elif zlib.crc32(payload) != crc:
            changed.append((member, payload_fault(member, payload) or "changed since it was indexed"))
    return changed or [("", "headers or padding changed since they were indexed")]


def _header_fault(header: bytes, name: str, size: int) -> str | None:
    try:
        found = read_header(header)
    except ValueError as fault:
        return f"corrupt header ({fault})"
    return None if found[:2] == (name, size) else f"the header is of {found[0]!r}, {found[1]} bytes"


def read_span(descriptor: int, offset: int, size: int) -> bytes:
    """`size` bytes at `offset`; fewer only where the file ends."""
    data = os.pread(descriptor, size, offset)
    while len(data) < size and (more := os.pread(descriptor, size - len(data), offset + len(data))):
        data += more
    return data

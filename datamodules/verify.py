"""Read every byte of a shard set and name whatever is wrong with it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from .manifest import MANIFEST, Manifest, Shard
from .shards import index_name, read_index
from .tarscan import Fault, Sample, Scan, changed_members, read_span, scan, story_faults


def verify(folder: Path, progress: Callable[[int], None] | None = None) -> list[Fault]:
    """Compare a shard set with its manifest and indexes, and every shard with the layout that it should have.

    Args:
        folder: of the set.
        progress: called with the number of bytes just read.

    Returns:
        every fault, named by shard, key and member; empty where the set is sound.

    Raises:
        FileNotFoundError: where `folder` holds no shard set.
    """
    folder = Path(folder)
    try:
        manifest = Manifest.read(folder)
    except ValueError as fault:
        return [Fault(MANIFEST, "", "", str(fault))]
    known = {shard.name for shard in manifest.shards}
    faults = [
        Fault(path.name, "", "", "a shard that the manifest does not know")
        for path in sorted(folder.glob("*.tar"))
        if path.name not in known
    ]
    home: dict[str, str] = {}  # video -> the shard it was found in first
    for shard in manifest.shards:
        if not (folder / shard.name).is_file():
            faults.append(Fault(shard.name, "", "", "missing shard"))
            continue
        faults += _verify_shard(folder, shard, manifest.frames, home, progress)
    return faults


def _verify_shard(
    folder: Path, shard: Shard, frames: int, home: dict[str, str], progress: Callable[[int], None] | None
) -> list[Fault]:
    with (folder / shard.name).open("rb", buffering=1 << 20) as file:
        result = scan(file, shard.name, progress)
        faults = list(result.faults)
        try:
            index = (folder / index_name(shard.name)).read_bytes()
            _, indexed_sha256, indexed = read_index(index, shard.name)
        except (OSError, ValueError) as fault:
            reason = "missing index" if isinstance(fault, FileNotFoundError) else str(fault)
            return [*faults, Fault(shard.name, "", "", reason)]
        if hashlib.sha256(index).hexdigest() != shard.index_sha256:
            faults.append(Fault(shard.name, "", "", "its index is not the one that the manifest knows"))
        if not result.complete:
            unread = _unread(result, indexed, file.fileno())
            # the index can say in which sample a header broke; the pass alone could only give the byte
            faults = [fault for fault in faults if fault.key or not unread] + unread
    for sample in result.samples:
        video = sample.key.partition("/")[0]
        if (first := home.setdefault(video, shard.name)) != shard.name:
            faults.append(Fault(shard.name, sample.key, "", f"the key's video occurs in {first} too"))
    faults += _compare(result, indexed)
    faults += story_faults(_whole_videos(result), frames)
    places = [(sample.key, sample.offset, sample.size) for sample in indexed]
    if not faults and places != [(sample.key, sample.offset, sample.size) for sample in result.samples]:
        faults.append(Fault(shard.name, "", "", "its samples do not lie where its index says"))
    if not faults and result.sha256 != indexed_sha256:
        faults.append(Fault(shard.name, "", "", "its bytes differ from those that were indexed"))
    if not faults and (result.bytes, result.sha256) != (shard.bytes, shard.sha256):
        faults.append(Fault(shard.name, "", "", "it is not the shard that the manifest knows"))
    return list({(fault.key, fault.member): fault for fault in reversed(faults)}.values())[::-1]


def _unread(result: Scan, indexed: list[Sample], descriptor: int) -> list[Fault]:
    """Faults of the samples behind the place where the headers could no longer be followed."""
    faults: list[Fault] = []
    behind = [sample for sample in indexed if sample.offset + sample.size > result.end]
    for number, sample in enumerate(behind):
        span = read_span(descriptor, sample.offset, sample.size)
        if len(span) < sample.size:
            rest = len(behind) - number
            member, reason = changed_members(sample, span)[0]
            return [*faults, Fault(result.shard, sample.key, member, f"{reason}; {rest} samples are lost from here on")]
        if hashlib.sha256(span).hexdigest() != sample.sha256:
            faults += [Fault(result.shard, sample.key, *change) for change in changed_members(sample, span)]
    return faults


def _compare(result: Scan, indexed: list[Sample]) -> list[Fault]:
    """Where the samples that were read differ from the index."""
    known = {sample.key: sample for sample in indexed}
    found = {sample.key: sample for sample in result.samples}
    faults: list[tuple[str, str, str]] = [(key, "", "not in the index") for key in found if key not in known]
    for key, sample in known.items():
        if not result.complete and sample.offset + sample.size > result.end:
            continue
        if key not in found:
            faults.append((key, "", "missing sample"))
        elif found[key].sha256 != sample.sha256:
            faults += [(key, member, reason) for member, reason in _difference(sample, found[key])]
    return [Fault(result.shard, *fault) for fault in faults]


def _difference(known: Sample, found: Sample) -> list[tuple[str, str]]:
    missing = [(member, "missing member") for member in known.members if member not in found.members]
    extra = [(member, "not in the index") for member in found.members if member not in known.members]
    changed = [
        (member, "changed since it was indexed")
        for member, content in known.members.items()
        if found.members.get(member, content) != content
    ]
    return missing + extra + changed or [("", "headers, padding or order changed since they were indexed")]


def _whole_videos(result: Scan) -> Scan:
    """The scan without the video in which it broke off."""
    if result.complete or not result.samples:
        return result
    last = result.samples[-1].key.partition("/")[0]
    samples = [sample for sample in result.samples if sample.key.partition("/")[0] != last]
    return Scan(result.shard, result.bytes, result.sha256, samples, [], result.end, False)


def set_bytes(folder: Path) -> int:
    """Bytes that `verify` will read, for a progress bar; absent shards count nothing."""
    folder = Path(folder)
    sizes = (folder / shard.name for shard in Manifest.read(folder).shards)
    return sum(path.stat().st_size for path in sizes if path.is_file())

"""Write shard sets: plain WebDataset tars, beside each its index, and one manifest for the set.

A shard holds whole videos.  Each begins with its text record, ``VIDEO/story.json``; then every clip i has its pictures
``VIDEO/0000i.0.jpg``, ``.1.jpg``, ... and its times ``VIDEO/0000i.json``.  The same parts give the same bytes.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self

from .files import whole_file, write_whole
from .manifest import MANIFEST, Counts, Manifest, Origin, Shard
from .records import AnnotatedVideo
from .tarscan import END_OF_ARCHIVE, STORY, BadSample, Sample, scan, story_faults

INDEX_FORMAT, INDEX_VERSION = "weaksync-shard-index", 1
#: folder inside that of a set, where a new one is until it is whole
PACKING = ".packing"

_VIDEO_ID = re.compile(r"[A-Za-z0-9_-]+")
_SPLIT = re.compile(r"[a-z][a-z0-9_]*")


def index_name(shard: str) -> str:
    """``train-000000.tar`` -> ``train-000000.index.json``."""
    return f"{shard.removesuffix('.tar')}.index.json"


def write_video(path: Path, video: AnnotatedVideo, frames: Sequence[Sequence[bytes]]) -> None:
    """Write one video as a tar of its own, a part that `pack` joins to shards.

    Args:
        path: of the file to write, whole or not at all.
        video: its record; `clips` must be known.
        frames: JPEG bytes of the candidate pictures of every clip, in temporal order, the same number for each.

    Raises:
        ValueError: naming the video, where the record and the pictures do not fit together.
        OSError: where it cannot be written; nothing is left behind.
    """
    if not _VIDEO_ID.fullmatch(video.id):
        raise ValueError(f"video id {video.id!r}: only letters, digits, '-' and '_' can be part of a sample key")
    clips = video.clip_times()
    if len(frames) != len(clips):
        raise ValueError(f"{video.id}: {len(clips)} clips but pictures of {len(frames)}")
    if len(clips) > 100_000:
        raise ValueError(f"{video.id}: {len(clips)} clips; a key counts up to 99999. Cut the video into parts")
    if len(numbers := sorted({len(pictures) for pictures in frames})) > 1 or numbers == [0]:
        raise ValueError(f"{video.id}: every clip needs the same number of pictures, at least one; found {numbers}")
    with whole_file(Path(path)) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        _add(tar, f"{video.id}/{STORY}.json", _json(video.to_dict()))
        for number, ((start, end), pictures) in enumerate(zip(clips.tolist(), frames, strict=True)):
            key = f"{video.id}/{number:05d}"
            for candidate, picture in enumerate(pictures):
                if not picture.startswith(b"\xff\xd8"):
                    raise ValueError(f"{key}: picture {candidate} is not a JPEG")
                _add(tar, f"{key}.{candidate}.jpg", picture)
            _add(tar, f"{key}.json", _json({"start": start, "end": end}))


def write_record(path: Path, record: dict[str, Any], members: Mapping[str, bytes] | None = None) -> None:
    """Write the text record of a video without its clips, as `write_video` does: a part of a derived set.

    Args:
        path: of the file to write, whole or not at all.
        record: what `AnnotatedVideo.from_dict` reads, with ``clips`` None; it may hold more.
        members: what lies beside the record, by name, such as ``clips.npy``.
    """
    with whole_file(Path(path)) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        _add(tar, f"{record['id']}/{STORY}.json", _json(record))
        for name, payload in (members or {}).items():
            _add(tar, f"{record['id']}/{STORY}.{name}", payload)


def pack(
    folder: Path,
    parts: dict[str, list[Path]],
    settings: dict[str, Any],
    *,
    origin: Origin | None = None,
    replace: bool = False,
    shard_bytes: int = 256 << 20,
    progress: Callable[[int], None] | None = None,
) -> Manifest:
    """Join parts to a shard set, which appears in its folder when it is whole.

    Args:
        folder: made where it is absent; see `check_free`.
        parts: split -> files of `write_video`, packed in this order.
        settings: how the parts were made; plain JSON values, kept in the manifest.
        origin: of a derived set.
        replace: take the place of a set that is there, which stays until the new one is whole: both need room.
        shard_bytes: a shard is closed when the next video would make it larger; one large video is never cut.
        progress: called with the bytes of each part done.

    Raises:
        ValueError: a part is damaged, two videos share an id, clips differ in their number of pictures, or as
            `check_free`.
        OSError: such as a full disk; nothing of this call is left behind.
    """
    folder = Path(folder)
    old = check_free(folder, replace=replace)
    if not any(parts.values()):
        raise ValueError(f"there is no video to pack into {folder}")
    for split in parts:
        if not _SPLIT.fullmatch(split):
            raise ValueError(f"split {split!r}: only lower-case letters, digits and '_' can name a shard")
    with workplace(folder / PACKING) as work, _Packer(work, shard_bytes) as packer:
        for split, paths in sorted(parts.items()):
            for path in paths:
                packer.add(split, Path(path))
                if progress is not None:
                    progress(Path(path).stat().st_size)
            packer.close_shard()
        manifest = packer.manifest(settings, origin)
        write_whole(work / MANIFEST, manifest.to_json())
        _swap(folder, old, work, _files(manifest))
    return manifest


@contextlib.contextmanager
def workplace(work: Path) -> Iterator[Path]:
    """An empty folder inside that of a set, removed when the block ends; a full disk is an error that says so."""
    if work.exists():
        shutil.rmtree(work)  # of a run that was killed
    work.mkdir(parents=True)
    try:
        yield work
    except OSError as fault:
        if fault.errno == errno.ENOSPC:
            raise OSError(
                errno.ENOSPC,
                f"the disk of {work.parent} is full; what this run had packed was removed. Free some space",
            ) from fault
        raise
    finally:
        shutil.rmtree(work)


def check_free(folder: Path, *, replace: bool = False) -> list[str]:
    """Make sure that a set can be put into a folder without harm to anything else.

    Args:
        replace: a set may be there.

    Returns:
        The names of its files, the manifest first; none where there is no set.

    Raises:
        ValueError: a set is there and is to stay, or tars or indexes that belong to none.
    """
    names: list[str] = []
    if (folder / MANIFEST).exists():
        if not replace:
            raise ValueError(f"{folder} holds a shard set already; choose another folder, or remove that set first")
        names = [MANIFEST, *_files(Manifest.read(folder))]
    if folder.is_dir():
        found = sorted(path.name for path in folder.iterdir() if path.name.endswith((".tar", ".index.json")))
        if strange := [name for name in found if name not in names]:
            raise ValueError(
                f"{folder} holds {strange[0]}, which is of no shard set that is known here; choose another folder, or "
                "move it away first"
            )
    return names


def _files(manifest: Manifest) -> list[str]:
    """The shards of a set and their indexes."""
    return [name for shard in manifest.shards for name in (shard.name, index_name(shard.name))]


def _swap(folder: Path, old: Sequence[str], work: Path, new: Sequence[str]) -> None:
    """Put the files of a new set in place of those of the old one: all of them, or none."""
    away = work / "old"
    away.mkdir()
    # between the first and the last, folder holds no manifest, and so no set
    moves = [(folder / name, away / name) for name in old if (folder / name).exists()]
    moves += [(work / name, folder / name) for name in [*new, MANIFEST]]
    try:
        for here, there in moves:
            here.replace(there)
    except BaseException:
        for here, there in reversed(moves):
            if not here.exists():
                there.replace(here)
        raise


class _Packer:
    """Shards as they grow: the open one's file, what it holds so far, and what the set has come to."""

    def __init__(self, folder: Path, shard_bytes: int) -> None:
        self.folder = folder
        self.shard_bytes = shard_bytes
        self.shards: list[Shard] = []
        self.counts: dict[str, Counts] = {}
        self.languages: dict[str, int] = {}
        self.frames: int | None = None
        self.home: dict[str, Path] = {}  # video -> the part it came from
        self.split, self.videos, self.offset = "", 0, 0
        self.samples: list[Sample] = []
        self.hash = hashlib.sha256()
        self.file: BinaryIO = io.BytesIO()
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # of what is still buffered, where writing failed
            self.file.close()

    def add(self, split: str, path: Path) -> None:
        data = path.read_bytes()
        result = scan(io.BytesIO(data), path.name)
        faults = result.faults or story_faults(result, self.frames)
        if faults:
            raise BadSample(faults[0])
        if not result.samples:
            raise ValueError(f"{path} holds no video")
        self._count(split, path, result.samples)
        if self.offset + result.end > self.shard_bytes:
            self.close_shard()
        if self.file.closed:
            self._open_shard(split)
        for sample in result.samples:
            sample.offset += self.offset
            sample.data = None
        self.samples += result.samples
        self._write(data[: result.end])
        self.videos += 1

    def _count(self, split: str, path: Path, samples: list[Sample]) -> None:
        videos = {sample.key.partition("/")[0] for sample in samples}
        if len(videos) > 1:
            raise ValueError(f"{path} holds {len(videos)} videos; a part is one")
        video = videos.pop()
        if video in self.home:
            raise ValueError(f"two videos share the id {video!r}: {self.home[video]} and {path}")
        self.home[video] = path
        if len(samples) > 1:
            self.frames = len(samples[1].members) - 1
        count = self.counts.setdefault(split, Counts())
        count.videos += 1
        count.clips += len(samples) - 1
        count.sentences += len(samples[0].data["sentences"])
        language = samples[0].data["language"]
        self.languages[language] = self.languages.get(language, 0) + 1

    def _open_shard(self, split: str) -> None:
        number = sum(shard.split == split for shard in self.shards)
        self.split, self.name = split, f"{split}-{number:06d}.tar"
        self.file = (self.folder / self.name).open("wb")

    def _write(self, data: bytes) -> None:
        self.file.write(data)
        self.hash.update(data)
        self.offset += len(data)

    def close_shard(self) -> None:
        if self.file.closed:
            return
        self._write(bytes(END_OF_ARCHIVE))
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        sha256 = self.hash.hexdigest()
        index = index_json(self.name, self.offset, sha256, self.samples)
        self.shards.append(
            Shard(
                self.name,
                self.split,
                self.offset,
                sha256,
                hashlib.sha256(index).hexdigest(),
                len(self.samples),
                self.videos,
            )
        )
        write_whole(self.folder / index_name(self.name), index)
        self.samples, self.videos, self.offset, self.hash = [], 0, 0, hashlib.sha256()

    def manifest(self, settings: dict[str, Any], origin: Origin | None) -> Manifest:
        self.shards.sort(key=lambda shard: shard.name)
        languages = dict(sorted(self.languages.items()))
        return Manifest(settings, self.frames or 0, self.shards, self.counts, languages, origin)


def index_json(shard: str, size: int, sha256: str, samples: list[Sample]) -> bytes:
    """The index of a shard: a header, then one line for each sample.

    A sample is one span of bytes with one SHA-256: one read and one check.  The CRC-32 of each member tells which one
    changed.
    """
    head = {"format": INDEX_FORMAT, "version": INDEX_VERSION, "shard": shard, "bytes": size, "sha256": sha256}
    rows = (json.dumps([s.key, s.offset, s.size, s.sha256, s.members], separators=(",", ":")) for s in samples)
    return (json.dumps(head)[:-1] + ', "samples": [\n' + ",\n".join(rows) + "\n]}\n").encode()


def read_index(data: bytes, shard: str) -> tuple[int, str, list[Sample]]:
    """Bytes and SHA-256 of the shard, and its samples.  Raises ValueError that names the index on anything else."""
    try:
        raw = json.loads(data.decode("utf-8"))
        if (raw["format"], raw["version"], raw["shard"]) != (INDEX_FORMAT, INDEX_VERSION, shard):
            raise ValueError(f"it is {raw['format']!r} version {raw['version']} of {raw['shard']}")
        samples = [
            Sample(key, offset, size, sha256, {name: (count, crc) for name, (count, crc) in members.items()})
            for key, offset, size, sha256, members in raw["samples"]
        ]
        return int(raw["bytes"]), str(raw["sha256"]), samples
    except (KeyError, TypeError, AttributeError, ValueError) as fault:
        raise ValueError(f"{index_name(shard)} is not the index of {shard} ({fault})") from fault


def build_index(path: Path, frames: int | None = None, advance: Callable[[int], None] | None = None) -> bytes:
    """Index a shard from its bytes, in one pass that hashes and checks everything.

    Raises:
        BadSample: (a ValueError) naming the first thing that is wrong with it.
    """
    with Path(path).open("rb", buffering=1 << 20) as file:
        result = scan(file, Path(path).name, advance)
    faults = result.faults or story_faults(result, frames)
    if faults:
        raise BadSample(faults[0])
    return index_json(result.shard, result.bytes, result.sha256, result.samples)


def _add(tar: tarfile.TarFile, name: str, payload: bytes) -> None:
    info = tarfile.TarInfo(name)  # time, owner and group 0: the same video gives the same bytes
    info.size = len(payload)
    tar.addfile(info, io.BytesIO(payload))


def _json(data: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False, allow_nan=False).encode()

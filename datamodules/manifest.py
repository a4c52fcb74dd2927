"""The manifest of a shard set: what it holds, how it was made, and exactly which bytes belong to it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
FORMAT, VERSION = "weaksync-story-shards", 1

#: ``kind`` in the settings of a set of conversational clips, see `spoken`
CLIPS = "clips"

SHARD_NAME = re.compile(r"[a-z][a-z0-9_]*-\d{6}\.tar")


@dataclass
class Shard:
    """One tar of a set, as the manifest knows it; `samples` counts text records too."""

    name: str
    split: str
    bytes: int
    sha256: str
    index_sha256: str
    samples: int
    videos: int


@dataclass
class Counts:
    """What a split holds."""

    videos: int = 0
    clips: int = 0
    sentences: int = 0


@dataclass
class Origin:
    """What a derived set was made of, and by; see `derived`.

    Attributes:
        kind: what it holds, such as ``translations``.
        parent: folder of the set that it was made of, as it was named then.
        fingerprints: split -> hash of all the bytes that the parent had (`Manifest.fingerprint`).
        producer: the model or method that made it, with the hash of its weights where it has some.
    """

    kind: str
    parent: str
    fingerprints: dict[str, str]
    producer: str


@dataclass
class Manifest:
    """What a shard set is: how it was made, and exactly which bytes belong to it.

    Attributes:
        settings: how it was built; plain JSON values.
        frames: candidate pictures of every clip.
        shards: in the order of their names.
        counts: split -> what it holds.
        languages: language -> videos.
        origin: of a derived set; None for one that was built from videos.
    """

    settings: dict[str, Any]
    frames: int
    shards: list[Shard]
    counts: dict[str, Counts] = field(default_factory=dict)
    languages: dict[str, int] = field(default_factory=dict)
    origin: Origin | None = None

    def to_json(self) -> bytes:
        content = {name: value for name, value in asdict(self).items() if value is not None}
        return (json.dumps({"format": FORMAT, "version": VERSION, **content}, indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes, where: str) -> Manifest:
        """The manifest that `to_json` wrote.  Raises ValueError that names `where` on anything else."""
        try:
            raw = json.loads(data.decode("utf-8"))
            if (raw["format"], raw["version"]) != (FORMAT, VERSION):
                raise ValueError(f"format {raw['format']!r} version {raw['version']}, not {FORMAT!r} version {VERSION}")
            shards = [Shard(**shard) for shard in raw["shards"]]
            if unsafe := [shard.name for shard in shards if not SHARD_NAME.fullmatch(shard.name)]:
                raise ValueError(f"{unsafe[0]!r} is not the name of a shard")
            counts = {split: Counts(**count) for split, count in raw["counts"].items()}
            origin = Origin(**raw["origin"]) if "origin" in raw else None
            return cls(dict(raw["settings"]), int(raw["frames"]), shards, counts, dict(raw["languages"]), origin)
        except (KeyError, TypeError, AttributeError, ValueError) as fault:
            raise ValueError(f"{where} is not the manifest of a shard set ({fault})") from fault

    @classmethod
    def read(cls, folder: Path, what: str = "shard set", maker: str = "weaksync data build") -> Manifest:
        """The manifest of a set.

        Args:
            what, maker: what is looked for there, and the command that makes one, for the words where it is absent.

        Raises:
            FileNotFoundError: `folder` holds no set.
            ValueError: its manifest is damaged.
        """
        path = folder / MANIFEST
        if not path.is_file():
            raise FileNotFoundError(f"no {what} in {folder} (no {MANIFEST}); make one with `{maker}`")
        return cls.from_json(path.read_bytes(), str(path))

    def fingerprint(self, split: str) -> str:
        """One hash for all bytes of a split."""
        names = [f"{shard.name} {shard.sha256}" for shard in self.shards if shard.split == split]
        return hashlib.sha256("\n".join(names).encode()).hexdigest()

    def check_clips(self, where: object) -> None:
        """Raises ValueError for a derived set, which has no clips of its own."""
        if self.origin is not None:
            raise ValueError(
                f"{where} holds {self.origin.kind} of {self.origin.parent}, and no clips: name that set, and this one "
                f"as its {self.origin.kind}"
            )

    def check_languages(self, wanted: Sequence[str] | None, where: object) -> None:
        """Raises ValueError where `wanted` names a language that no video has; None wants all."""
        if unknown := sorted(set(wanted or []) - set(self.languages)):
            raise ValueError(f"{where} has no video in {', '.join(unknown)}; it has {', '.join(self.languages)}")

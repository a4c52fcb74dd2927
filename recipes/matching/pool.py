"""An index on disk: a pool of subtitles as a matcher sees them, mapped into memory when it is searched.

A folder holds ``steps.npy``, the features of every subtitle's speech one after the other (float16, the short ones
first), ``<cue>.npy``, their vectors under each global cue, ``subtitles.jsonl``, what they say and when, and
``index.json``, which is written last: what the index was made of, and by what.  ``search.faiss`` may lie beside.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...datamodules.batches import Speech
from ...datamodules.files import whole_path
from ...datamodules.index import ShardSet
from ...datamodules.speech_set import SPLIT, open_speech, read_speech
from ...zoo.encoded import Pool
from ...zoo.matcher import Matcher

FORMAT, VERSION = "weaksync-subtitle-index", 1
INDEX, STEPS, SUBTITLES, SEARCH = "index.json", "steps.npy", "subtitles.jsonl", "search.faiss"


@dataclass(frozen=True)
class Subtitle:
    """One subtitle of a pool.

    Attributes:
        id: of the pool; no other has it.
        language: code.
        sentences: what it says, in order.
        spans: (start, end) seconds of its speech in which each is spoken.
        seconds: how long its speech is.
        steps: features of it.
        source: which of the index's sets of speech it is in.
    """

    id: str
    language: str
    sentences: tuple[str, ...]
    spans: tuple[tuple[float, float], ...]
    seconds: float
    steps: int
    source: int

    @property
    def text(self) -> str:
        """All that it says, on one line."""
        return " ".join(self.sentences)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Subtitle:
        spans = tuple((float(start), float(end)) for start, end in data["spans"])
        return cls(**{**data, "sentences": tuple(data["sentences"]), "spans": spans})


@dataclass
class Source:
    """A set of speech that an index was made of; `folder` as seen from the index where it lies inside."""

    folder: str
    split: str
    fingerprint: str
    producer: str


@dataclass
class PoolInfo:
    """What ``index.json`` says.

    Attributes:
        fingerprint: of the matcher, `Matcher.fingerprint`.
        model: where that was then.
        dim: of a step.
        cues: name -> dimensions of its vectors.
        subtitles, steps: how many.
        seconds: of speech.
        languages: code -> subtitles.
        sources: sets of speech.
        sizes: file -> bytes.
        left_out: subtitle -> why it is not in the index.
    """

    fingerprint: str
    model: str
    dim: int
    cues: dict[str, int]
    subtitles: int
    steps: int
    seconds: float
    languages: dict[str, int]
    sources: list[Source]
    sizes: dict[str, int]
    left_out: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps({"format": FORMAT, "version": VERSION, **asdict(self)}, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, where: object) -> PoolInfo:
        try:
            raw = json.loads(text)
            found = raw.pop("format"), raw.pop("version")
            if found != (FORMAT, VERSION):
                raise ValueError(f"format {found[0]!r} version {found[1]}, not {FORMAT!r} version {VERSION}")
            return cls(**{**raw, "sources": [Source(**source) for source in raw["sources"]]})
        except (KeyError, TypeError, ValueError) as fault:
            raise ValueError(f"{where} is not what weaksync index writes ({fault}): index the pool again") from fault


class SubtitleIndex:
    """An index that is open for searching.

    Attributes:
        folder: of the index.
        info: what ``index.json`` says of it.
        subtitles: in the order of the columns of `pool`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.info = read_info(folder)
        for name, size in self.info.sizes.items():
            path = folder / name
            again = f"remove {folder / INDEX}, and {self.maker(folder)} makes it again"
            if not path.is_file():
                raise FileNotFoundError(f"{path} is missing: {again}")
            if path.stat().st_size != size:
                raise ValueError(
                    f"{path} has {path.stat().st_size} bytes and had {size} when the index was made: {again}"
                )
        lines = (folder / SUBTITLES).read_text(encoding="utf-8").splitlines()
        self.subtitles = [Subtitle.from_dict(json.loads(line)) for line in lines]
        self._sets: dict[int, ShardSet] = {}

    def __len__(self) -> int:
        return len(self.subtitles)

    @cached_property
    def pool(self) -> Pool:
        """The features, mapped and not read."""
        lengths = torch.tensor([subtitle.steps for subtitle in self.subtitles])
        cues = {name: _mapped(self.folder / f"{name}.npy") for name in self.info.cues}
        return Pool(_mapped(self.folder / STEPS), lengths, [one.language for one in self.subtitles], cues)

    @cached_property
    def columns(self) -> dict[str, int]:
        """The column of each id."""
        return {subtitle.id: column for column, subtitle in enumerate(self.subtitles)}

    def speech(self, column: int) -> Speech:
        """How a subtitle is spoken.

        Raises:
            FileNotFoundError: the set of speech is not where it was.
            ValueError: it is another one now.
        """
        subtitle = self.subtitles[column]
        if subtitle.source not in self._sets:
            self._sets[subtitle.source] = self._open(self.info.sources[subtitle.source])
        return read_speech(self._sets[subtitle.source], subtitle.id)

    def maker(self, out: str | Path) -> str:
        """The command that makes an index of the same subtitles, as a shell reads it."""
        pools = dict.fromkeys(str(self.folder / source.folder) for source in self.info.sources)
        splits = {source.split for source in self.info.sources}
        # what subtitle files are spoken into has that split alone; the speech of clips has theirs
        chosen = ["--split", *splits] if len(splits) == 1 and splits != {SPLIT} else []
        return shlex.join(["weaksync", "index", *pools, *chosen, "--model", "DIR", "--out", str(out)])

    def check(self, matcher: Matcher) -> None:
        """Raises ValueError where another matcher made the index."""
        if matcher.fingerprint != self.info.fingerprint:
            raise ValueError(
                f"{self.folder} was made by another model ({self.info.model}): its features mean nothing to this one; "
                f"{self.maker('OTHER')} makes one by this model"
            )

    def _open(self, source: Source) -> ShardSet:
        folder = self.folder / source.folder  # an absolute one stays what it is
        try:
            shards = open_speech(folder)
        except FileNotFoundError as fault:
            raise FileNotFoundError(
                f"the speech that {self.folder} was made of is no longer in {folder}: bring it back, or index again"
            ) from fault
        if shards.fingerprint(source.split) != source.fingerprint:
            raise ValueError(f"{folder} is other speech than {self.folder} was made of: index the pool again")
        return shards


def read_info(folder: Path) -> PoolInfo:
    """Raises FileNotFoundError where there is no index, ValueError where it cannot be read."""
    path = folder / INDEX
    if not path.is_file():
        # who names the pool itself wants an index of it
        pool, out = (folder, "INDEX") if folder.is_dir() and any(folder.iterdir()) else ("POOL", folder)
        raise FileNotFoundError(f"no index in {folder} (no {INDEX}): weaksync index {pool} --model DIR --out {out}")
    return PoolInfo.from_json(path.read_text(encoding="utf-8"), path)


def open_index(folder: str | Path) -> SubtitleIndex:
    """Open an index.

    Raises:
        FileNotFoundError: there is none, or a file of it is missing.
        ValueError: a file is not as it was written.
    """
    return SubtitleIndex(Path(folder))


def is_index(folder: Path) -> bool:
    """Whether an index lies in a folder."""
    return (folder / INDEX).is_file()


def write_array(path: Path, shape: tuple[int, ...], blocks: Any) -> None:
    """Write blocks of rows, one after the other, as a float16 array of a known shape: whole or not at all."""
    with whole_path(path) as part:
        array = np.lib.format.open_memmap(part, mode="w+", dtype=np.float16, shape=shape)
        row = 0
        for block in blocks:
            array[row : row + len(block)] = block
            row += len(block)
        array.flush()
        del array


def _mapped(path: Path) -> Tensor:
    """An array of float16 as a tensor that is read where it is looked at.  Nothing is ever written back."""
    return torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False))

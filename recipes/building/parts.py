"""What every build keeps beside its set: parts that a stopped build goes on from, and the report."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...datamodules import shards
from ...datamodules.files import write_whole
from ...datamodules.manifest import MANIFEST

PARTS, REPORT = ".parts", "build.json"


@dataclass
class Failure:
    """A video that could not be built, and why."""

    video: str
    reason: str


@dataclass
class Report:
    """What a build came to; written to ``build.json`` beside the shards.

    Attributes:
        settings: how it was made.
        counts: split -> what was counted in it.
        built: pieces of work done now.
        resumed: pieces that an earlier run had done.
        failures: videos that are not in the set, or not whole.
    """

    settings: dict[str, Any]
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    built: int = 0
    resumed: int = 0
    failures: list[Failure] = field(default_factory=list)


def check_out(out: Path, replace: bool) -> None:
    """Raises ValueError where a set is in `out` that is not to be replaced, and as `shards.check_free`."""
    if (out / MANIFEST).exists() and not replace:
        raise ValueError(
            f"{out} holds a shard set already; --replace builds it again, using what has not changed; "
            "or choose another folder"
        )
    shards.check_free(out, replace=replace)


def parts_folder(out: Path) -> Path:
    """The folder of a build's parts, made where it is absent."""
    folder = out / PARTS
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def part_id(part: Path) -> str:
    """The id of what a part named ``<id>.<key>.tar`` holds."""
    return part.stem.rpartition(".")[0]


def key_of(*inputs: Any) -> str:
    """A hash of all that goes into a part, JSON values, for its name."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


def stat_of(path: Path) -> list[Any]:
    """What tells whether a file is still the same, without reading it."""
    stat = path.stat()
    return [path.name, stat.st_size, stat.st_mtime_ns]


def processes(jobs: int | None, tasks: int) -> int:
    """How many processes to start: as asked or one for each core, but no more than there are tasks."""
    return max(1, min(jobs or os.cpu_count() or 1, tasks))


def write_report(out: Path, report: Report) -> None:
    """Write a report beside the shards, whole, its failures in order of their videos."""
    report.failures.sort(key=lambda failure: failure.video)
    write_whole(out / REPORT, (json.dumps(asdict(report), indent=1, ensure_ascii=False) + "\n").encode())


def finish(out: Path, report: Report) -> None:
    """Write the report and remove the parts; where something failed they stay, for the run after it is mended."""
    write_report(out, report)
    if not report.failures:
        shutil.rmtree(out / PARTS)

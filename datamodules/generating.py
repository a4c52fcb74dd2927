"""What makers of synthetic data share: a folder that holds one making alone, and films made in several processes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from .files import write_whole

Task = TypeVar("Task")


def write_settings(path: Path, version: int, settings: dict[str, Any], *, others: str) -> dict[str, Any]:
    """Write what a folder holds, or find that it says the same already; returns that.

    Args:
        path: of the file that says so.
        settings: that everything in the folder depends on, beside the version; plain values.
        others: what the folder holds otherwise, for the message.

    Raises:
        ValueError: it says something else.
    """
    ours = {"version": version, "settings": {**settings, "languages": list(settings["languages"])}}
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        if found != ours:
            different = _differing(found, ours)
            raise ValueError(f"{path} is of {others} ({different}); choose another folder, or delete this one")
        return ours
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(ours, ensure_ascii=False, indent=1).encode())
    return ours


def _differing(found: dict[str, Any], ours: dict[str, Any]) -> str:
    """What differs between two such files: ``seed 1, not 2``."""
    there, here = ({"version": each.get("version"), **each.get("settings", {})} for each in (found, ours))
    names = [name for name in {**here, **there} if there.get(name) != here.get(name)]
    return ", ".join(f"{name} {json.dumps(there.get(name))}, not {json.dumps(here.get(name))}" for name in names)


def run_tasks(work: Callable[[Task], object], tasks: Sequence[Task], jobs: int) -> Iterator[int]:
    """Do tasks, in several processes if `jobs` says so; yields how many are done, from none to all."""
    yield 0
    if jobs <= 1 or len(tasks) <= 1:
        for number, task in enumerate(tasks, start=1):
            work(task)
            yield number
        return
    with ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=get_context("spawn")) as pool:
        for number, _ in enumerate(pool.map(work, tasks), start=1):
            yield number

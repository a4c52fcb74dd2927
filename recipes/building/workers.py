"""Many pieces of work in many processes, of which each may fail for itself."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")


def each(
    work: Callable[[Task], Outcome], tasks: Sequence[Task], jobs: int, folder: Path
) -> Iterator[tuple[Task, Outcome | str]]:
    """Do the tasks: yields each as it is done, with what came of it, or the reason why nothing did.

    Args:
        work: a function of a module; it must not return a string.
        tasks: picklable.
        jobs: processes; one works in this one.
        folder: where they write: named where its disk is full, which alone ends the work.
    """
    if jobs == 1 or len(tasks) < 2:
        for task in tasks:
            yield task, _checked(lambda task=task: work(task), folder)  # type: ignore[misc]
        return
    left = {id(task): task for task in tasks}
    try:
        with _pool(jobs) as pool:
            futures: dict[Future[Outcome], Task] = {pool.submit(work, task): task for task in tasks}
            try:
                for future in as_completed(futures):
                    task = futures[future]
                    outcome = _checked(future.result, folder)
                    del left[id(task)]
                    yield task, outcome
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    except BrokenProcessPool:
        # one of them took its process down, and with it the pool: the rest go on in a process of their own each
        for task in left.values():
            try:
                with _pool(1) as pool:
                    outcome = _checked(pool.submit(work, task).result, folder)
            except BrokenProcessPool:
                outcome = "its process died: the decoder crashed, or memory ran out (try fewer --jobs)"
            yield task, outcome


def _pool(jobs: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_quiet)


def _quiet() -> None:
    import torch

    torch.set_num_threads(1)  # processes share the cores already


def _checked(result: Callable[[], Outcome], folder: Path) -> Outcome | str:
    """The outcome; a full disk ends the work, anything else is this task's own trouble."""
    try:
        return result()
    except OSError as fault:
        if fault.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(
                fault.errno, f"the disk of {folder} is full; free some space and run again: what is done is kept"
            ) from fault
        return str(fault)
    except BrokenProcessPool:
        raise
    except Exception as fault:
        return str(fault) if isinstance(fault, ValueError) else f"{type(fault).__name__}: {fault}"

"""Work in many processes: each failure is its own, and none is lost."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from weaksync.recipes.building.workers import each


def halve(number: int) -> float:
    if number == 13:
        os._exit(3)
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number / 2


def fail(kind: str) -> None:
    raise {"disk": OSError(errno.ENOSPC, "no space"), "file": OSError(errno.ENOENT, "gone"), "bug": KeyError("x")}[kind]


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_what_fails_says_why_and_the_rest_goes_on(jobs: int, tmp_path: Path) -> None:
    assert dict(each(halve, [2, 3, 4], jobs, tmp_path)) == {2: 1.0, 3: "3 is odd", 4: 2.0}


@pytest.mark.slow
def test_a_process_that_dies_takes_no_other_task_with_it(tmp_path: Path) -> None:
    outcomes = dict(each(halve, [2, 13, 4, 6], 2, tmp_path))
    assert outcomes.pop(13).startswith("its process died")
    assert outcomes == {2: 1.0, 4: 2.0, 6: 3.0}


def test_a_full_disk_ends_the_work_and_other_faults_do_not(tmp_path: Path) -> None:
    assert [outcome for _, outcome in each(fail, ["file", "bug"], 1, tmp_path)] == ["[Errno 2] gone", "KeyError: 'x'"]
    with pytest.raises(OSError, match=f"the disk of {tmp_path} is full; free some space and run again"):
        list(each(fail, ["bug", "disk"], 1, tmp_path))

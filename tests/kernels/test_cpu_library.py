"""The library of C++ kernels as a process meets it: threads, forks, the choice of instructions, and its absence."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from weaksync.kernels import cpu

pytestmark = pytest.mark.skipif(not cpu.available(), reason="the compiled CPU kernels were not built")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# ---- threads and processes


def test_threads_do_not_change_a_bit() -> None:
    cost = torch.rand(7, 90, 80, generator=torch.Generator().manual_seed(7))
    lengths = torch.randint(1, 91, (7,)), torch.randint(1, 81, (7,))
    one = cpu.soft_dtw(cost, *lengths, gamma=0.1, band=None, with_alignment=True)
    torch.set_num_threads(3)
    three = cpu.soft_dtw(cost, *lengths, gamma=0.1, band=None, with_alignment=True)
    assert torch.equal(one[0], three[0]) and torch.equal(one[1], three[1])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_fewer_threads_than_asked_for_do_the_work() -> None:
    code = """
import resource, torch
from weaksync.kernels import cpu
torch.set_num_threads(1)
cost, lengths = torch.zeros(1, 1, 1).expand(4000, 60, 50), (torch.full((4000,), 60), torch.full((4000,), 50))
truth = cpu.soft_dtw(cost, *lengths, gamma=0.1, band=None, with_alignment=False)[0]
held = 1024 * int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1])
resource.setrlimit(resource.RLIMIT_AS, (held + (1 << 30), -1))  # room for the stacks of about a hundred threads
torch.get_num_threads = lambda: 3000
assert torch.equal(cpu.soft_dtw(cost, *lengths, gamma=0.1, band=None, with_alignment=False)[0], truth)
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def in_a_child(queue: Any, cost: Tensor, lengths: tuple[Tensor, Tensor]) -> None:
    queue.put(float(cpu.soft_dtw(cost, *lengths, gamma=0.1, band=None, with_alignment=False)[0].sum()))


def test_a_forked_worker_computes_after_its_parent_used_threads() -> None:
    cost = torch.rand(4, 90, 80)
    lengths = torch.full((4,), 90), torch.full((4,), 80)
    torch.set_num_threads(2)
    truth = float(cpu.soft_dtw(cost, *lengths, gamma=0.1, band=None, with_alignment=False)[0].sum())
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=in_a_child, args=(queue, cost, lengths))
    child.start()
    assert queue.get(timeout=30) == truth
    child.join(timeout=30)
    assert child.exitcode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_that_calls_leave_behind_is_bounded_over_all_of_them() -> None:
    code = """
import torch
from weaksync.kernels import cpu, soft_dtw, soft_dsta, soft_drop_dtw, dsta_path
torch.set_num_threads(1)

def held():
    return 1024 * int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])

cost = torch.rand(1, 5000, 4000).requires_grad_()
before, largest = held(), 0
for function in (soft_dtw, soft_dsta, lambda c: soft_drop_dtw(c, 0.3, 0.5), dsta_path):
    found = function(cost)
    del found
    print(held() - before)
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert max(map(int, done.stdout.split())) < (256 << 20) + (32 << 20), done.stdout


# ---- what it says of itself


@pytest.mark.parametrize(("instructions", "lanes"), [("avx512", 16), ("avx2", 8), ("plain", 4)])
def test_it_says_what_it_runs_on(instructions: str, lanes: int) -> None:
    try:
        cpu.use(instructions)
    except ValueError:
        pytest.skip(f"this processor has no {instructions}")
    assert cpu.describe() == f"{instructions}, {lanes} lanes"
    cpu.use(None)


def test_an_unknown_instruction_set_is_named() -> None:
    with pytest.raises(ValueError, match=r"'mmx'.*avx512, avx2, plain"):
        cpu.use("mmx")


@pytest.mark.parametrize(("name", "said"), [("plain", "plain, 4 lanes"), ("mmx", "WEAKSYNC_CPU is 'mmx'")])
def test_the_environment_forces_one(name: str, said: str) -> None:
    code = "from weaksync.kernels import cpu\ntry: print(cpu.describe())\nexcept ValueError as fault: print(fault)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env=os.environ | {"WEAKSYNC_CPU": name}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


def test_without_the_library_it_says_how_to_build_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu.library, "_library", None)
    monkeypatch.setattr(cpu.library, "_fault", "it was not built")
    assert not cpu.available()
    assert "it was not built" in cpu.describe() and "pip install -e ." in cpu.describe()
    with pytest.raises(ImportError, match="was not built"):
        cpu.use(None)

"""The Triton backend without a GPU: in the interpreter, and compiled for four GPUs that are not there."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from weaksync.kernels import ops

from .outputs import OPERATORS, assert_as_declared

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FILES = [str(HERE / "triton_interpreted.py"), str(HERE / "triton_blocks.py")]

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed here")


def run(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    without = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=without | environment,
        capture_output=True,
        text=True,
        timeout=500,
    )


class _NoLaunch:
    """A kernel that is never run: its outputs stay as they were allocated."""

    def __getitem__(self, grid: tuple[int, ...]) -> _NoLaunch:
        return self

    def __call__(self, *arguments: Any, **constants: Any) -> None:
        pass


@pytest.fixture
def launchers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The Triton backend, called by the operators on tensors of the CPU, without running its kernels."""
    backend = importlib.import_module("weaksync.kernels.triton")
    monkeypatch.setattr(backend.launch.rows, "find_spoiled", _NoLaunch())
    for kernels in ("_drop_dtw", "_dsta", "_dtw", "_long_dsta", "_soft_drop_dtw", "_soft_dsta", "_soft_dtw"):
        for name in ("forward", "backward", "trace"):
            monkeypatch.setattr(getattr(backend, kernels), name, _NoLaunch(), raising=False)
    monkeypatch.setattr(ops, "backend_of", lambda cost, soft=True: backend)
    return backend


@pytest.mark.parametrize("name", OPERATORS)
def test_outputs_are_those_that_the_operator_declares(launchers: ModuleType, name: str) -> None:
    for shape in ((2, 5, 8), (2, 5, 3), (1, 64, 3000), (0, 5, 4), (0, 0, 0)):
        assert_as_declared(name, shape)


@pytest.mark.slow
@pytest.mark.parametrize("scan", ["parallel", "stock"])
def test_every_kernel_in_the_interpreter(scan: str) -> None:
    """In a process of its own, since Triton reads TRITON_INTERPRET when it is imported."""
    select = ["-k", "stock"] if scan == "stock" else []
    done = run(
        ["-m", "pytest", "-q", "-p", "no:cacheprovider", *FILES, *select],
        {"TRITON_INTERPRET": "1", "STOCK_SCAN": "1" if scan == "stock" else "0", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.slow
def test_every_kernel_compiles_for_four_gpus(tmp_path: Path) -> None:
    """Without spills or a word on stderr, and in no more instructions than the committed table."""
    if not (Path(importlib.import_module("triton").__file__).parent / "backends/nvidia/bin/cuobjdump").exists():
        pytest.skip("this Triton comes without cuobjdump")
    done = run([str(HERE / "triton_static.py"), "--json"], {"TRITON_CACHE_DIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stderr == ""
    found = json.loads(done.stdout)
    written = json.loads((HERE / "triton_baseline.json").read_text(encoding="utf-8"))
    baseline = written["kernels"]
    # another release of the compiler has another count, which says nothing of these kernels
    comparable = version("triton") == written["triton"]
    rewrite = "python tests/kernels/triton_static.py --write"
    assert set(found) == set(baseline), f"kernels came or went; rewrite the table: {rewrite}"
    faults = []
    for name, targets in found.items():
        for target, figures in targets.items():
            if figures["spills"]:
                faults.append(f"{name} on {target} spills {figures['spills']} bytes")
            for figure in ("registers", "instructions") if comparable else ():
                old = baseline[name][target][figure]
                if figures[figure] > 1.05 * old:
                    faults.append(f"{name} on {target}: {figure} grew from {old} to {figures[figure]}")
    assert not faults, "\n".join([*faults, f"if that is meant, rewrite the table: {rewrite}"])

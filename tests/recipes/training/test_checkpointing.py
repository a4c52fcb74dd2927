"""Checkpoints survive what happens to files, and execute nothing."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from weaksync.recipes.training.checkpointing import DIGEST, DurableCheckpointIO, damage, latest_good, step_of


def save(folder: Path, step: int) -> Path:
    path = folder / f"step={step:08d}.ckpt"
    DurableCheckpointIO().save_checkpoint({"step": step, "weights": torch.arange(4096.0)}, path)
    return path


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    path = save(tmp_path, 3)
    loaded = DurableCheckpointIO().load_checkpoint(path)
    assert loaded["step"] == 3
    assert torch.equal(loaded["weights"], torch.arange(4096.0))
    assert {file.name for file in tmp_path.iterdir()} == {path.name, path.name + DIGEST}
    DurableCheckpointIO().remove_checkpoint(path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("harm", ["flip", "cut", "digest"])
def test_a_damaged_checkpoint_is_refused_and_the_one_before_it_is_taken(tmp_path: Path, harm: str) -> None:
    before, newest = save(tmp_path, 1), save(tmp_path, 2)
    content = bytearray(newest.read_bytes())
    if harm == "flip":
        content[len(content) // 2] ^= 1
        newest.write_bytes(content)
    elif harm == "cut":
        newest.write_bytes(content[:-100])
    else:
        newest.with_name(newest.name + DIGEST).unlink()
    said: list[str] = []
    assert latest_good(tmp_path, say=said.append) == before
    assert len(said) == 1
    assert newest.name in said[0]
    with pytest.raises(ValueError, match=newest.name):
        DurableCheckpointIO().load_checkpoint(newest)


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert latest_good(tmp_path) is None
    assert damage(tmp_path / "absent.ckpt") == "is not there"


class Canary:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_never_runs(tmp_path: Path) -> None:
    import hashlib

    path, canary = tmp_path / "step=00000001.ckpt", tmp_path / "canary"
    torch.save({"evil": Canary(canary)}, path)
    path.with_name(path.name + DIGEST).write_text(hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(pickle.UnpicklingError):
        DurableCheckpointIO().load_checkpoint(path)
    assert not canary.exists()


@pytest.mark.slow
def test_kill_during_save_leaves_a_good_checkpoint(tmp_path: Path) -> None:
    save(tmp_path, 1)
    code = (
        "import sys, torch\nfrom weaksync.recipes.training.checkpointing import DurableCheckpointIO\n"
        "state = {'weights': torch.zeros(4_000_000)}\nprint('ready', flush=True)\n"
        "for step in range(2, 10_000):\n"
        "    DurableCheckpointIO().save_checkpoint(state, f'{sys.argv[1]}/step={step:08d}.ckpt')\n"
    )
    # the temporary files of the platform lie elsewhere: the promise must not depend on them
    environment = {**os.environ, "TMPDIR": "/dev/shm"}
    for delay in (0.02, 0.05, 0.11):
        writer = subprocess.Popen(
            [sys.executable, "-P", "-c", code, str(tmp_path)], stdout=subprocess.PIPE, env=environment
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(delay)
        assert writer.poll() is None, "it died before it was killed"
        writer.kill()
        writer.wait()
        good = latest_good(tmp_path, say=lambda _: None)
        assert good is not None
        DurableCheckpointIO().load_checkpoint(good)
    assert step_of(good) > 1

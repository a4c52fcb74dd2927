"""A checkpoint is written whole: at every moment its folder is the old one or the new one."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from weaksync import zoo
from weaksync.zoo import checkpoint, folders
from weaksync.zoo.folders import replace_folder

from .small_checkpoint import DECODER, save_small, small


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_small(tmp_path / "model")


def test_a_save_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    model = small()
    assert zoo.load(model.save_pretrained(tmp_path / "with", decoder=DECODER)).decoder == DECODER
    assert model.decoder is None and zoo.load(model.save_pretrained(tmp_path / "without")).decoder is None


def test_saving_again_replaces_the_whole_folder(folder: Path) -> None:
    with torch.no_grad():
        model = small()
        model.temp.fill_(0.3)
    model.save_pretrained(folder)
    assert float(zoo.load(folder).temp) == pytest.approx(0.3)
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="holds something else"):
        small().save_pretrained(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(ValueError, match="is a file or a link"):
        small().save_pretrained(tmp_path / "thesis.txt")


def test_a_failure_while_saving_leaves_the_old_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        small().save_pretrained(folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


SAVE_FOREVER = """
import sys
from pathlib import Path
from weaksync.zoo.folders import replace_folder
for n in range(10**9):
    with replace_folder(Path(sys.argv[1]), is_ours=lambda folder: True) as temporary:
        for name in "ab":
            (temporary / name).write_text(str(n) * 20000)
    print(n, flush=True)
"""


@pytest.mark.parametrize("delay", [0.0, 0.003, 0.01, 0.02])
def test_kill_9_at_any_moment_leaves_a_whole_folder(delay: float, tmp_path: Path) -> None:
    target = tmp_path / "model"
    process = subprocess.Popen([sys.executable, "-c", SAVE_FOREVER, str(target)], stdout=subprocess.PIPE, cwd="/")
    assert process.stdout is not None
    for _ in range(5):
        process.stdout.readline()
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (target / "a").read_text() == (target / "b").read_text() != ""


def test_replacing_works_where_the_system_cannot_swap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: object())
    for n in range(3):
        with replace_folder(tmp_path / "x", is_ours=lambda folder: True) as temporary:
            (temporary / "n").write_text(str(n))
    assert (tmp_path / "x/n").read_text() == "2"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_every_file_is_on_disk_before_the_folder_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, flushed = tmp_path / "model", []

    def sync(path: Path) -> None:
        flushed.append((path.name, target.exists()))

    monkeypatch.setattr(folders, "_sync", sync)
    with replace_folder(target, is_ours=lambda folder: True) as temporary:
        (temporary / "part").mkdir()
        (temporary / "part" / "weights").write_text("1")
        (temporary / "config").write_text("2")
    assert {("weights", False), ("config", False), ("part", False), (tmp_path.name, True)} <= set(flushed)

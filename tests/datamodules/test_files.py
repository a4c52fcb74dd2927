"""Files that appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from weaksync.datamodules.files import whole_file, whole_path, write_whole


def test_a_file_gets_its_name_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"old")
    with whole_path(path, suffix=path.suffix) as part:
        assert part.parent == tmp_path and part.suffix == ".mp4" and part.name.startswith(".")
        part.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]
    write_whole(path, b"newer")
    assert path.read_bytes() == b"newer" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("fault", [ValueError("no"), KeyboardInterrupt()])
def test_a_failure_leaves_what_was_there(tmp_path: Path, fault: BaseException) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"old")
    with pytest.raises(type(fault)), whole_path(path) as part:
        part.write_bytes(b"ne")
        raise fault
    with pytest.raises(type(fault)), whole_file(path) as file:
        file.write(b"ne")
        raise fault
    with pytest.raises(FileNotFoundError), whole_path(path):
        pass  # nothing was written
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_no_unfinished_file_is_taken_for_one_of_its_kind(tmp_path: Path) -> None:
    with whole_path(tmp_path / "part.tar") as part:
        part.write_bytes(b"")
        assert not list(tmp_path.glob("*.tar"))

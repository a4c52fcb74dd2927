"""`weaksync data check`: what it prints, and how it exits."""

import json

import pytest

from weaksync.datamodules.sample_set import make_set
from weaksync.recipes.cli import main


@pytest.fixture
def folder(tmp_path):
    make_set(tmp_path / "set", {"train": [3, 4], "val": [2]}, frames=2, size=(16, 16))
    return tmp_path / "set"


def run(capsys, *words):
    """Exit code, standard output, standard error."""
    code = 0
    try:
        main(["data", "check", *map(str, words)])
    except SystemExit as end:
        code = end.code
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_a_sound_set_is_ok(folder, capsys):
    code, out, _ = run(capsys, folder)
    assert code == 0
    assert "ok, 2 shards" in out.replace("\n", "")
    code, out, _ = run(capsys, folder, "--json")
    assert code == 0
    report = json.loads(out)
    assert report["ok"] is True
    assert report["splits"]["train"] == {"videos": 2, "clips": 7, "sentences": 4}


def test_faults_are_named_and_the_exit_code_says_so(folder, capsys):
    shard = folder / "train-000000.tar"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(bytes(data))
    code, out, _ = run(capsys, folder, "--json")
    assert code == 2
    report = json.loads(out)
    assert report["ok"] is False
    (fault,) = report["faults"]
    assert fault["shard"] == "train-000000.tar"
    assert fault["key"].startswith("train000")
    assert fault["member"]
    code, out, _ = run(capsys, folder)
    assert code == 2
    assert "1 fault" in out
    assert fault["key"] in out


def test_no_set_is_one_line_and_exit_2(tmp_path, capsys):
    code, _, err = run(capsys, tmp_path)
    assert code == 2
    assert "no shard set in" in err


def test_a_broken_manifest_is_a_fault(folder, capsys):
    (folder / "manifest.json").write_text("{")
    code, out, _ = run(capsys, folder, "--json")
    assert code == 2
    assert json.loads(out)["faults"][0]["shard"] == "manifest.json"

"""`weaksync data world`, as it is called."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from click.testing import CliRunner

from weaksync.datamodules.index import open_set
from weaksync.recipes.data import build as data_build
from weaksync.recipes.data.world import command


def test_writes_a_world_and_tells_its_shape(tmp_path: Path) -> None:
    arguments = [
        "--out",
        str(tmp_path / "w"),
        "--stories",
        "3",
        "--sentences",
        "4",
        "--language",
        "en",
        "--language",
        "ru",
        "--jobs",
        "1",
    ]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "3 stories" in result.output and "en, ru" in result.output
    assert len(list((tmp_path / "w" / "videos").glob("*.mp4"))) == 3
    again = json.loads(CliRunner().invoke(command, [*arguments, "--json"], catch_exceptions=False).stdout)
    assert (again["stories"], again["languages"]) == (3, ["en", "ru"]) and 0 < again["matched"] <= 1
    words = shlex.split(result.stderr.splitlines()[-1])
    assert words[:4] == ["weaksync", "data", "build", "story"] and words.count("--annotations") == 2
    built = CliRunner().invoke(data_build.command, [*words[3:], "--shots", "content", "--size", "32", "--jobs", "1"])
    assert built.exit_code == 0, built.output
    assert f"splits: {tmp_path / 'w' / 'splits.json'}" in built.stderr.replace("\n", "")
    assert list(open_set(tmp_path / "shards").manifest.languages) == ["en", "ru"]
    assert sorted(path.stem for path in (tmp_path / "w" / "annotations").iterdir()) == ["en", "ru"]

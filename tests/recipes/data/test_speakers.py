"""`weaksync data speakers`, as it is called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from weaksync.recipes.data.speakers import command

pytest.importorskip("espeakng_loader")


def test_writes_speakers_and_counts_them(tmp_path: Path) -> None:
    arguments = ["--out", str(tmp_path), "--clips", "3", "--people", "6", "--seconds", "4", "--jobs", "1", "--json"]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    rows = json.loads(result.stdout)
    assert sum(row["clips"] for row in rows) == 3
    assert {row["split"] for row in rows} == {"train", "val", "test"}
    assert all(70 < row["words/min"] < 300 and 0 <= row["hidden"] < 1 for row in rows)
    assert (tmp_path / "contact.png").stat().st_size > 1000
    assert len(list((tmp_path / "videos").glob("*.mp4"))) == 3

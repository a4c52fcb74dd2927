"""`weaksync data speech`, as it is called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from weaksync.datamodules.sample_clips import make_clips
from weaksync.recipes.cli import main
from weaksync.recipes.data import check as data_check
from weaksync.recipes.data import stats as data_stats
from weaksync.recipes.data.speech import command

pytest.importorskip("espeakng_loader")


@pytest.fixture
def subtitles(tmp_path: Path) -> Path:
    path = tmp_path / "film.srt"
    path.write_text("1\n00:00:01,000 --> 00:00:03,000\nHello there. How are you?\n")
    return path


def test_speaks_and_counts(subtitles: Path, tmp_path: Path) -> None:
    arguments = [str(subtitles), "--language", "en", "--voice", "+f3", "--out", str(tmp_path / "set"), "--json"]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert report["files"] == 1 and report["sentences"] == 2 and 1 < report["seconds"] < 5


def test_the_set_is_checked_and_counted_like_any_other(subtitles: Path, tmp_path: Path) -> None:
    run = CliRunner()
    folder = str(tmp_path / "set")
    run.invoke(command, [str(subtitles), "--language", "en", "--out", folder], catch_exceptions=False)
    checked = run.invoke(data_check.command, [folder], catch_exceptions=False)
    assert checked.exit_code == 0 and "speech of" in " ".join(checked.stdout.split())
    counted = run.invoke(data_stats.command, [folder, "--json"], catch_exceptions=False)
    assert '"sentences": 2' in counted.stdout or '"en": 2' in counted.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--language", "tlh", "--sentences", "captions"], "no voice 'tlh'"),
        (["--language", "en", "--voice", "en+f33"], "no variant 'f33'"),
        (["--language", "en", "--model", "mms", "--voice", "+f3"], "--voice belongs to"),
    ],
)
def test_faults_in_one_line(
    arguments: list[str], said: str, subtitles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["data", "speech", str(subtitles), "--out", str(tmp_path / "set"), *arguments])
    assert end.value.code == 2
    assert said in capsys.readouterr().err


def test_clips_say_their_language(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_clips(tmp_path / "clips", {"train": 2, "test": 1}, seconds=1)
    run = CliRunner()
    arguments = [str(tmp_path / "clips"), "--out", str(tmp_path / "speech"), "--json"]
    assert json.loads(run.invoke(command, arguments, catch_exceptions=False).stdout)["files"] == 3
    assert run.invoke(data_check.command, [str(tmp_path / "speech")], catch_exceptions=False).exit_code == 0
    counted = run.invoke(data_stats.command, [str(tmp_path / "speech"), "--json"], catch_exceptions=False)
    assert counted.exit_code == 0
    for words, said in (
        ([str(tmp_path / "clips"), "--language", "en"], "leave --language and --sentences out"),
        ([str(tmp_path)], "say in which language"),
    ):
        with pytest.raises(SystemExit) as end:
            main(["data", "speech", *words, "--out", str(tmp_path / "other")])
        assert end.value.code == 2
        assert said in capsys.readouterr().err

"""Where a set is absent, the command that makes exactly that set is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from weaksync.recipes.cli import weaksync
from weaksync.recipes.matching.pool import open_index

from .tiny_streams import clips_with_speech


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("makers")
    clips_with_speech(folder, {"train": 1, "val": 1}, seconds=1)
    return folder


SETS = ("data.clips=clips", "data.speech=speech", "root=runs", "trainer.accelerator=cpu")
STORIES, CLIPS = "weaksync data build story", "weaksync data build subtitles"


@pytest.mark.parametrize(
    ("words", "maker"),
    [
        ("data stats no", "weaksync data build"),
        ("data features no --model cclm-tiny --out o", STORIES),
        ("data translate no --to en --out o", STORIES),
        ("train story/neumatch data.shards=nix", STORIES),
        ("train subtitles/speaking", "weaksync data build speaking"),
        ("train subtitles/syncnet data.clips=nix model.name=syncnet-tiny", CLIPS),
        ("data features no --stream lips --model syncnet-tiny --out o", CLIPS),
        ("data features no --stream speech --model syncnet-tiny --out o", "weaksync data speech"),
        ("data features no --stream words --words hashed --out o", "weaksync data speech"),
        (
            f"train subtitles/soft_dsta {' '.join(SETS)}",
            "weaksync data features clips --stream lips|object|scene|action",
        ),
        ("reproduce subtitles table2 --clips clips --pool no --runs runs", "weaksync data speech"),
    ],
)
def test_the_maker_of_what_is_absent(world: Path, monkeypatch: pytest.MonkeyPatch, words: str, maker: str) -> None:
    monkeypatch.chdir(world)
    said = str(CliRunner().invoke(weaksync, words.split()).exception)
    assert f"(no manifest.json); make one with `{maker}`" in said


def test_another_kind_of_set_is_named_as_what_it_is(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world)
    for words, said in (
        ("data features clips --stream words --words hashed --out o", "clips holds no speech: make it with"),
        (
            "data features speech --stream lips --model syncnet-tiny --out o",
            "speech holds speech, and no conv",
        ),
    ):
        assert said in str(CliRunner().invoke(weaksync, words.split()).exception)


def test_a_pool_that_is_no_index_is_told_how_to_become_one(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world)
    with pytest.raises(FileNotFoundError, match="weaksync index speech --model DIR --out INDEX"):
        open_index("speech")
    with pytest.raises(FileNotFoundError, match="weaksync index POOL --model DIR --out no"):
        open_index("no")

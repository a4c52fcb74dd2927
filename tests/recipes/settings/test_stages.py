"""A matcher's stages are checked before anything is made, and faults bear the keys that were typed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from weaksync import zoo
from weaksync.datamodules.sample_clips import make_clips
from weaksync.recipes.cli import weaksync
from weaksync.recipes.settings import config
from weaksync.recipes.settings.matching import MatchingRecipe
from weaksync.recipes.settings.schema import ConfigError
from weaksync.recipes.settings.stages import setting_faults
from weaksync.recipes.training.stages import Stages


def faults(*given: str) -> list[str]:
    recipe = config.load("subtitles/quickstart", list(given))
    assert isinstance(recipe, MatchingRecipe)
    return [str(fault) for fault in setting_faults(recipe)]


def test_weights_of_a_hub_are_named_as_they_are_typed() -> None:
    hub = ["syncnet.model=hf://org/syncnet", "alignment.model=hf://org/lipspeech", "object.net=hf://org/net"]
    recipe = config.load("subtitles/quickstart", hub)
    assert isinstance(recipe, MatchingRecipe)
    assert Stages(recipe).syncnet() == "hf://org/syncnet" and Stages(recipe).net("object") == "hf://org/net"


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("object.set.optim.lrr=1", "object.set.optim.lrr: unknown key (did you mean 'lr'?)"),
        ("object.set.optm=1", "object.set.optm: unknown key (did you mean 'optim'?)"),
        ("syncnet.set.data.frames=3", "syncnet.set.data.frames: should be at least 10, not 3"),
        ("alignment.set.loss.alignment=-1", "alignment.set.loss: alignment is a weight of 0 or more, not -1.0"),
        (
            "alignment.set.model.arguments.aligner=dtw",
            "alignment.set.model.arguments.aligner: dtw has no gradient: take soft-dtw, or trainer.max_epochs 0",
        ),
        ("scene.set.seed=3", "scene.set.seed: the matcher sets it: leave it out; seed is that of all stages"),
        ("scene.set.data.text=x", "scene.set.data.text: the matcher sets it: leave it out"),
        (
            "alignment.recipe=subtitles/syncnet",
            "alignment.recipe: subtitles/syncnet is a recipe of task syncnet; this stage has task subtitles",
        ),
        (
            "syncnet.recipe=story/weak",
            "syncnet.recipe: story/weak is a recipe of story alignment; this stage has task syncnet",
        ),
        (
            "object.set.model.name=lipspeech-tiny",
            "object.set.model.name: lipspeech-tiny is a LipSpeech; this stage trains a GSM",
        ),
    ],
)
def test_a_fault_is_named_by_the_key_that_was_typed(given: str, fault: str) -> None:
    assert faults(given) == [fault]


def test_a_setting_of_a_stage_is_sought_where_it_is() -> None:
    where = r"object\.epochs: unknown key \(object\.set holds the settings of its recipe: object\.set\.trainer\."
    with pytest.raises(ConfigError, match=where):
        faults("object.epochs=1")


def test_every_stage_that_is_trained_is_looked_at() -> None:
    wrong = ["object.set.optim.lr=fast", "scene.recipe=subtitles/scen", "syncnet.set.trainer.max_epochs=0"]
    found = faults(*wrong)
    assert len(found) == 3
    assert found[0] == "syncnet.set.trainer.max_epochs: should be at least 1, not 0"
    assert found[1] == "object.set.optim.lr: should be a number, not 'fast'"
    assert found[2].startswith("scene.recipe: no recipe 'subtitles/scen' (did you mean 'subtitles/scene'?)")
    assert not faults(*wrong[1:], *(f"{stage}.model=x" for stage in ("syncnet", "object", "scene")))
    assert not faults()


def test_a_fault_of_the_recipe_of_a_stage_is_said_of_its_file(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(config.locate("subtitles/object").read_text().replace("decay_epochs: 15", "decay_epoch: 15"))
    said = f"object.recipe: {own}: optim.decay_epoch: unknown key (did you mean 'decay_epochs'?)"
    assert faults(f"object.recipe={own}", "object.set.optim.lr=1") == [said]
    own.write_text("- 1\n")
    said = f"object.recipe: {own}: should hold keys and values at the top"
    assert faults(f"object.recipe={own}", "object.set.optim.lr=1") == [said]


def test_validate_looks_at_stages_without_torch() -> None:
    code = (
        "import sys; from weaksync.recipes.cli import main\n"
        "try: main(['validate', 'subtitles/quickstart', 'object.set.optim.lrr=1'])\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/")
    assert done.stdout.strip() == "2 False", done.stderr
    assert "object.set.optim.lrr: unknown key" in done.stderr


def test_what_is_absent_is_found_with_files(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader")
    make_clips(tmp_path / "clips", {"train": 4, "val": 1}, seconds=1.0)
    zoo.create("gsm-tiny").save_pretrained(tmp_path / "gsm")
    wrong = [
        f"data.clips={tmp_path / 'clips'}",
        f"root={tmp_path}",
        "data.voice=+f33",
        f"syncnet.model={tmp_path / 'gsm'}",
        "alignment.set.model.name=lipspeech-tny",
        "object.set.model.arguments.layer=3",
        "object.set.optim.decay=x",
        "scene.set.model.arguments.layer=3",
    ]

    def validate(*words: str) -> str:
        done = CliRunner().invoke(weaksync, ["validate", "subtitles/quickstart", *words])
        return f"{done.output}{done.exception or ''}"

    assert "1 fault\n" in validate(*wrong)  # what is no matter of files
    found = validate(*wrong, "--files")
    for words in (
        "5 faults",
        "object.set.optim.decay: should be a number",
        "data.voice: eSpeak NG has no variant 'f33'",
        f"syncnet.model: {tmp_path / 'gsm'} is a GSM; this stage takes a SyncNet",
        "alignment.set.model.name: lipspeech-tny holds no checkpoint: name a run or a checkpoint folder "
        "(did you mean 'lipspeech-tiny'?)",
        "scene.set.model.arguments: gsm-tiny takes no 'layer'",
    ):
        assert words in found
    assert validate(*wrong[:2], "--files").startswith("task: matching")


@pytest.mark.parametrize("name", [name for name in config.names() if name.startswith("subtitles/")])
def test_every_recipe_of_subtitles_is_looked_at_with_files(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(weaksync, ["validate", name, f"root={tmp_path}", "--files"])
    said = {
        "subtitles/speaking": "make one with `weaksync data build speaking`",
        "subtitles/end_to_end": "no checkpoint folder 'runs/syncnet'",
    }
    assert said.get(name, "make one with `weaksync data build subtitles`") in str(done.exception)

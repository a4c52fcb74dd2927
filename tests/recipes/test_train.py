"""A recipe becomes a run: in one process and in two, interrupted and not, the outcome is the same."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from weaksync import zoo
from weaksync.datamodules.sample_set import make_set
from weaksync.recipes.evaluate import evaluate
from weaksync.recipes.settings import config
from weaksync.recipes.settings.story import StoryRecipe
from weaksync.recipes.train import train
from weaksync.recipes.training.checkpointing import latest_good
from weaksync.zoo.models.cclm import CCLM
from weaksync.zoo.story import StoryAlignment

BIN = Path(sys.executable).parent
SMALL = (
    "model.arguments={embed_dim: 8, num_heads: [1, 1, 1], text_width: 16, text_heads: 2, text_ffn: 32, augment: none}"
)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards") / "set"
    make_set(folder, {"train": [8, 6, 9], "val": [6, 5], "test": [6, 7, 8]}, size=(64, 64), clips_per_sentence=1)
    return folder


def overrides(shards: Path, root: Path, *more: str) -> list[str]:
    # an odd number of groups and two to a step: the last step of an epoch is smaller
    few = ["data.global_batch=2", "data.group_size=4", "data.workers=0", "trainer.max_epochs=2", "optim.warmup=0"]
    plain = ["optim.schedule=constant", "trainer.check_val_every_n_epoch=1", "trainer.accelerator=cpu", SMALL]
    return [f"data.shards={shards}", f"root={root}", "name=run", *few, *plain, *more]


def recipe(shards: Path, root: Path, *more: str) -> StoryRecipe:
    return config.load("story/quickstart", overrides(shards, root, *more))


def launch(command: list[str], *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=timeout)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return zoo.load(run / "model").state_dict()


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor], *, tolerance: float) -> bool:
    return all(torch.allclose(first[name], second[name], atol=tolerance) for name in first)


def damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


@pytest.fixture(scope="module")
def run(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(recipe(shards, tmp_path_factory.mktemp("runs")))


def test_a_run_holds_all_that_one_needs_of_it(run: Path, shards: Path) -> None:
    assert {path.name for path in run.iterdir()} >= {
        "recipe.yaml",
        "checkpoints",
        "metrics.csv",
        "model",
        "training.png",
    }
    assert config.load(str(run / "recipe.yaml")).data.shards == str(shards)
    assert zoo.verify(run / "model") == []
    model = zoo.load(run / "model")
    assert model.languages == ["en"]
    assert model.decoder is not None
    assert "val/f1" in json.loads((run / "model" / "config.json").read_text())["metrics"]
    assert "val/f1" in (run / "metrics.csv").read_text()


def test_evaluation_sees_every_video_and_names_what_is_absent(run: Path, shards: Path) -> None:
    model = zoo.load(run / "model")
    found = evaluate(model, shards, split="test", workers=0)
    assert sorted(found["model"].per_video) == ["test0000", "test0001", "test0002"]
    assert found["oracle"].f1.value == pytest.approx(1.0)  # the made-up set is annotated on its cuts
    with pytest.raises(ValueError, match="dev"):
        evaluate(model, shards, split="dev", workers=0)
    with pytest.raises(ValueError, match="en"):
        evaluate(model, shards, languages=["ru"], workers=0)


def test_a_run_is_not_overwritten_unasked(run: Path, shards: Path) -> None:
    before = weights(run)
    again = recipe(shards, run.parent)
    with pytest.raises(ValueError, match="--resume"):
        train(again)
    assert train(again, resume=True) == run
    assert same(before, weights(run), tolerance=0)
    with pytest.raises(ValueError, match=r"optim\.lr was 0\.001 and is 0\.1"):
        train(recipe(shards, run.parent, "optim.lr=0.1"), resume=True)


def interrupted_at(step: int, asked: StoryRecipe, monkeypatch: pytest.MonkeyPatch, *, resume: bool = False) -> None:
    """Run a recipe until somebody presses Ctrl-C in the step after `step`."""
    trained = StoryAlignment.training_step

    def interrupted(self: StoryAlignment, *batch: Any) -> torch.Tensor:
        if self.global_step == step:
            raise KeyboardInterrupt
        return trained(self, *batch)

    listens = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(StoryAlignment, "training_step", interrupted)
        train(asked, resume=resume)
    signal.signal(signal.SIGINT, listens)  # Lightning lets go of it


def test_an_interrupted_run_goes_on_to_the_same_weights(
    run: Path, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    asked, checkpoints = recipe(shards, tmp_path, "save_every_n_steps=1"), tmp_path / "run" / "checkpoints"
    # stopped in the middle of the second epoch, where the last checkpoint is then damaged
    interrupted_at(6, asked, monkeypatch)
    damaged(checkpoints / "step=00000006.ckpt")
    capfd.readouterr()
    # and once more, when that checkpoint has been made again
    interrupted_at(6, asked, monkeypatch, resume=True)
    assert "--resume goes on from step 6" in capfd.readouterr().err
    assert sorted(path.name for path in checkpoints.glob("step=*.ckpt")) == ["step=00000005.ckpt", "step=00000006.ckpt"]
    stopped = train(asked, resume=True)
    last = [max((folder / "checkpoints").glob("step=*.ckpt")) for folder in (run, stopped)]
    states = [torch.load(path, weights_only=True) for path in last]
    assert states[0]["global_step"] == states[1]["global_step"]
    assert same(states[0]["state_dict"], states[1]["state_dict"], tolerance=0)


def test_a_run_of_some_steps_goes_on_where_they_ended(run: Path, shards: Path, tmp_path: Path) -> None:
    stopped = train(recipe(shards, tmp_path, "trainer.max_steps=3"))  # in mid-epoch
    shutil.rmtree(stopped / "model")
    train(recipe(shards, tmp_path), resume=True)
    assert same(weights(run), weights(stopped), tolerance=0)


def test_the_settings_of_an_unfinished_run_stay_but_for_a_few(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    interrupted_at(3, recipe(shards, tmp_path, "save_every_n_steps=1"), monkeypatch)
    run = tmp_path / "run"
    before = (run / "recipe.yaml").read_text()
    for change, words in (
        ("optim.lr=0.1", r"optim\.lr was 0\.001 and is 0\.1"),
        ("trainer.precision=bf16-mixed", "precision was 32-true and is bf16-mixed"),
        ("model.arguments.embed_dim=4", "embed_dim was 8 and is 4"),
        ("seed=1", "seed was 0 and is 1"),
    ):
        with pytest.raises(ValueError, match=f"was begun with other settings: .*{words}.*name=OTHER"):
            train(recipe(shards, tmp_path, change), resume=True)
    assert (run / "recipe.yaml").read_text() == before
    capfd.readouterr()
    more = ["trainer.max_epochs=1", "save_every_n_steps=2", "data.workers=1", "trainer.devices=1"]
    train(recipe(shards, tmp_path, *more), resume=True)
    said = "goes on with other settings: trainer.max_epochs was 2 and is 1; save_every_n_steps was 1 and is 2\n"
    assert said in capfd.readouterr().err
    assert config.load(str(run / "recipe.yaml")).trainer.max_epochs == 1
    kept = sorted((run / "checkpoints").glob("step=*.ckpt"))
    assert [path.name for path in kept] == ["step=00000003.ckpt", "step=00000004.ckpt"]  # those of before are known


def test_a_run_that_is_there_is_said_before_anything_is_loaded(
    run: Path, shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weaksync.recipes.training.story.build", lambda recipe: pytest.fail("it was loaded"))
    with pytest.raises(ValueError, match="holds a run: --resume goes on with it"):
        train(recipe(shards, run.parent))


def test_where_the_best_weights_are_damaged_the_newest_are_kept(
    shards: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = train(recipe(shards, tmp_path, "trainer.max_epochs=1"))
    newest = torch.load(next((run / "checkpoints").glob("step=*.ckpt")), weights_only=True)
    shutil.rmtree(run / "model")
    damaged(run / "checkpoints" / "best.ckpt")
    capfd.readouterr()
    train(recipe(shards, tmp_path, "trainer.max_epochs=1"), resume=True)
    said = capfd.readouterr().err
    assert "best.ckpt is damaged" in said and f"of step {newest['global_step']}, are kept instead" in said
    kept = {f"model.{name}": value for name, value in weights(run).items()}
    assert same(kept, newest["state_dict"], tolerance=0)


def test_a_run_that_is_not_there_is_not_resumed(run: Path, shards: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no run .*rum to go on with \(did you mean 'run'\?\); there are: run"):
        train(recipe(shards, run.parent, "name=rum"), resume=True)
    assert not (run.parent / "rum").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_the_step_it_ends(
    run: Path,
    shards: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    number: int,
) -> None:
    steps = itertools.count()
    step = StoryAlignment.training_step

    def told_to_end(self: StoryAlignment, *batch: Any) -> torch.Tensor:
        if next(steps) == 2:
            os.kill(os.getpid(), number)
        return step(self, *batch)

    monkeypatch.setattr(StoryAlignment, "training_step", told_to_end)
    with pytest.raises(SystemExit) as stopped:
        train(recipe(shards, tmp_path))
    assert stopped.value.code == 143
    goes_on = f"weaksync train {tmp_path / 'run' / 'recipe.yaml'} --resume goes on from step 3"
    assert f"stopped at step 3: {goes_on}" in capfd.readouterr().err
    train(recipe(shards, tmp_path), resume=True)
    assert same(weights(run), weights(tmp_path / "run"), tolerance=0)


@pytest.mark.slow
def test_sigterm_to_all_processes_is_one_line(shards: Path, tmp_path: Path) -> None:
    more = ["data.workers=2", "trainer.max_epochs=10000", "save_every_n_steps=1"]
    command = [str(BIN / "weaksync"), "train", "story/quickstart", *overrides(shards, tmp_path, *more)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while not any((tmp_path / "run" / "checkpoints").glob("step=*.ckpt")) and process.poll() is None:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGTERM)
        try:
            said = process.communicate(timeout=60)[1].splitlines()
        finally:
            process.kill()
    assert process.returncode == 143, said
    assert not [line for line in said if not line.startswith(("epoch ", "stopped at step "))]
    assert said[-1].startswith("stopped at step ")


@pytest.mark.slow
def test_a_job_that_is_told_by_one_process_ends_in_all_with_a_checkpoint(shards: Path, tmp_path: Path) -> None:
    checkpoints = tmp_path / "run" / "checkpoints"
    more = ["trainer.devices=2", "trainer.max_epochs=10000", "save_every_n_steps=3"]
    command = [str(BIN / "weaksync"), "train", "story/quickstart", *overrides(shards, tmp_path, *more)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            while not any(checkpoints.glob("step=*.ckpt")) and process.poll() is None:
                time.sleep(0.1)
            (second,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            os.kill(int(second), signal.SIGUSR1)
            said = process.communicate(timeout=120)[1].splitlines()
        finally:
            process.kill()
    assert process.returncode == 143, said
    stopped = next(line for line in said if line.startswith("stopped at step "))
    step = int(stopped.removeprefix("stopped at step ").partition(":")[0])
    assert stopped.endswith(f"--resume goes on from step {step}") and latest_good(checkpoints) is not None


def test_a_run_fine_tunes_another(run: Path, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = []
    encode = CCLM.encode_text
    monkeypatch.setattr(
        CCLM, "encode_text", lambda self, *ids: modes.append(self.vision.training) or encode(self, *ids)
    )
    arguments = [f"model.name={run}", "model.arguments={freeze: [text]}", "trainer.max_steps=1"]
    tuned = train(config.load("story/quickstart", [*overrides(shards, tmp_path)[:-1], *arguments]))
    assert any(modes)  # loaded for use, trained in training mode: dropout counts
    before, after = weights(run), weights(tuned)
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("text."))
    assert not all(torch.equal(before[name], after[name]) for name in before if name.startswith("vision."))


def test_the_model_says_which_pictures_it_was_trained_on(tmp_path: Path) -> None:
    stored = {"frames": 3, "size": 64, "quality": 95}
    make_set(tmp_path / "set", {"train": [6, 6]}, size=(64, 64), clips_per_sentence=1, settings=stored | {"shots": "?"})
    assert zoo.load(train(recipe(tmp_path / "set", tmp_path, "trainer.max_steps=1")) / "model").pictures == stored


@pytest.mark.parametrize("counts", [{"train": [6, 6]}, {"train": [6, 6], "val": [6]}])
def test_without_annotated_videos_the_newest_weights_are_kept(tmp_path: Path, counts: dict[str, list[int]]) -> None:
    make_set(tmp_path / "set", counts, size=(64, 64), clips_per_sentence=1, annotated=False)
    model = zoo.load(train(recipe(tmp_path / "set", tmp_path, "trainer.max_epochs=1")) / "model")
    assert model.decoder is None


def test_without_validation_annotated_training_videos_choose_the_drop_costs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make_set(tmp_path / "set", {"train": [8, 6, 9, 7]}, size=(64, 64), clips_per_sentence=1)
    model = zoo.load(train(recipe(tmp_path / "set", tmp_path, "trainer.max_steps=1")) / "model")
    assert model.decoder is not None and model.decoder["policy"] == "constant"
    metrics = json.loads((tmp_path / "run" / "model" / "config.json").read_text())["metrics"]
    assert 0 <= metrics["train/cross_validated_f1"] <= 1
    assert "cross-validation over 4 of training" in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["torchrun", "lightning"])
def test_two_processes_train_and_evaluate_as_one(launcher: str, run: Path, shards: Path, tmp_path: Path) -> None:
    verb = [str(BIN / "weaksync")]
    more = ["trainer.devices=2"]
    if launcher == "torchrun":
        verb = [str(BIN / "torchrun"), "--nproc-per-node", "2", "--no-python", *verb]
        more = []
    done = launch(verb, "train", "story/quickstart", *overrides(shards, tmp_path, *more))
    assert done.returncode == 0, done.stderr[-3000:]
    assert same(weights(run), weights(tmp_path / "run"), tolerance=2e-5)
    evaluated = launch(verb, "eval", str(tmp_path / "run"), "--json")
    assert evaluated.returncode == 0, evaluated.stderr[-3000:]
    alone = evaluate(zoo.load(tmp_path / "run" / "model"), shards, workers=0)
    assert json.loads(evaluated.stdout)["rows"] == json.loads(json.dumps(alone.to_dict()["rows"]))


@pytest.mark.slow
def test_the_failure_of_one_rank_ends_the_run(tmp_path: Path) -> None:
    make_set(tmp_path / "set", {"train": [8, 6, 9]}, size=(64, 64), clips_per_sentence=1)
    shard = tmp_path / "set" / "train-000000.tar"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 0xFF
    shard.write_bytes(content)
    torchrun = [str(BIN / "torchrun"), "--nproc-per-node", "2", "--no-python", str(BIN / "weaksync")]
    done = launch(torchrun, "train", "story/quickstart", *overrides(tmp_path / "set", tmp_path), timeout=120)
    assert done.returncode != 0
    assert "train-000000.tar" in done.stderr

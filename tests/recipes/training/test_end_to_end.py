"""SyncNet and the front end trained together: from where cached features leave off, to what everything else takes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from weaksync import zoo
from weaksync.datamodules.subtitles import SubtitleDataModule
from weaksync.recipes.derived.streams import make_stream
from weaksync.recipes.scoring.subtitles import evaluate_run
from weaksync.recipes.settings import config
from weaksync.recipes.settings.schema import ConfigError
from weaksync.recipes.settings.subtitles import SubtitleRecipe
from weaksync.recipes.training.subtitles import build_data, build_model, build_task
from weaksync.zoo.matcher import Matcher
from weaksync.zoo.models.lipspeech import LipSpeech
from weaksync.zoo.models.syncnet import SyncNet

from ..tiny_streams import clips_with_speech, streams_of
from ..verbs import weaksync


def sets(world: Path) -> list[str]:
    return [f"data.clips={world / 'clips'}", f"data.speech={world / 'speech'}", "trainer.accelerator=cpu"]


def cached(world: Path, lips: str = "lips", speech: str = "speech") -> list[str]:
    return [*sets(world), f"data.video={world / 'features' / lips}", f"data.text={world / 'features' / speech}"]


def settings(world: Path, *more: str) -> list[str]:
    return [
        *sets(world),
        f"root={world / 'runs'}",
        f"syncnet.name={world / 'syncnet'}",
        f"model.name={world / 'runs/soft_dsta'}",
        "data.workers=0",
        "trainer.max_epochs=2",
        "trainer.log_every_n_steps=1",
        "optim.lr=0.01",
        *more,
    ]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("end_to_end")
    count = {"train": 6, "val": 3, "test": 3}
    streams_of(clips_with_speech(folder, count, seconds=1.6, languages=("en", "es")))
    small = ["model.arguments.dim=12", "trainer.max_epochs=1", f"root={folder / 'runs'}"]
    assert weaksync("train", "subtitles/soft_dsta", *cached(folder), *small) == 0
    assert weaksync("train", "subtitles/end_to_end", *settings(folder)) == 0
    return folder


def recipe(world: Path, *more: str) -> SubtitleRecipe:
    read = config.load("subtitles/end_to_end", settings(world, *more))
    assert isinstance(read, SubtitleRecipe)
    return read


def test_it_begins_where_cached_features_leave_off(world: Path) -> None:
    syncnet, spoken = build_data(recipe(world))
    folders = [world / name for name in ("clips", "speech", "features/lips", "features/speech")]
    streams = SubtitleDataModule(*folders)  # type: ignore[arg-type]
    spoken.least = streams.least = 4
    task = build_task(recipe(world), build_model(recipe(world), spoken), syncnet)
    task.model.train()
    assert task.syncnet is not None and task.syncnet.config.checkpoint_activations and not task.syncnet.training
    for made, kept in zip(spoken.train_dataloader(), streams.train_dataloader(), strict=True):
        found = task.streams(made)
        assert found.ids == kept.ids and found.languages == kept.languages  # type: ignore[union-attr]
        for name in ("video_lengths", "text_lengths", "video_times", "text_times"):
            assert torch.equal(getattr(found, name), getattr(kept, name)), name
        for name in ("spoken", "synthesised"):
            for ours, theirs in zip(getattr(found, name), getattr(kept, name), strict=True):
                torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
        rounding = 2**-11  # of float16
        for name in ("video", "text"):
            torch.testing.assert_close(getattr(found, name), getattr(kept, name), rtol=rounding, atol=1e-6)
        ours, theirs = task.losses(found)[0], task.losses(kept)[0]  # type: ignore[arg-type]
        assert ours.item() == pytest.approx(theirs.item(), rel=2 * rounding)  # costs are products of two features


def test_a_run_ends_with_both_models_that_belong_together(world: Path) -> None:
    run = world / "runs/end_to_end"
    model, syncnet = zoo.load(run / "model"), zoo.load(run / "syncnet")
    assert isinstance(model, LipSpeech) and isinstance(syncnet, SyncNet) and model.languages == ["en", "es"]
    before = zoo.load(world / "syncnet").state_dict()
    changed = {name for name, value in syncnet.state_dict().items() if not torch.equal(value, before[name])}
    assert len(changed) == 48 and not any("running" in name for name in changed)
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    logged = {name for row in rows for name, value in row.items() if value}
    assert {"val/r1", "val/mrr", "train/loss_epoch", "train/alignment_epoch", "lr-Adam/syncnet"} <= logged
    words = [*sets(world), f"root={world / 'runs'}", *(f"{cue}=null" for cue in ("object", "scene", "action"))]
    words += [f"syncnet.model={run / 'syncnet'}", f"alignment.model={run}"]
    assert weaksync("train", "subtitles/quickstart", *words) == 0
    matcher = Matcher.from_pretrained(world / "runs/matcher/model")
    for ours, theirs in ((matcher.syncnet, syncnet), (matcher.lipspeech, model)):
        assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in ours.state_dict().items())


def test_it_is_scored_as_its_cached_features_are(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, features = world / "runs/end_to_end", world / "features"
    for source, stream in (("clips", "lips"), ("speech", "speech")):
        make_stream(world / source, stream, features / f"new-{stream}", model=str(run / "syncnet"), workers=0)
    words = [*cached(world, "new-lips", "new-speech"), f"model.name={run}", "trainer.max_epochs=0", "name=again"]
    words += [f"root={world / 'runs'}", "model.arguments={}"]
    assert weaksync("train", "subtitles/soft_dsta", *words) == 0  # its features are those that the model knows
    capsys.readouterr()
    assert weaksync("eval", run, "--split", "test", "--pool", features / "new-speech", "--json") == 0
    plain = json.loads(capsys.readouterr().out)
    assert (plain["clips"], plain["pool"]) == (3, 15)
    both = evaluate_run(run, "val", against=world / "runs/again")
    ranks = [each[0].expected().tolist() for each in both.scores.ranks.values()]
    assert ranks[0] == ranks[1]
    assert weaksync("eval", run, "--pool", features / "speech") == 2  # of the SyncNet before
    assert "the pool must be speech by" in capsys.readouterr().err


def test_a_run_that_was_stopped_goes_on_to_the_same_end(world: Path, tmp_path: Path) -> None:
    more = ["syncnet.arguments.augment=jitter", "save_every_n_steps=1"]
    whole, parts = (f"root={tmp_path / name}" for name in ("whole", "parts"))
    assert weaksync("train", "subtitles/end_to_end", *settings(world, *more, whole)) == 0
    assert weaksync("train", "subtitles/end_to_end", *settings(world, *more, parts, "trainer.max_steps=3")) == 0
    (tmp_path / "parts/end_to_end/model").rename(tmp_path / "aside")
    assert weaksync("train", "subtitles/end_to_end", *settings(world, *more, parts), "--resume") == 0
    newest = [max((tmp_path / name / "end_to_end/checkpoints").glob("step=*.ckpt")) for name in ("whole", "parts")]
    states = [torch.load(path, weights_only=True) for path in newest]
    assert states[0]["global_step"] == states[1]["global_step"] == 4
    ours, theirs = (state["state_dict"] for state in states)
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    saved = zoo.load(tmp_path / "parts/end_to_end/syncnet")
    assert isinstance(saved, SyncNet) and saved.config.augment == saved.preprocess.augment == "jitter"


def test_half_precision_and_a_syncnet_that_stays(world: Path, tmp_path: Path) -> None:
    words = settings(world, f"root={tmp_path}", "trainer.precision=bf16-mixed", "trainer.max_epochs=1", "syncnet.lr=0")
    assert weaksync("train", "subtitles/end_to_end", *words) == 0
    before, after = zoo.load(world / "syncnet").state_dict(), zoo.load(tmp_path / "end_to_end/syncnet").state_dict()
    assert all(torch.equal(before[name], value) for name, value in after.items())


def test_what_does_not_fit_is_named(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = zoo.load(world / "syncnet")
    next(other.parameters()).data += 1
    other.save_pretrained(tmp_path / "other")
    (tmp_path / "nothing").mkdir()
    for more, said in (
        ([f"syncnet.name={tmp_path / 'other'}"], "the model was trained on features of syncnet-tiny"),
        (["syncnet.arguments.fps=24"], "the model wants 25 steps a second of the video, not 24"),
        (["model.name=gsm-tiny"], "gsm-tiny reads objects, scenes or actions with words; "),
        ([f"syncnet.name={world / 'runs/soft_dsta'}"], "is a LipSpeech; syncnet and syncnet-tiny train on tubes"),
        (["syncnet.arguments.augment=blur"], "augment is one of none, jitter"),
        (["syncnet.arguments.feature_dim=16"], "feature_dim of a checkpoint cannot be changed"),
        ([f"data.clips={tmp_path / 'nothing'}"], "no set of conversational clips in"),
        (["data.domain=theatre"], "has no clip of domain 'theatre'"),
        ([f"data.speech={world / 'clips'}"], "holds"),
    ):
        assert weaksync("train", "subtitles/end_to_end", *settings(world, "name=x", *more)) == 2, more
        assert said in capsys.readouterr().err
    faulty = ["data.video=lips", "syncnet.lr=-1", "data.global_batch=1"]
    with pytest.raises(ConfigError) as caught:
        recipe(world, *faulty)
    faults = "\n".join(map(str, caught.value.faults))
    for words in ("leave data.video out, or syncnet", "lr is a factor", "data.global_batch: should be"):
        assert words in faults
    with pytest.raises(ConfigError, match="or syncnet, what makes them"):
        config.load("subtitles/soft_dsta", ["data.video=null"])


def test_clips_that_are_too_short_are_said(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips_with_speech(tmp_path, {"train": 4}, seconds=0.28)
    words = [*settings(world, f"root={tmp_path / 'runs'}"), *sets(tmp_path)]
    assert weaksync("train", "subtitles/end_to_end", *words) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "4 training clips are left out, such as train0000: 3 steps of lips, 4 are needed" in said
    assert "0 clips are too few for steps of at most 4" in said


@pytest.mark.slow
def test_two_processes_train_as_one(world: Path, tmp_path: Path) -> None:
    slowly = ["optim.lr=1e-4", "data.global_batch=2"]  # so that steps of Adam do not grow what is rounding
    assert weaksync("train", "subtitles/end_to_end", *settings(world, *slowly, f"root={tmp_path / 'alone'}")) == 0
    words = settings(world, *slowly, f"root={tmp_path}", "trainer.devices=2")
    verb = [Path(sys.executable).parent / "weaksync", "train", "subtitles/end_to_end", *words]
    done = subprocess.run(verb, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    runs = [tmp_path / "alone/end_to_end", tmp_path / "end_to_end"]
    one, two = (zoo.load(run / "syncnet").state_dict() for run in runs)
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=1e-5, atol=1e-6, msg=key)
    alone, shared = (
        [
            float(row["train/loss_step"])
            for row in csv.DictReader((run / "metrics.csv").open())
            if row["train/loss_step"]
        ]
        for run in runs
    )
    assert len(alone) == 6 and shared == pytest.approx(alone, rel=1e-4)

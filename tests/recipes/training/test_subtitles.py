"""Recipes of subtitle matching from end to end: trained, resumed, untrained, and refused beside other streams."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from weaksync import zoo
from weaksync.recipes.derived.streams import make_stream
from weaksync.recipes.settings import config
from weaksync.recipes.settings.schema import ConfigError
from weaksync.recipes.settings.subtitles import SubtitleRecipe
from weaksync.zoo.models.gsm import GSM
from weaksync.zoo.models.lipspeech import LipSpeech

from ..tiny_streams import clips_with_speech, streams_of
from ..verbs import weaksync


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("subtitles")
    count = {"train": 8, "val": 4, "test": 4}
    streams_of(clips_with_speech(folder, count, domains=("movie", "youtube"), languages=("en", "es", "en")))
    make_stream(
        folder / "clips", "object", folder / "features/object", model="picturenet-tiny", per_second=2, workers=0
    )
    make_stream(folder / "speech", "words", folder / "features/words", words="hashed", workers=0)
    assert weaksync("train", "subtitles/soft_dsta", *settings(folder)) == 0
    return folder


def settings(world: Path, *more: str, video: str = "lips", text: str = "speech") -> list[str]:
    return [
        f"data.clips={world / 'clips'}",
        f"data.speech={world / 'speech'}",
        f"data.video={world / 'features' / video}",
        f"data.text={world / 'features' / text}",
        f"root={world / 'runs'}",
        "trainer.accelerator=cpu",
        "trainer.max_epochs=3",
        "optim.decay_epochs=1",
        "model.arguments.dim=12",
        *more,
    ]


def test_a_run_ends_with_a_model_that_knows_its_streams(world: Path) -> None:
    model = zoo.load(world / "runs" / "soft_dsta" / "model")
    assert isinstance(model, LipSpeech) and model.config.feature_dim == 8 and model.config.dim == 12
    producers = model.preprocess.producers or {}
    assert producers["video"].startswith("syncnet-tiny") and producers["video"] == producers["text"]
    assert model.languages == ["en", "es"] and model.preprocess.per_second == 25
    rows = list(csv.DictReader((world / "runs" / "soft_dsta" / "metrics.csv").open()))
    logged = {name for row in rows for name, value in row.items() if value}
    assert {"val/r1", "val/median_rank", "val/mrr", "train/loss_epoch", "train/alignment_epoch"} <= logged
    rates = [float(row["lr-Adam"]) for row in rows if row.get("lr-Adam")]
    assert rates == sorted(rates, reverse=True)


def test_a_run_that_was_stopped_goes_on_to_the_same_end(world: Path, tmp_path: Path) -> None:
    root = f"root={tmp_path}"
    assert weaksync("train", "subtitles/soft_dsta", *settings(world, root, "trainer.max_epochs=2")) == 0
    (tmp_path / "soft_dsta" / "model").rename(tmp_path / "aside")
    assert weaksync("train", "subtitles/soft_dsta", *settings(world, root), "--resume") == 0
    whole = zoo.load(world / "runs" / "soft_dsta" / "model").state_dict()
    again = zoo.load(tmp_path / "soft_dsta" / "model").state_dict()
    assert [name for name in whole if not np.array_equal(whole[name].numpy(), again[name].numpy())] == []


@pytest.mark.parametrize("aligner", ["dsta", "dtw"])
def test_untrained_aligners_are_runs_too(world: Path, tmp_path: Path, aligner: str) -> None:
    words = [word for word in settings(world, f"root={tmp_path}") if not word.startswith(("trainer.max", "model."))]
    assert weaksync("train", f"subtitles/{aligner}", *words) == 0
    model = zoo.load(tmp_path / aligner / "model")
    assert isinstance(model, LipSpeech) and (model.config.aligner, model.config.front_end) == (aligner, "pool")
    assert (tmp_path / aligner / "metrics.csv").is_file()


def test_rates_of_languages_are_learnt(world: Path, tmp_path: Path) -> None:
    more = [f"root={tmp_path}", "model.arguments.learn_rates=true", "model.arguments.rates={en: 0.85, es: 0.9}"]
    assert weaksync("train", "subtitles/soft_dtw", *settings(world, *more, "optim.lr=0.1")) == 0
    model = zoo.load(tmp_path / "soft_dtw" / "model")
    rates = model.rates_of(["en", "es"]).tolist()  # type: ignore[operator]
    assert rates[0] != pytest.approx(0.85, abs=1e-4) and rates[1] != pytest.approx(0.9, abs=1e-4)


def test_a_global_cue_learns_from_pictures_and_words(world: Path, tmp_path: Path) -> None:
    words = settings(world, f"root={tmp_path}", "model.name=gsm-tiny", video="object", text="words")
    words = [word for word in words if not word.startswith("model.arguments")]
    assert weaksync("train", "subtitles/object", *words) == 0
    model = zoo.load(tmp_path / "object" / "model")
    assert isinstance(model, GSM) and (model.config.cue, model.config.video_dim, model.config.text_dim) == (
        "object",
        96,
        300,
    )


def test_a_domain_is_trained_by_itself(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = settings(world, f"root={tmp_path}", "trainer.max_epochs=1", "data.domain=movie")
    assert weaksync("train", "subtitles/soft_dsta", *words) == 0
    assert weaksync("train", "subtitles/soft_dsta", *settings(world, "name=x", "data.domain=theatre")) == 2
    assert "has no clip of domain 'theatre'; it has movie, youtube" in capsys.readouterr().err


def test_streams_that_do_not_fit_are_named(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = clips_with_speech(tmp_path / "other", {"train": 4}, seconds=1)
    for words, said in (
        (settings(world, "name=x", text="words"), "lipspeech reads lips with speech; "),
        (settings(world, "name=x", video="object", text="speech"), "features/object holds object, and "),
        (
            settings(world, "name=x", "model.name=gsm-tiny", "model.arguments={}"),
            "gsm-tiny reads objects, scenes or actions with words",
        ),
        (
            settings(world, "name=x", "model.name=syncnet-tiny"),
            "syncnet-tiny is a SyncNet: LipSpeech and GSM match subtitles",
        ),
        (settings(world, "name=x", f"data.clips={clips / 'clips'}"), "holds speech of another set than"),
        (settings(world, "name=x", f"data.speech={clips / 'speech'}"), "holds speech of another set than"),
        (settings(world, "name=x", video="speech"), "holds features of another set than"),
        (settings(world, "name=x", text="nothing"), "no stream of features in"),
    ):
        assert weaksync("train", "subtitles/soft_dsta", *words) == 2
        assert said in capsys.readouterr().err
    words = settings(world, "model.name=gsm-tiny", "loss.alignment=1", "name=x", video="object", text="words")
    words = [word for word in words if not word.startswith("model.arguments")]
    assert weaksync("train", "subtitles/object", *words) == 2
    assert "set loss.alignment=0 for a global cue" in capsys.readouterr().err


def test_features_of_another_model_are_refused(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = zoo.load(world / "syncnet")
    next(other.parameters()).data += 1
    other.save_pretrained(tmp_path / "other")
    make_stream(world / "clips", "lips", tmp_path / "lips", model=str(tmp_path / "other"), workers=0)
    words = settings(world, "name=further", f"data.video={tmp_path / 'lips'}", f"model.name={world / 'runs/soft_dsta'}")
    words = [word for word in words if not word.startswith("model.arguments.dim")]
    assert weaksync("train", "subtitles/soft_dsta", *words) == 2
    assert "the model was trained on features of syncnet-tiny" in capsys.readouterr().err


def test_a_recipe_is_checked_as_a_whole() -> None:
    assert isinstance(config.load("subtitles/soft_dsta"), SubtitleRecipe)
    overrides = [
        "data.global_batch=1",
        "model.arguments.aligner=dtw",
        "optim.decay=2",
        "loss.alignment=-1",
        "loss.directions=up",
        "data.shards=x",
    ]
    with pytest.raises(ConfigError) as caught:
        config.load("subtitles/soft_dsta", overrides)
    faults = "\n".join(map(str, caught.value.faults))
    for words in (
        "data.global_batch",
        "soft-dtw, or trainer.max_epochs 0",
        "decay lies",
        "alignment is",
        "video | text",
        "data.shards",
    ):
        assert words in faults

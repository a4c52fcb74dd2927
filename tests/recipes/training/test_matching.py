"""A whole matcher from made-up clips: stages that end are taken, those that were stopped go on, settings stay."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from weaksync.datamodules.sample_clips import make_clips
from weaksync.datamodules.speech import Espeak
from weaksync.datamodules.speech_set import open_speech, speak_clips
from weaksync.datamodules.streams import open_stream, stream_info
from weaksync.recipes.matching.costs import rows_together, split_costs
from weaksync.recipes.matching.indexing import index, voice_of
from weaksync.recipes.settings import config
from weaksync.recipes.settings.matching import MatchingRecipe
from weaksync.recipes.settings.schema import ConfigError
from weaksync.recipes.settings.stages import stage_recipe
from weaksync.recipes.training import matching as train_matching
from weaksync.recipes.training.matching import cue_model, train
from weaksync.recipes.training.stages import Stages
from weaksync.zoo import create, load
from weaksync.zoo.matcher import Matcher, Voice

from ..tiny_streams import Hum

pytest.importorskip("espeakng_loader")

SHORT = [
    *(f"{stage}.set.trainer.max_epochs=1" for stage in ("syncnet", "alignment", "object", "action")),
    *(f"{stage}.set.data.global_batch=2" for stage in ("syncnet", "alignment", "object", "action")),
    "syncnet.set.data.frames=20",
    "syncnet.set.trainer.check_val_every_n_epoch=1",
    "scene=null",
]


def recipe(folder: Path, *more: str, name: str = "run") -> MatchingRecipe:
    given = [f"data.clips={folder / 'clips'}", f"root={folder / 'runs'}", f"name={name}", *SHORT, *more]
    found = config.load("subtitles/quickstart", given)
    assert isinstance(found, MatchingRecipe)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("matching")
    make_clips(path / "clips", {"train": 4, "val": 3, "test": 3}, seconds=2.0, domains=("movie", "youtube"))
    return path


@pytest.fixture(scope="module")
def run(folder: Path) -> Path:
    return train(recipe(folder))


def test_every_stage_is_an_ordinary_run_and_the_matcher_has_its_weights(run: Path) -> None:
    matcher = Matcher.from_pretrained(run / "model")
    for stage, model in (
        ("syncnet", matcher.syncnet),
        ("alignment", matcher.lipspeech),
        ("object", matcher.cues["object"].gsm),
        ("action", matcher.cues["action"].gsm),
    ):
        kept = load(run / stage / "model").state_dict()
        assert all(torch.equal(kept[name], value) for name, value in model.state_dict().items())
        assert (run / stage / "recipe.yaml").is_file() and (run / stage / "metrics.csv").is_file()
    assert set(matcher.weights) == {"alignment", "object", "action"}
    assert matcher.cues["action"].net.registry_name == "i3d-tiny" and matcher.cues["action"].features.seconds == 1.5
    # the weights are tuned where the own subtitle is one of those of training too
    assert matcher.metrics["val/queries"] == 3 and matcher.metrics["val/pool"] == 7
    assert matcher.languages == ["en"] and matcher.words is not None


def test_costs_of_features_are_those_of_clips_and_texts(folder: Path, run: Path) -> None:
    from weaksync.datamodules.speech_set import open_speech, read_speech
    from weaksync.datamodules.spoken import open_clips, scene, tube
    from weaksync.zoo.encoded import Pool

    stages = Stages(recipe(folder))
    matcher = Matcher.from_pretrained(run / "model")
    parts = {"alignment": matcher.lipspeech, **{name: cue.gsm for name, cue in matcher.cues.items()}}
    found = split_costs({name: cue_model(stages, name, part) for name, part in parts.items()}, "test")
    clips, speech = open_clips(folder / "clips"), open_speech(stages.speech())
    names = [clip.id for clip in found.clips]
    codes = [
        matcher.encode_clip(tube(clips, name), lambda fps, name=name: scene(clips, name, fps=fps)) for name in names
    ]  # type: ignore[misc]
    said = {name: " ".join(sentence.text for sentence in speech.record(name).sentences) for name in names}
    texts = [matcher.encode_text(said[name], read_speech(speech, name).waveform) for name in names]
    whole = matcher.costs(codes, Pool.of(texts, ["en"] * len(names)))
    for name, costs in found.costs.items():
        torch.testing.assert_close(costs, whole[name], atol=5e-3, rtol=0)  # features are kept as float16


def test_subtitles_of_another_split_may_join_the_pool(folder: Path, run: Path) -> None:
    models = {"alignment": cue_model(Stages(recipe(folder)), "alignment", load(run / "alignment" / "model"))}
    whole = split_costs(models, "test")
    more = split_costs(models, "test", among="train")
    assert more.subtitles[: whole.own] == whole.subtitles and len(more.subtitles) > whole.own == more.own
    for name, costs in whole.costs.items():
        torch.testing.assert_close(more.costs[name][:, : whole.own], costs)


def test_rows_of_domains_come_together(folder: Path, run: Path) -> None:
    stages = Stages(recipe(folder))
    models = {"alignment": cue_model(stages, "alignment", load(run / "alignment" / "model"))}
    whole = split_costs(models, "test")
    parts = [split_costs(models, "test", domain) for domain in ("youtube", "movie")]
    again = rows_together(parts)
    assert [clip.id for clip in again.clips] == [clip.id for clip in whole.clips]
    assert torch.equal(again.right, whole.right) and torch.equal(again.costs["alignment"], whole.costs["alignment"])
    assert all(clip.domain == "youtube" for clip in parts[0].clips)
    with pytest.raises(ValueError, match="no clip of sport"):
        split_costs(models, "test", "sport")


def test_what_has_ended_is_taken(folder: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*given: Any, **more: Any) -> None:
        raise AssertionError("trained again")

    with pytest.raises(ValueError, match="holds a run"):
        train(recipe(folder))
    monkeypatch.setattr("weaksync.recipes.training.stages.train", never)
    monkeypatch.setattr("weaksync.recipes.training.stages.make_stream", never)
    train(recipe(folder), resume=True)
    before = json.loads((run / "model" / "matcher.json").read_text())
    (run / "model").rename(run / "kept")
    try:
        train(recipe(folder), resume=True)  # all but the fusion is there
        assert json.loads((run / "model" / "matcher.json").read_text()) == before
    finally:
        (run / "kept").rename(run / "kept-2") if (run / "model").is_dir() else (run / "kept").rename(run / "model")


def test_other_settings_are_refused(folder: Path, run: Path) -> None:
    with pytest.raises(ValueError, match=r"other settings: data.per_second was 1.0 and is 2.0"):
        train(recipe(folder, "data.per_second=2.0"), resume=True)
    with pytest.raises(FileNotFoundError, match="no run"):
        train(recipe(folder, name="other"), resume=True)


def test_the_rate_of_the_prior_is_that_of_the_clips(folder: Path, run: Path) -> None:
    stages = Stages(recipe(folder))
    lips, speech = open_stream(stages.lips(), None, ("lips",)), open_stream(stages.spoken(), None, ("speech",))
    names = [entry.id for entry in lips.split("train")]
    pace = sorted(stream_info(speech, name).steps / stream_info(lips, name).steps for name in names)
    expected = (pace[1] + pace[2]) / 2  # of four
    matcher = Matcher.from_pretrained(run / "model")
    assert matcher.lipspeech.config.rate == pytest.approx(expected, abs=1e-3)
    asked = stages.recipe.alignment
    asked.set["model"] = {"name": "lipspeech-tiny", "arguments": {"rate": 0.5}}
    chosen: Any = stage_recipe(stages.recipe, "x", asked, {"data.clips": "c"}, {"model.arguments.rate": expected})
    assert chosen.model.arguments["rate"] == 0.5


def test_given_weights_are_not_trained(folder: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    monkeypatch.setattr("weaksync.recipes.training.stages.train", lambda recipe, **more: names.append(recipe.name))
    stages = Stages(recipe(folder, f"syncnet.model={run / 'syncnet'}", name="given"))
    assert stages.syncnet() == run / "syncnet" / "model"
    lips = open_stream(stages.lips(), None, ("lips",))
    assert stream_info(lips, next(iter(lips.entries))).steps > 0
    assert not names


def test_a_front_end_of_another_network_is_refused(folder: Path, run: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    create("syncnet-tiny").save_pretrained(tmp_path / "other")
    given = [
        f"syncnet.model={tmp_path / 'other'}",
        f"alignment.model={run / 'alignment'}",
        "object=null",
        "action=null",
    ]
    with pytest.raises(ValueError, match=r"alignment\.model was trained on features of .*name that network too"):
        train(recipe(folder, *given, name="foreign"))


def test_a_matcher_asks_for_the_voice_that_its_clips_were_spoken_in(folder: Path, run: Path, tmp_path: Path) -> None:
    assert Matcher.from_pretrained(run / "model").voice == Voice()
    speak_clips(tmp_path / "speech", folder / "clips", Espeak("+f3", 120))
    parts = [f"syncnet.model={run / 'syncnet'}", f"alignment.model={run / 'alignment'}", "object=null", "action=null"]
    own = train(recipe(folder, f"data.speech={tmp_path / 'speech'}", *parts, name="slow"))
    assert Matcher.from_pretrained(own / "model").voice == Voice("espeak", "+f3", 120.0)
    found = index(own, tmp_path / "speech", tmp_path / "index", split="test")
    assert len(found) == 3


@pytest.mark.parametrize(
    ("producer", "voice", "rate", "expected"),
    [
        ("espeak-ng 1.52", "", 175, Voice()),
        ("vits facebook/mms-tts-* speaker 0 seed 0", "", 1.0, Voice("mms")),
        ("vits voice@sha256:12 speaker 0 seed 0", "my voice", 0.8, Voice("my voice", "", 0.8)),
        (
            "vits voice@sha256:12 speaker 3 seed 0",
            "my voice",
            1.0,
            Voice("vits voice@sha256:12 speaker 3 seed 0 my voice", "", 1.0),
        ),
        ("beeps 1", "", 2.0, Voice("beeps 1", "", 2.0)),
    ],
)
def test_the_voice_of_a_set_of_speech(producer: str, voice: str, rate: float, expected: Voice) -> None:
    manifest = SimpleNamespace(origin=SimpleNamespace(producer=producer), settings={"voice": voice, "rate": rate})
    shards: Any = SimpleNamespace(manifest=manifest, folder="speech")
    assert voice_of(shards) == expected


def test_speech_of_a_voice_of_ones_own_is_indexed_but_no_files(
    folder: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak_clips(tmp_path / "speech", folder / "clips", Hum())
    matcher = Matcher.from_pretrained(run / "model")
    with pytest.raises(ValueError, match=r"is spoken by hum, .*the model was made for espeak-ng"):
        index(matcher, tmp_path / "speech", tmp_path / "index")
    matcher.voice = voice_of(open_speech(tmp_path / "speech"))
    assert len(index(matcher, tmp_path / "speech", tmp_path / "index")) == 10
    (tmp_path / "one.srt").write_text("1\n00:00:01,000 --> 00:00:03,500\nWe chop the onions.\n")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ValueError, match="there is no voice 'hum 1"):
        index(matcher, tmp_path / "one.srt", tmp_path / "other")


def test_faults_are_listed_at_once(folder: Path) -> None:
    with pytest.raises(ConfigError) as found:
        recipe(folder, "data.per_second=0", "data.workers=-1", "syncnet.recpie=x")
    said = str(found.value)
    assert "3 faults" in said and "data.per_second" in said and "syncnet.recpie: unknown key (did you mean" in said
    for fault, said in (
        ("object.set.optim.lrr=1", r"object\.set\.optim\.lrr: unknown key"),
        ("alignment.model=nowhere", r"alignment\.model: nowhere holds no checkpoint"),
        ("object.net=nowhere", r"object\.net: nowhere"),
        ("data.words=glove.txt", r"data\.words: no such file"),
    ):
        with pytest.raises((ConfigError, FileNotFoundError), match=said):
            train(recipe(folder, fault, name="faulty"))
    assert not (folder / "runs" / "faulty").exists()


def test_splits_and_steps_that_clips_do_not_fill_are_found_first(tmp_path: Path) -> None:
    make_clips(tmp_path / "clips", {"train": 1}, seconds=2.0)
    sizes = "syncnet.set.data.global_batch=4", "alignment.set.data.global_batch=4"
    with pytest.raises(ConfigError) as found:
        Stages(recipe(tmp_path, *sizes)).check()
    train, val, syncnet = found.value.faults
    assert train.path == val.path == "data.clips" and "has 1 clip of split train" in train.message
    assert "has 0 clips of split val" in val.message and "--splits FILE that names some of them for val" in val.message
    assert str(syncnet) == "syncnet.set.data.global_batch: a step of 4 is more than the 1 for training: lower it"


def test_an_ended_stage_needs_its_start_no_more(tmp_path: Path) -> None:
    make_clips(tmp_path / "clips", {"train": 2, "val": 1}, seconds=1.0)
    create("lipspeech-tiny").save_pretrained(tmp_path / "start")
    asked = recipe(tmp_path, f"alignment.set.model.name={tmp_path / 'start'}")
    Stages(asked).check()
    (tmp_path / "start").rename(tmp_path / "gone")
    with pytest.raises(ConfigError, match=r"alignment\.set\.model\.name: .*start holds no checkpoint"):
        Stages(asked).check()
    (asked.folder / "alignment" / "model").mkdir(parents=True)
    Stages(asked).check()
    with pytest.raises(ConfigError, match="start holds no checkpoint"):
        Stages(asked).check(anew=True)  # as --force does


def test_a_file_among_weights_ends_no_list_of_faults(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError) as found:
        Stages(recipe(folder, f"syncnet.model={tmp_path / 'file'}", "object.net=nowhere")).check()
    assert "2 faults" in str(found.value) and "file holds no checkpoint" in str(found.value)


@pytest.mark.parametrize("counted", ["WORLD_SIZE", "SLURM_NTASKS"])
def test_a_matcher_is_trained_in_one_process(folder: Path, monkeypatch: pytest.MonkeyPatch, counted: str) -> None:
    monkeypatch.setenv(counted, "2")
    with pytest.raises(ValueError, match=r"alignment\.model=FOLDER"):
        train_matching.train(recipe(folder, name="many"))

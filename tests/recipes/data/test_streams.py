"""Streams of subtitle matching: what the models say of clips and of speech, joined to both, whole or refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from weaksync import zoo
from weaksync.datamodules.index import open_set, verify
from weaksync.datamodules.sample_clips import make_clips
from weaksync.datamodules.speech_set import cue_spans, open_speech, read_speech, write_speech
from weaksync.datamodules.spoken import open_clips, scene, spoken_clip, tube
from weaksync.datamodules.streams import (
    LIPS,
    SPANS,
    TIMES,
    VIDEO_STREAMS,
    narrations,
    open_stream,
    producer_of,
    read_stream,
    stream_info,
)
from weaksync.recipes.cli import main
from weaksync.recipes.data import check as data_check
from weaksync.recipes.derived import streams
from weaksync.recipes.derived.features import weights_hash
from weaksync.recipes.derived.streams import make_stream
from weaksync.zoo.glove import HashedWords
from weaksync.zoo.models.cues import PictureCue
from weaksync.zoo.models.syncnet import lip_times, speech_times

from ..interruptions import interrupt_after
from ..tiny_streams import SYNCNET, Hum, clips_with_speech, streams_of


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streams")
    return streams_of(clips_with_speech(folder, {"train": 3, "test": 1}, domains=("movie", "youtube")))


def run(*words: object) -> int:
    try:
        main(["data", "features", *map(str, words)])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_lips_are_what_syncnet_says_of_the_whole_tube(made: Path) -> None:
    clips, syncnet = open_clips(made / "clips"), zoo.load(made / "syncnet").eval()
    features = open_stream(made / "features/lips", clips, VIDEO_STREAMS)
    assert verify(features.folder) == [] and list(features.entries) == list(clips.entries)
    assert producer_of(features).endswith(weights_hash(syncnet))
    found = read_stream(features, "train0001")
    with torch.no_grad():
        wanted = syncnet.encode_lips(tube(clips, "train0001")[None])[0]  # type: ignore[operator]
    np.testing.assert_allclose(found[LIPS], wanted, rtol=2e-3, atol=1e-3)
    np.testing.assert_allclose(found[TIMES], lip_times(len(wanted), 25), atol=1e-5)
    clip, said = spoken_clip(clips, "train0001"), stream_info(features, "train0001")
    assert (said.domain, said.language, said.hidden) == ("youtube", clip.language, clip.hidden)
    np.testing.assert_array_equal(narrations(features, clip.id), [(cue.start, cue.end) for cue in clip.cues])


def test_speech_keeps_when_each_cue_is_spoken(made: Path) -> None:
    speech, syncnet = open_speech(made / "speech"), zoo.load(made / "syncnet").eval()
    found = read_stream(open_stream(made / "features/speech", speech, ["speech"]), "test0000")
    with torch.no_grad():
        wanted = syncnet.encode_speech(read_speech(speech, "test0000").waveform[None])[0]  # type: ignore[operator]
    np.testing.assert_allclose(found["speech"], wanted, rtol=2e-3, atol=1e-3)
    np.testing.assert_allclose(found[TIMES], speech_times(len(wanted)), atol=1e-5)
    np.testing.assert_allclose(found[SPANS], cue_spans(speech, "test0000"), atol=1e-5)


def test_a_tube_at_24_frames_a_second_keeps_its_time(made: Path, tmp_path: Path) -> None:
    zoo.create("syncnet-tiny", **SYNCNET, fps=24).save_pretrained(tmp_path / "syncnet")
    make_stream(made / "clips", LIPS, tmp_path / "lips", model=str(tmp_path / "syncnet"), workers=0)
    features = open_set(tmp_path / "lips")
    times = read_stream(features, "train0000")[TIMES]
    np.testing.assert_allclose(times, lip_times(72 - 4, 24), atol=1e-5)
    assert features.manifest.settings["per_second"] == 24


def test_pictures_are_sampled_at_their_pace(made: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    net = zoo.create("picturenet-tiny").eval()
    net.save_pretrained(tmp_path / "net")
    make_stream(made / "clips", "scene", tmp_path / "scene", model=str(tmp_path / "net"), per_second=2, workers=0)
    features = open_stream(tmp_path / "scene", open_clips(made / "clips"), ["scene"])
    wanted = PictureCue(net, 2.0)(scene(open_clips(made / "clips"), "train0002", fps=2))  # type: ignore[arg-type]
    assert wanted.shape == (6, 96)
    np.testing.assert_allclose(read_stream(features, "train0002")["scene"], wanted, rtol=2e-3, atol=2e-3)


def test_words_are_looked_up_or_hashed(made: Path, tmp_path: Path) -> None:
    text = " ".join(sentence.text for sentence in open_speech(made / "speech").record("train0000").sentences)
    first = text.split()[0].lower()
    (tmp_path / "glove.txt").write_text(f"{first} 1 2 3\nnobody 4 5 6\n")
    make_stream(made / "speech", "words", tmp_path / "words", words=str(tmp_path / "glove.txt"), workers=0)
    found = read_stream(open_set(tmp_path / "words"), "train0000")["words"]
    assert found.tolist() == [[1, 2, 3]] * text.lower().replace(".", "").split().count(first)
    make_stream(made / "speech", "words", tmp_path / "hashed", words="hashed", workers=0)
    found = read_stream(open_set(tmp_path / "hashed"), "train0000")["words"]
    np.testing.assert_allclose(found, HashedWords().of(text), atol=1e-3)


def test_a_word_has_one_vector_everywhere() -> None:
    here, there = HashedWords().of("Chop the onion, chop!"), HashedWords().of("an ONION")
    assert here.shape == (4, 300) and torch.equal(here[0], here[3]) and torch.equal(here[2], there[1])
    torch.testing.assert_close(here.norm(dim=1), torch.ones(4))
    assert abs(float(here[0] @ here[2])) < 0.3
    assert HashedWords().of("?!").tolist() == [[0.0] * 300]


def test_a_call_that_was_stopped_goes_on_to_the_same_bytes(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_after(monkeypatch, streams, "write_arrays", 2)
    told = {"model": str(made / "syncnet"), "workers": 0}
    with pytest.raises(KeyboardInterrupt):
        make_stream(made / "clips", LIPS, tmp_path / "lips", **told)  # type: ignore[arg-type]
    monkeypatch.undo()
    left: list[int] = []
    again = make_stream(made / "clips", LIPS, tmp_path / "lips", started=left.append, **told)  # type: ignore[arg-type]
    assert left == [2] and again.manifest.shards == open_set(made / "features/lips").manifest.shards
    assert not (tmp_path / "lips" / ".parts").exists()
    with pytest.raises(ValueError, match="holds a shard set already"):
        make_stream(made / "clips", LIPS, tmp_path / "lips", **told)  # type: ignore[arg-type]


def test_reading_processes_change_nothing(made: Path, tmp_path: Path) -> None:
    there = make_stream(made / "speech", "speech", tmp_path / "speech", model=str(made / "syncnet"), workers=2)
    assert there.manifest.shards == open_set(made / "features/speech").manifest.shards


def test_what_is_too_short_is_left_out_and_said(made: Path, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    for name, text in (("long", "This is quite long enough."), ("short", "A")):
        (tmp_path / "texts" / f"{name}.srt").write_text(f"1\n00:00:01,000 --> 00:00:03,500\n{text}\n")
    write_speech(tmp_path / "pool", tmp_path / "texts", Hum(), language="en")
    found = make_stream(tmp_path / "pool", "speech", tmp_path / "out", model=str(made / "syncnet"), workers=0)
    assert list(found.left_out) == ["short"] and "its speech of 0.15 s is too short" in found.left_out["short"]
    assert list(open_set(tmp_path / "out").entries) == ["long"]


def test_the_wrong_set_or_model_is_named(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", tmp_path / "out"]
    for words, said in (
        (
            [made / "speech", "--stream", "lips", "--model", made / "syncnet"],
            "holds speech, and no conversational clips",
        ),
        ([made / "clips", "--stream", "speech", "--model", made / "syncnet"], "holds no speech"),
        ([made / "clips", "--stream", "object", "--model", made / "syncnet"], "object needs a PictureNet"),
        ([made / "clips", "--stream", "lips"], "say which model encodes lips"),
        ([made / "clips", "--stream", "lips", "--words", "hashed"], "not for lips"),
        ([made / "speech", "--stream", "words"], "say what encodes words"),
        ([made / "clips", "--stream", "action", "--per-second", 2], "--per-second is for object and scene"),
        ([made / "clips", "--words", "hashed"], "go with --stream"),
    ):
        assert run(*words, *out) == 2
        assert said in capsys.readouterr().err
    make_clips(tmp_path / "others", {"train": 3, "test": 1}, seconds=1, seed=5)
    with pytest.raises(ValueError, match="holds features of another set than"):
        open_stream(made / "features/lips", open_clips(tmp_path / "others"), VIDEO_STREAMS)
    with pytest.raises(
        ValueError, match=r"holds a stream of lips: make one with `weaksync data features SPEECH --stream words"
    ):
        open_stream(made / "features/lips", None, ["words"])


def test_the_command_counts(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--stream", "words", "--words", "hashed", "--workers", 0, "--json"]
    assert run(made / "speech", *words, "--out", tmp_path / "out") == 0
    assert json.loads(capsys.readouterr().out)[1] == {"split": "train", "clips": 3, "sentences": 6}
    assert CliRunner().invoke(data_check.command, [str(tmp_path / "out")]).exit_code == 0

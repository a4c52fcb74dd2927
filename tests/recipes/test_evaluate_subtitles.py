"""Runs of subtitle matching scored in a pool: against ranks written out, with more subtitles, and over processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from weaksync import zoo
from weaksync.datamodules.speech_set import write_speech
from weaksync.datamodules.streams import open_stream, read_stream
from weaksync.recipes.derived.streams import make_stream
from weaksync.recipes.scoring.subtitles import evaluate_run, median_interval
from weaksync.zoo.models.lipspeech import LipSpeech

from .tiny_streams import Hum, clips_with_speech, streams_of
from .verbs import weaksync

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated")
    streams_of(clips_with_speech(folder, {"train": 4, "test": 7}, seconds=2, domains=("movie", "youtube")))
    texts = folder / "texts"
    texts.mkdir()
    for name, text in (("a", "Nobody says this, ever."), ("b", "Boil the kettle again."), ("short", "A")):
        (texts / f"{name}.srt").write_text(f"1\n00:00:01,000 --> 00:00:03,500\n{text}\n")
    write_speech(folder / "pool", texts, Hum(), language="en")
    make_stream(folder / "pool", "speech", folder / "features/pool", model=str(folder / "syncnet"), workers=0)
    for aligner in ("dsta", "dtw"):
        assert weaksync("train", f"subtitles/{aligner}", *settings(folder)) == 0
    return folder


def settings(world: Path) -> list[str]:
    names = {"clips": "clips", "speech": "speech", "video": "features/lips", "text": "features/speech"}
    return [*(f"data.{key}={world / name}" for key, name in names.items()), f"root={world}", "trainer.accelerator=cpu"]


def expected(world: Path, pool: list[str]) -> dict[str, float]:
    """The place of each clip's own subtitle, one pair at a time, without a data module."""
    model = zoo.load(world / "dsta" / "model").eval()
    assert isinstance(model, LipSpeech)
    lips, speech = (open_stream(world / "features" / name, None, [name]) for name in ("lips", "speech"))
    texts = {entry.id: read_stream(speech, entry.id)["speech"] for entry in speech.split("test")}
    more = open_stream(world / "features/pool", None, ["speech"])
    texts |= {name: read_stream(more, name)["speech"] for name in pool}
    ranks = {}
    for clip in [entry.id for entry in lips.split("test")]:
        video = torch.from_numpy(read_stream(lips, clip)["lips"])[None]
        costs = {}
        for name, text in texts.items():
            steps = torch.from_numpy(text)[None]
            lengths = torch.tensor([video.shape[1]]), torch.tensor([steps.shape[1]])
            with torch.no_grad():
                costs[name] = float(model(video, lengths[0], steps, lengths[1]))
        ranks[clip] = 1 + sum(cost < costs[clip] for cost in costs.values())
    return ranks


def test_ranks_are_those_of_every_pair_written_out(world: Path) -> None:
    found = evaluate_run(world / "dsta")
    plain = found.to_dict()
    assert (plain["clips"], plain["pool"]) == (7, 7)
    assert plain["chance"] == pytest.approx({"r@1": 100 / 7, "r@5": 500 / 7, "r@10": 100, "MedRank": 4})
    wanted = expected(world, [])
    assert {row["id"]: row["rank"][str(world / "dsta")] for row in plain["per_clip"]} == wanted
    figures = found.figures("model")
    assert figures["r@1"].value == pytest.approx(100 * np.mean([rank == 1 for rank in wanted.values()]))
    assert figures["r@5"].value == pytest.approx(100 * np.mean([rank <= 5 for rank in wanted.values()]))
    assert figures["MedRank"].value == np.median(list(wanted.values()))
    assert figures["MedRank"].low <= figures["MedRank"].value <= figures["MedRank"].high
    assert set(plain["curves"]) == {"hidden", "offscreen"}


def test_a_larger_pool_has_more_to_choose_from(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = world / "features/pool"
    assert weaksync("eval", world / "dsta", "--pool", folder, "--json", "--out", world / "out") == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["pool"] == 9 and plain == json.loads((world / "out/evaluation.json").read_text())
    assert {row["id"]: row["rank"][str(world / "dsta")] for row in plain["per_clip"]} == expected(world, ["a", "b"])
    assert (world / "out/curves.png").read_bytes().startswith(b"\x89PNG")


def test_two_runs_are_compared_clip_by_clip(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert weaksync("eval", world / "dsta", "--against", world / "dtw") == 0
    printed = capsys.readouterr()
    assert "MedRank" in printed.out and "R@1 over" in printed.err and " clips with lips hidden in" in printed.err
    (chance,) = [line for line in printed.out.splitlines() if "chance" in line]
    assert all(figure in chance for figure in ("14.3", "71.4", "100.0", "4.0"))
    both = evaluate_run(world / "dsta", against=world / "dtw")
    ours, theirs = (both.figures(which)["r@1"].value for which in ("model", "against"))
    assert both.gains()["all clips"].value == pytest.approx(ours - theirs)


def test_what_cannot_be_scored_is_said(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_stream(world / "pool", "words", tmp_path / "words", words="hashed", workers=0)
    (tmp_path / "index").mkdir()
    (tmp_path / "index/index.json").touch()
    for words, said in (
        (["--shards", "x", "--within", "3"], "--shards, --within: not for subtitle matching"),
        (["--split", "val"], "has no split 'val'; it has test, train"),
        (["--pool", tmp_path / "words"], "the pool must be speech by"),
        (["--pool", tmp_path / "index"], "is the index of a matcher; this run chooses from speech by"),
        (["--against", world / "syncnet"], "is no run"),
    ):
        assert weaksync("eval", world / "dsta", *words) == 2
        assert said in capsys.readouterr().err


def test_the_interval_of_a_median_holds_it() -> None:
    ranks = np.random.default_rng(0).integers(1, 100, 400).astype(np.float64)
    found = median_interval(ranks)
    assert found.value == np.median(ranks) and 40 < found.low < found.value < found.high < 60
    assert median_interval(np.ones(5)).high == 1.0


@pytest.mark.slow
def test_processes_change_no_figure(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert weaksync("eval", world / "dsta", "--json") == 0
    alone = json.loads(capsys.readouterr().out)
    for processes in (2, 3):
        torchrun = [BIN / "torchrun", "--nproc-per-node", str(processes), "--no-python", BIN / "weaksync"]
        verb = [str(word) for word in (*torchrun, "eval", world / "dsta", "--json")]
        done = subprocess.run(verb, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == alone

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("espeakng_loader", reason="needs the extra tts, for speech")

from weaksync.datamodules.sample_clips import make_clips
from weaksync.datamodules.speech import Espeak
from weaksync.datamodules.speech_set import speak_clips
from weaksync.datamodules.spoken import open_clips
from weaksync.recipes.cli import main
from weaksync.recipes.index import index
from weaksync.recipes.matching.query import encode
from weaksync.recipes.matching.ranking import FUSION
from weaksync.recipes.scoring.matching import GLOBAL, evaluate_matcher, narrowing, present, scored
from weaksync.recipes.scoring.pools import Query
from weaksync.recipes.training import launch
from weaksync.zoo.fusion import fuse

from .tiny_matcher import tiny_matcher, write_pool

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def matcher():
    return tiny_matcher()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, matcher):
    folder = tmp_path_factory.mktemp("evaluation")
    make_clips(folder / "clips", {"train": 1, "test": 3}, size=64, scene=(64, 64))
    speak_clips(folder / "speech", folder / "clips", Espeak())
    index(matcher, [folder / "speech", write_pool(folder / "srt")], folder / "index")
    return folder


def test_each_clip_asks_for_its_own_subtitle(folder, matcher):
    found = evaluate_matcher(matcher, folder / "clips", folder / "index")
    shards, searched = (
        open_clips(folder / "clips"),
        index(matcher, [folder / "speech", folder / "srt"], folder / "index"),
    )
    assert len(found.scores.queries) == 3 and found.scores.pool == 9
    for place, query in enumerate(found.scores.queries):
        costs = matcher.costs([encode(matcher, shards, query.id)], searched.pool)
        for name, cost in {**costs, FUSION: matcher.fuse(costs)}.items():
            own = searched.columns[query.id]
            expected = 1 + float((cost[0] < cost[0, own]).sum()) + float((cost[0] == cost[0, own]).sum() - 1) / 2
            assert found.scores.ranks[name][0].expected()[place] == expected


def test_narrowing_loses_what_its_cues_put_late(tmp_path, capsys):
    generator = torch.Generator().manual_seed(0)
    costs = {name: torch.rand(4, 100, generator=generator) for name in ("scene", "alignment")}
    right = torch.tensor([3, 50, 7, 99])
    costs["alignment"][torch.arange(4), right] = -1.0  # always the first by alignment
    costs["scene"][0, 3], costs["scene"][1, 50], costs["scene"][2, 7], costs["scene"][3, 99] = -1.0, 0.055, 0.25, 2.0
    weights = {"scene": 1.0, "alignment": 10.0}
    found = scored([Query(f"c{number}") for number in range(4)], costs, right, weights)
    before = fuse({"scene": costs["scene"]}, weights)
    for share, recall in found.kept.items():
        keep = round(100 * share)
        assert recall == sum(int((before[v] < before[v, r]).sum()) < keep for v, r in enumerate(right.tolist())) / 4
        assert found.narrowed[share].cells(FUSION)["r@1"].value == pytest.approx(100 * recall)
    assert found.scores.cells(FUSION)["r@1"].value == 100 and found.kept[0.01] == 0.25
    assert list(found.scores.ranks) == ["scene", GLOBAL, "alignment", FUSION]
    present(found, "test", tmp_path, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((tmp_path / "evaluation.json").read_text())
    assert [row["name"] for row in told["rows"]][-1] == narrowing(0.5)
    assert told["chance"] == {"r@1": 1.0, "r@5": 5.0, "r@10": 10.0, "MedRank": 50.5}
    present(found, "test", None, as_json=False)
    (chance,) = [line for line in capsys.readouterr().out.splitlines() if "chance" in line]
    assert all(figure in chance for figure in ("1.0", "5.0", "10.0", "50.5"))


def test_an_index_without_a_clips_subtitle_is_refused(folder, matcher, tmp_path):
    other = index(matcher, write_pool(tmp_path / "srt"), tmp_path / "index")
    with pytest.raises(ValueError, match="has no subtitle of 3 clips, such as 'test0000': speak the clips"):
        evaluate_matcher(matcher, folder / "clips", other)


@pytest.mark.slow
def test_processes_change_no_figure(folder, matcher, tmp_path):
    matcher.save_pretrained(tmp_path / "model")
    verb = ["eval", tmp_path / "model", "--pool", folder / "index", "--shards", folder / "clips"]
    told = {}
    for processes in (1, 2, 4):  # more than there are clips, too
        torchrun = [BIN / "torchrun", "--nproc-per-node", processes, "--no-python"] if processes > 1 else []
        words = [str(word) for word in (*torchrun, BIN / "weaksync", *verb, "--json", "--out", tmp_path / "out")]
        alone = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(words, capture_output=True, text=True, timeout=300, env=alone)
        assert done.returncode == 0, done.stderr
        told[processes] = json.loads(done.stdout)
        assert json.loads((tmp_path / "out" / "evaluation.json").read_text()) == told[processes]
        assert done.stderr.count("wrote ") == 1 and done.stderr.count("test: ") == 1
    assert told[1]["clips"] == 3 and told[1] == told[2] == told[4]


def test_the_verb_scores_a_matcher(folder, matcher, tmp_path, capsys):
    matcher.save_pretrained(tmp_path / "model")
    arguments = ["eval", str(tmp_path / "model"), "--pool", str(folder / "index"), "--json"]
    main([*arguments, "--shards", str(folder / "clips")])
    told = json.loads(capsys.readouterr().out)
    assert told["clips"] == 3 and told["pool"] == 9
    with pytest.raises(SystemExit):
        main(arguments)
    assert "nobody knows its clips: give --shards CLIPS" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*arguments, "--shards", str(folder / "clips"), "--policy", "logit"])
    assert "--policy: not for a matcher" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*arguments, "--shards", str(folder / "clips"), "--against", str(tmp_path / "model")])
    assert "--against: not for a matcher; score each matcher in its own index" in capsys.readouterr().err


def test_what_lies_elsewhere_is_named_by_the_run_that_says_so(folder, matcher, tmp_path, capsys, monkeypatch):
    run = tmp_path / "runs" / "mine"
    matcher.save_pretrained(run / "model")
    (run / "recipe.yaml").write_text(
        "task: matching\nname: mine\ndata: {clips: clips}\nsyncnet: {recipe: s}\nalignment: {recipe: a}\n"
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["eval", "runs/mine", "--pool", str(folder / "index")])
    fault = " ".join(capsys.readouterr().err.split())
    assert "data.clips of runs/mine/recipe.yaml is clips, as seen from where it was trained; there is no such" in fault
    assert "give --shards CLIPS" in fault
    monkeypatch.chdir(folder)
    main(["eval", str(run), "--pool", str(folder / "index")])
    assert "own kept: how often the own subtitle is in it" in capsys.readouterr().err


def test_a_folder_that_is_no_model_is_said_to_be_none(folder, capsys):
    with pytest.raises(SystemExit):
        main(["eval", str(folder / "clips"), "--pool", str(folder / "index")])
    assert "is no run and no checkpoint" in capsys.readouterr().err


def test_processes_compute_on_a_gpu_each(monkeypatch):
    chosen = []
    for name, value in (("is_available", lambda: True), ("device_count", lambda: 2), ("set_device", chosen.append)):
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(launch.dist, "init_process_group", lambda backend: None)
    monkeypatch.setattr(launch.dist, "destroy_process_group", lambda: None)
    monkeypatch.setenv("WORLD_SIZE", "3")
    for rank in range(3):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        with launch.together():
            pass
    assert chosen == [0, 1, 0]

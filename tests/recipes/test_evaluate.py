"""Which decoders an evaluation asks for; the similarities are made up, the rest is real."""

import json
import math
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner

from weaksync.recipes import evaluate as recipe
from weaksync.recipes.evaluate import evaluate
from weaksync.recipes.scoring import story as evaluate_story
from weaksync.recipes.scoring.similarities import limited
from weaksync.zoo.decoding import Decoder, VideoSimilarity
from weaksync.zoo.tuning import tune

OWN = Decoder(0.9, 0.3, "constant", timing=0.01, untimed=(0.8, 0.2))


def story(name, seed):
    """Twenty clips of ten sentences, told two seconds late, with unit vectors whose products are the similarities."""
    chance = torch.Generator().manual_seed(seed)
    edges = torch.arange(21, dtype=torch.float64) * 2
    segments = torch.stack([edges[:-1:2], edges[2::2]], dim=1)
    sentences = torch.nn.functional.normalize(torch.randn(10, 32, generator=chance), dim=1)
    clips = sentences.repeat_interleave(2, 0) + 0.25 * torch.randn(20, 32, generator=chance)
    clips = torch.nn.functional.normalize(clips, dim=1)
    spans = torch.stack([edges[:-1], edges[1:]], dim=1)
    return VideoSimilarity(name, "en", clips @ sentences.T, spans, segments, segments + 2, True, clips, sentences)


@pytest.fixture
def data(monkeypatch):
    """A set with both splits, and which of them were read."""
    splits = {"test": [story(f"t{k}", k) for k in range(3)], "val": [story(f"v{k}", 10 + k) for k in range(3)]}
    read = []

    def similarities(model, shards, *, split, **_):
        read.append(split)
        return splits[split]

    monkeypatch.setattr(recipe, "similarities", similarities)
    monkeypatch.setattr(recipe, "open_set", lambda folder: type("Set", (), {"splits": list(splits)}))
    return splits, read


def test_the_models_decoder_reads_no_validation(data):
    _, read = data
    found = evaluate(None, "shards", decoder=OWN)
    assert read == ["test"] and [row.name for row in found.rows][:2] == ["model", "similarity alone"]
    assert found.retrieval[0].sentences == 30 and found.retrieval[0].r1.value > 0.9


def test_a_limit_of_seconds_is_a_row_tuned_on_validation(data):
    splits, read = data
    found = evaluate(None, "shards", decoder=OWN, within=1.0)
    assert read == ["val", "test"] and [row.name for row in found.rows][2] == "within 1 s"
    chosen = limited(OWN, 1.0, splits["val"])
    assert chosen == tune(splits["val"], policies=("constant",), timings=(0.0,), within=1.0)
    assert chosen.within == 1.0 and chosen.timing == 0.0


def test_without_validation_drop_costs_stay(data):
    splits, _ = data
    del splits["val"]
    assert limited(OWN, 1.0, []) == Decoder(0.8, 0.2, "constant", within=1.0)
    assert evaluate(None, "shards", decoder=OWN, within=1.0)["within 1 s"].f1.value > 0
    with pytest.raises(ValueError, match="no annotated validation video to tune drop costs by"):
        evaluate(None, "shards", decoder=OWN, policy="logit")


def test_another_policy_is_tuned_again(data):
    splits, read = data
    found = evaluate(None, "shards", decoder=OWN, policy="percentile", contiguous=False)
    assert read == ["val", "test"]
    chosen = tune(splits["val"], policies=("percentile",), contiguous=False)
    again = evaluate(None, "shards", decoder=chosen)
    assert found["model"] == again["model"]


def test_a_set_without_times_refuses_a_limit_of_seconds(data):
    splits, _ = data
    for name, videos in splits.items():
        splits[name] = [replace(v, narrations=torch.full_like(v.narrations, math.nan)) for v in videos]
    with pytest.raises(ValueError, match="its times are needed"):
        evaluate(None, "shards", decoder=OWN, within=1.0)


def test_the_gain_over_another_model_is_paired_by_video(data):
    splits, _ = data
    better, worse = (evaluate(None, "shards", decoder=one) for one in (OWN, Decoder(0.01, 0.01, "constant")))
    gain = better.gain(worse)
    each = [better["model"].per_video[v.id].f1 - worse["model"].per_video[v.id].f1 for v in splits["test"]]
    assert gain.value == pytest.approx(sum(each) / 3) and gain.value > 0
    # a mean of three videos drawn again lies between those of one video alone
    assert min(each) - 1e-12 <= gain.low <= gain.value <= gain.high <= max(each) + 1e-12
    none = better.gain(better)
    assert none.low == none.value == none.high == 0
    # one film in two languages is drawn as a whole: of a single film nothing varies
    codes = ("en", "es", "ru")
    splits["test"] = [replace(v, id=f"{code}_a", language=code) for v, code in zip(splits["test"], codes, strict=True)]
    alone = evaluate(None, "shards", decoder=OWN).gain(evaluate(None, "shards", decoder=Decoder(0.01, 0.01)))
    assert alone.low == pytest.approx(alone.high)
    splits["test"] = splits["test"][:2]
    with pytest.raises(ValueError, match="3 videos and 2, of which 0 are the same"):
        better.gain(evaluate(None, "shards", decoder=OWN))


@pytest.mark.parametrize("task", ["matching", "syncnet", "subtitles"])
def test_a_run_that_has_not_ended_says_how_it_goes_on(task, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yaml").write_text(f"task: {task}\n")
    done = CliRunner().invoke(recipe.command, [str(tmp_path / "run")])
    assert "is a run that has not ended" in str(done.exception) and "--resume goes on with it" in str(done.exception)


def test_another_model_is_looked_at_before_the_first_is_scored(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate_story, "evaluate_run", lambda *given: pytest.fail("scored first"))
    given = [str(tmp_path), "--against", str(tmp_path / "nowhere")]
    assert "nowhere: no such run" in str(CliRunner().invoke(recipe.command, given).exception)
    (tmp_path / "nowhere").mkdir()
    (tmp_path / "nowhere" / "recipe.yaml").touch()
    assert "has not ended" in str(CliRunner().invoke(recipe.command, given).exception)


@pytest.mark.parametrize("reads", [None, {"to": "en"}])
def test_a_bare_checkpoint_reads_what_was_given(reads, tmp_path, monkeypatch):
    """A run has texts and features of its own; translations are for models that were trained on some."""
    asked = []
    monkeypatch.setattr(evaluate_story, "evaluate_run", lambda model, given: (asked.append(given), None))
    given = evaluate_story.EvalOptions("s", "t", "f", False, "test", (), None, None, None, None, 1)
    first = type("First", (), {"gain": lambda self, other: other})()
    (tmp_path / "config.json").write_text(json.dumps({"translated": reads}))
    evaluate_story.gain_over(tmp_path, first, given)
    (tmp_path / "recipe.yaml").touch()
    (tmp_path / "model").mkdir()
    evaluate_story.gain_over(tmp_path, first, given)
    assert [(one.translations, one.features) for one in asked] == [("t" if reads else None, "f"), (None, None)]

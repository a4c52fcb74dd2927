"""`weaksync data align`: a model's own labels of the training videos, from which the next recipe trains."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from weaksync import zoo
from weaksync.datamodules.derived import ALIGNMENTS, aligned_labels, open_derived
from weaksync.datamodules.index import open_set
from weaksync.datamodules.records import AnnotatedVideo, Sentence
from weaksync.datamodules.sample_set import make_set
from weaksync.recipes.cli import weaksync
from weaksync.recipes.data.align import Pairs, no_better, quality
from weaksync.recipes.scoring.similarities import similarities
from weaksync.zoo.decoding import Decoder


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("align") / "shards"
    make_set(folder, {"train": [6, 8], "val": [4]}, size=(72, 96))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    model = zoo.create("cclm-tiny")
    model.decoder = Decoder(0.5, 0.2).to_dict()
    return model.save_pretrained(tmp_path_factory.mktemp("align") / "model")


def run(*arguments):
    return CliRunner().invoke(weaksync, [str(argument) for argument in arguments], catch_exceptions=False)


def test_the_labels_are_the_models_own_and_train_another(shards, model, tmp_path):
    out = tmp_path / "aligned"
    done = run("data", "align", shards, "--model", model, "--out", out, "--json")
    assert done.exit_code == 0, done.output
    rows = {row["pairs"]: row for row in json.loads(done.stdout)}
    assert rows["weak"]["count"] == 14 and rows["weak"]["people agree"] == 1.0
    assert "no more than with the weak ones" in done.stderr.replace("\n", " ")
    assert f"train story/self_training data.shards={shards} data.alignments={out} model.name={model}" in done.stderr

    loaded, parent = zoo.load(model), open_set(shards)
    found = open_derived(out, parent, ALIGNMENTS)
    for video in similarities(loaded, shards, split="train"):
        labels = Decoder.from_dict(loaded.decoder).decode([video.similarity], [video.gaps])[0]
        assert aligned_labels(found, parent.record(video.id)).tolist() == labels.tolist()

    overrides = [f"data.shards={shards}", f"data.alignments={out}", f"root={tmp_path}", f"model.name={model}"]
    overrides += ["trainer.max_epochs=1", "trainer.precision=32-true", "trainer.accelerator=cpu", "data.workers=0"]
    assert run("train", "story/self_training", *overrides).exit_code == 0
    assert (tmp_path / "self_training" / "model" / "config.json").is_file()
    with pytest.raises(ValueError, match="holds a shard set already"):
        run("data", "align", shards, "--model", model, "--out", out)


def test_quality_counts_what_people_agree_with():
    sentences = [Sentence("a", (0.0, 4.0)), Sentence("b", None), Sentence("c", (5.5, 8.0))]
    video = AnnotatedVideo("v", "", 8.0, sentences, clips=[(0, 2), (2, 4), (4, 6), (6, 8)])
    # right, wrong sentence, covers a quarter of the clip, dropped
    assert quality([video], {"v": np.array([0, 1, 2, -1])}) == Pairs(3, 1 / 3)
    assert quality([video], {"v": np.array([0, 0, -1, 2])}) == Pairs(3, 1.0)
    video.annotated = False
    assert quality([video], {"v": np.array([0, 1, 2, -1])}) == Pairs(3, None)


def test_aligned_pairs_are_weighed_against_weak_ones():
    assert no_better(Pairs(9, 0.5), Pairs(8, 0.5)) and no_better(Pairs(9, 0.5), Pairs(0, None))
    assert not no_better(Pairs(9, 0.5), Pairs(8, 0.6)) and not no_better(Pairs(9, None), Pairs(8, None))

"""A model that was trained on translations reads those of its run, or the verb says how to give them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from weaksync import zoo
from weaksync.datamodules.derived import ALIGNMENTS, TRANSLATIONS, aligned_labels, open_derived, origin, write_derived
from weaksync.datamodules.features import read_features
from weaksync.datamodules.index import open_set
from weaksync.datamodules.sample_set import make_set
from weaksync.recipes import cross_lingual
from weaksync.recipes.cli import weaksync
from weaksync.recipes.runs import MODEL
from weaksync.recipes.scoring.similarities import model_decoder, similarities
from weaksync.recipes.settings import config
from weaksync.recipes.texts import own_translations, translated_to, translations_for
from weaksync.recipes.train import train

SMALL = (
    "model.arguments={embed_dim: 8, num_heads: [1, 1, 1], text_width: 16, text_heads: 2, text_ffn: 32, augment: none}"
)
QUICK = ["trainer.max_steps=1", "trainer.accelerator=cpu", "trainer.precision=32-true", "data.workers=0"]
ENGLISH = {"to": "en", "from": ["ru"], "by": "a test"}
REFUSAL = r"reads translations to en: give those of .* with --translations"


def translate(shards: Path, folder: Path) -> Path:
    parent = open_set(shards)
    records = []
    for split in parent.splits:
        for video in parent.videos(split):
            record = replace(video, clips=None).to_dict()
            for number, sentence in enumerate(record["sentences"]):
                sentence |= {"original": sentence["text"], "text": f"{number} words in English of {video.id}"}
            records.append((split, record))
    write_derived(folder, records, {"to": "en", "sentences": {}}, origin(parent, TRANSLATIONS, "a test"))
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards, their translations, a run on these, its bare checkpoint, and shards of which nothing was translated."""
    home = tmp_path_factory.mktemp("texts")
    clips = {"train": [6, 6], "val": [5, 5], "test": [6, 5]}
    make_set(home / "shards", clips, size=(64, 64), clips_per_sentence=1, languages=("ru", "en"))
    make_set(home / "other", clips, size=(64, 64), clips_per_sentence=1, languages=("ru", "en"), seed=1)
    translate(home / "shards", home / "english")
    words = [f"data.shards={home}/shards", f"data.translations={home}/english", f"root={home}", "name=translate"]
    train(config.load("story/translate", [*words, "model.name=cclm-tiny", SMALL, *QUICK]))
    shutil.copytree(home / "translate" / MODEL, home / "bare")
    return home


def run(*words: object) -> Result:
    return CliRunner().invoke(weaksync, [str(word) for word in words])


def refusal(*words: object) -> str:
    found = run(*words)
    assert isinstance(found.exception, ValueError), found.output
    return str(found.exception)


def test_the_texts_of_a_model(home: Path) -> None:
    shards, other, english = home / "shards", home / "other", str(home / "english")
    assert own_translations(home / "translate") == english and own_translations(home / "bare") is None
    reads = translated_to(home / "bare")
    assert reads is not None and reads["to"] == "en" and translated_to(home / "absent") is None
    assert translations_for(home / "translate", reads, shards) == english
    assert translations_for(home / "bare", reads, shards, translations="given") == "given"
    assert translations_for(home / "translate", None, shards) is None  # two_stage is such a model
    with pytest.raises(ValueError, match=REFUSAL + r" \(weaksync data translate makes them\), or else$"):
        translations_for(home / "bare", reads, shards, otherwise=", or else")
    with pytest.raises(ValueError, match=r"those of its run, .*english, are of another set"):
        translations_for(home / "translate", reads, other)
    # what is in English already needs no translation
    assert translations_for(home / "bare", reads, other, ["en"]) is None


def test_align_reads_the_translations_of_the_run(home: Path, tmp_path: Path) -> None:
    done = run("data", "align", home / "shards", "--model", home / "translate", "--out", tmp_path / "a", "--workers", 0)
    assert done.exit_code == 0, done.output
    line = f"weaksync train story/self_training data.shards={home}/shards data.translations={home}/english "
    assert line + f"data.alignments={tmp_path}/a model.name={home}/translate" in done.output
    model, parent = zoo.load(home / "bare"), open_set(home / "shards")
    found = open_derived(tmp_path / "a", parent, ALIGNMENTS)
    english, told = (
        similarities(model, home / "shards", split="train", translations=texts, workers=0)
        for texts in (home / "english", None)
    )
    for video, other in zip(english, told, strict=True):
        assert not torch.allclose(video.similarity, other.similarity)
        labels = model_decoder(model).decode([video.similarity], [video.gaps])[0]
        assert aligned_labels(found, parent.record(video.id)).tolist() == labels.tolist()
    words = ["data", "align", home / "shards", "--model", home / "bare", "--out", tmp_path / "b"]
    assert "with --translations" in refusal(*words)
    assert not (tmp_path / "b").exists()


def test_features_are_of_the_translations(home: Path, tmp_path: Path) -> None:
    words = ["data", "features", home / "shards", "--workers", 0, "--precision", "float32"]
    done = run(*words, "--model", home / "translate", "--out", tmp_path / "a", "--json")
    assert done.exit_code == 0, done.output
    made, english = open_set(tmp_path / "a"), open_set(home / "english")
    told = made.manifest.settings["translations"]
    assert (told["folder"], told["to"]) == (str(home / "english"), "en")
    assert told["fingerprints"] == {split: english.fingerprint(split) for split in english.splits}
    model = zoo.load(home / "bare")
    for video in english.videos("test"):
        with torch.no_grad():
            vectors = model.encode_text(*model.tokenize([sentence.text for sentence in video.sentences]))
        np.testing.assert_allclose(read_features(made, video.id)["sentences"], vectors.numpy(), atol=1e-5)
    assert "with --translations" in refusal(*words, "--model", home / "bare", "--out", tmp_path / "b")
    done = run(*words, "--model", home / "bare", "--translations", home / "english", "--out", tmp_path / "b")
    assert done.exit_code == 0, done.output
    # another folder, the same weights and words: the hash is the same, though the name is not
    (first, second) = (open_set(tmp_path / name).manifest.origin.producer for name in "ab")  # type: ignore[union-attr]
    assert first.split()[:2] == ["cclm-tiny", f"{home}/translate"] and first.endswith("/en")
    assert second.split()[1] == f"{home}/bare" and first.split()[2] == second.split()[2]


def test_cross_reads_the_translations_of_each_run(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def matrix(rows, shards, languages, *, translations, **_):
        asked.update(translations)
        raise ValueError("asked")

    monkeypatch.setattr(cross_lingual, "matrix", matrix)
    shards, given = ["--shards", home / "shards"], ["--translations", home / "english"]
    two_stage = home / "two_stage"
    if not two_stage.is_dir():
        shutil.copytree(home / "bare", two_stage)
        plain = json.loads((two_stage / "config.json").read_text())
        (two_stage / "config.json").write_text(json.dumps(plain | {"translated": None}))
    for words in (["a=" + str(home / "translate")], ["a=" + str(home / "bare"), *given]):
        asked.clear()
        assert refusal("cross", *words, f"b={two_stage}", *shards) == "asked"
        assert asked == {"a": str(home / "english")}
    asked.clear()
    assert refusal("cross", f"b={two_stage}", *shards, "--translated", home / "translate") == "asked"
    assert asked == {"translated": str(home / "english")}
    assert "with --translations" in refusal("cross", home / "bare", *shards)
    assert "was not trained on translations" in refusal("cross", two_stage, *shards, "--translated", two_stage)
    assert "leave --translations out" in refusal("cross", two_stage, *shards, *given)


def test_training_says_that_texts_change(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"data.shards={home}/shards", f"model.name={home}/translate", "model.arguments={augment: none}", *QUICK]
    first = config.load("story/two_stage", [*words, f"root={tmp_path}", "name=told"])
    train(first)
    said = capsys.readouterr().err
    assert "translate read translations to en; told trains it on the texts as they were told" in said
    assert f"data.translations={home}/english keeps" in said
    assert translated_to(tmp_path / "told") is None
    train(
        config.load("story/two_stage", [*words, f"root={tmp_path}", "name=kept", f"data.translations={home}/english"])
    )
    assert "as they were told" not in capsys.readouterr().err

"""`weaksync data translate`: every sentence translated as the model alone would, once, whole, and to the same bytes."""

from __future__ import annotations

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
from click.testing import CliRunner

from weaksync.datamodules.derived import TRANSLATIONS, open_derived, originals, translated_videos
from weaksync.datamodules.index import open_set, verify
from weaksync.datamodules.manifest import Manifest
from weaksync.datamodules.records import AnnotatedVideo, Sentence
from weaksync.datamodules.sample_set import make_set
from weaksync.datamodules.shards import pack, write_video
from weaksync.datamodules.world.language import tell
from weaksync.datamodules.world.story import plot
from weaksync.datamodules.world.translate import WorldTranslator
from weaksync.recipes.cli import weaksync
from weaksync.recipes.derived import translations as translating
from weaksync.recipes.derived.translations import Tally, translate_set
from weaksync.recipes.derived.translator import Seq2Seq
from weaksync.recipes.narration import known_language
from weaksync.recipes.settings import config
from weaksync.recipes.train import train
from weaksync.zoo.models.dual_encoder import DualEncoder
from weaksync.zoo.tokenizers import SentenceTokenizer

from ..tiny_translators import PAIRS

SPLITS = {"train": [("a", "es"), ("b", "ru"), ("c", "es"), ("d", "en")], "val": [("e", "ru")], "test": [("f", "es")]}


def build(folder: Path, splits: dict[str, list[tuple[str, str]]], texts: Any) -> Path:
    """A set whose videos have the sentences `texts(video, language)`, two clips each."""
    make_set(folder.parent / "pictures", {"train": [1]}, frames=1, size=(16, 16))
    picture = open_set(folder.parent / "pictures").read("train0000", 0)["0.jpg"]
    parts: dict[str, list[Path]] = {}
    for split, videos in splits.items():
        for name, language in videos:
            spans = [(2.0 * place, 2.0 * place + 2) for place in range(len(texts(name, language)))]
            sentences = [Sentence(t, s, s) for t, s in zip(texts(name, language), spans, strict=True)]
            video = AnnotatedVideo(name, "", spans[-1][1], sentences, clips=spans, language=language)
            path = folder.parent / f"{name}.tar"
            write_video(path, video, [[picture]] * len(spans))
            parts.setdefault(split, []).append(path)
    pack(folder, parts, {})
    return folder


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    return build(folder / "set", SPLITS, lambda name, language: [*PAIRS[language], *PAIRS[language]][: 4 + len(name)])


def run(*words: object) -> Any:
    return CliRunner().invoke(weaksync, ["data", "translate", *map(str, words)])


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_every_sentence_is_translated_with_its_original_beside(shards: Path, nllb: Path, tmp_path: Path) -> None:
    report = translate_set(shards, tmp_path / "t", Seq2Seq(str(nllb), device="cpu"))
    parent, made = open_set(shards), open_set(tmp_path / "t")
    assert verify(tmp_path / "t") == []
    for split, videos in SPLITS.items():
        for video in translated_videos(parent, open_derived(tmp_path / "t", parent, TRANSLATIONS), split):
            expected = [(text, PAIRS[video.language][text] or text) for text in _texts(parent, video.id)]
            assert originals(made, video.id) == expected
            assert [sentence.text for sentence in video.sentences] == [new for _, new in expected]
        assert len(parent.videos(split)) == len(videos)
    assert report.tallies["es"] == Tally(15, 15, 0, 0)
    assert report.tallies["ru"] == Tally(10, 8, 0, 2)
    assert report.tallies["en"] == Tally(2, 0, 2, 0)
    assert not (tmp_path / "t" / ".parts").exists()


def _texts(shards: Any, video: str) -> list[str]:
    return [sentence.text for sentence in shards.record(video).sentences]


def test_the_producer_and_its_settings_are_recorded(shards: Path, nllb: Path, tmp_path: Path) -> None:
    translate_set(shards, tmp_path / "t", Seq2Seq(str(nllb), device="cpu", beams=2))
    manifest = Manifest.read(tmp_path / "t")
    assert manifest.origin is not None
    name, _, digest = manifest.origin.producer.partition("@sha256:")
    assert name == "nllb-tiny" and len(digest) == 64
    assert manifest.settings["to"] == "en" and manifest.settings["beams"] == 2
    shutil.copytree(nllb, tmp_path / "other")
    with (tmp_path / "other" / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    assert Seq2Seq(str(tmp_path / "other")).producer.partition(":")[2] != digest


def test_equal_sentences_are_translated_once(
    shards: Path, nllb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = Seq2Seq.translate

    def spy(self: Seq2Seq, texts: Any, source: str, *rest: Any) -> Any:
        asked.extend(f"{source}: {text}" for text in texts)
        return real(self, texts, source, *rest)

    monkeypatch.setattr(Seq2Seq, "translate", spy)
    monkeypatch.setattr(translating, "BLOCK", 1)
    translate_set(shards, tmp_path / "t", Seq2Seq(str(nllb), device="cpu"))
    assert sorted(asked) == sorted(f"{code}: {text}" for code in ("es", "ru") for text in PAIRS[code])


def test_a_language_without_a_code_is_an_error_before_weights_are_read(tmp_path: Path, nllb: Path) -> None:
    shutil.copytree(nllb, tmp_path / "model", ignore=shutil.ignore_patterns("*.safetensors"))
    build(tmp_path / "set", {"train": [("a", "qq")]}, lambda *_: ["x."])
    done = run(tmp_path / "set", "--model", tmp_path / "model", "--out", tmp_path / "t")
    assert isinstance(done.exception, ValueError) and "has no code for qq" in str(done.exception)
    assert not (tmp_path / "t").exists()


KILLED = """
import sys, time
from pathlib import Path
from weaksync.recipes.derived import translations as translating
from weaksync.recipes.derived.translator import Seq2Seq

translating.BLOCK = 1
real = Seq2Seq.translate

def slow(self, *arguments):
    time.sleep(0.2)
    return real(self, *arguments)

Seq2Seq.translate = slow
shards, out, model = sys.argv[1:]
translating.translate_set(Path(shards), Path(out), Seq2Seq(model, device="cpu"))
"""


@pytest.mark.slow
def test_killed_and_run_again_it_comes_to_the_same_bytes(
    nllb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # every video tells something that no other does, so that each is a block
    splits = {"train": [(f"v{number}", "es") for number in range(8)], "test": [("w", "ru")]}
    build(tmp_path / "set", splits, lambda name, language: [*PAIRS[language], f"El zorro {name}."])
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    command = [sys.executable, "-P", str(script), str(tmp_path / "set"), str(tmp_path / "broken"), str(nllb)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path)
    parts, deadline = tmp_path / "broken" / ".parts", time.time() + 120
    while len(list(parts.glob("*.json"))) < 3:
        assert process.poll() is None and time.time() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = len(list(parts.glob("*.json")))
    assert 3 <= done < 9 and not (tmp_path / "broken" / "manifest.json").exists()
    monkeypatch.setattr(translating, "BLOCK", 1)
    report = translate_set(tmp_path / "set", tmp_path / "broken", Seq2Seq(str(nllb), device="cpu"))
    assert report.resumed == 5 + (done - 1)  # the first of a language has five sentences, the others one that is new
    whole = translate_set(tmp_path / "set", tmp_path / "whole", Seq2Seq(str(nllb), device="cpu"))
    assert whole.resumed == 0
    assert files(tmp_path / "broken") == files(tmp_path / "whole")
    assert {path.name for path in (tmp_path / "broken").iterdir()} == set(files(tmp_path / "whole"))


def test_once_more_does_nothing_and_anything_else_is_refused(shards: Path, nllb: Path, tmp_path: Path) -> None:
    out = tmp_path / "t"
    one = translate_set(shards, out, WorldlyWise(str(nllb)))
    before = files(out)
    again = translate_set(shards, out, WorldlyWise(str(nllb)))
    assert again.tallies == one.tallies and files(out) == before
    with pytest.raises(ValueError, match="made otherwise: beams was 1 and is 2; choose another --out"):
        translate_set(shards, out, WorldlyWise(str(nllb), beams=2))
    build(tmp_path / "other", {"train": [("a", "es")]}, lambda *_: ["La bruja llora."])
    with pytest.raises(ValueError, match=rf"{out} holds translations of {shards}"):
        translate_set(tmp_path / "other", out, WorldlyWise(str(nllb)))
    with pytest.raises(ValueError, match=f"{shards} holds a set of its own"):
        translate_set(tmp_path / "other", shards, WorldlyWise(str(nllb)))
    assert files(out) == before


class WorldlyWise(Seq2Seq):
    """On the CPU, wherever the tests run."""

    def __init__(self, source: str, **options: Any) -> None:
        super().__init__(source, device="cpu", **options)


def test_what_cannot_be_translated_is_said(shards: Path, nllb: Path, tmp_path: Path) -> None:
    model = WorldlyWise(str(nllb))
    with pytest.raises(ValueError, match=r"no video in xx; it has en, es, ru"):
        translate_set(shards, tmp_path / "t", model, languages=["xx"])
    with pytest.raises(ValueError, match=r"nothing to translate: all that was asked for in .* is in en already"):
        translate_set(shards, tmp_path / "t", model, languages=["en"])
    with pytest.raises(FileNotFoundError, match="no shard set"):
        translate_set(tmp_path, tmp_path / "t", model)
    translate_set(shards, tmp_path / "t", model, languages=["es"])
    with pytest.raises(ValueError, match=f"holds translations of {shards} already: translate that set"):
        translate_set(tmp_path / "t", tmp_path / "u", model)
    assert list(Manifest.read(tmp_path / "t").languages) == ["es"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    splits = {
        "train": [("story-0000", "es"), ("story-0001", "ru"), ("story-0002", "en"), ("story-0004", "hi")],
        "test": [("story-0003", "hi")],
    }
    folder = tmp_path_factory.mktemp("world")
    return build(folder / "set", splits, lambda name, code: tell(0, plot(0, int(name[-1]), sentences=12), code))


def test_the_world_translates_itself_at_a_stated_rate(world: Path, tmp_path: Path) -> None:
    done = run(world, "--model", "world", "--errors", "0.3", "--seed", "5", "--out", tmp_path / "t", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    hindi = [len(open_set(world).record(name).sentences) for name in ("story-0003", "story-0004")]
    assert report["tallies"]["hi"]["translated"] == sum(hindi)
    assert report["tallies"]["en"]["copied"] == len(open_set(world).record("story-0002").sentences)
    settings_ = Manifest.read(tmp_path / "t").settings
    assert (settings_["errors"], settings_["seed"]) == (0.3, 5)
    texts = _texts(open_set(world), "story-0003")
    expected = WorldTranslator(0.3, 5).translate("story-0003", texts, "hi", "en")
    assert [new for _, new in originals(open_set(tmp_path / "t"), "story-0003")] == expected


def test_the_command_prints_a_row_for_each_language(shards: Path, nllb: Path, tmp_path: Path) -> None:
    done = run(shards, "--model", nllb, "--device", "cpu", "--out", tmp_path / "t")
    assert done.exit_code == 0, done.output
    assert "translated" in done.output and "2 sentences came out without a word" in done.output
    done = run(shards, "--model", nllb, "--errors", "0.1", "--out", tmp_path / "u")
    assert done.exit_code == 2 and "belong to --model world" in done.output


def test_a_world_of_other_sentences_is_refused(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a sentence of the synthetic world in es"):
        translate_set(shards, tmp_path / "t", WorldTranslator())


def verb(*words: object) -> Any:
    return CliRunner().invoke(weaksync, [*map(str, words)])


def test_check_and_stats_say_what_a_set_of_translations_is(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world, tmp_path / "set")
    assert run(tmp_path / "set", "--model", "world", "--out", tmp_path / "t").exit_code == 0
    done = verb("data", "check", tmp_path / "t")
    assert done.exit_code == 0
    title = f"translations of {tmp_path / 'set'} by world"
    assert "".join(title.split()) in "".join(done.output.split())
    report = json.loads(verb("data", "check", tmp_path / "t", "--json").stdout)
    assert report["ok"] and report["origin"]["producer"] == "world" and report["splits"]["test"]["clips"] == 0
    columns = json.loads(verb("data", "stats", tmp_path / "t", "--json").stdout)
    (copied,) = [row for row in columns if row["figure"] == "copied"]
    assert copied["en"] == len(open_set(world).record("story-0002").sentences) and copied["hi"] == 0
    done = verb("data", "stats", tmp_path / "t", "--figure", tmp_path / "f.png")
    assert done.exit_code == 2 and "draws sets with clips" in done.output


def test_check_names_a_parent_that_has_changed(world: Path, shards: Path, tmp_path: Path) -> None:
    shutil.copytree(world, tmp_path / "set")
    assert run(tmp_path / "set", "--model", "world", "--out", tmp_path / "t").exit_code == 0
    shutil.rmtree(tmp_path / "set")
    assert verb("data", "check", tmp_path / "t").exit_code == 0  # the parent may lie elsewhere
    shutil.copytree(shards, tmp_path / "set")
    done = verb("data", "check", tmp_path / "t", "--json")
    assert done.exit_code == 2
    (fault,) = json.loads(done.stdout)["faults"]
    assert "which is another now: test was" in fault["reason"]


SMALL = "embed_dim: 8, num_heads: [1, 1, 1], text_width: 16, text_heads: 2, text_ffn: 32, augment: none, frames: 1"


@pytest.fixture(scope="module")
def trained(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on translations of the world's set, which lie beside it."""
    root = tmp_path_factory.mktemp("runs")
    translations = world.parent / "translations"
    translate_set(world, translations, WorldTranslator(0.1))
    settings_ = ["global_batch=4", "group_size=4", "workers=0", f"shards={world}", f"translations={translations}"]
    overrides = [f"data.{setting}" for setting in settings_]
    overrides += [f"root={root}", "name=translate", f"model.arguments={{{SMALL}}}", "trainer.max_epochs=1"]
    return train(config.load("story/quickstart", overrides))


def test_a_run_reads_translations_and_its_model_remembers(trained: Path, world: Path) -> None:
    model = DualEncoder.from_pretrained(trained / "model")
    assert model.languages == ["en"]
    assert model.translated == {"to": "en", "from": ["es", "hi", "ru"], "by": "world"}
    assert "texts in es, hi, ru were translated to it by world" in (trained / "model" / "README.md").read_text()
    notes: list[str] = []
    assert known_language(model, None, notes) == "en"
    assert "the text was taken to be in en" in notes[0]
    with pytest.raises(ValueError, match=r"reads texts translated to en \(by world\): translate this one first"):
        known_language(model, "es", [])


def test_eval_reads_what_the_run_read_unless_told_otherwise(
    trained: Path, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = SentenceTokenizer.__call__
    read: list[str] = []

    def spy(self: SentenceTokenizer, texts: list[str]) -> Any:
        read.extend(texts)
        return real(self, texts)

    def texts_of(*words: object) -> list[str]:
        read.clear()
        done = verb("eval", *words, "--workers", 0, "--json")
        assert done.exit_code == 0, done.output
        return list(read)

    monkeypatch.setattr(SentenceTokenizer, "__call__", spy)
    told = _texts(open_set(world), "story-0003")
    translations = world.parent / "translations"
    english = [new for _, new in originals(open_set(translations), "story-0003")]
    assert texts_of(trained) == english != told
    assert texts_of(trained, "--originals") == told
    assert texts_of(trained / "model", "--shards", world, "--translations", translations) == english
    done = verb("eval", trained / "model", "--shards", world)
    assert isinstance(done.exception, ValueError) and "reads translations to en: give those of" in str(done.exception)


def test_a_run_never_goes_on_with_other_translations(trained: Path, world: Path, tmp_path: Path) -> None:
    translate_set(world, tmp_path / "t", WorldTranslator(0.5))
    overrides = [f"data.translations={tmp_path / 't'}"]
    with pytest.raises(ValueError, match=r"data\.translations was .* and is"):
        train(config.load(str(trained / "recipe.yaml"), overrides), resume=True)


def test_streamed_shards_and_translations_are_refused_by_the_recipe() -> None:
    overrides = ["data.mode=resampled", "data.steps_per_epoch=5", "data.translations=somewhere"]
    with pytest.raises(config.ConfigError, match=r"data\.translations"):
        config.load("story/quickstart", overrides)

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
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from weaksync.datamodules.derived import TRANSLATIONS, open_derived, originals, translated
from weaksync.datamodules.index import open_set, verify
from weaksync.datamodules.records import AnnotatedVideo, Sentence
from weaksync.datamodules.sample_set import make_set
from weaksync.datamodules.shards import Manifest, pack, write_video
from weaksync.datamodules.world.language import tell
from weaksync.datamodules.world.story import plot
from weaksync.datamodules.world.translate import WorldTranslator
from weaksync.recipes import config, translating
from weaksync.recipes.align import known_language
from weaksync.recipes.cli import weaksync
from weaksync.recipes.train import train
from weaksync.recipes.translating import Tally, translate_set
from weaksync.recipes.translator import Seq2Seq, our_code
from weaksync.zoo.models.dual_encoder import DualEncoder
from weaksync.zoo.tokenizers import SentenceTokenizer

PAIRS = {
    "es": {
        "El zorro corre por el bosque.": "The fox runs through the forest.",
        "La bruja llora.": "The witch cries.",
        "El rey duerme en el castillo.": "The king sleeps in the castle.",
        "La bruja y el rey.": "The witch and the king.",
    },
    "ru": {
        "Лиса бегает в лесу.": "The fox runs through the forest.",
        "Ведьма плачет.": "The witch cries.",
        "Король спит в замке.": "The king sleeps in the castle.",
        "Снег.": "",
    },
    "en": {"The end.": "The end."},
}
SPLITS = {"train": [("a", "es"), ("b", "ru"), ("c", "es"), ("d", "en")], "val": [("e", "ru")], "test": [("f", "es")]}


def save_nllb(folder: Path, *, steps: int = 100) -> None:
    """A tiny model of NLLB's architecture with a tokenizer of its kind, that has learnt `PAIRS` by heart."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

    words = Tokenizer(models.BPE(unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    texts = [text for pairs in PAIRS.values() for pair in pairs.items() for text in pair]
    words.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=220, special_tokens=special, show_progress=False))
    learnt = json.loads(words.to_str())["model"]
    tokenizer = NllbTokenizer(vocab=learnt["vocab"], merges=[tuple(pair) for pair in learnt["merges"]])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        still = dict.fromkeys(("dropout", "attention_dropout", "activation_dropout"), 0.0)
        still |= dict.fromkeys(("encoder_layerdrop", "decoder_layerdrop"), 0.0)
        config = M2M100Config(
            vocab_size=len(tokenizer), d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=64,
            pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2, **still,
        )  # fmt: skip
        model = M2M100ForConditionalGeneration(config)
        names = {"es": "spa_Latn", "ru": "rus_Cyrl"}
        rows = [(names[code], *pair) for code in names for pair in PAIRS[code].items()]
        inputs, labels = [], []
        for code, source, target in rows:
            tokenizer.src_lang = code
            inputs.append(tokenizer(source).input_ids)
            tokenizer.src_lang = "eng_Latn"  # a target is written as a source is: its language, its words, the end
            labels.append(tokenizer(target).input_ids)
        wide, long = max(map(len, inputs)), max(map(len, labels))
        ids = torch.tensor([row + [1] * (wide - len(row)) for row in inputs])
        truth = torch.tensor([row + [-100] * (long - len(row)) for row in labels])
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(steps):
            loss = model(input_ids=ids, attention_mask=(ids != 1).long(), labels=truth).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert loss < 0.05, loss
    tokenizer.save_pretrained(folder)
    model.eval().save_pretrained(folder)


@pytest.fixture(scope="module")
def nllb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "nllb-tiny"
    save_nllb(folder)
    return folder


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
        for video in translated(parent, open_derived(tmp_path / "t", parent, TRANSLATIONS), split):
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


TEXTS = st.lists(st.sampled_from([*PAIRS["es"], *PAIRS["ru"], "rey", "bruja zorro."]), min_size=1, max_size=9)


@settings(max_examples=10, deadline=None)
@given(texts=TEXTS, batch_size=st.integers(1, 5), beams=st.integers(1, 2))
def test_batches_give_what_sentences_alone_give(nllb: Path, texts: list[str], batch_size: int, beams: int) -> None:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(nllb, src_lang="spa_Latn")
    model = AutoModelForSeq2SeqLM.from_pretrained(nllb)
    alone = []
    for text in texts:
        inputs = tokenizer(text, return_tensors="pt")
        out = model.generate(
            **inputs, forced_bos_token_id=tokenizer.convert_tokens_to_ids("eng_Latn"), num_beams=beams,
            max_new_tokens=60, do_sample=False,
        )  # fmt: skip
        alone.append(tokenizer.decode(out[0], skip_special_tokens=True))
    made = Seq2Seq(str(nllb), device="cpu", batch_size=batch_size, beams=beams).translate(texts, "es", "en")
    ended = [(own, other) for own, other in zip(made.texts, alone, strict=True) if len(other) < 60]
    assert [own for own, _ in ended] == [other.strip() for _, other in ended]


@settings(max_examples=40, deadline=None)
@given(
    words=st.lists(
        st.sampled_from(["zorro", "rey,", "bruja.", "bosque;", "в", "狐狸。", "x" * 90]), min_size=1, max_size=40
    ),
    limit=st.integers(8, 40),
)
def test_pieces_fit_the_model_and_nothing_of_a_text_is_lost(nllb: Path, words: list[str], limit: int) -> None:
    text = " ".join(words)
    model = Seq2Seq(str(nllb), device="cpu", max_tokens=limit)
    pieces = model._pieces(text, "en")
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(len(model.tokenizer(piece).input_ids) <= limit for piece in pieces)


def test_a_long_sentence_is_cut_at_its_marks_and_joined_again(nllb: Path) -> None:
    three = [*PAIRS["es"]][:3]
    longest = max(len(text) for text in Seq2Seq(str(nllb)).tokenizer(three).input_ids)
    model = Seq2Seq(str(nllb), device="cpu", max_tokens=longest)
    text = " ".join(three)
    made = model.translate([text, "La bruja llora."], "es", "en")
    assert model._pieces(text, "en") == three
    assert made.texts == [" ".join([*PAIRS["es"].values()][:3]), "The witch cries."]
    assert made.split == 1


@pytest.mark.parametrize(
    ("name", "code"), [("eng_Latn", "en"), ("zh_CN", "zh"), ("ch", "zh"), ("pt-BR", "pt"), ("deu_Latn", "deu_Latn")]
)
def test_names_of_languages(name: str, code: str) -> None:
    assert our_code(name) == code


def test_the_codes_of_the_seven_and_any_that_the_tokenizer_knows(nllb: Path) -> None:
    model = Seq2Seq(str(nllb), device="cpu")
    codes = "eng_Latn zho_Hans spa_Latn fra_Latn por_Latn hin_Deva rus_Cyrl"
    assert [model._code(code) for code in ("en", "zh", "es", "fr", "pt", "hi", "ru")] == codes.split()
    model.check(["deu_Latn", "es"], "kat_Geor")
    with pytest.raises(ValueError, match="nllb-tiny has no code for de, xx"):
        model.check(["es", "de"], "xx")


def test_a_language_without_a_code_is_an_error_before_weights_are_read(tmp_path: Path, nllb: Path) -> None:
    shutil.copytree(nllb, tmp_path / "model", ignore=shutil.ignore_patterns("*.safetensors"))
    build(tmp_path / "set", {"train": [("a", "qq")]}, lambda *_: ["x."])
    done = run(tmp_path / "set", "--model", tmp_path / "model", "--out", tmp_path / "t")
    assert isinstance(done.exception, ValueError) and "has no code for qq" in str(done.exception)
    assert not (tmp_path / "t").exists()


KILLED = """
import sys, time
from pathlib import Path
from weaksync.recipes import translating
from weaksync.recipes.translator import Seq2Seq

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


def test_what_is_no_translation_model_is_said(nllb: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models
    from transformers import BartConfig, BartForConditionalGeneration, BertConfig, PreTrainedTokenizerFast

    plain = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))
    small = {"d_model": 8, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8}
    for name, model in {
        "bert": BertConfig(),
        "bart": BartForConditionalGeneration(
            BartConfig(vocab_size=5, encoder_attention_heads=1, decoder_attention_heads=1, **small)
        ),
    }.items():
        plain.save_pretrained(tmp_path / name)
        model.save_pretrained(tmp_path / name)
    with pytest.raises(ValueError, match="bert is a bert model, which does not translate: take one such as facebook/"):
        Seq2Seq(str(tmp_path / "bert"))
    with pytest.raises(ValueError, match="bart knows no languages to translate between"):
        Seq2Seq(str(tmp_path / "bart"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty is not a translation model of transformers"):
        Seq2Seq(str(tmp_path / "empty"))


def test_a_model_of_one_pair_translates_that_pair_alone(nllb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = WorldlyWise(str(nllb))
    pair = type("Pair", (), {"source_lang": "es", "target_lang": "en", "get_vocab": dict, "get_added_vocab": dict})()
    model.tokenizer, model.__dict__["_way"] = pair, "pair"
    model.check(["es"], "en")
    with pytest.raises(ValueError, match="translates es to en, not ru to en: name what it can do with --language"):
        model.check(["es", "ru"], "en")
    with pytest.raises(ValueError, match="translates es to en, not es to fr"):
        model.check(["es"], "fr")
    pair.source_lang = "mul"
    model.check(["es", "ru"], "en")


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
    assert done.exit_code == 2 and "reads translations to en: give those of" in done.output


def test_a_run_never_goes_on_with_other_translations(trained: Path, world: Path, tmp_path: Path) -> None:
    translate_set(world, tmp_path / "t", WorldTranslator(0.5))
    overrides = [f"data.translations={tmp_path / 't'}"]
    with pytest.raises(ValueError, match=r"data\.translations was .* and is"):
        train(config.load(str(trained / "recipe.yaml"), overrides), resume=True)


def test_streamed_shards_and_translations_are_refused_by_the_recipe() -> None:
    overrides = ["data.mode=resampled", "data.steps_per_epoch=5", "data.translations=somewhere"]
    with pytest.raises(config.ConfigError, match=r"data\.translations"):
        config.load("story/quickstart", overrides)

"""Sentences to ids: nothing unknown, nothing lost, nothing cut unseen."""

from __future__ import annotations

import json
import pickle
import unicodedata
import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

from weaksync.datamodules.batches import Tokenize
from weaksync.zoo import tokenizers
from weaksync.zoo.tokenizers import Reading, SentenceTokenizer, pre_caption

SCRIPTS = [
    "The detective follows a stranger into the fog.",
    "侦探跟着一个陌生人走进雾里。",
    "El detective sigue a un extraño hacia la niebla, ¿verdad?",
    "Le détective suit un inconnu dans le brouillard.",
    "O detetive segue um estranho até à névoa.",
    "जासूस कोहरे में एक अजनबी का पीछा करता है।",
    "Детектив идёт за незнакомцем в туман.",
]


@pytest.fixture(scope="module")
def story() -> SentenceTokenizer:
    return tokenizers.load("story", max_tokens=4096)


@given(text=st.text(min_size=1))
def test_any_text_comes_back_and_nothing_is_unknown(story: SentenceTokenizer, text: str) -> None:
    try:
        plain = pre_caption(text)
    except ValueError:
        assume(False)
    ids, mask = story([text])
    assert story.tokenizer.token_to_id("<unk>") not in ids
    assert story.decode(ids[0]) == unicodedata.normalize("NFC", plain)
    assert mask.sum() == ids.shape[1]


@pytest.mark.parametrize("text", SCRIPTS)
def test_every_script_comes_back(story: SentenceTokenizer, text: str) -> None:
    ids, _ = story([text])
    assert story.decode(ids[0]) == pre_caption(text)
    assert ids[0, 0] == story.start_id
    assert ids[0, -1] == story.end_id


def test_one_string_is_no_list_of_sentences(story: SentenceTokenizer) -> None:
    with pytest.raises(ValueError, match=r"a list of sentences, not one string: \['a dog'\]"):
        story("a dog")  # type: ignore[arg-type]


def test_text_that_looks_like_a_special_token_is_text(story: SentenceTokenizer) -> None:
    ids, _ = story(["a <pad> b </s> c"])
    assert (ids == story.pad_id).sum() == 0
    assert (ids == story.end_id).sum() == 1


def test_rows_are_padded_at_the_right_and_masked(story: SentenceTokenizer) -> None:
    assert isinstance(story, Tokenize)
    ids, mask = story(["one", "a rather longer sentence"])
    assert ids.dtype == mask.dtype == torch.int64
    length = int(mask[0].sum())
    assert (ids[0, length:] == story.pad_id).all()
    assert mask[0].tolist() == [1] * length + [0] * (ids.shape[1] - length)
    empty, none = story([])
    assert empty.shape == none.shape == (0, 0)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Hello, World!", "hello world"),
        ('it\'s (a) "well-known" and/or #1 fact: ok; ~*', "it s a well known and or 1 fact ok"),
        ("<person> walks", "person walks"),
        ("  many\tspaces\n", "many spaces"),
        ("你好。 再见！", "你好。 再见！"),
        ("ÉTÉ", "été"),
    ],
)
def test_sentences_are_read_as_cclm_reads_them(text: str, plain: str) -> None:
    assert pre_caption(text) == plain


@pytest.mark.parametrize("text", ["", "...", " \n", "?!"])
def test_a_sentence_without_words_is_an_error_that_shows_it(story: SentenceTokenizer, text: str) -> None:
    with pytest.raises(ValueError, match="holds no words"):
        story(["fine", text])


@pytest.mark.parametrize("limits", [{"max_tokens": 6}, {"max_words": 4}])
def test_what_is_cut_is_counted_and_warned_of_once(limits: dict[str, int]) -> None:
    tokenizer = tokenizers.load("story", **limits)
    long = "seven words are more than four here"
    with pytest.warns(UserWarning, match="seven words are more"):
        ids, _ = tokenizer(["one two", long])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tokenizer([long])
    assert tokenizer.cut == 2
    assert ids.shape[1] < tokenizers.load("story")([long])[0].shape[1]
    assert ids.shape[1] <= limits.get("max_tokens", 96)
    assert ids[1, -1] == tokenizer.end_id


def test_it_travels_to_workers_and_to_folders(story: SentenceTokenizer, tmp_path: Path) -> None:
    carried = pickle.loads(pickle.dumps(story))
    story.save(tmp_path)
    saved = tokenizers.load(str(tmp_path), max_tokens=4096)
    for other in (carried, saved):
        assert torch.equal(other(SCRIPTS)[0], story(SCRIPTS)[0])


def test_transformers_reads_the_folder_alike(story: SentenceTokenizer, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    story.save(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    plain = [pre_caption(text) for text in SCRIPTS]
    assert torch.equal(theirs(plain, padding=True, return_tensors="pt")["input_ids"], story(SCRIPTS)[0])


def test_training_on_other_text_makes_its_words_short() -> None:
    texts = ["zwölf Boxkämpfer jagen Viktor", "Viktor jagt zwölf Boxkämpfer", "..."] * 20
    tokenizer = tokenizers.train(texts, vocab_size=400)
    ids, _ = tokenizer(["zwölf Boxkämpfer"])
    assert ids.shape[1] == 4
    assert 261 < tokenizer.vocab_size <= 400
    with pytest.raises(ValueError, match="261 or more"):
        tokenizers.train(texts, vocab_size=200)


def xlm_r_like(folder: Path) -> Path:
    """A folder in XLM-R's layout: a unigram vocabulary whose first ids are XLM-R's."""
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁a", -1.0), ("▁dog", -1.5), ("▁", -3.0)]
    pieces += [(letter, -5.0) for letter in "abcdefghijklmnopqrstuvwxyz"]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def test_the_vocabulary_of_base_is_read_from_a_folder(tmp_path: Path) -> None:
    tokenizer = tokenizers.load(str(xlm_r_like(tmp_path)), max_tokens=8)
    ids, _ = tokenizer(["A dog", "a"])
    assert ids.tolist() == [[0, 4, 5, 2], [0, 4, 2, 1]]


def test_a_sentencepiece_folder_is_read_through_transformers(tmp_path: Path) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    (tmp_path / "text").write_text("a dog runs\nthe dog sees a cat\n" * 50, encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "text"), model_prefix=str(tmp_path / "sentencepiece.bpe"), vocab_size=16, minloglevel=2
    )
    config = {"tokenizer_class": "XLMRobertaTokenizer"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "xlm-roberta"}), encoding="utf-8")
    ids, _ = tokenizers.load(str(tmp_path))(["a dog"])
    assert ids[0, 0] == 0
    assert ids[0, -1] == 2


def test_an_absent_or_broken_vocabulary_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no tokenizer at"):
        tokenizers.load(str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="no tokenizer at"):
        tokenizers.load(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"tokenizer\.json: not a vocabulary"):
        tokenizers.load(str(tmp_path))


def clip_vocabulary() -> Tokenizer:
    tokenizer = Tokenizer(
        models.WordLevel({"!": 0, "a": 1, "dog": 2, "Dog": 3, "<|startoftext|>": 4, "<|endoftext|>": 5})
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


def test_clip_s_text_is_lowered_framed_by_its_own_tokens_and_padded_with_zeros() -> None:
    read = SentenceTokenizer(clip_vocabulary(), max_tokens=4, reading=Reading(clean="lower"))
    ids, mask = read([" A  Dog ", "a"])
    assert ids.tolist() == [[4, 1, 2, 5], [4, 1, 5, 0]]
    assert mask.tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    plain = SentenceTokenizer(clip_vocabulary(), reading=Reading(clean="plain"))
    assert plain(["a  Dog"])[0].tolist() == [[4, 1, 3, 5]]
    with pytest.warns(UserWarning, match="was cut"):
        assert read(["a dog a dog"])[0].tolist() == [[4, 1, 2, 5]]  # the end is kept
    with pytest.raises(ValueError, match="is empty"):
        read(["  "])


def test_a_fixed_row_has_no_start_and_is_always_as_long(tmp_path: Path) -> None:
    vocabulary = {"<pad>": 0, "<eos>": 1, "<bos>": 2, "a": 3, "dog": 4}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    reading = Reading(clean="lower", start=False, fixed=True)
    for left, rows in ((False, [[3, 4, 1, 0], [1, 1, 1, 0]]), (True, [[0, 3, 4, 1], [0, 1, 1, 1]])):
        read = SentenceTokenizer(tokenizer, max_tokens=4, reading=reading, pads_left=left)
        read.save(tmp_path)
        for each in (read, tokenizers.load(str(tmp_path), max_tokens=4, reading=reading)):
            ids, mask = each(["a dog"])
            assert [ids[0].tolist(), mask[0].tolist()] == rows
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["padding_side"] == "left"

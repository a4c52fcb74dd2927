"""Translation models by themselves: batches, pieces, names of languages, and what is no such model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weaksync.recipes.derived.translator import Seq2Seq, our_code

from ..tiny_translators import PAIRS, save_m2m, save_madlad, save_marian

TEXTS = st.lists(st.sampled_from([*PAIRS["es"], *PAIRS["ru"], "rey", "bruja zorro."]), min_size=1, max_size=9)


@settings(max_examples=10)
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


@settings(max_examples=40)
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


def test_a_long_text_is_cut_into_sentences_and_joined_again(nllb: Path) -> None:
    three = [*PAIRS["es"]][:3]
    longest = max(len(text) for text in Seq2Seq(str(nllb)).tokenizer(three).input_ids)
    model = Seq2Seq(str(nllb), device="cpu", max_tokens=longest)
    text = " ".join(three)
    made = model.translate([text, "La bruja llora."], "es", "en")
    assert model._pieces(text, "en") == three
    assert made.texts == [" ".join([*PAIRS["es"].values()][:3]), "The witch cries."]
    assert made.split == 1


@pytest.mark.parametrize(
    ("text", "joint"), [("la bruja llora, " * 9, ", "), ("la bruja llora " * 9, " "), ("rey" * 60, "")]
)
def test_a_long_sentence_is_cut_at_clauses_then_between_words_then_anywhere(nllb: Path, text: str, joint: str) -> None:
    pieces = Seq2Seq(str(nllb), device="cpu", max_tokens=20)._pieces(text.strip(), "en")
    assert len(pieces) > 1
    assert " ".join(pieces) == text.strip() or (not joint and "".join(pieces) == text)
    assert joint != ", " or all(piece.endswith(",") for piece in pieces)


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


def test_m2m_has_a_table_of_its_own_for_languages(tmp_path: Path) -> None:
    save_m2m(tmp_path / "m2m")
    model = Seq2Seq(str(tmp_path / "m2m"), device="cpu")
    assert [model._code(code) for code in ("en", "es", "zh", "xx")] == ["en", "es", "zh", None]
    model._turn_to("es")
    assert model.tokenizer("rey").input_ids[0] == model.tokenizer.get_lang_id("es")
    asked: dict[str, Any] = {}
    generate = model.model.generate
    model.model.generate = lambda **options: asked.update(options) or generate(**options)
    assert len(model.translate(["La bruja llora."], "es", "en").texts) == 1
    assert asked["forced_bos_token_id"] == model.tokenizer.get_lang_id("en")


def test_marian_translates_its_pair_alone(tmp_path: Path) -> None:
    save_marian(tmp_path / "marian")
    model = Seq2Seq(str(tmp_path / "marian"), device="cpu")
    model.check(["es"], "en")
    with pytest.raises(ValueError, match="translates es to en, not ru to en: name what it can do with --language"):
        model.check(["es", "ru"], "en")
    with pytest.raises(ValueError, match="translates es to en, not es to fr"):
        model.check(["es"], "fr")
    assert len(model.translate(["La bruja llora.", "El rey."], "es", "en").texts) == 2
    save_marian(tmp_path / "many", source="mul")
    Seq2Seq(str(tmp_path / "many"), device="cpu").check(["es", "ru"], "en")


def test_madlad_is_told_the_target_before_the_text(tmp_path: Path) -> None:
    save_madlad(tmp_path / "madlad")
    model = Seq2Seq(str(tmp_path / "madlad"), device="cpu")
    model.check(["es", "anything"], "en")
    with pytest.raises(ValueError, match="has no code for fr"):
        model.check(["es"], "fr")
    assert model._prefix("en") == "<2en> "
    assert model._length("la bruja llora .", "en") == 6
    assert len(model.translate(["la bruja llora .", "la"], "es", "en").texts) == 2

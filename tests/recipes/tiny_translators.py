"""Tiny models of the published translators' architectures, with tokenizers of their kinds."""

from __future__ import annotations

import io
import json
from pathlib import Path

import torch

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


def save_m2m(folder: Path) -> None:
    """A tiny M2M-100, of random weights."""
    from transformers import M2M100Config, M2M100ForConditionalGeneration, M2M100Tokenizer

    files = _sentencepiece(folder, ["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer = M2M100Tokenizer(*map(str, files))
    config = M2M100Config(vocab_size=tokenizer.get_lang_id("zu") + 9, max_position_embeddings=40, **TINY)
    tokenizer.save_pretrained(folder)
    M2M100ForConditionalGeneration(config).save_pretrained(folder)


def save_marian(folder: Path, source: str = "es") -> None:
    """A tiny Marian, of random weights, from `source` to English."""
    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    vocabulary, model = _sentencepiece(folder, ["</s>", "<unk>", "<pad>"])
    tokenizer = MarianTokenizer(
        str(model), str(model), str(vocabulary), source_lang=source, target_lang="en", model_max_length=32
    )
    config = MarianConfig(
        vocab_size=len(tokenizer), max_position_embeddings=40, pad_token_id=2, eos_token_id=0, forced_eos_token_id=0,
        decoder_start_token_id=2, **TINY,
    )  # fmt: skip
    tokenizer.save_pretrained(folder)
    MarianMTModel(config).save_pretrained(folder)


def save_madlad(folder: Path) -> None:
    """A tiny T5 with a token before the text for English and Spanish, as MADLAD-400 has, of random weights."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

    words = ["<pad>", "</s>", "<unk>", "<2en>", "<2es>", "la", "bruja", "llora", "."]
    plain = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    plain.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=32
    )
    config = T5Config(
        vocab_size=len(words), d_model=16, d_ff=16, d_kv=8, num_layers=1, num_heads=2, pad_token_id=0, eos_token_id=1,
        decoder_start_token_id=0,
    )  # fmt: skip
    tokenizer.save_pretrained(folder)
    T5ForConditionalGeneration(config).save_pretrained(folder)


TINY = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
TINY |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2}


def _sentencepiece(folder: Path, special: list[str]) -> tuple[Path, Path]:
    """Files of a vocabulary and of the model that cuts words, learnt from `PAIRS`."""
    import sentencepiece

    folder.mkdir(exist_ok=True)
    texts = [text for pair in PAIRS["es"].items() for text in pair] * 5
    learnt = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=learnt, vocab_size=40, hard_vocab_limit=False, minloglevel=2
    )
    pieces = sentencepiece.SentencePieceProcessor(model_proto=learnt.getvalue())
    words = special + [pieces.id_to_piece(place) for place in range(3, pieces.get_piece_size())]
    vocabulary, model = folder / "words.json", folder / "pieces.model"
    vocabulary.write_text(json.dumps({word: place for place, word in enumerate(words)}))
    model.write_bytes(learnt.getvalue())
    return vocabulary, model

"""Folders of SigLIP 2 as transformers saves them, tiny and of random weights, with a vocabulary of Gemma's kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    PreTrainedTokenizerFast,
    Siglip2Config,
    Siglip2ImageProcessor,
    Siglip2Model,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
)

TEXT = {
    "vocab_size": 64,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 18,
    "projection_size": 32,
    "bos_token_id": 2,
    "eos_token_id": 1,
    "pad_token_id": 0,
}
VISION = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "patch_size": 8}


def siglip_folder(folder: Path, *, naflex: bool = False, **text: Any) -> Path:
    """A folder, and in it model, tokenizer and preprocessing, each saved by transformers itself."""
    torch.manual_seed(0)
    texts: Any = {**TEXT, **text}
    model: SiglipModel | Siglip2Model
    if naflex:
        vision: Any = {**VISION, "num_patches": 9}  # a table of 3 x 3, stretched to the 4 x 4 of the picture
        model = Siglip2Model(Siglip2Config(text_config=texts, vision_config=vision))
        Siglip2ImageProcessor(patch_size=8, max_num_patches=16).save_pretrained(folder)
    else:
        model = SiglipModel(SiglipConfig(text_config=texts, vision_config={**VISION, "image_size": 32}))
        SiglipImageProcessor(size={"height": 32, "width": 32}, resample=2).save_pretrained(folder)
    with torch.no_grad():  # norms of one and biases of zero hide errors
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        model.logit_scale.fill_(4.7)
    model.save_pretrained(folder)
    fast_tokenizer().save_pretrained(folder)
    return folder


def fast_tokenizer() -> PreTrainedTokenizerFast:
    """Letters and digits with Gemma's special tokens, an end after every text and padding at the right."""
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *"abcdefghijklmnopqrstuvwxyz0123456789.,"]
    tokenizer = Tokenizer(models.BPE({word: id for id, word in enumerate(words)}, [], unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
        padding_side="right",
    )

"""SigLIP 2 as transformers saves it: a folder, or a repository of the hub, with its tokenizer and preprocessing."""

from __future__ import annotations

import math
import re
from functools import partial
from pathlib import Path
from typing import Any

from .. import registry
from ..models.siglip import SigLIP, SigLIPConfig
from .published import build, outline, read_folder
from .transformers_folder import as_noted, folder_at, preprocessing, read_json

#: towers of one picture size, and NaFlex
KINDS = ("siglip", "siglip2")
FALLBACK = "siglip2-base"
#: a buffer that every model makes for itself, and the bias of the sigmoid loss
_LEFT_OUT = re.compile(r".+\.position_ids|logit_bias")


def read(file: str | Path, **arguments: Any) -> SigLIP:
    """The dual encoder of a folder, in evaluation mode, with the folder's tokenizer and preprocessing.

    Args:
        file: the folder.
        arguments: fields of `SigLIPConfig` that shall differ; sizes are those of the folder.

    Raises:
        FileNotFoundError: a file of the folder is absent.
        ValueError: another kind of model, or weights that do not fit its configuration: every missing, surplus and
            misshaped tensor is named.
    """
    folder = folder_at(file)
    config = read_json(folder / "config.json")
    if config.get("model_type") not in KINDS:
        raise ValueError(f"{folder}: a model of type {config.get('model_type')!r}, not one of {', '.join(KINDS)}")
    pixels = preprocessing(folder)
    arguments = {**_sizes(config, pixels, folder), "tokenizer": str(folder), **arguments}
    needed = outline(SigLIP, _row(arguments), arguments)
    needed.preprocess = as_noted(needed.preprocess, pixels, folder)
    tensors = {name: tensor for name, tensor in read_folder(folder, "model").items() if not _LEFT_OUT.fullmatch(name)}
    if "logit_scale" in tensors:
        tensors["logit_scale"] = tensors["logit_scale"].reshape(())
    model = build(needed, arguments, tensors, folder, _naming, partial(_check_tokenizer, folder=folder))
    model.preprocess = needed.preprocess
    return model


def _naming(name: str) -> str:
    return re.sub(r"^(vision|text)\.", r"\1_model.", name)


def _sizes(config: dict[str, Any], pixels: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Arguments of the model that the folder's configuration describes; what it leaves out is transformers' default."""
    vision, text = config.get("vision_config") or {}, config.get("text_config") or {}
    base = SigLIPConfig()
    for part in (vision, text):
        if part.get("hidden_act", "gelu_pytorch_tanh") != "gelu_pytorch_tanh":
            raise ValueError(
                f"{folder}: a SigLIP with {part['hidden_act']!r} units, not gelu_pytorch_tanh as published"
            )
    if not vision.get("vision_use_head", True):
        raise ValueError(f"{folder}: a SigLIP without its pooling head: nothing says what vector a picture has")
    patch = vision.get("patch_size", base.patch_size)
    sizes = {
        "patch_size": patch,
        "vision_width": vision.get("hidden_size", base.vision_width),
        "vision_layers": vision.get("num_hidden_layers", base.vision_layers),
        "vision_heads": vision.get("num_attention_heads", base.vision_heads),
        "vision_ffn": vision.get("intermediate_size", base.vision_ffn),
        "text_width": text.get("hidden_size", base.text_width),
        "text_layers": text.get("num_hidden_layers", base.text_layers),
        "text_heads": text.get("num_attention_heads", base.text_heads),
        "text_ffn": text.get("intermediate_size", base.text_ffn),
        # transformers' default is the first SigLIP's; SigLIP 2 always states its own
        "vocab_size": text.get("vocab_size", 32000),
        "max_tokens": text.get("max_position_embeddings", base.max_tokens),
    }
    if config["model_type"] == "siglip":
        return {**sizes, "image_size": vision.get("image_size", base.image_size)}
    side = math.isqrt(pixels.get("max_num_patches", 256))
    return {**sizes, "position_grid": math.isqrt(vision.get("num_patches", 256)), "image_size": side * patch}


def _row(sizes: dict[str, Any]) -> str:
    """The registered name whose towers have these widths; of a size that none has, the fallback."""
    widths = ("vision_width", "vision_layers", "text_width", "text_layers")
    for row in registry.list_models("story"):
        if row.model == SigLIP.__name__:
            stated = {**vars(SigLIPConfig()), **row.arguments}
            if all(stated[width] == sizes[width] for width in widths):
                return row.name
    return FALLBACK


def _check_tokenizer(model: SigLIP, folder: Path) -> None:
    """Raises where the folder's tokenizer is absent, of the first SigLIP, or too large for the word table."""
    noted = folder / "tokenizer_config.json"
    if not (folder / "tokenizer.json").is_file() and not noted.is_file():
        raise FileNotFoundError(f"{folder}: no tokenizer.json: save the model's tokenizer there too")
    if noted.is_file() and read_json(noted).get("tokenizer_class") in ("SiglipTokenizer", "SiglipTokenizerFast"):
        raise ValueError(f"{folder}: a SigLIP of the first generation, which reads other text: only SigLIP 2 is read")
    _ = model.tokenize  # which holds it against the word table

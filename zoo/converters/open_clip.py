"""CLIP with XLM-R as open_clip publishes it: a bare state dict, or a repository of the hub with its configuration."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from ..models.xlmr_clip import XLMRCLIP
from ..preprocess import ClipPreprocess
from .clip_layout import layers, published_name, unpack, vision_sizes
from .published import build, check_vocabulary, outline, read_folder, read_tensors

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model"
#: heads of a vision tower have 64 dimensions, but for the huge one's
HEAD, HEADS_OF_HUGE = 64, {1280: 16}
#: its words for ours; a random interpolation is one of training alone
RESIZE_MODES = {"shortest": "crop", "squash": "squash"}
INTERPOLATION = {"bicubic": "bicubic", "bilinear": "bilinear", "random": "bicubic"}

#: what mean pooling does not need, and a buffer that every model makes for itself
_LEFT_OUT = re.compile(r"text\.transformer\.(pooler\..+|embeddings\.position_ids)")


def read(file: str | Path, *, tokenizer: str | Path | None = None, **arguments: Any) -> XLMRCLIP:
    """The dual encoder with the weights of a published file or folder, in evaluation mode.

    Args:
        file: ``open_clip_pytorch_model.bin`` or such, a checkpoint of open_clip's training, or a folder with
            ``open_clip_config.json``, ``open_clip_model.safetensors`` and the tokenizer.
        tokenizer: folder or hub id of XLM-R's tokenizer; if None the folder's, or the model's own hub id.
        arguments: fields of `XLMRCLIPConfig` that shall differ; sizes are those of the file.

    Raises:
        FileNotFoundError: no such file, or no tokenizer.
        ValueError: another layout or text tower; every missing, surplus and misshaped tensor is named.
    """
    file = Path(file)
    noted = _noted(file) if file.is_dir() else {}
    tensors = read_folder(file, WEIGHTS) if file.is_dir() else read_tensors(file)
    tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    if not any(name.startswith("text.transformer.") for name in tensors):
        raise ValueError(f"{file}: not CLIP with XLM-R as open_clip publishes it: it has no text.transformer.*")
    if tokenizer is not None or file.is_dir():
        arguments["tokenizer"] = str(tokenizer or file)
    arguments = {**_sizes(tensors), **_stated(noted), **arguments}
    name = "xlmr-clip-huge" if arguments.get("vision_width") in HEADS_OF_HUGE else "xlmr-clip-base"
    needed = outline(XLMRCLIP, name, arguments)
    needed.preprocess = _as_noted(needed.preprocess, noted.get("preprocess_cfg", {}), file)
    tensors = unpack({name: tensor for name, tensor in tensors.items() if not _LEFT_OUT.fullmatch(name)})
    text = partial(check_vocabulary, reads="XLM-R", fits="FacebookAI/xlm-roberta-base", framing=(0, 1, 2))
    model = build(needed, arguments, tensors, file, _naming, text)
    model.preprocess = needed.preprocess
    return model


def _as_noted(preprocess: ClipPreprocess, pixels: dict[str, Any], folder: Path) -> ClipPreprocess:
    """Our preprocessing with the folder's settings.  Raises ValueError for one that it lacks, or another size.

    ``fill_color`` belongs to a resize that is refused.
    """
    noted, faults = preprocess.to_dict(), []
    for key in ("mean", "std"):
        noted[key] = tuple(pixels.get(key, noted[key]))
    for ours, key, choices in (("fit", "resize_mode", RESIZE_MODES), ("interpolation", "interpolation", INTERPOLATION)):
        if key in pixels and pixels[key] not in choices:
            faults.append(f"{key} is {pixels[key]!r}, and only {', '.join(choices)} are known here")
        noted[ours] = choices.get(pixels.get(key, ""), noted[ours])
    if pixels.get("mode", "RGB") != "RGB":
        faults.append(f"pictures are {pixels['mode']}, not RGB")
    side = preprocess.size
    if pixels.get("size", side) not in (side, [side, side]):
        faults.append(f"size is {pixels['size']}, and its vision tower takes {side} pixels")
    if faults:
        raise ValueError(f"{folder / CONFIG}: preprocess_cfg: {'; '.join(faults)}")
    return ClipPreprocess.from_dict(noted)


def _naming(name: str) -> str:
    if name.startswith("text_proj."):
        return name.replace("text_proj.", "text.proj.")
    if name.startswith("text."):
        return name.replace("text.", "text.transformer.", 1)
    return published_name(name)


def _noted(folder: Path) -> dict[str, Any]:
    """The configuration of a folder.  Raises ValueError for a text tower that is not XLM-R with mean pooling."""
    try:
        noted: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        model = noted["model_cfg"]
        text = model["text_cfg"]
    except FileNotFoundError as absent:
        raise FileNotFoundError(f"{folder}: no {CONFIG}, so it is no folder of open_clip") from absent
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as fault:
        raise ValueError(f"{folder / CONFIG}: not a configuration of open_clip ({fault!r}): fetch it again") from fault
    tower = str(text.get("hf_model_name", "its own"))
    pooling = text.get("hf_pooler_type", text.get("pooler_type", "mean_pooler"))
    projection = text.get("hf_proj_type", text.get("proj", "mlp"))
    if "xlm-roberta" not in tower or (pooling, projection) != ("mean_pooler", "mlp") or model.get("quick_gelu"):
        raise ValueError(
            f"{folder}: a CLIP of open_clip whose text tower is {tower} ({pooling}, {projection}): only XLM-R with "
            "mean pooling and two projections is read"
        )
    return noted


def _stated(noted: dict[str, Any]) -> dict[str, Any]:
    """What a configuration says that tensors do not: into how many heads the vision tower is cut."""
    vision = noted.get("model_cfg", {}).get("vision_cfg", {})
    return {"vision_heads": vision["width"] // vision["head_width"]} if "head_width" in vision else {}


def _sizes(tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Arguments of the model in the file; the base's where it does not tell, which `check` then compares."""
    sizes = vision_sizes(tensors, "")
    text = "text.transformer."
    words, places, inner = (
        tensors.get(f"{text}{name}.weight")
        for name in (
            "embeddings.word_embeddings",
            "embeddings.position_embeddings",
            "encoder.layer.0.intermediate.dense",
        )
    )
    if words is not None and words.ndim == 2:
        sizes |= {"vocab_size": words.shape[0], "text_width": words.shape[1]}
        sizes["text_heads"] = max(1, words.shape[1] // HEAD)
    if places is not None:
        sizes["position_rows"] = places.shape[0]
    if inner is not None:
        sizes["text_ffn"] = inner.shape[0]
    if depth := layers(tensors, f"{text}encoder.layer."):
        sizes["text_layers"] = depth
    if width := sizes.get("vision_width"):
        sizes["vision_heads"] = HEADS_OF_HUGE.get(width, max(1, width // HEAD))
    return sizes

"""CLIP as transformers saves it: what CLIP4Clip starts from, as mean pooling adds nothing to its towers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..models.clip4clip import CLIP4Clip, CLIP4ClipConfig
from .clip_layout import check_vocabulary_of_clip
from .published import build, outline, read_folder
from .transformers_folder import as_noted, folder_at, preprocessing, read_json

MODEL = "clip4clip-base"
#: a buffer that every model makes for itself
_LEFT_OUT = re.compile(r".+\.position_ids")
_PROJECTIONS = {"vision_proj.weight": "visual_projection.weight", "text_proj.weight": "text_projection.weight"}


def read(file: str | Path, **arguments: Any) -> CLIP4Clip:
    """The dual encoder of a folder, in evaluation mode, with the folder's tokenizer and preprocessing.

    Args:
        file: the folder.
        arguments: fields of `CLIP4ClipConfig` that shall differ; sizes are those of the folder.

    Raises:
        FileNotFoundError: a file of the folder is absent.
        ValueError: another kind of CLIP, or weights that do not fit its configuration: every missing, surplus and
            misshaped tensor is named.
    """
    folder = folder_at(file)
    pixels = preprocessing(folder)
    arguments = {**_sizes(folder), "tokenizer": str(folder), **arguments}
    needed = outline(CLIP4Clip, MODEL, arguments)
    needed.preprocess = as_noted(needed.preprocess, pixels, folder)
    tensors = {name: tensor for name, tensor in read_folder(folder, "model").items() if not _LEFT_OUT.fullmatch(name)}
    model = build(needed, arguments, tensors, folder, _naming, check_vocabulary_of_clip)
    model.preprocess = needed.preprocess
    return model


def _naming(name: str) -> str:
    return _PROJECTIONS.get(name) or re.sub(r"^(vision|text)\.", r"\1_model.", name)


def _sizes(folder: Path) -> dict[str, Any]:
    """Arguments of the model that the folder's configuration describes; what it leaves out is transformers' default."""
    config, base = read_json(folder / "config.json"), CLIP4ClipConfig()
    if config.get("model_type") != "clip":
        raise ValueError(f"{folder}: a model of type {config.get('model_type')!r}, not CLIP")
    vision, text = config.get("vision_config") or {}, config.get("text_config") or {}
    width, text_width = (part.get("hidden_size", size) for part, size in ((vision, 768), (text, 512)))
    for part, own in ((vision, width), (text, text_width)):
        if part.get("hidden_act", "quick_gelu") != "quick_gelu" or part.get("intermediate_size", 4 * own) != 4 * own:
            raise ValueError(f"{folder}: a CLIP with other layers than OpenAI's (quick_gelu, four times the width)")
    rows = text.get("vocab_size", base.vocab_size)
    return {
        "image_size": vision.get("image_size", base.image_size),
        "patch_size": vision.get("patch_size", base.patch_size),
        "vision_width": width,
        "vision_layers": vision.get("num_hidden_layers", base.vision_layers),
        "vision_heads": vision.get("num_attention_heads", base.vision_heads),
        "text_width": text_width,
        "text_layers": text.get("num_hidden_layers", base.text_layers),
        "text_heads": text.get("num_attention_heads", base.text_heads),
        "position_rows": text.get("max_position_embeddings", base.position_rows),
        "project_dim": config.get("projection_dim", base.project_dim),
        "vocab_size": rows,
        "end_id": rows - 1,  # CLIP reads a sentence at its highest id, whatever the configuration says
    }

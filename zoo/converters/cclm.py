"""CCLM as published: files of the pre-training and of the fine-tuning for retrieval, at 224 or at 384 pixels.

Zeng et al., "Cross-View Language Modeling" (ACL 2023).  Of its tensors the dual encoder needs the Swin tower, the first
half of the text tower, the two projections and the temperature.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from ..models.cclm import CCLM, CCLMConfig, shift_positions
from .published import Naming, build, check, check_vocabulary, outline, read_tensors
from .swin_tables import resize_table, window_of

#: pixels of a frame -> the model of that size
MODELS = {224: "cclm-base", 384: "cclm-base-384"}
#: patch and four stages: pixels for each patch of a window
PIXELS_PER_WINDOW = 32

#: what a dual encoder does not need: heads, and buffers that every model computes for itself
_LEFT_OUT = re.compile(
    r"(itm_head|bbox_head|text_encoder\.cls)\..+"
    r"|vision_encoder\..+\.(relative_position_index|attn_mask)"
    r"|text_encoder\.(bert\.)?embeddings\.position_ids"
)
_TEXT_LAYER = re.compile(r"text_encoder\.(?:bert\.)?encoder\.layer\.(\d+)\.")
_TABLE = re.compile(r"vision_encoder\..+\.relative_position_bias_table")
_FIRST_TABLE = "vision_encoder.layers.0.blocks.0.attn.relative_position_bias_table"
_POSITIONS = "text.embeddings.position_embeddings.weight"


def read(file: Path, *, resolution: int | None = None, tokenizer: str | Path | None = None, **arguments: Any) -> CCLM:
    """The dual encoder with the weights of a published file, in evaluation mode.

    Args:
        resolution: pixels of a frame, 224 or 384; that of the file if None.  A file of 224 becomes one of 384 by the
            spline of `swin_tables`, as its authors start their fine-tuning.
        tokenizer: folder or hub id of XLM-R's tokenizer, the model's own hub id if None.
        arguments: fields of `CCLMConfig` that shall differ.

    Raises:
        FileNotFoundError: no such file, or no tokenizer.
        ValueError: another layout, size or vocabulary; every missing, surplus and misshaped tensor is named.
    """
    tensors = read_tensors(file)
    if not any(name.startswith(("vision_encoder.", "text_encoder.")) for name in tensors):
        raise ValueError(f"{file}: not CCLM as published: it has neither vision_encoder.* nor text_encoder.*")
    own = _own_resolution(tensors, file)
    resolution = resolution or own
    if resolution not in MODELS or resolution < own:
        raise ValueError(f"{file} is for {own} pixels: it can be converted for {_choices(own)}, not for {resolution}")
    if tokenizer is not None:
        arguments["tokenizer"] = str(tokenizer)
    needed = outline(CCLM, MODELS[resolution], arguments)
    config = needed.config
    naming = _naming(tensors)
    tensors = _dual_encoder_tensors(tensors, config)
    for name, tensor in tensors.items():
        if resolution != own and _TABLE.fullmatch(name) and window_of(tensor) == own // PIXELS_PER_WINDOW:
            tensors[name] = resize_table(tensor, config.window_size)
    check(needed, tensors, file, naming)
    tensors[naming(_POSITIONS)] = shift_positions(tensors[naming(_POSITIONS)])
    text = partial(check_vocabulary, reads="XLM-R", fits="FacebookAI/xlm-roberta-large", framing=(0, 1, 2))
    return build(needed, arguments, tensors, file, naming, text)


def _own_resolution(tensors: dict[str, Tensor], file: Path) -> int:
    """Pixels of a frame that the file's tables were made for; 224 where they are no tables, which `check` will say."""
    window = window_of(tensors[_FIRST_TABLE]) if _FIRST_TABLE in tensors else 0
    resolution = window * PIXELS_PER_WINDOW or min(MODELS)
    if resolution not in MODELS:
        raise ValueError(
            f"{file}: a Swin tower with windows of {window} patches, for {resolution} pixels; "
            f"only those for {_choices(0)} are read"
        )
    return resolution


def _choices(least: int) -> str:
    return " or ".join(str(resolution) for resolution in MODELS if resolution >= least)


def _naming(tensors: dict[str, Tensor]) -> Naming:
    """Published names of our tensors; files of the pre-training have one level more in the text tower."""
    text = "text_encoder.bert." if any(name.startswith("text_encoder.bert.") for name in tensors) else "text_encoder."

    def published(name: str) -> str:
        # timm merges patches at the start of the next stage, Swin's authors at the end of the one before
        name = re.sub(r"(?<=^vision\.layers\.)(\d+)(?=\.downsample\.)", lambda stage: str(int(stage[1]) - 1), name)
        return re.sub(r"^text\.", text, re.sub(r"^vision\.", "vision_encoder.", name))

    return published


def _dual_encoder_tensors(tensors: dict[str, Tensor], config: CCLMConfig) -> dict[str, Tensor]:
    """Drops heads, buffers and the cross encoder, whose layers follow those of the text encoder, as many again."""
    cross = range(config.text_layers, 2 * config.text_layers)

    def is_needed(name: str) -> bool:
        layer = _TEXT_LAYER.match(name)
        return not _LEFT_OUT.fullmatch(name) and not (layer and int(layer[1]) in cross)

    return {name: tensor for name, tensor in tensors.items() if is_needed(name)}

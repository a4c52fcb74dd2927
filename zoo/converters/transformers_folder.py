"""What transformers writes beside a model's weights: its configuration and its preprocessing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..preprocess import ClipPreprocess

#: numbers of PIL's interpolations
RESAMPLE = {2: "bilinear", 3: "bicubic"}


def folder_at(path: str | Path) -> Path:
    """A folder that a library of models wrote.  Raises FileNotFoundError, or ValueError where it is a file."""
    folder = Path(path)
    if folder.is_file():
        raise ValueError(
            f"{folder}: a file, without its configuration: name the folder that it came in, or hf://org/repo"
        )
    if not folder.is_dir():
        raise FileNotFoundError(f"no such folder: {folder}")
    return folder


def read_json(path: Path) -> dict[str, Any]:
    """The object that a file holds.  Raises FileNotFoundError, or ValueError where it holds none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as absent:
        raise FileNotFoundError(f"{path}: missing, so this is no folder of transformers") from absent
    except (json.JSONDecodeError, UnicodeDecodeError) as fault:
        raise ValueError(f"{path}: not JSON ({fault}): fetch it again") from fault
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds no JSON object")
    return content


def preprocessing(folder: Path) -> dict[str, Any]:
    """What the folder notes of pixels; newer ones note it inside their processor's file."""
    if (folder / "preprocessor_config.json").is_file():
        return read_json(folder / "preprocessor_config.json")
    if (folder / "processor_config.json").is_file():
        noted = read_json(folder / "processor_config.json").get("image_processor")
        if isinstance(noted, dict):
            return noted
    raise FileNotFoundError(
        f"{folder}: neither preprocessor_config.json nor processor_config.json, so nobody knows which pixels the model "
        "wants: save its processor there too (processor.save_pretrained)"
    )


def as_noted(preprocess: ClipPreprocess, pixels: dict[str, Any]) -> ClipPreprocess:
    """Our preprocessing with the folder's means, deviations and interpolation."""
    noted = preprocess.to_dict()
    for ours, theirs in (("mean", "image_mean"), ("std", "image_std")):
        noted[ours] = tuple(pixels.get(theirs, noted[ours]))
    noted["interpolation"] = RESAMPLE.get(pixels.get("resample", -1), noted["interpolation"])
    return ClipPreprocess.from_dict(noted)

"""What transformers writes beside a model's weights: its configuration and its preprocessing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..preprocess import ClipPreprocess

#: numbers of PIL's interpolations
RESAMPLE = {2: "bilinear", 3: "bicubic"}


def folder_at(path: str | Path) -> Path:
    """A folder that transformers or open_clip wrote.  Raises FileNotFoundError, or ValueError where it is a file."""
    folder = Path(path)
    if folder.is_file():
        raise ValueError(
            f"{folder}: a file, without its configuration: name the folder that it came in, or hf://org/repo"
        )
    if not folder.is_dir():
        raise FileNotFoundError(f"no such folder: {folder}")
    return folder


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file.  Raises FileNotFoundError, or ValueError where it holds none."""
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
    """The folder's preprocessing of pixels; newer folders keep it inside their processor's file."""
    if (folder / "preprocessor_config.json").is_file():
        return read_json(folder / "preprocessor_config.json")
    if (folder / "processor_config.json").is_file():
        noted = read_json(folder / "processor_config.json").get("image_processor")
        if isinstance(noted, dict):
            return noted
    raise FileNotFoundError(
        f"{folder}: neither preprocessor_config.json nor processor_config.json, so the preprocessing of the model is "
        "unknown: save its processor there too (processor.save_pretrained)"
    )


def as_noted(preprocess: ClipPreprocess, pixels: dict[str, Any], folder: Path) -> ClipPreprocess:
    """Our preprocessing with the settings of a folder of CLIP or SigLIP 2.

    Raises:
        ValueError: it notes what ours cannot do, or another size than the vision tower's; all faults are named.
    """
    noted, faults = preprocess.to_dict(), []
    given = {key: value for key, value in pixels.items() if value is not None}
    for key in ("do_resize", "do_rescale"):
        if not given.get(key, True):
            faults.append(f"{key} is false, and pictures come in any size, in 0-255")
    if abs(given.get("rescale_factor", 1 / 255) * 255 - 1) > 1e-3:
        faults.append(f"rescale_factor is {given['rescale_factor']}, not 1/255")
    if given.get("do_pad", False):
        faults.append("do_pad is true, and no picture is padded here")
    if given.get("do_normalize", True):
        noted |= {ours: tuple(given.get(f"image_{ours}", noted[ours])) for ours in ("mean", "std")}
    else:
        noted |= {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    if "resample" in given:
        noted["interpolation"] = RESAMPLE.get(given["resample"])
        if noted["interpolation"] is None:
            faults.append(f"resample is {given['resample']}, and only {RESAMPLE} are known here")
    cropped = given.get("do_center_crop", preprocess.fit == "crop")
    if "size" in given:
        short, shape = _edges(given["size"], cropped)
        noted["fit"] = "crop" if short else "squash"
        if short and not cropped:
            faults.append(f"size is {given['size']} without a crop, and a model sees squares")
        if set(shape) != {preprocess.size}:
            faults.append(f"size is {given['size']}, and its vision tower takes {preprocess.size} pixels")
    if cropped and set(_edges(given.get("crop_size", preprocess.size), cropped)[1]) != {preprocess.size}:
        faults.append(f"crop_size is {given['crop_size']}, and its vision tower takes {preprocess.size} pixels")
    if faults:
        raise ValueError(f"{folder}: its preprocessing is not supported: {'; '.join(faults)}")
    return ClipPreprocess.from_dict(noted)


def _edges(size: Any, cropped: bool) -> tuple[bool, list[Any]]:
    """Whether a size is that of the short side alone, as a number is where a crop follows; and its pixels."""
    if isinstance(size, dict):
        return bool(size.get("shortest_edge")), [edge for edge in size.values() if edge is not None]
    return cropped, [size]

"""What lies in the folder of a run, and whether a folder can be written."""

from __future__ import annotations

import tempfile
from pathlib import Path

RECIPE = "recipe.yaml"  # resolved: every setting that decides the outcome
CHECKPOINTS = "checkpoints"  # to go on from
METRICS = "metrics.csv"
MODEL = "model"  # a checkpoint folder, there once the run has ended
SYNCNET = "syncnet"  # another one, of a run of subtitles/end_to_end


def model_folder(path: str | Path) -> Path:
    """The checkpoint folder of a run, or the folder itself.  Raises ValueError for a run that has not ended."""
    path = Path(path)
    if (path / MODEL).is_dir():
        return path / MODEL
    if (path / RECIPE).is_file():
        raise ValueError(f"{path} is a run that has not ended: weaksync train {path / RECIPE} --resume goes on with it")
    return path


def check_path(run: Path, key: str, folder: str | None, remedy: str) -> None:
    """Raises FileNotFoundError, with the remedy, where a folder that a run's recipe names is not there from here."""
    if folder is not None and not Path(folder).exists():
        seen = "" if Path(folder).is_absolute() else ", as seen from where it was trained"
        raise FileNotFoundError(f"{key} of {run / RECIPE} is {folder}{seen}; there is no such folder here: {remedy}")


def source_of(name: str | Path) -> str | Path:
    """What `zoo.load` reads: a hub id as it is; of a run's folder, the model in it.  Raises as `model_folder`."""
    return name if str(name).startswith("hf://") else model_folder(name)


def writable(folder: Path) -> None:
    """Make the folder if need be; raises OSError that names it where nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as fault:
        raise OSError(f"{folder}: nothing can be written there ({fault.strerror}); name another --out") from fault

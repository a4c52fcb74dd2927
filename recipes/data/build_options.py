"""What the verbs of `weaksync data build` share: options that go in pairs, and videos that failed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ...datamodules.captions import Cut
from ...datamodules.languages import language_code, named_code
from ...datamodules.msymon import TimeFormat
from ..building.parts import REPORT, Failure
from ..building.sources import Narration
from ..console import err

FAILED = 1
_SHOWN = 20


def narrations_of(
    subtitles: Sequence[Path],
    languages: Sequence[str],
    sentences: Cut,
    annotations: Sequence[Path] = (),
    time_format: TimeFormat = "auto",
) -> list[Narration]:
    """The narrations that options given several times mean.  Raises ValueError where they do not pair, or a code is
    that of no language."""
    if len(subtitles) != len(languages):
        raise ValueError(f"{len(subtitles)} --subtitles and {len(languages)} --language: give them in pairs")
    if annotations and len(annotations) != len(languages):
        raise ValueError(f"{len(annotations)} --annotations for {len(languages)} languages: give none, or one for each")
    codes = [named_code(code) if sentences == "captions" else language_code(code) for code in languages]
    if len(set(codes)) < len(codes):
        raise ValueError(f"a language is given twice: {', '.join(codes)}")
    files = annotations or (None,) * len(codes)
    return [
        Narration(code, folder, file, time_format) for code, folder, file in zip(codes, subtitles, files, strict=True)
    ]


def exit_if_failed(failures: Sequence[Failure], out: Path) -> None:
    """Print the first videos that failed, and end with exit code 1 where there are some."""
    if not failures:
        return
    err.print(f"{len(failures)} failed, see {out / REPORT}:", style="bold", highlight=False, soft_wrap=True)
    for failure in failures[:_SHOWN]:
        err.print(f"  {failure.video}: {failure.reason}", highlight=False, markup=False, soft_wrap=True)
    sys.exit(FAILED)

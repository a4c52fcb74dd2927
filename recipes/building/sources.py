"""What lies in the folders that a build is given: videos, their subtitles, and the names they get."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...datamodules.files import safe_id
from ...datamodules.msymon import TimeFormat
from .parts import Failure

#: subtitle formats of pysubs2; where a video has several the first counts
SUBTITLES = (".srt", ".vtt", ".ass", ".ssa", ".sub", ".ttml", ".tmp", ".sbv")
#: other files that people keep beside videos
_ASIDE = {
    *SUBTITLES,
    ".txt",
    ".json",
    ".csv",
    ".md",
    ".xml",
    ".jpg",
    ".jpeg",
    ".png",
    ".webp",
    ".part",
    ".ytdl",
    ".wav",
}


@dataclass(frozen=True)
class Narration:
    """Where the narration of one language lies.

    Attributes:
        language: code.
        subtitles: folder with a subtitle file for each video: ``<stem>.srt``, or ``<stem>.<language>.srt``.
        annotations: file in the layout of M-SyMoN, or None.
        time_format: how its times are to be read.
    """

    language: str
    subtitles: Path
    annotations: Path | None = None
    time_format: TimeFormat = "auto"


@dataclass(frozen=True)
class Story:
    """One video to build: `name` is the stem of its file, `id` the same in letters that a sample key can hold."""

    name: str
    id: str
    video: Path
    subtitles: dict[str, Path]  # language -> file
    notes: list[str] = field(default_factory=list)


def video_files(folder: Path) -> list[Path]:
    """The videos of a folder, in order of their names; what people keep beside videos is passed over.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it holds no video, or two of one name.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no such folder: {folder}")
    files = sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and path.suffix.lower() not in _ASIDE and path.name[0] != "."
    )
    if not files:
        raise ValueError(f"no videos in {folder}")
    _refuse_shared(files, lambda stem: stem)
    return files


def find_stories(videos: Path, narrations: list[Narration]) -> tuple[list[Story], list[Failure]]:
    """Stories in order of their names, and a failure for each video that has no subtitles in any language.

    Raises:
        FileNotFoundError: a folder is missing.
        ValueError: no video, or two videos that would get one id.
    """
    files = video_files(videos)
    for narration in narrations:
        if not narration.subtitles.is_dir():
            raise FileNotFoundError(f"no such folder: {narration.subtitles}")
    _refuse_shared(files, safe_id)
    listings = {narration.language: sorted(narration.subtitles.iterdir()) for narration in narrations}
    stories, failures = [], []
    for file in files:
        subtitles = {}
        for narration in narrations:
            found = _subtitles_of(file.stem, narration, listings[narration.language])
            if found is not None:
                subtitles[narration.language] = found
        if not subtitles:
            places = " or ".join(f"{narration.language} subtitles in {narration.subtitles}" for narration in narrations)
            hint = _other_languages(file.stem, listings.values()) or _deeper(file.stem, narrations, listings)
            failures.append(Failure(file.name, f"no {places}{hint}"))
        else:
            safe = safe_id(file.stem)
            notes = [] if safe == file.stem else [f"named {file.stem!r} on disk"]
            stories.append(Story(file.stem, safe, file, subtitles, notes))
    return stories, failures


def _other_languages(stem: str, listings: Iterable[list[Path]]) -> str:
    """What to say where there are subtitles of a video under other codes than were asked for."""
    codes = {
        path.stem.removeprefix(f"{stem}.")
        for listing in listings
        for path in listing
        if path.suffix.lower() in SUBTITLES and path.stem.startswith(f"{stem}.")
    }
    return f", but some in {', '.join(sorted(codes))}: give that --language" if codes else ""


def _deeper(stem: str, narrations: list[Narration], listings: Mapping[str, list[Path]]) -> str:
    """What to say where a folder in one that was named has the subtitles of a video."""
    for narration in narrations:
        for folder in filter(Path.is_dir, listings[narration.language]):
            if found := _subtitles_of(stem, narration, sorted(folder.iterdir())):
                return f", but in {found.parent}: give that as --subtitles"
    return ""


def _refuse_shared(files: list[Path], named: Callable[[str], str]) -> None:
    owners: dict[str, list[str]] = defaultdict(list)
    for file in files:
        owners[named(file.stem)].append(file.name)
    shared = [f"{' and '.join(names)} would both be {id!r}" for id, names in owners.items() if len(names) > 1]
    if shared:
        raise ValueError(f"every video needs a name of its own: {'; '.join(shared)}; rename or move them")


def _subtitles_of(stem: str, narration: Narration, listing: list[Path]) -> Path | None:
    wanted = {stem, f"{stem}.{narration.language}"}
    fit = [path for path in listing if path.stem in wanted and path.suffix.lower() in SUBTITLES]
    return min(fit, key=lambda path: (path.stem != stem, SUBTITLES.index(path.suffix.lower())), default=None)

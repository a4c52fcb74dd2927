"""`weaksync match`: which subtitle of a pool was said in a clip, as JSON and a report that plays it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ..datamodules.files import write_whole
from ..zoo.matcher import Matcher
from .building.speaking import BASELINE
from .console import Track, err, no_track, print_table, progress, tracker
from .matching.clip_options import clip_options
from .matching.dubbing import dub, encode_for_page, encode_sound
from .matching.matches import Match
from .matching.pool import SubtitleIndex
from .matching.ranking import FUSION
from .matching.searching import POOL, opened
from .report.match_page import render
from .runs import writable

JSON, REPORT = "match.json", "report.html"
#: the first candidates can be heard in the report, at a seventh of a megabyte each
HEARD = 3


def match(
    model: Matcher | str | Path,
    video: str | Path,
    pool: SubtitleIndex | str | Path | Sequence[str | Path],
    *,
    top: int = 10,
    start: float = 0.0,
    end: float | None = None,
    faces: str | Path | None = None,
    speaking: str = BASELINE,
    narrow: int | None = None,
    language: str | None = None,
    keep: str | Path | None = None,
    track: Track = no_track,
) -> Match:
    """Find the subtitles of a pool that fit a clip best.

    Args:
        model: a matcher, its folder, the folder of the run that trained it, or ``hf://org/repo``.
        video: any file that FFmpeg reads, with sound.
        pool: an index of `weaksync index`, open or its folder; or subtitle files, folders of them, or sets of speech.
        top: how many candidates are given.
        start, end: of the clip in the video, in seconds; by default the whole.
        faces: file of known faces, see `building.faces`; None looks for them.
        speaking: what tells who speaks: ``baseline``, or the run or checkpoint of a model that was trained for it.
        narrow: align only so many subtitles, those that fit best by global cues; None aligns all.
        language: of subtitle files; the matcher's only one if None.
        keep: folder for the index of subtitle files, which is made there or found; None makes it anew.
        track: called with what is done, how much of it, and how much there is.

    Raises:
        FileNotFoundError: no such model, video, pool or file of faces.
        ValueError: no face, no sound, several speakers, nobody who speaks; an empty pool, a language without a voice,
            an index by another model; the message names the fix.
        ImportError: an extra that is needed is not installed.
    """
    if top < 1 or (narrow is not None and narrow < 1):
        raise ValueError(f"top is {top}, and narrow {narrow}: both must be 1 or more")
    with opened(model, pool, keep=keep, language=language, narrow=narrow, track=track) as search:
        return search.match(
            video,
            lambda found: found.order[:top].tolist(),
            start=start,
            end=end,
            faces=faces,
            speaking=speaking,
            narrow=narrow,
        )


def save(found: Match, out: str | Path, *, track: Track = no_track) -> list[Path]:
    """Write match.json and report.html into the folder `out`, each of them whole or not at all.

    The report holds the clip, made small, and how the first candidates would say it: it needs no other file.

    Raises:
        OSError: the folder cannot be made or written to.
        ValueError: the video can no longer be read.
    """
    out = Path(out)
    writable(out)
    heard = found.candidates[:HEARD]
    track("report", 0, 1 + len(heard))
    clip = encode_for_page(found.video, found.start, found.end)
    speech = []
    for number, one in enumerate(heard, start=1):
        track("report", number, 1 + len(heard))
        speech.append(encode_sound(dub(one.speech, one.spoken, one.fit, found.duration)))
    contents = {JSON: found.to_json(), REPORT: render(found, clip=clip, sound=True, speech=speech)}
    for name, content in contents.items():
        write_whole(out / name, content.encode())
    track("report", 1 + len(heard), 1 + len(heard))
    return [out / name for name in contents]


@click.command()
@clip_options
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="How many subtitles are shown.")
def command(video: Path, model: str, pool: tuple[Path, ...], out: Path, as_json: bool, **asked: Any) -> None:
    """Find the subtitle that is said in VIDEO: match.json, and report.html that plays it.

    A pool of subtitle files is indexed into OUT/pool, where the next call finds it.
    """
    writable(out)
    with progress("subtitles") as bar:
        track = tracker(bar, speaking="sentences", clip="steps", report="steps")
        found = match(model, video, pool, **asked, keep=out / POOL, track=track)
        files = save(found, out, track=track)
    show(found, as_json=as_json)
    err.print(f"{files[0]}, {files[1].name}")


def show(found: Match, *, as_json: bool = False) -> None:
    """Print the candidates with their places under each cue, and what there is to know beside."""
    for note in found.remarks:
        err.print(f"note: {note}", style="yellow")
    if found.aligned < found.subtitles:
        lost = (
            "nobody measured what that loses"
            if found.loss is None
            else f"on validation clips that loses {found.loss:.1%}"
        )
        err.print(f"narrowed to {found.aligned} of {found.subtitles} subtitles: {lost}")
    cues = [name for name in found.candidates[0].ranks if name != FUSION]
    rows = [
        (
            each.ranks[FUSION],
            each.id,
            *(each.ranks[name] for name in cues),
            each.costs[FUSION],
            each.beginning,
        )
        for each in found.candidates
    ]
    print_table(Path(found.video).name, ("#", "subtitle", *cues, "cost", "text"), rows, as_json=as_json)
    err.print(", ".join(f"{name} {seconds:.1f} s" for name, seconds in found.seconds.items()))

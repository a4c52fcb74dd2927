"""`weaksync regenerate`: another subtitle for a clip, the best that is not its own, as SRT and as a dubbed video."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import click
import numpy as np
import pysubs2

from ..datamodules.files import safe_id, write_whole
from ..datamodules.waveforms import Samples, read_sound
from ..zoo.matcher import Matcher
from .building.speaking import BASELINE
from .console import Track, err, no_track, print_table, progress, tracker
from .matching.clip_options import clip_options
from .matching.dubbing import RATE, Background, dub, encode_clip, encode_for_page, encode_sound, mixed, voiced
from .matching.matches import Candidate, Match
from .matching.pool import Subtitle, SubtitleIndex
from .matching.ranking import FUSION, Ranking
from .matching.searching import POOL, opened
from .report.match_page import render
from .runs import writable

JSON, SRT, VIDEO, REPORT = "regenerated.json", "regenerated.srt", "dubbed.mp4", "report.html"


@dataclass(eq=False)
class Regenerated:
    """A clip with another subtitle.

    Attributes:
        match: the clip with the subtitle that was chosen, and after it its own where the pool has it.  Places count
            from 0, as in Figure 7 of Video2Subtitle.
        own: whether the pool has the clip's own subtitle.
        background: whether the original sound is kept behind the new speech.
        sound: of the clip, (S,) int16 at 48 kHz, with the new speech.
    """

    match: Match
    own: bool
    background: Background
    sound: Samples

    @property
    def chosen(self) -> Candidate:
        return self.match.candidates[0]

    def to_json(self) -> str:
        """As `Match.to_json`, with the part that each candidate plays."""
        roles = _roles(self)
        document = json.loads(self.match.to_json())
        document |= {"format": "weaksync.regenerated", "background": self.background}
        document["candidates"] = [{**each, "role": roles[each["id"]]} for each in document["candidates"]]
        return json.dumps(document, ensure_ascii=False, allow_nan=False)

    def to_srt(self) -> str:
        """The subtitle at its new times, in seconds of the clip."""
        file = pysubs2.SSAFile()
        for text, (start, end) in zip(self.chosen.sentences, self.chosen.fit.spans, strict=True):
            file.append(pysubs2.SSAEvent(round(start * 1000), round(end * 1000), text))
        return file.to_string("srt")


def regenerate(
    model: Matcher | str | Path,
    video: str | Path,
    pool: SubtitleIndex | str | Path | Sequence[str | Path],
    *,
    original: Sequence[str] = (),
    background: Background = "keep",
    start: float = 0.0,
    end: float | None = None,
    faces: str | Path | None = None,
    speaking: str = BASELINE,
    narrow: int | None = None,
    language: str | None = None,
    keep: str | Path | None = None,
    track: Track = no_track,
) -> Regenerated:
    """Find another subtitle for a clip, and say it there.

    The sentences are placed by the alignment, drawn in to where the face speaks, and said faster or slower to fit.

    Args:
        original: ids of the clip's own subtitle in the pool; by default those that are named after the video.  What
            says the same is not taken either.
        background: ``keep`` has the original sound behind the new speech, 20 dB quieter wherever a voice is heard in
            either; ``drop`` leaves the new speech alone.
        model, video, pool, start, end, faces, speaking, narrow, language, keep, track: as in `match`.

    Raises:
        ValueError: an `original` that the pool has not, or a pool with no other subtitle; and as `match`.
        FileNotFoundError, ImportError: as `match`.
    """
    with opened(model, pool, keep=keep, language=language, narrow=narrow, track=track) as search:
        own = _own(search.index, Path(video), original)
        found = search.match(
            video,
            partial(_chosen, search.index, own),
            also=own,
            start=start,
            end=end,
            faces=faces,
            speaking=speaking,
            narrow=narrow,
        )
    notes = [] if own else ["the pool has no subtitle that is known to be the clip's own: the best was taken"]
    made = replace(found, candidates=[_from_zero(each) for each in found.candidates], notes=notes)
    return Regenerated(made, bool(own), background, _sound(made, background))


def _own(searched: SubtitleIndex, video: Path, original: Sequence[str]) -> list[int]:
    """Columns of the clip's own subtitle: as named, or named after the video, and all that say the same."""
    if unknown := [name for name in original if name not in searched.columns]:
        raise ValueError(f"{searched.folder} has no subtitle {', '.join(unknown)}")
    own = [searched.columns[name] for name in original]
    own = own or [column for column, each in enumerate(searched.subtitles) if _named_after(video, each)]
    said = {_plain(searched.subtitles[column].text) for column in own}
    return own + [
        column for column, each in enumerate(searched.subtitles) if column not in own and _plain(each.text) in said
    ]


def _named_after(video: Path, subtitle: Subtitle) -> bool:
    """Whether a subtitle, or the part of one, is of a file or a clip that is called like a video."""
    stem, language = video.stem, subtitle.language
    names = {safe_id(stem), safe_id(f"{stem}.{language}"), f"{language}_{safe_id(stem)}"}
    return bool({subtitle.id, re.sub(r"_\d{4}$", "", subtitle.id)} & names)


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def _chosen(searched: SubtitleIndex, own: list[int], found: Ranking) -> list[int]:
    """Rows of the ranking: the best that is not the clip's own, and the best of its own."""
    order = found.order.tolist()
    others = [row for row in order if int(found.columns[row]) not in own]
    if not others:
        raise ValueError(f"{searched.folder} has no subtitle but the clip's own: a larger pool has others")
    return [others[0], *[row for row in order if int(found.columns[row]) in own][:1]]


def _from_zero(one: Candidate) -> Candidate:
    return replace(one, ranks={cue: place - 1 for cue, place in one.ranks.items()})


def _sound(made: Match, background: Background) -> Samples:
    best = made.candidates[0]
    speech = dub(best.speech, best.spoken, best.fit, made.duration)
    if background == "drop":
        return speech
    heard = read_sound(made.video, RATE, start=made.start, seconds=made.duration)
    return mixed(heard, speech, [*voiced(heard), *best.fit.spans])


def _roles(made: Regenerated) -> dict[str, str]:
    return {each.id: role for each, role in zip(made.match.candidates, ("re-generated", "original"), strict=False)}


def save(made: Regenerated, out: str | Path, *, track: Track = no_track) -> list[Path]:
    """Write regenerated.json and .srt, dubbed.mp4 and report.html into a folder, each of them whole or not at all.

    Raises:
        OSError: the folder cannot be made or written to.
        ValueError: the video can no longer be read.
    """
    out, found = Path(out), made.match
    writable(out)
    track("writing", 0, 2)
    encode_clip(found.video, found.start, found.end, made.sound, target=out / VIDEO)
    track("writing", 1, 2)
    clip = encode_for_page(found.video, found.start, found.end)
    speech = [encode_sound(made.sound)]
    for other in found.candidates[1:]:
        speech.append(encode_sound(dub(other.speech, other.spoken, other.fit, found.duration)))
    page = render(
        found, clip=clip, sound=True, speech=speech, kind="re-generated subtitle", origin=0, roles=_roles(made)
    )
    contents = {JSON: made.to_json(), SRT: made.to_srt(), REPORT: page}
    for name, content in contents.items():
        write_whole(out / name, content.encode())
    track("writing", 2, 2)
    return [out / VIDEO, *(out / name for name in contents)]


@click.command()
@clip_options
@click.option("--original", multiple=True, metavar="ID", help="The clip's own in the pool.  [default: by name]")
@click.option("--background", type=click.Choice(get_args(Background)), default="keep", show_default=True,
              help="Keep the original sound, 20 dB quieter wherever a voice is heard, or drop it.")  # fmt: skip
def command(video: Path, model: str, pool: tuple[Path, ...], out: Path, as_json: bool, **asked: Any) -> None:
    """Give VIDEO another subtitle: dubbed.mp4, regenerated.srt, regenerated.json and report.html.

    It is the one of the pool that fits best and is not the clip's own.  Places count from 0.
    """
    writable(out)
    with progress("subtitles") as bar:
        track = tracker(bar, speaking="sentences", clip="steps", writing="steps")
        made = regenerate(model, video, pool, **asked, keep=out / POOL, track=track)
        files = save(made, out, track=track)
    for note in made.match.remarks:
        err.print(f"note: {note}", style="yellow")
    show(made, as_json=as_json)
    err.print(", ".join([str(files[0]), *(path.name for path in files[1:])]))


def show(made: Regenerated, *, as_json: bool = False) -> None:
    """Print both subtitles with their places, as Figure 7 does."""
    cues = [name for name in made.chosen.ranks if name != FUSION]
    rows: list[tuple[Any, ...]] = [
        (role, each.id, *(each.ranks[name] for name in (*cues, FUSION)), each.beginning)
        for each, role in reversed([*zip(made.match.candidates, ("re-generated", "original"), strict=False)])
    ]
    print_table(Path(made.match.video).name, ("", "subtitle", *cues, FUSION, "text"), rows, as_json=as_json)
    err.print("places count from 0, as in the paper's Figure 7", highlight=False)
    if (fastest := float(np.max(made.chosen.fit.rates))) > 1.25:
        err.print(f"a sentence is said {fastest:.2f} times as fast as it was spoken", highlight=False)

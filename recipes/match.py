"""`weaksync match`: which subtitle of a pool was said in a clip, as JSON and a report that plays it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from ..datamodules.waveforms import read_sound
from ..zoo.matcher import Matcher
from .align import writable
from .candidates import candidate, speaking_of, variants
from .checkpointing import replace
from .clip_options import clip_options
from .console import Track, err, print_table, progress, tracker
from .dubbing import RATE, dub, encode_clip, encode_sound
from .index import index, load_matcher
from .matches import Match
from .narrowing import Narrowing, expected_loss
from .pool_index import SubtitleIndex, is_index, open_index
from .query import find_clip
from .ranking import FUSION, rank
from .report.match_page import render
from .speaking import BASELINE, choose

JSON, REPORT, POOL = "match.json", "report.html", "pool"
#: the first candidates can be heard in the report, at a seventh of a megabyte each
HEARD = 3
#: letters of a subtitle that the table shows
TEXT = 70
#: of the clip in the report
SHORT_SIDE, CRF = 360, 27


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
    track: Track | None = None,
) -> Match:
    """Find the subtitles of a pool that fit a clip best.

    Args:
        model: a matcher, its folder, the folder of the run that trained it, or ``hf://org/repo``.
        video: any file that FFmpeg reads, with sound.
        pool: an index of `weaksync index`, open or its folder; or subtitle files, folders of them, or sets of speech.
        top: how many candidates are given.
        start, end: of the clip in the video, in seconds; by default the whole.
        faces: file of known faces, see `recipes.faces`; None looks for them.
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
    tell = track or (lambda what, done, total: None)
    if top < 1 or (narrow is not None and narrow < 1):
        raise ValueError(f"top is {top}, and narrow {narrow}: both must be 1 or more")
    matcher, name = load_matcher(model), "a matcher in memory" if isinstance(model, Matcher) else str(model)
    with opened(matcher, pool, keep, language, tell, search=narrow is not None) as searched:
        narrowing = Narrowing(searched) if narrow is not None and narrow < len(searched) else None
        seconds: dict[str, float] = {}
        tell("clip", 0, 2)
        begun = time.perf_counter()
        with find_clip(
            video,
            start=start,
            end=end,
            faces=faces,
            score=choose(speaking),
            size=matcher.syncnet.config.image_size,
            device=str(matcher.device),
        ) as query:
            tell("clip", 1, 2)
            seconds["finding the face"] = time.perf_counter() - begun
            begun = time.perf_counter()
            clip = query.encode(matcher)
            tell("clip", 2, 2)
        seconds["encoding the clip"] = time.perf_counter() - begun
        begun = time.perf_counter()
        found = rank(
            matcher,
            clip,
            searched,
            narrowing=narrowing,
            keep=narrow or 0,
            track=lambda done, total: tell("aligning", done, total),
        )
        seconds["searching the pool"] = time.perf_counter() - begun
        candidates = [candidate(matcher, clip, query, searched, found, row) for row in found.order[:top].tolist()]
        return Match(
            video=str(video),
            start=query.record.start,
            end=query.record.end,
            model=name,
            pool=str(searched.folder),
            subtitles=len(searched),
            aligned=len(found.columns),
            loss=expected_loss(matcher.kept_recall, len(found.columns) / len(searched)) if narrowing else None,
            weights=matcher.weights,
            candidates=candidates,
            speaking=speaking_of(query),
            variants=variants(matcher, clip, searched, int(found.columns[found.order[0]])),
            seconds=seconds,
        )


def save(found: Match, out: str | Path, *, track: Track | None = None) -> list[Path]:
    """Write match.json and report.html into the folder `out`, each of them whole or not at all.

    The report holds the clip, made small, and how the first candidates would say it: it needs no other file.

    Raises:
        OSError: the folder cannot be made or written to.
        ValueError: the video can no longer be read.
    """
    tell = track or (lambda what, done, total: None)
    out = Path(out)
    writable(out)
    heard = found.candidates[:HEARD]
    tell("report", 0, 1 + len(heard))
    sound = read_sound(found.video, RATE, start=found.start, seconds=found.duration)
    clip = encode_clip(found.video, found.start, found.end, sound, short_side=SHORT_SIDE, crf=CRF)
    speech = []
    for number, one in enumerate(heard, start=1):
        tell("report", number, 1 + len(heard))
        speech.append(encode_sound(dub(one.speech, one.spoken, one.fit, found.duration)))
    contents = {JSON: found.to_json(), REPORT: render(found, clip=clip, sound=True, speech=speech)}
    for name, content in contents.items():
        replace(out / name, content.encode())
    tell("report", 1 + len(heard), 1 + len(heard))
    return [out / name for name in contents]


@contextmanager
def opened(
    matcher: Matcher,
    pool: SubtitleIndex | str | Path | Sequence[str | Path],
    keep: str | Path | None,
    language: str | None,
    tell: Track,
    *,
    search: bool,
) -> Iterator[SubtitleIndex]:
    """The index of a pool: open, of a folder, or made of subtitles, and removed again where nobody wants to keep it.

    One that is made can be narrowed where `search` says so.

    Raises as `weaksync.recipes.index.index`, and ValueError where another model made it.
    """
    if isinstance(pool, SubtitleIndex):
        pool.check(matcher)
        yield pool
        return
    pools = [Path(pool)] if isinstance(pool, str | Path) else [Path(each) for each in pool]
    if len(pools) == 1 and is_index(pools[0]):
        found = open_index(pools[0])
        found.check(matcher)
        yield found
    elif keep is not None:
        yield index(matcher, pools, keep, language=language, search=search, track=tell)
    else:
        with tempfile.TemporaryDirectory(prefix="weaksync-") as folder:
            yield index(matcher, pools, folder, language=language, search=search, track=tell)


@click.command()
@clip_options
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="How many subtitles are shown.")
def command(
    video: Path,
    model: str,
    pool: tuple[Path, ...],
    out: Path,
    top: int,
    start: float,
    end: float | None,
    faces: Path | None,
    speaking: str,
    narrow: int | None,
    language: str | None,
    as_json: bool,
) -> None:
    """Find the subtitle that is said in VIDEO: match.json, and report.html that plays it.

    A pool of subtitle files is indexed first, into OUT/pool, where the next call finds it.
    """
    writable(out)
    with progress("subtitles") as bar:
        track = tracker(bar)
        found = match(
            model,
            video,
            pool,
            top=top,
            start=start,
            end=end,
            faces=faces,
            speaking=speaking,
            narrow=narrow,
            language=language,
            keep=out / POOL,
            track=track,
        )
        files = save(found, out, track=track)
    show(found, as_json=as_json)
    err.print(f"{files[0]}, {files[1].name}")


def show(found: Match, *, as_json: bool = False) -> None:
    """Print the candidates with their places under each cue, and what there is to know beside."""
    for note in found.notes:
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
            shortened(each.sentences),
        )
        for each in found.candidates
    ]
    print_table(Path(found.video).name, ("#", "subtitle", *cues, "cost", "text"), rows, as_json=as_json)
    err.print(", ".join(f"{name} {seconds:.1f} s" for name, seconds in found.seconds.items()))


def shortened(sentences: Sequence[str]) -> str:
    """What a table shows of a subtitle."""
    text = " ".join(sentences)
    return text if len(text) <= TEXT else f"{text[: TEXT - 1]}…"

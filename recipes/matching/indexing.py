"""A pool of subtitles to an index: spoken, and encoded by a matcher."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...datamodules.captions import Cut
from ...datamodules.files import whole_file
from ...datamodules.groups import Grouping
from ...datamodules.index import ShardSet
from ...datamodules.languages import short_code
from ...datamodules.manifest import MANIFEST
from ...datamodules.speech import Espeak
from ...datamodules.speech_set import cue_spans, open_speech, read_speech, subtitle_files, write_speech
from ...zoo.matcher import Matcher, Voice
from ...zoo.speech import Vits
from ..console import Track, err, no_track
from ..data.speech import ESPEAK, MMS, synthesizer
from ..runs import source_of
from .narrowing import write_search
from .pool import (
    INDEX,
    SEARCH,
    STEPS,
    SUBTITLES,
    PoolInfo,
    Source,
    Subtitle,
    SubtitleIndex,
    is_index,
    open_index,
    write_array,
)

#: part of the name of a pool's speech: raise it where other sentences would now be made of the same files
READING = 2
#: subtitles that are kept together on the way
TOGETHER = 32


def index(
    model: Matcher | str | Path,
    pool: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    language: str | None = None,
    split: str | None = None,
    cut: Cut = "auto",
    whole: bool = False,
    search: bool = False,
    track: Track = no_track,
) -> SubtitleIndex:
    """Make an index of a pool, or go on with one that was stopped; one that is whole is opened.

    Args:
        model: a matcher, its folder, the folder of the run that trained it, or ``hf://org/repo``.
        pool: subtitle files, folders of them, or sets of speech.  Each file is one subtitle, or those of the groups of
            15 to 30 s that it is divided into, and is spoken in the matcher's voice into a folder of `out`.
        out: folder of the index.
        language: code, of subtitle files; the matcher's only one if None.
        split: of sets of speech; None takes all of each.
        cut: where sentences of files end, as in `captions.sentences`.
        whole: take each file as one subtitle, however long it is.
        search: also prepare narrowing by global cues, which needs the extra ``search``.
        track: called with what is done, how much of it, and how much there is.

    Raises:
        FileNotFoundError: no such model or pool, or a folder without subtitles.
        ValueError: an empty pool, two subtitles of one id, a language without a voice, speech in another voice, or an
            `out` that holds the index of another model or pool.
    """
    matcher = load_matcher(model)
    pools = [Path(pool)] if isinstance(pool, str | Path) else [Path(each) for each in pool]
    if not pools:
        raise ValueError("the pool is empty: name subtitle files, or folders of them")
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    sets = [_speech(matcher, each, out, language, cut, None if whole else Grouping(), track) for each in pools]
    parts = [(shards, name) for shards in sets for name in ([split] if split is not None else shards.splits)]
    sources = [_source(out, shards, name) for shards, name in parts]
    if is_index(out):
        found = open_index(out)
        if found.info.sources != sources:
            raise ValueError(f"{out} holds an index of another pool: name another --out, or remove it")
        found.check(matcher)
    else:
        _make(matcher, str(model) if isinstance(model, str | Path) else "", parts, sources, out, track)
        found = open_index(out)
    if search and not (out / SEARCH).is_file():
        write_search(found, lambda done, total: track("search", done, total))
    return found


def load_matcher(model: Matcher | str | Path) -> Matcher:
    """A matcher on the GPU where there is one: itself, or out of a folder, a run, or ``hf://org/repo``.

    Raises FileNotFoundError where there is none, ValueError where it is something else, or a run that has not ended.
    """
    if not isinstance(model, Matcher):
        model = Matcher.from_pretrained(source_of(model))
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def speaker(voice: Voice) -> Espeak | Vits:
    """What speaks in a matcher's voice."""
    return synthesizer(voice.model, voice.name, voice.rate, "cuda" if torch.cuda.is_available() else "cpu")


def voice_of(shards: ShardSet) -> Voice:
    """The voice in which a set of speech is spoken; one that only its maker has goes by the name of its producer."""
    origin, settings = shards.manifest.origin, shards.manifest.settings
    producer, name, rate = origin.producer if origin else "", str(settings["voice"]), float(settings["rate"])
    if producer.startswith("espeak-ng "):
        return Voice(ESPEAK, name, None if rate == Espeak.rate else rate)
    if producer.startswith("vits ") and producer.endswith(" speaker 0 seed 0"):
        return Voice(name or MMS, "", None if rate == Vits.rate else rate)
    return Voice(f"{producer} {name}".strip(), "", rate)


def pool_language(matcher: Matcher, language: str | None, what: object) -> str:
    """The language of subtitles: as the matcher calls the one that is named, or its only one.

    ``EN`` and ``en-us`` are ``en`` to a matcher that was trained for it; what it was not trained for keeps its name.

    Raises ValueError where nothing tells.
    """
    if language is not None:
        return next((known for known in matcher.languages if known == short_code(language)), language)
    if len(matcher.languages) == 1:
        return matcher.languages[0]
    known = f"one of {', '.join(matcher.languages)}" if matcher.languages else "such as en"
    raise ValueError(f"which language are the subtitles of {what} in? Give --language, {known}")


def check_pool(matcher: Matcher, pool: Path, language: str | None) -> tuple[str, Espeak | Vits] | None:
    """The language of a pool's subtitles and what speaks them; None for a set of speech, in the matcher's voice.

    Raises FileNotFoundError and ValueError as `index`, before anything is spoken.
    """
    if (pool / MANIFEST).is_file():
        _check_voice(matcher, open_speech(pool))
        return None
    subtitle_files(pool)
    code, synthesize = pool_language(matcher, language, pool), speaker(matcher.voice)
    synthesize.voice_for(code)  # raises where there is none
    return code, synthesize


def _speech(
    matcher: Matcher, pool: Path, out: Path, language: str | None, cut: Cut, grouping: Grouping | None, track: Track
) -> ShardSet:
    """The set of speech of a pool; subtitles are spoken into the folder of the index, once."""
    if (spoken := check_pool(matcher, pool, language)) is None:
        return open_speech(pool)
    code, synthesize = spoken
    settings = [READING, asdict(matcher.voice), synthesize.producer, code, cut, asdict(grouping) if grouping else None]
    whole = hashlib.sha256(json.dumps(settings).encode())
    for path in subtitle_files(pool):
        whole.update(f"{path.name}\n".encode() + path.read_bytes())
    folder = out / f"speech-{whole.hexdigest()[:12]}"
    if not (folder / MANIFEST).is_file():
        report = write_speech(
            folder,
            pool,
            synthesize,
            language=code,
            cut=cut,
            grouping=grouping,
            progress=lambda done, total: track("speaking", done, total),
        )
        for file, reason in report.left_out.items():
            err.print(f"left out: {file}: {reason}", highlight=False, markup=False, soft_wrap=True)
    return open_speech(folder)


def _check_voice(matcher: Matcher, shards: ShardSet) -> None:
    """A front end that was trained on one voice is asked about that voice."""
    if voice_of(shards) == matcher.voice:
        return
    synthesize = speaker(matcher.voice)
    settings, origin = shards.manifest.settings, shards.manifest.origin
    found = (str(origin and origin.producer).split()[0], settings.get("voice"), settings.get("rate"))
    wanted = (synthesize.producer.split()[0], synthesize.voice, synthesize.rate)
    if found != wanted:
        voice = f"{wanted[0]}, voice {wanted[1] or 'of the language'}, rate {wanted[2]:g}"
        raise ValueError(
            f"{shards.folder} is spoken by {found[0]}, voice {found[1] or 'of the language'}, rate {found[2]:g}, and "
            f"the model was made for {voice}: speak it again with weaksync data speech, or name the subtitle files"
        )


def _source(out: Path, shards: ShardSet, split: str) -> Source:
    shards.split(split)  # raises where there is none
    folder, base = shards.folder.resolve(), out.resolve()
    inside = folder.is_relative_to(base)
    origin = shards.manifest.origin
    return Source(
        (folder.relative_to(base) if inside else folder).as_posix(),
        split,
        shards.fingerprint(split),
        origin.producer if origin else "",
    )


def _make(
    matcher: Matcher,
    name: str,
    parts: list[tuple[ShardSet, str]],
    sources: list[Source],
    out: Path,
    track: Track,
) -> None:
    texts = [
        (number, shards, entry.id) for number, (shards, split) in enumerate(parts) for entry in shards.split(split)
    ]
    _check_ids(parts, texts)
    work = out / f".work-{_digest(matcher, sources)}"
    for other in out.glob(".work-*"):
        if other != work:
            shutil.rmtree(other)
    work.mkdir(exist_ok=True)
    left_out: dict[str, str] = {}
    subtitles: list[tuple[Subtitle, int, int]] = []  # with the file that holds it, and the row in that
    for first in range(0, len(texts), TOGETHER):
        track("encoding", first, len(texts))
        number = first // TOGETHER
        path = work / f"{number:06d}.json"
        if not path.is_file():
            _encode(matcher, texts[first : first + TOGETHER], path)
        kept = json.loads(path.read_text(encoding="utf-8"))
        left_out |= kept["left_out"]
        subtitles += [(Subtitle.from_dict(each), number, row) for row, each in enumerate(kept["subtitles"])]
    track("encoding", len(texts), len(texts))
    if not subtitles:
        text, reason = next(iter(left_out.items()), ("", "there are none"))
        raise ValueError(f"none of {len(texts)} subtitles can be put into an index; {text}: {reason}")
    subtitles.sort(key=lambda each: (each[0].steps, each[0].id))
    _pack(matcher, name, subtitles, sources, left_out, work, out)
    shutil.rmtree(work)


def _check_ids(parts: list[tuple[ShardSet, str]], texts: list[tuple[int, ShardSet, str]]) -> None:
    if not texts:
        raise ValueError(
            f"the pool is empty: there is no subtitle in {', '.join(str(each.folder) for each, _ in parts)}"
        )
    seen: dict[str, Path] = {}
    for _, shards, text in texts:
        if text in seen:
            raise ValueError(f"{seen[text]} and {shards.folder} both have a subtitle {text!r}: rename one of them")
        seen[text] = shards.folder


def _digest(matcher: Matcher, sources: list[Source]) -> str:
    what = [matcher.fingerprint, [asdict(source) for source in sources]]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:12]


def _encode(matcher: Matcher, texts: list[tuple[int, ShardSet, str]], path: Path) -> None:
    """Encode some subtitles into files beside each other; the one at `path` is written last."""
    subtitles, codes, left_out = [], [], {}
    for source, shards, text in texts:
        record, speech = shards.record(text), read_speech(shards, text)
        spans = tuple((start, end) for start, end in cue_spans(shards, text).tolist())
        sentences = tuple(sentence.text for sentence in record.sentences)
        try:
            code = matcher.encode_text(" ".join(sentences), speech.waveform)
        except ValueError as fault:
            left_out[text] = str(fault)
            continue
        codes.append(code)
        seconds, steps = round(speech.duration, 4), len(code.steps)
        subtitles.append(Subtitle(text, record.language, sentences, spans, seconds, steps, source))
    if codes:
        arrays = {STEPS: torch.cat([code.steps for code in codes])}
        arrays |= {f"{name}.npy": torch.stack([code.cues[name] for code in codes]) for name in matcher.cues}
        for name, array in arrays.items():
            with whole_file(path.with_name(f"{path.stem}.{name}")) as file:
                np.save(file, array.numpy(), allow_pickle=False)
    kept = {"subtitles": [each.to_dict() for each in subtitles], "left_out": left_out}
    with whole_file(path) as file:
        file.write(json.dumps(kept, ensure_ascii=False).encode())


def _pack(
    matcher: Matcher,
    model: str,
    subtitles: list[tuple[Subtitle, int, int]],
    sources: list[Source],
    left_out: dict[str, str],
    work: Path,
    out: Path,
) -> None:
    """Join what was encoded, in the order given; index.json comes last."""
    ends: dict[int, list[int]] = {}  # of the steps of each file's subtitles
    for subtitle, number, _ in sorted(subtitles, key=lambda each: each[1:]):
        ends.setdefault(number, [0]).append(ends.get(number, [0])[-1] + subtitle.steps)
    total = sum(subtitle.steps for subtitle, _, _ in subtitles)
    cues = {name: cue.gsm.config.embed_dim for name, cue in matcher.cues.items()}

    def mapped(number: int, name: str) -> Any:
        return np.load(work / f"{number:06d}.{name}", mmap_mode="r", allow_pickle=False)

    def steps() -> Iterator[Any]:
        for _, number, row in subtitles:
            yield mapped(number, STEPS)[ends[number][row] : ends[number][row + 1]]

    write_array(out / STEPS, (total, matcher.dim), steps())
    for name, width in cues.items():
        rows = (mapped(number, f"{name}.npy")[row : row + 1] for _, number, row in subtitles)
        write_array(out / f"{name}.npy", (len(subtitles), width), rows)
    with whole_file(out / SUBTITLES) as file:
        for subtitle, _, _ in subtitles:
            file.write(json.dumps(subtitle.to_dict(), ensure_ascii=False).encode() + b"\n")
    (out / SEARCH).unlink(missing_ok=True)
    languages = Counter(subtitle.language for subtitle, _, _ in subtitles)
    info = PoolInfo(
        fingerprint=matcher.fingerprint,
        model=model,
        dim=matcher.dim,
        cues=cues,
        subtitles=len(subtitles),
        steps=total,
        seconds=round(sum(subtitle.seconds for subtitle, _, _ in subtitles), 3),
        languages=dict(sorted(languages.items())),
        sources=sources,
        sizes={name: (out / name).stat().st_size for name in (STEPS, SUBTITLES, *(f"{cue}.npy" for cue in cues))},
        left_out=left_out,
    )
    with whole_file(out / INDEX) as file:
        file.write(info.to_json().encode())

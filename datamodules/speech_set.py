"""Sets of speech: subtitle files as a synthesiser speaks them, kept with all their times.

Such a set is derived: its manifest says of which texts and by whose voice it was made.  Each subtitle file is a text
record (its sentences, with the seconds at which the file shows them) and beside it ``flac``, the speech at 16 kHz, and
``speech.json``, when in it every sentence, word and phoneme is spoken.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from . import captions
from .batches import SPEECH_RATE, Phoneme, Speech, Synthesize, Word
from .captions import Cut
from .index import ShardSet, open_set
from .records import AnnotatedVideo, Sentence
from .shards import MANIFEST, Origin, pack, whole_file, write_record
from .waveforms import decode_flac, encode_flac

SPEECH = "speech"
SPLIT = "pool"
SUFFIXES = (".srt", ".vtt", ".ass", ".ssa", ".sub")
_WAVE, _TIMES = "flac", "speech.json"


@dataclass
class Report:
    """What became of some subtitle files.

    Attributes:
        files: that are in the set.
        sentences: in them.
        distinct: sentences of different wording, each spoken once.
        resumed: of these, how many an earlier call had spoken.
        seconds: of speech in the set.
        shown: seconds for which the files show these sentences; over `seconds` it is how much slower people speak.
        left_out: file -> why it is not in the set.
    """

    files: int = 0
    sentences: int = 0
    distinct: int = 0
    resumed: int = 0
    seconds: float = 0.0
    shown: float = 0.0
    left_out: dict[str, str] = field(default_factory=dict)


def subtitle_files(source: Path) -> list[Path]:
    """The subtitle files under a folder, in order, or the one file.  Raises FileNotFoundError where there is none."""
    if source.is_file():
        return [source]
    found = sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        what = f"no subtitles ({', '.join(SUFFIXES)}) in {source}" if source.is_dir() else f"no such file: {source}"
        raise FileNotFoundError(what)
    return found


def write_speech(
    folder: str | Path,
    subtitles: str | Path,
    synthesize: Synthesize,
    *,
    language: str,
    cut: Cut = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Speak subtitle files into a set.

    The same sentence is spoken once.  What was spoken is kept beside the set until that is whole, by text, voice and
    rate, so that a call which was stopped goes on.

    Args:
        folder: of the set; made if need be, must not hold one.
        subtitles: a file, or a folder that is looked through.
        synthesize: what speaks.
        language: of the texts.
        cut: where sentences end, as in `captions.sentences`.
        progress: called with (sentences spoken, sentences of different wording).

    Raises:
        FileNotFoundError: there are no subtitles.
        ValueError: `folder` holds a set, two files share a name, no file can be spoken, or there is no such voice.
    """
    folder, subtitles = Path(folder), Path(subtitles)
    if (folder / MANIFEST).exists():
        raise ValueError(f"{folder} holds a shard set already; choose another folder, or remove that set first")
    report = Report()
    records = _records(subtitle_files(subtitles), language, cut, report)
    texts = list(dict.fromkeys(sentence.text for record in records for sentence in record.sentences))
    report.distinct = len(texts)
    kept = folder / ".speech"
    kept.mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(texts):
        if progress:
            progress(number, len(texts))
        place = _place(kept, synthesize, language, text)
        if place.with_suffix(".json").exists():
            report.resumed += 1
        else:
            _keep(place, synthesize(text, language=language))
    if progress:
        progress(len(texts), len(texts))
    parts = []
    for record in records:
        speech = Speech.join([_kept(_place(kept, synthesize, language, one.text)) for one in record.sentences])
        record.duration = speech.duration
        _tally(report, record)
        members = {_WAVE: encode_flac(speech.waveform.numpy(), SPEECH_RATE), _TIMES: _times(speech)}
        parts.append(kept / f"{record.id}.tar")
        write_record(parts[-1], record.to_dict(), members)
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    settings: dict[str, Any] = {"language": language, "voice": synthesize.voice, "rate": synthesize.rate, "cut": cut}
    settings["sentences"] = {language: {"sentences": report.sentences, "minutes": round(report.seconds / 60, 3)}}
    pack(folder, {SPLIT: parts}, settings, origin=Origin(SPEECH, str(subtitles), {SPLIT: digest}, synthesize.producer))
    shutil.rmtree(kept)
    return report


def open_speech(folder: str | Path) -> ShardSet:
    """Open a set of speech.  Raises FileNotFoundError where there is none, ValueError where it is another kind."""
    shards = open_set(folder)
    if shards.manifest.origin is None or shards.manifest.origin.kind != SPEECH:
        raise ValueError(f"{folder} holds no speech: make it with `weaksync data speech`")
    return shards


def spoken(shards: ShardSet, text: str) -> Speech:
    """The speech of one subtitle file, by its id.

    Raises:
        ValueError: there is no such text in the set.
        BadSample: its sound or its times cannot be read.
    """
    if text not in shards.entries:
        raise ValueError(f"{shards.folder} has no speech of {text!r}")
    members = shards.read(text, None)
    try:
        samples, _ = decode_flac(members[_WAVE])
        return _speech(samples, json.loads(members[_TIMES]))
    except (KeyError, TypeError, ValueError) as fault:
        raise shards.bad(text, None, _TIMES, f"no speech that can be read ({fault})") from fault


def _records(files: Sequence[Path], language: str, cut: Cut, report: Report) -> list[AnnotatedVideo]:
    records: dict[str, AnnotatedVideo] = {}
    for path in files:
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", path.stem)
        if name in records:
            raise ValueError(f"{path} and {records[name].url} would both be {name!r}: rename one of them")
        notes: list[str] = []
        try:
            read = captions.read(path, language=language, notes=notes)
            sentences = captions.sentences(read, language, cut=cut, notes=notes)
        except ValueError as fault:
            report.left_out[str(path)] = str(fault)
            continue
        said = [sentence for sentence in sentences if any(letter.isalnum() for letter in sentence.text)]
        if len(said) < len(sentences):
            notes.append(f"{len(sentences) - len(said)} captions without a word are left out")
        if not said:
            report.left_out[str(path)] = "there is nothing to say in it"
            continue
        own = [Sentence(sentence.text, narration=sentence.narration) for sentence in said]
        records[name] = AnnotatedVideo(name, str(path), 0.0, own, language=language, annotated=False, notes=notes)
    if not records:
        first = next(iter(report.left_out.items()))
        raise ValueError(f"none of {len(files)} subtitle files can be spoken; {first[0]}: {first[1]}")
    return list(records.values())


def _tally(report: Report, record: AnnotatedVideo) -> None:
    report.files += 1
    report.sentences += len(record.sentences)
    report.seconds += record.duration
    report.shown += sum(one.narration[1] - one.narration[0] for one in record.sentences if one.narration)


def _place(kept: Path, synthesize: Synthesize, language: str, text: str) -> Path:
    what = [synthesize.producer, synthesize.voice, synthesize.rate, language, text]
    return kept / hashlib.sha256(json.dumps(what).encode()).hexdigest()


def _keep(place: Path, speech: Speech) -> None:
    with whole_file(place.with_suffix(".flac")) as file:
        file.write(encode_flac(speech.waveform.numpy(), SPEECH_RATE))
    with whole_file(place.with_suffix(".json")) as file:  # last: with it the sentence is there
        file.write(_times(speech, digits=9))


def _kept(place: Path) -> Speech:
    samples, _ = decode_flac(place.with_suffix(".flac").read_bytes())
    return _speech(samples, json.loads(place.with_suffix(".json").read_bytes()))


def _times(speech: Speech, digits: int = 4) -> bytes:
    def rows(items: Sequence[Any], name: str) -> list[list[Any]]:
        return [[getattr(item, name), round(item.start, digits), round(item.end, digits)] for item in items]

    content = {
        "sentences": rows(speech.sentences, "text"),
        "words": rows(speech.words, "text"),
        "phonemes": rows(speech.phonemes, "name"),
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _speech(samples: Any, times: dict[str, Any]) -> Speech:
    words, sentences = ([Word(*row) for row in times[kind]] for kind in ("words", "sentences"))
    return Speech(torch.from_numpy(samples), words, [Phoneme(*row) for row in times["phonemes"]], sentences)

"""Sets of speech: subtitles as a synthesiser speaks them, kept with all their times.

A derived set, of subtitle files or of conversational clips, whose ids and splits it then has; its manifest names the
texts and the voice.  Each subtitle is a text record (its cues, with the seconds at which they are shown or spoken),
``flac``, the speech at 16 kHz, and ``speech.json``, the times of every cue, sentence, word and phoneme in it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from . import captions
from .batches import SPEECH_RATE, Phoneme, Speech, Synthesize, Word
from .captions import Cut
from .derived import SPEECH, origin
from .files import safe_id, whole_file
from .groups import Grouping, group
from .index import ShardSet, open_set
from .languages import check_words
from .manifest import Origin
from .records import AnnotatedVideo, Sentence
from .shards import check_free, pack, write_record
from .spoken import open_clips
from .waveforms import decode_flac, encode_flac

SPLIT = "pool"
SUFFIXES = (".srt", ".vtt", ".ass", ".ssa", ".sub")
_WAVE, _TIMES = "flac", "speech.json"


@dataclass
class Report:
    """What became of some subtitles.

    Attributes:
        files: or clips, that are in the set.
        sentences: in them.
        distinct: sentences of different wording, each spoken once.
        resumed: of these, how many an earlier call had spoken.
        seconds: of speech in the set.
        shown: seconds for which these sentences are shown or said; over `seconds` it is how much slower people speak.
        left_out: file, talk of a file, or clip -> why it is not in the set.
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
        what = (
            f"no subtitles ({', '.join(SUFFIXES)}) in {source}"
            if source.is_dir()
            else f"no such file or folder: {source}"
        )
        raise FileNotFoundError(what)
    return found


def write_speech(
    folder: str | Path,
    subtitles: str | Path,
    synthesize: Synthesize,
    *,
    language: str,
    cut: Cut = "auto",
    grouping: Grouping | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Speak subtitle files into a set: their dialogue, as in clips, without sounds in brackets and names of speakers.

    Equal sentences are spoken once.  What was spoken is kept until the set is whole, so a call that was stopped
    resumes.

    Args:
        folder: of the set; made if need be, must not hold one.
        subtitles: a file, or a folder that is looked through.
        synthesize: what speaks.
        language: of the texts; a file that reads like another one is left out.
        cut: where sentences end, as in `captions.sentences`.
        grouping: divides files that are longer than a clip, as films are divided into clips: ``film`` becomes
            ``film_0000``, ``film_0001``, ...; None keeps each file whole.
        progress: called with (sentences spoken, sentences of different wording).

    Raises:
        FileNotFoundError: there are no subtitles.
        ValueError: `folder` holds a set, two files share a name, no file can be spoken, or there is no such voice.
    """
    folder, subtitles = Path(folder), Path(subtitles)
    check_free(folder)
    report = Report()
    records = _records(subtitle_files(subtitles), language, cut, grouping, report)
    texts = list(dict.fromkeys(sentence.text for record in records for sentence in record.sentences))
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    made_of = Origin(SPEECH, str(subtitles), {SPLIT: digest}, synthesize.producer)
    settings: dict[str, Any] = {"language": language, "cut": cut}
    if grouping is not None:
        settings["grouping"] = asdict(grouping)
    _speak(folder, {SPLIT: records}, synthesize, settings, made_of, report, progress)
    return report


def speak_clips(
    folder: str | Path,
    clips: str | Path,
    synthesize: Synthesize,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Speak the cues of conversational clips into a set of their ids and splits, derived from them.

    Arguments, resumption and errors as for `write_speech`; each clip is spoken in its own language.

    Raises:
        FileNotFoundError: there is no set of clips.
        ValueError: also where `clips` holds another kind of set.
    """
    folder, parent = Path(folder), open_clips(clips)
    check_free(folder)
    report = Report()
    records: dict[str, list[AnnotatedVideo]] = {}
    for split in parent.splits:
        for record in parent.videos(split):
            try:
                record.sentences = captions.drop_wordless(record.sentences, record.notes)
            except ValueError as fault:
                report.left_out[record.id] = str(fault)
            else:
                records.setdefault(split, []).append(record)
    _speak(folder, records, synthesize, {}, origin(parent, SPEECH, synthesize.producer), report, progress)
    return report


def open_speech(folder: str | Path) -> ShardSet:
    """Open a set of speech.  Raises FileNotFoundError where there is none, ValueError where it is another kind."""
    shards = open_set(folder, what="set of speech", maker="weaksync data speech")
    origin = shards.manifest.origin
    if origin is None or origin.kind != SPEECH:
        held = f"{origin.kind} of {origin.parent}, and " if origin else ""
        raise ValueError(f"{folder} holds {held}no speech: make it with `weaksync data speech`")
    return shards


def read_speech(shards: ShardSet, text: str) -> Speech:
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


def cue_spans(shards: ShardSet, text: str) -> NDArray[np.float64]:
    """(K, 2) seconds of the speech in which each sentence of a text's record is spoken.  Raises as `read_speech`."""
    if text not in shards.entries:
        raise ValueError(f"{shards.folder} has no speech of {text!r}")
    try:
        return np.array(json.loads(shards.read(text, None)[_TIMES])["cues"], dtype=np.float64).reshape(-1, 2)
    except (KeyError, TypeError, ValueError) as fault:
        raise shards.bad(text, None, _TIMES, f"no times of cues ({fault}): speak the subtitles anew") from fault


class _Utterances:
    """The sentences that a voice has spoken so far, each in files of its own; what a stopped call goes on with."""

    def __init__(self, folder: Path, synthesize: Synthesize) -> None:
        self.folder = folder
        self.voice = [synthesize.producer, synthesize.voice, synthesize.rate]
        folder.mkdir(parents=True, exist_ok=True)

    def __contains__(self, sentence: tuple[str, str]) -> bool:
        return self._path(*sentence).with_suffix(".json").exists()

    def write(self, language: str, text: str, speech: Speech) -> None:
        path = self._path(language, text)
        with whole_file(path.with_suffix(".flac")) as file:
            file.write(encode_flac(speech.waveform.numpy(), SPEECH_RATE))
        with whole_file(path.with_suffix(".json")) as file:  # last: with it the sentence is there
            file.write(_times(speech, digits=9))

    def read(self, language: str, text: str) -> Speech:
        path = self._path(language, text)
        samples, _ = decode_flac(path.with_suffix(".flac").read_bytes())
        return _speech(samples, json.loads(path.with_suffix(".json").read_bytes()))

    def _path(self, language: str, text: str) -> Path:
        return self.folder / hashlib.sha256(json.dumps([*self.voice, language, text]).encode()).hexdigest()


def _speak(
    folder: Path,
    records: dict[str, list[AnnotatedVideo]],
    synthesize: Synthesize,
    settings: dict[str, Any],
    made_of: Origin,
    report: Report,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Speak what no earlier call has spoken, then join all of it to a set; `report` is filled in.

    Raises ValueError where nothing can be spoken.
    """
    everything = [record for each in records.values() for record in each]
    texts = list(dict.fromkeys((record.language, one.text) for record in everything for one in record.sentences))
    refused: dict[tuple[str, str], str] = {}
    utterances = _Utterances(folder / ".speech", synthesize)
    for number, (language, text) in enumerate(texts):
        if progress:
            progress(number, len(texts))
        if (language, text) in utterances:
            report.resumed += 1
            continue
        try:
            speech = synthesize(text, language=language)
        except ValueError as fault:
            refused[language, text] = f"{text!r} cannot be spoken: {fault}"
        else:
            utterances.write(language, text, speech)
    if progress:
        progress(len(texts), len(texts))
    report.distinct = len(texts) - len(refused)
    parts, counts = _join(records, utterances, refused, report)
    if not parts and report.left_out:
        name, reason = next(iter(report.left_out.items()))
        raise ValueError(f"there is nothing that can be spoken; {name}: {reason}")
    settings = {**settings, "voice": synthesize.voice, "rate": synthesize.rate, "sentences": counts}
    pack(folder, parts, settings, origin=made_of)
    shutil.rmtree(utterances.folder)


def _join(
    records: dict[str, list[AnnotatedVideo]],
    utterances: _Utterances,
    refused: dict[tuple[str, str], str],
    report: Report,
) -> tuple[dict[str, list[Path]], dict[str, dict[str, float]]]:
    """Write a part for each text whose every sentence could be spoken: split -> parts, and what each language has."""
    parts: dict[str, list[Path]] = {}
    counts: dict[str, dict[str, float]] = {}
    for split, each in records.items():
        for record in each:
            reasons = (refused.get((record.language, one.text)) for one in record.sentences)
            if reason := next(filter(None, reasons), None):
                report.left_out[record.id] = reason
                continue
            speeches = [utterances.read(record.language, one.text) for one in record.sentences]
            speech = Speech.join(speeches)
            record.duration = speech.duration
            _count(report, counts, record)
            wave, times = encode_flac(speech.waveform.numpy(), SPEECH_RATE), _times(speech, _spans(speeches))
            path = utterances.folder / f"{record.id}.tar"
            parts.setdefault(split, []).append(path)
            write_record(path, record.to_dict(), {_WAVE: wave, _TIMES: times})
    return parts, counts


def _spans(speeches: Sequence[Speech]) -> list[list[float]]:
    """When each of several speeches is spoken, one after the other."""
    spans, past = [], 0.0
    for speech in speeches:
        spans.append([past + speech.sentences[0].start, past + speech.sentences[-1].end])
        past += speech.duration
    return spans


def _records(
    files: Sequence[Path], language: str, cut: Cut, grouping: Grouping | None, report: Report
) -> list[AnnotatedVideo]:
    records: dict[str, AnnotatedVideo] = {}
    for path in files:
        name = safe_id(path.stem)
        notes: list[str] = []
        try:
            read = captions.dialogue(captions.read(path, language=language, notes=notes), notes)
            check_words(" ".join(caption.text for caption in read), language, str(path))
            found = captions.sentences(read, language, cut=cut, notes=notes)
            worded = captions.drop_wordless(found, notes)
        except ValueError as fault:
            report.left_out[str(path)] = str(fault).removeprefix(f"{path}: ")
            continue
        own = [Sentence(sentence.text, narration=sentence.narration) for sentence in worded]
        parts = _parts(name, own, grouping)
        for part, sentences in parts.items():
            if part in records:
                raise ValueError(f"{path} and {records[part].url} would both be {part!r}: rename one of them")
            records[part] = AnnotatedVideo(
                part, str(path), 0.0, sentences, language=language, annotated=False, notes=notes
            )
        if lost := len(own) - sum(len(sentences) for sentences in parts.values()):
            report.left_out[str(path)] = f"{lost} of its {len(own)} sentences are in no talk of the length of a clip"
    if not records:
        first = next(iter(report.left_out.items()))
        raise ValueError(f"none of {len(files)} subtitle files can be spoken; {first[0]}: {first[1]}")
    return list(records.values())


def _parts(name: str, sentences: list[Sentence], grouping: Grouping | None) -> dict[str, list[Sentence]]:
    """The whole of a file by its name, or the groups of one that is longer than a clip."""
    spans = [sentence.narration for sentence in sentences if sentence.narration is not None]
    if grouping is None or spans[-1][1] - spans[0][0] <= grouping.longest:
        return {name: sentences}
    found = group(spans, spans[-1][1], grouping).groups
    return {f"{name}_{number:04d}": sentences[one.first : one.last] for number, one in enumerate(found)}


def _count(report: Report, counts: dict[str, dict[str, float]], record: AnnotatedVideo) -> None:
    own = counts.setdefault(record.language, {"sentences": 0, "minutes": 0.0})
    own["sentences"] += len(record.sentences)
    own["minutes"] = round(own["minutes"] + record.duration / 60, 3)
    report.files += 1
    report.sentences += len(record.sentences)
    report.seconds += record.duration
    report.shown += sum(one.narration[1] - one.narration[0] for one in record.sentences if one.narration)


def _times(speech: Speech, cues: list[list[float]] | None = None, digits: int = 4) -> bytes:
    def rows(items: Sequence[Any], name: str) -> list[list[Any]]:
        return [[getattr(item, name), round(item.start, digits), round(item.end, digits)] for item in items]

    content = {
        "sentences": rows(speech.sentences, "text"),
        "words": rows(speech.words, "text"),
        "phonemes": rows(speech.phonemes, "name"),
    }
    if cues is not None:
        content["cues"] = [[round(start, digits), round(end, digits)] for start, end in cues]
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _speech(samples: Any, times: dict[str, Any]) -> Speech:
    words, sentences = ([Word(*row) for row in times[kind]] for kind in ("words", "sentences"))
    return Speech(torch.from_numpy(samples), words, [Phoneme(*row) for row in times["phonemes"]], sentences)

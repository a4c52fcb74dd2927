"""A shard set's sentences to a derived set of translations.

Work is done in blocks, some whole videos of one language; a block is a file as soon as it is done, whole or not at all.
Which sentences are in a block depends on the set alone, so a job that was killed goes on, and comes to the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ...datamodules import derived
from ...datamodules.derived import TRANSLATIONS
from ...datamodules.files import whole_file
from ...datamodules.index import open_set
from ...datamodules.manifest import MANIFEST, Manifest, Origin
from ...datamodules.records import AnnotatedVideo
from ...datamodules.world.translate import WorldTranslator
from .translator import Seq2Seq, Translated

PARTS = ".parts"
#: distinct sentences of a block, at least; what a kill loses
BLOCK = 256
#: part of every block's name: raise it where the same input would now give other translations
VERSION = 1


@dataclass
class Tally:
    """What became of the sentences of one language.

    Attributes:
        sentences: all of them.
        translated: those that have a translation; equal sentences were translated once.
        copied: in the target language already.
        kept: came out without a word, and stay as they were.
        split: distinct ones that were too long for the model, translated in pieces.
        endless: distinct ones whose translation came to the longest allowed without an end; it may repeat itself.
    """

    sentences: int = 0
    translated: int = 0
    copied: int = 0
    kept: int = 0
    split: int = 0
    endless: int = 0


@dataclass(frozen=True)
class Block:
    """Distinct sentences of one language that are translated together."""

    source: str
    texts: tuple[str, ...]


@dataclass
class Report:
    """What a translation came to.

    Attributes:
        to: language of the translations.
        producer: who made them.
        tallies: language -> what became of its sentences.
        resumed: distinct sentences that an earlier run had translated.
    """

    to: str
    producer: str
    tallies: dict[str, Tally] = field(default_factory=dict)
    resumed: int = 0


def translate_set(
    shards: Path,
    out: Path,
    translator: Seq2Seq | WorldTranslator,
    *,
    to: str = "en",
    languages: Sequence[str] | None = None,
    started: Callable[[int], None] | None = None,
    advance: Callable[[int], None] | None = None,
) -> Report:
    """Translate the sentences of a shard set, all splits, into a set that is derived from it.

    Args:
        shards: folder of the set.
        out: folder of the derived set; where the same one lies there already, nothing is done.
        translator: what translates.
        to: code of the target language.
        languages: keep the videos in these; None keeps all.
        started: told how many distinct sentences there are to translate.
        advance: told how many more are done.

    Raises:
        FileNotFoundError: no set in `shards`.
        ValueError: nothing to translate, a language that the set or the translator does not have, or `out` holds
            another set.
    """
    parent = open_set(shards)
    if parent.manifest.origin is not None:
        found = parent.manifest.origin
        raise ValueError(f"{shards} holds {found.kind} of {found.parent} already: translate that set")
    parent.manifest.check_languages(languages, shards)
    sources = [code for code in parent.manifest.languages if code != to and (languages is None or code in languages)]
    if not sources:
        raise ValueError(f"nothing to translate: all that was asked for in {shards} is in {to} already")
    translator.check(sources, to)
    settings = {"to": to, "languages": sorted(languages or parent.manifest.languages), **translator.settings}
    origin = derived.origin(parent, TRANSLATIONS, translator.producer)
    report = Report(to, translator.producer)
    if (out / MANIFEST).is_file():
        report.tallies = _there_already(out, origin, settings)
        return report

    videos = [(split, video) for split in sorted(parent.splits) for video in parent.videos(split, languages)]
    foreign = [video for _, video in videos if video.language != to]
    report.tallies = {code: Tally() for code in settings["languages"]}
    if isinstance(translator, WorldTranslator):
        translated = _by_the_world(translator, foreign, to, started, advance)
    else:
        translated = _in_blocks(translator, foreign, out / PARTS, report, started, advance)
    records = [(split, _record(video, translated.get(video.id), report.tallies)) for split, video in videos]
    tallies = {code: asdict(tally) for code, tally in report.tallies.items()}
    derived.write_derived(out, records, settings | {"sentences": tallies}, origin)
    shutil.rmtree(out / PARTS, ignore_errors=True)
    return report


def _there_already(out: Path, origin: Origin, settings: dict[str, Any]) -> dict[str, Tally]:
    """The tallies of the set in `out`.  Raises ValueError where it is another than the one to be made."""
    there = Manifest.read(out)
    if there.origin != replace(origin, parent=there.origin.parent if there.origin else ""):
        of = "a set of its own" if there.origin is None else f"{there.origin.kind} of {there.origin.parent}"
        raise ValueError(f"{out} holds {of}, made by another or of another; choose another --out, or remove it")
    found = dict(there.settings)
    tallies = found.pop("sentences")
    if found != settings:
        changed = ", ".join(
            f"{name} was {found.get(name)} and is {value}"
            for name, value in settings.items()
            if found.get(name) != value
        )
        raise ValueError(f"{out} holds translations made otherwise: {changed}; choose another --out, or remove it")
    return {code: Tally(**tally) for code, tally in tallies.items()}


def _by_the_world(
    translator: WorldTranslator,
    videos: Sequence[AnnotatedVideo],
    to: str,
    started: Callable[[int], None] | None,
    advance: Callable[[int], None] | None,
) -> dict[str, list[str]]:
    """Video -> its sentences.  Errors depend on where a sentence stands, so equal ones are not translated once."""
    if started is not None:
        started(sum(len(video.sentences) for video in videos))
    translated = {}
    for video in videos:
        translated[video.id] = translator.translate(
            video.id, [each.text for each in video.sentences], video.language, to
        )
        if advance is not None:
            advance(len(video.sentences))
    return translated


def _in_blocks(
    translator: Seq2Seq,
    videos: Sequence[AnnotatedVideo],
    folder: Path,
    report: Report,
    started: Callable[[int], None] | None,
    advance: Callable[[int], None] | None,
) -> dict[str, list[str]]:
    """Video -> its sentences, from the blocks that are done and those that are not yet."""
    blocks = {folder / _name(block, translator, report.to): block for block in _plan(videos)}
    folder.mkdir(parents=True, exist_ok=True)
    done = {path for path in blocks if path.is_file()}
    report.resumed = sum(len(blocks[path].texts) for path in done)
    if started is not None:
        started(sum(len(block.texts) for path, block in blocks.items() if path not in done))
    known: dict[tuple[str, str], str] = {}
    for path, block in blocks.items():
        if path in done:
            found = Translated(**json.loads(path.read_bytes()))
        else:
            found = translator.translate(block.texts, block.source, report.to, advance)
            with whole_file(path) as file:
                file.write(json.dumps(asdict(found), ensure_ascii=False).encode())
        known |= {(block.source, text): new for text, new in zip(block.texts, found.texts, strict=True)}
        report.tallies[block.source].split += found.split
        report.tallies[block.source].endless += found.endless
    return {video.id: [known[video.language, each.text] for each in video.sentences] for video in videos}


def _plan(videos: Sequence[AnnotatedVideo]) -> Iterator[Block]:
    """The distinct sentences of each language, in blocks."""
    for source in sorted({video.language for video in videos}):
        seen: set[str] = set()
        texts: list[str] = []
        for video in videos:
            if video.language == source:
                fresh = dict.fromkeys(each.text for each in video.sentences if each.text not in seen)
                seen.update(fresh)
                texts += fresh
            if len(texts) >= BLOCK:
                yield Block(source, tuple(texts))
                texts = []
        if texts:
            yield Block(source, tuple(texts))


def _name(block: Block, translator: Seq2Seq, to: str) -> str:
    """A name that belongs to all that went into the block."""
    inputs = [VERSION, translator.producer, translator.settings, block.source, to, block.texts]
    return f"{block.source}.{hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:16]}.json"


def _record(video: AnnotatedVideo, translated: Sequence[str] | None, tallies: dict[str, Tally]) -> dict[str, Any]:
    """The text record of the derived set; `translated` is None for a video in the target language."""
    record = video.to_dict() | {"clips": None}
    tally = tallies[video.language]
    tally.sentences += len(video.sentences)
    for place, sentence in enumerate(record["sentences"]):
        sentence["original"] = sentence["text"]
        if translated is None:
            tally.copied += 1
        elif any(letter.isalnum() for letter in translated[place]):
            tally.translated += 1
            sentence["text"] = translated[place]
        else:
            tally.kept += 1
    return record

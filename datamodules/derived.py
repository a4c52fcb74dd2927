"""Derived sets: shard sets made of another one, and joined to this parent by video.

The manifest also says of which bytes a set was made and by what (`Origin`); it is never joined to another parent.  It
holds text records alone, as the clips stay with the parent.  In a set of translations every sentence has its
``original`` beside the ``text`` that replaces it; in a set of alignments a record has ``labels``, the sentence of every
clip as a model aligned them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .index import ShardSet, open_set
from .manifest import Manifest, Origin
from .records import AnnotatedVideo
from .shards import check_free, pack, workplace, write_record

TRANSLATIONS = "translations"
ALIGNMENTS = "alignments"
FEATURES = "features"
SPEECH = "speech"
#: the command that makes a set of each kind
MAKERS = {
    TRANSLATIONS: "weaksync data translate",
    ALIGNMENTS: "weaksync data align",
    FEATURES: "weaksync data features",
    SPEECH: "weaksync data speech",
}


def origin(parent: ShardSet, kind: str, producer: str) -> Origin:
    """What a set that is now made of `parent` shall remember."""
    fingerprints = {split: parent.fingerprint(split) for split in parent.splits}
    return Origin(kind, str(parent.folder), fingerprints, producer)


def write_derived(
    folder: Path, records: Iterable[tuple[str, dict[str, Any]]], settings: dict[str, Any], origin: Origin
) -> Manifest:
    """Write a derived set, whole or not at all.

    Args:
        folder: made where it is absent; must not hold a set already.
        records: (split, text record) of each video; a record is `AnnotatedVideo.to_dict` without clips, and more.
        settings: of its producer; plain JSON values.
        origin: of `origin`.

    Raises:
        ValueError: `folder` holds a set, or there is no record.
        OSError: such as a full disk; nothing is left behind.
    """
    folder = Path(folder)
    check_free(folder)
    with workplace(folder / ".records") as work:
        parts: dict[str, list[Path]] = {}
        for split, record in records:
            path = work / f"{record['id']}.tar"
            write_record(path, record)
            parts.setdefault(split, []).append(path)
        return pack(folder, parts, settings, origin=origin)


def open_derived(
    folder: str | Path, parent: ShardSet, kind: str, *, check_hashes: bool = True, what: str = "", maker: str = ""
) -> ShardSet:
    """Open a derived set beside its parent.

    Args:
        kind: one of `MAKERS`.
        what, maker: what it is called and the command that makes one, where they are others than those of its kind.

    Raises:
        FileNotFoundError: there is no set.
        ValueError: it is not derived, is of another kind, or was made of another parent; the message names both.
    """
    what, maker = what or f"shard set of {kind}", maker or MAKERS[kind]
    shards = open_set(folder, check_hashes=check_hashes, what=what, maker=maker)
    found = shards.manifest.origin
    if found is None:
        raise ValueError(f"{folder} holds no {kind}: it was built from videos, and not made of {parent.folder}")
    if found.kind != kind:
        raise ValueError(f"{folder} holds {found.kind} of {found.parent}, not {kind}")
    if difference := mismatch(found, parent.manifest):
        raise ValueError(
            f"{folder} holds {kind} of another set than {parent.folder}: it was made of {found.parent}, and "
            f"{difference}. Make it anew of {parent.folder}, or name the set that it was made of"
        )
    return shards


def mismatch(origin: Origin, parent: Manifest) -> str:
    """In what `parent` is not the set that a derived one was made of, split by split; empty where it is."""
    now = {split: parent.fingerprint(split) for split in parent.counts}
    return ", ".join(
        f"{split} was {origin.fingerprints.get(split, 'absent')[:12]} and is {now.get(split, 'absent')[:12]}"
        for split in sorted({*now, *origin.fingerprints})
        if origin.fingerprints.get(split) != now.get(split)
    )


def translated_videos(
    parent: ShardSet, translations: ShardSet, split: str, languages: Sequence[str] | None = None
) -> list[AnnotatedVideo]:
    """The records of a split as `ShardSet.videos` gives them, the text of every sentence translated.

    Times, annotations and `language`, which is that of the narration, are the parent's.

    Raises:
        ValueError: a split or language that the parent does not have, or a video that was not translated.
        BadSample: for a record that cannot be read.
    """
    videos = parent.videos(split, languages)
    if absent := sorted({video.language for video in videos if video.id not in translations.entries}):
        raise ValueError(
            f"{translations.folder} has no translations from {', '.join(absent)}; it has those from "
            f"{', '.join(translations.manifest.languages)}: translate the others too, or name the languages to keep"
        )
    return [_in_other_words(video, translations) for video in videos]


def _in_other_words(video: AnnotatedVideo, translations: ShardSet) -> AnnotatedVideo:
    other = translations.record(video.id)
    if len(other.sentences) != len(video.sentences):
        reason = f"{len(other.sentences)} sentences, {len(video.sentences)} in its parent"
        raise translations.bad(video.id, None, "json", reason)
    sentences = [replace(own, text=its.text) for own, its in zip(video.sentences, other.sentences, strict=True)]
    return replace(video, sentences=sentences)


def originals(translations: ShardSet, video: str) -> list[tuple[str, str]]:
    """(original, translation) of every sentence of a video.  Raises BadSample for a record that cannot be read."""
    record = json.loads(translations.read(video, None)["json"])
    try:
        return [(sentence["original"], sentence["text"]) for sentence in record["sentences"]]
    except (KeyError, TypeError) as fault:
        raise translations.bad(video, None, "json", f"no translation with its original ({fault})") from fault


def aligned_labels(alignments: ShardSet, video: AnnotatedVideo) -> NDArray[np.int64]:
    """(n,) text index of each clip of a video, -1 for none, as a model aligned it.

    Raises:
        ValueError: the video was not aligned.
        BadSample: for a record that cannot be read, or is not of these clips and sentences.
    """
    if video.id not in alignments.entries:
        raise ValueError(
            f"{alignments.folder} has no alignment of {video.id} ({video.language}); it has those in "
            f"{', '.join(alignments.manifest.languages)}: align the others too, or name the languages to keep"
        )
    labels = np.asarray(json.loads(alignments.read(video.id, None)["json"]).get("labels", []))
    fits = labels.shape == (len(video.clips or []),) and labels.dtype.kind == "i"
    if not fits or not ((labels >= -1) & (labels < len(video.sentences))).all():
        reason = f"its labels are not of {len(video.clips or [])} clips and {len(video.sentences)} sentences"
        raise alignments.bad(video.id, None, "json", reason)
    return labels.astype(np.int64)

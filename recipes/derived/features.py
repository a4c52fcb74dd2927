"""Clips and sentences encoded once, into a set of unit vectors for models that train on features.

Features of one's own come in as a folder of ``VIDEO.npz``, each with ``clips`` (n, Dv) and ``sentences`` (m, Dt).
The streams of subtitle matching are made by `streams`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
import torch

from ...datamodules.derived import FEATURES, TRANSLATIONS, open_derived, origin, translated_videos
from ...datamodules.features import CLIPS, SENTENCES, Arrays, write_features
from ...datamodules.index import ShardSet, open_set
from ...datamodules.manifest import Manifest, Origin
from ...datamodules.records import AnnotatedVideo
from ...datamodules.shards import check_free, pack
from ...datamodules.videos import VideoLoader, Videos
from ...zoo.checkpoint import Pretrained
from ...zoo.story import encode
from ..models import dual_encoder
from ..texts import translations_for

PARTS = ".parts"
Precision = Literal["float16", "float32"]


def encoded(
    shards: str | Path,
    model: str,
    out: str | Path,
    *,
    translations: str | Path | None = None,
    precision: Precision = "float16",
    workers: int = 1,
    seed: int = 0,
    started: Callable[[int], None] | None = None,
    advance: Callable[[], None] | None = None,
) -> Manifest:
    """Encode every clip and sentence of a shard set with a dual encoder, into a set of unit vectors.

    A call that was stopped goes on where it was.

    Args:
        shards: folder of the set.
        model: a run, a checkpoint folder, ``hf://org/repo``, or a registry name (random weights, of `seed`).
        out: folder of the new set.
        translations: folder of `weaksync data translate`, for a model that reads translations; those of its run if
            None.
        precision: of what is stored.
        workers: reading processes.
        started: called with the number of videos to do; `advance` for each that is done.

    Raises:
        ValueError: the model is no dual encoder, it reads translations and nobody knows those of this set, or `out`
            holds a set already.
        BadSample: a clip or a sentence cannot be read.
    """
    parent = open_set(shards)
    encoder = dual_encoder(model, "encode clips and sentences into one space", seed=seed)
    name = encoder.registry_name if model == encoder.registry_name else f"{encoder.registry_name} {model}"
    producer = f"{name} {weights_hash(encoder)}"
    settings: dict[str, Any] = {"precision": precision}
    texts = translations_for(model, encoder.translated, shards, translations=translations)
    translated: dict[str, AnnotatedVideo] = {}
    if texts is not None:
        translated, settings["translations"] = _in_translation(parent, texts)
        producer += f"/{settings['translations']['to']}"  # the same weights say something else of other words
    device = "cuda" if torch.cuda.is_available() else "cpu"
    encoder.to(device)

    def arrays(videos: list[AnnotatedVideo]) -> Iterator[Arrays]:
        videos = [translated.get(video.id, video) for video in videos]
        reading = VideoLoader(Videos(parent, videos, encoder.preprocess, encoder.tokenize), 0, 1, workers, None)
        for batch in reading:
            clips, sentences = encode(encoder, batch.pixels, batch.input_ids, batch.attention_mask)
            yield {
                CLIPS: clips.cpu().numpy().astype(precision),
                SENTENCES: sentences.cpu().numpy().astype(precision),
            }

    return _write(parent, Path(out), arrays, producer, {"producer": producer, **settings}, started, advance)


def imported(
    shards: str | Path,
    folder: str | Path,
    out: str | Path,
    *,
    started: Callable[[int], None] | None = None,
    advance: Callable[[], None] | None = None,
) -> Manifest:
    """Make a set of one's own features: ``VIDEO.npz`` in `folder`, each with ``clips`` and ``sentences``.

    Raises:
        FileNotFoundError: a video has no file; the message names the first.
        ValueError: a file holds other arrays, or not a row for each clip and each sentence; or `out` holds a set.
    """
    parent, folder = open_set(shards), Path(folder)
    files = {video.id: folder / f"{video.id}.npz" for split in parent.splits for video in usable(parent, split)}
    if absent := [video for video, path in files.items() if not path.is_file()]:
        raise FileNotFoundError(
            f"{files[absent[0]]}: no such file, so {len(absent)} of {len(files)} videos have no features"
        )
    digest = hashlib.sha256()
    for path in sorted(files.values()):
        digest.update(path.name.encode() + path.read_bytes())
    producer = f"imported {digest.hexdigest()}"

    def arrays(videos: list[AnnotatedVideo]) -> Iterator[Arrays]:
        for video in videos:
            yield _from_npz(files[video.id], video)

    return _write(parent, Path(out), arrays, producer, {"producer": producer}, started, advance)


def weights_hash(model: Pretrained) -> str:
    """One hash for everything that decides a model's vectors: weights, arguments and preprocessing.

    How it is trained decides none of them.
    """
    left_out = {"tokenizer", *model.training_arguments}
    arguments, pixels = (
        {name: value for name, value in each.items() if name not in left_out}
        for each in (model.arguments, model.preprocess.to_dict())
    )
    digest = hashlib.sha256(json.dumps([arguments, pixels], sort_keys=True).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _in_translation(parent: ShardSet, folder: str) -> tuple[dict[str, AnnotatedVideo], dict[str, Any]]:
    """Video id -> the video with its texts translated, of all splits; and what the settings say of that."""
    texts = open_derived(folder, parent, TRANSLATIONS)
    videos = {video.id: video for split in parent.splits for video in translated_videos(parent, texts, split)}
    fingerprints = {split: texts.fingerprint(split) for split in texts.splits}
    return videos, {"folder": folder, "to": texts.manifest.settings["to"], "fingerprints": fingerprints}


def _write(
    parent: ShardSet,
    out: Path,
    arrays: Callable[[list[AnnotatedVideo]], Iterable[Arrays]],
    producer: str,
    settings: dict[str, Any],
    started: Callable[[int], None] | None,
    advance: Callable[[], None] | None,
) -> Manifest:
    """Make what is absent, a part for each video, then join all parts to a set."""
    check_free(out)
    made_of = origin(parent, FEATURES, producer)
    folder = out / PARTS / parts_key(made_of, settings)
    folder.mkdir(parents=True, exist_ok=True)
    videos = {split: usable(parent, split) for split in parent.splits}
    absent = [video for each in videos.values() for video in each if not (folder / f"{video.id}.tar").is_file()]
    if started is not None:
        started(len(absent))
    for video, found in zip(absent, arrays(absent), strict=True):
        write_features(folder / f"{video.id}.tar", video, found)
        if advance is not None:
            advance()
    parts = {split: [folder / f"{video.id}.tar" for video in each] for split, each in videos.items() if each}
    manifest = pack(out, parts, settings, origin=made_of)
    shutil.rmtree(out / PARTS)
    return manifest


def usable(parent: ShardSet, split: str) -> list[AnnotatedVideo]:
    """Videos with something to encode."""
    return [video for video in parent.videos(split) if video.clips and video.sentences]


def parts_key(made_of: Origin, settings: dict[str, Any]) -> str:
    """What unfinished parts belong to: the same parent, producer and settings give the same."""
    inputs = json.dumps([made_of.fingerprints, made_of.producer, settings], sort_keys=True)
    return hashlib.sha256(inputs.encode()).hexdigest()[:16]


def _from_npz(path: Path, video: AnnotatedVideo) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, BadZipFile) as fault:
        raise ValueError(f"{path}: not an .npz of plain arrays ({fault})") from fault
    for name, count in ((CLIPS, len(video.clips or [])), (SENTENCES, len(video.sentences))):
        found = arrays[name].shape if name in arrays else "absent"
        if not (
            name in arrays and arrays[name].ndim == 2 and len(arrays[name]) == count and arrays[name].dtype.kind == "f"
        ):
            raise ValueError(f"{path}: {name} should be floats ({count}, width), a row for each; it is {found}")
    return {name: arrays[name] for name in (CLIPS, SENTENCES)}

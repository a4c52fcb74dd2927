"""`weaksync data features --stream`: what subtitle matching trains on, encoded once.

Of conversational clips the streams are ``lips`` (SyncNet over whole face tubes), ``object``, ``scene`` and ``action``;
of their speech, or that of a pool, ``speech`` (SyncNet) and ``words`` (vectors of the words, or of the sentences).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ...datamodules.derived import FEATURES, origin
from ...datamodules.elastic import worker_options
from ...datamodules.features import Arrays, write_arrays
from ...datamodules.index import ShardSet
from ...datamodules.manifest import Manifest
from ...datamodules.shards import check_free, pack
from ...datamodules.speech_set import cue_spans, open_speech, read_speech
from ...datamodules.spoken import at_rate, open_clips, scene, tube
from ...datamodules.streams import ACTION, LIPS, OBJECT, SCENE, SPANS, SPEECH, TIMES, WORDS
from ...datamodules.tarscan import BadSample, Fault
from ...zoo import glove
from ...zoo.checkpoint import Pretrained
from ...zoo.models.cues import ActionCue, PictureCue, PictureNet
from ...zoo.models.dual_encoder import DualEncoder
from ...zoo.models.i3d import I3D, LEAST_FRAMES
from ...zoo.models.syncnet import SyncNet, lip_steps, lip_times, speech_steps, speech_times
from ..models import load_model
from .features import PARTS, Precision, parts_key, weights_hash

#: `--words` that stands for random vectors, the same for a word everywhere
HASHED = "hashed"


@dataclass
class Stream:
    """How one stream is made.

    Attributes:
        parent: the set that it is made of.
        producer: who makes it, ending in a hash of all that decides the features.
        settings: plain values, kept in the manifest.
        read: (set, id) to what `encode` takes; runs in reading processes.
        encode: to arrays.  A ValueError leaves the clip, or the text, out.
    """

    parent: ShardSet
    producer: str
    settings: dict[str, Any]
    read: Callable[[ShardSet, str], Any]
    encode: Callable[[Any], Arrays]


@dataclass
class StreamReport:
    """A set of features, and what is not in it: id -> why."""

    manifest: Manifest
    left_out: dict[str, str] = field(default_factory=dict)


def make_stream(
    source: str | Path,
    stream: str,
    out: str | Path,
    *,
    model: str | None = None,
    words: str | None = None,
    precision: Precision = "float16",
    per_second: float = 8.0,
    workers: int = 1,
    seed: int = 0,
    started: Callable[[int], None] | None = None,
    advance: Callable[[], None] | None = None,
) -> StreamReport:
    """Encode one stream of a set, into a set of features with the same ids and splits.

    A call that was stopped goes on where it was.

    Args:
        source: folder of clips for lips, object, scene and action; of speech for speech and words.
        stream: its name.
        out: folder of the new set.
        model: a run, a checkpoint folder, ``hf://org/repo``, or a registry name (random weights, of `seed`): a SyncNet
            for lips and speech, a PictureNet for object and scene, an I3D for action; for words a dual encoder, one
            vector a cue.
        words: for words, instead of `model`: a file of vectors as GloVe publishes them, or ``hashed``.
        precision: of what is stored; times are float32.
        per_second: pictures of object and scene.
        workers: reading processes.
        started: called with the number of clips to do; `advance` for each that is done.

    Raises:
        FileNotFoundError: there is no such set, model or file.
        ValueError: another kind of set or model than the stream needs, or `out` holds a set.
        BadSample: something cannot be read.
    """
    out = Path(out)
    check_free(out)
    if stream == WORDS:
        made = _words(open_speech(source), words, model, seed)
    elif words is not None:
        raise ValueError(f"vectors of words are for the stream of words, not for {stream}")
    elif model is None:
        raise ValueError(f"say which model encodes {stream}")
    else:
        made = _STREAMS[stream](source, stream, _loaded(model, seed), model, per_second)
    settings = {"stream": stream, "precision": precision, "producer": made.producer, **made.settings}
    made_of = origin(made.parent, FEATURES, made.producer)
    folder = out / PARTS / parts_key(made_of, settings)
    folder.mkdir(parents=True, exist_ok=True)
    absent = [name for name in made.parent.entries if not (folder / f"{name}.tar").is_file()]
    if started is not None:
        started(len(absent))
    left_out: dict[str, str] = {}
    for name, record, what in _read_ahead(made, absent, workers):
        try:
            arrays = made.encode(what)
        except ValueError as fault:
            left_out[name] = str(fault)
        else:
            stored = {key: _stored(key, array, precision) for key, array in arrays.items()}
            write_arrays(folder / f"{name}.tar", {**record, "steps": len(arrays[stream])}, stored)
        if advance is not None:
            advance()
    parts: dict[str, list[Path]] = {}
    for entry in made.parent.entries.values():
        if entry.id not in left_out:
            parts.setdefault(entry.split, []).append(folder / f"{entry.id}.tar")
    if not parts:
        first = next(iter(left_out.items()))
        raise ValueError(f"none of {len(left_out)} in {source} has a stream of {stream}; {first[0]}: {first[1]}")
    manifest = pack(out, parts, settings, origin=made_of)
    shutil.rmtree(out / PARTS)
    return StreamReport(manifest, left_out)


def _loaded(name: str, seed: int) -> Pretrained:
    return load_model(name, Pretrained, "", seed=seed).to("cuda" if torch.cuda.is_available() else "cpu")


def _wanted(model: Pretrained, kind: type[Any], stream: str, source: str) -> None:
    if not isinstance(model, kind):
        raise ValueError(
            f"{source} is a {type(model).__name__}; {stream} needs a {kind.__name__}: `weaksync ls models` lists some"
        )


def producer_name(model: Pretrained, source: str) -> str:
    """What a set of features that a model makes says of it; `source` is where the model was loaded from."""
    name = model.registry_name if source == model.registry_name else f"{model.registry_name} {source}"
    return f"{name} {weights_hash(model)}"


def _lips(source: str | Path, stream: str, model: Any, name: str, per_second: float) -> Stream:
    _wanted(model, SyncNet, stream, name)
    fps, stride = model.config.fps, model.config.stride

    @torch.inference_mode()
    def encode(frames: Tensor) -> Arrays:
        if lip_steps(len(frames), stride) < 1:
            raise ValueError(f"its tube of {len(frames)} frames is too short")
        found = model.encode_lips(frames[None].to(_device(model)))[0]
        return {LIPS: _numpy(found), TIMES: _numpy(lip_times(len(found), fps, stride))}

    read = partial(_read_tube, preprocess=model.preprocess, fps=fps)
    return Stream(open_clips(source), producer_name(model, name), {"per_second": fps / stride}, read, encode)


def _pictures(source: str | Path, stream: str, model: Any, name: str, per_second: float) -> Stream:
    _wanted(model, PictureNet, stream, name)
    cue = PictureCue(model, per_second)

    def encode(frames: Tensor) -> Arrays:
        return {stream: _numpy(cue(frames))}

    producer = f"{producer_name(model, name)}/{per_second:g}"
    return Stream(open_clips(source), producer, {"per_second": per_second}, partial(scene, fps=cue.fps), encode)


def _actions(source: str | Path, stream: str, model: Any, name: str, per_second: float) -> Stream:
    _wanted(model, I3D, stream, name)
    cue = ActionCue(model)

    def encode(frames: Tensor) -> Arrays:
        if len(frames) < LEAST_FRAMES:
            raise ValueError(f"its {len(frames)} frames are too few for I3D")
        return {stream: _numpy(cue(frames))}

    producer = f"{producer_name(model, name)}/{cue.per_second:.3f}"
    return Stream(open_clips(source), producer, {"per_second": cue.per_second}, partial(scene, fps=cue.fps), encode)


def _speech(source: str | Path, stream: str, model: Any, name: str, per_second: float) -> Stream:
    _wanted(model, SyncNet, stream, name)
    stride = model.config.stride

    @torch.inference_mode()
    def encode(said: tuple[Tensor, Any]) -> Arrays:
        waveform, spans = said
        if speech_steps(len(waveform), stride) < 1:
            raise ValueError(f"its speech of {len(waveform) / 16000:.2f} s is too short")
        found = model.encode_speech(waveform[None].to(_device(model)))[0]
        return {SPEECH: _numpy(found), TIMES: _numpy(speech_times(len(found), stride)), SPANS: spans}

    return Stream(open_speech(source), producer_name(model, name), {"per_second": 25.0 / stride}, _read_speech, encode)


_STREAMS: dict[str, Callable[[str | Path, str, Any, str, float], Stream]] = {
    LIPS: _lips,
    OBJECT: _pictures,
    SCENE: _pictures,
    ACTION: _actions,
    SPEECH: _speech,
}


def _words(parent: ShardSet, words: str | None, model: str | None, seed: int) -> Stream:
    if (words is None) == (model is None):
        raise ValueError(f"say what encodes words: either a file of vectors, or {HASHED}, or a model of sentences")
    vectors: Callable[[str], Tensor]
    if model is not None:
        encoder = _loaded(model, seed)
        _wanted(encoder, DualEncoder, WORDS, model)
        return Stream(parent, producer_name(encoder, model), {}, _read_texts, partial(_sentences, encoder))
    if words == HASHED:
        hashed = glove.HashedWords()
        producer, vectors = f"{HASHED} words {HASHED}-{hashed.dim}-1", hashed.of
    else:
        texts = [one.text for split in parent.splits for video in parent.videos(split) for one in video.sentences]
        known, path = glove.read(str(words), texts), Path(str(words))
        with path.open("rb") as file:
            producer = f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}"
        vectors = known.of

    def encode(texts: list[str]) -> Arrays:
        return {WORDS: _numpy(vectors(" ".join(texts)))}

    return Stream(parent, producer, {}, _read_texts, encode)


@torch.inference_mode()
def _sentences(encoder: Any, texts: list[str]) -> Arrays:
    ids, mask = encoder.tokenize(texts)
    device = _device(encoder)
    return {WORDS: _numpy(encoder.encode_text(ids.to(device), mask.to(device)))}


def _read_tube(shards: ShardSet, name: str, preprocess: Callable[[Tensor], Tensor], fps: int) -> Tensor:
    return preprocess(at_rate(tube(shards, name), fps))


def _read_speech(shards: ShardSet, name: str) -> tuple[Tensor, Any]:
    return read_speech(shards, name).waveform, cue_spans(shards, name)


def _read_texts(shards: ShardSet, name: str) -> list[str]:
    return [sentence.text for sentence in shards.record(name).sentences]


@dataclass
class _Items(Dataset[Any]):
    """Number -> id, record, and what `read` gives; or the fault of what cannot be read."""

    parent: ShardSet
    read: Callable[[ShardSet, str], Any]
    names: list[str]

    def __getitem__(self, number: int) -> tuple[str, dict[str, Any], Any]:
        name = self.names[number]
        try:
            return name, _record(self.parent, name), self.read(self.parent, name)
        except BadSample as bad:
            return name, {}, bad.fault


def _read_ahead(stream: Stream, names: list[str], workers: int) -> Iterator[tuple[str, dict[str, Any], Any]]:
    items = _Items(stream.parent, stream.read, names)  # a worker reads, and never encodes
    options = worker_options(workers, None, ahead=1)
    for name, record, what in DataLoader(items, sampler=range(len(names)), **options):
        if isinstance(what, Fault):
            raise BadSample(what)
        yield name, record, what


def _record(parent: ShardSet, name: str) -> dict[str, Any]:
    """The text record without the face of every frame, which nobody asks features for."""
    record: dict[str, Any] = json.loads(parent.read(name, None)["json"])
    if "clip" in record:
        record["clip"] = {key: value for key, value in record["clip"].items() if key != "faces"}
    return {**record, "clips": None}


def _stored(name: str, array: np.ndarray[Any, Any], precision: Precision) -> np.ndarray[Any, Any]:
    return array.astype("float32" if name in (TIMES, SPANS) else precision)


def _numpy(x: Tensor) -> np.ndarray[Any, Any]:
    return x.detach().float().cpu().numpy()


def _device(model: Pretrained) -> torch.device:
    return next(model.parameters()).device

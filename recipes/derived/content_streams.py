"""Lip and speech features brought to the space in which SyncNet compares them, by its content heads.

The features before the heads (`SyncNet.encode_lips`, `encode_speech`) share no space: their cosines mean nothing, until
a front end has learnt one.  Aligners that learn nothing need the heads.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import torch

from ...datamodules.features import write_arrays
from ...datamodules.manifest import Manifest
from ...datamodules.shards import pack
from ...datamodules.streams import LIPS, SPEECH, TEXT_STREAMS, VIDEO_STREAMS, open_stream, read_stream, stream_of
from ...zoo.models.syncnet import SyncNet

PARTS = ".parts"


@torch.inference_mode()
def content_stream(features: str | Path, syncnet: SyncNet, out: str | Path) -> Manifest:
    """Send a stream of lips or of speech through the content head of the SyncNet that made it.

    Args:
        features: folder of the stream.
        syncnet: in evaluation mode.
        out: folder of the new set, which is derived from the same clips or speech.

    Raises:
        FileNotFoundError: there is no stream.
        ValueError: it is of another kind or width, or `out` holds a set.
    """
    source, out = open_stream(features, None, (*VIDEO_STREAMS, *TEXT_STREAMS)), Path(out)
    stream, made_of = stream_of(source), source.manifest.origin
    if stream not in (LIPS, SPEECH) or made_of is None:
        raise ValueError(f"{features} holds a stream of {stream}: only lips and speech have a content head")
    head = syncnet.lip_content if stream == LIPS else syncnet.speech_content
    shutil.rmtree(out / PARTS, ignore_errors=True)  # of a run that was killed
    parts: dict[str, list[Path]] = {}
    (out / PARTS).mkdir(parents=True)
    for entry in source.entries.values():
        arrays = read_stream(source, entry.id)
        steps = torch.from_numpy(arrays[stream])
        if steps.shape[1] != syncnet.config.feature_dim:
            raise ValueError(
                f"{features} has {steps.shape[1]} dimensions, and that SyncNet has {syncnet.config.feature_dim}"
            )
        record = json.loads(source.read(entry.id, None)["json"])
        path = out / PARTS / f"{entry.id}.tar"
        write_arrays(path, record, {**arrays, stream: head(steps[None])[0].half().numpy()})
        parts.setdefault(entry.split, []).append(path)
    producer = f"{made_of.producer}/content"
    manifest = pack(
        out, parts, {**source.manifest.settings, "producer": producer}, origin=replace(made_of, producer=producer)
    )
    shutil.rmtree(out / PARTS)
    return manifest

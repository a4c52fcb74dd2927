"""What matching the clips of a split with a pool costs under each part of a matcher, from the features of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ...datamodules.streams import (
    TEXT_STREAMS,
    VIDEO_STREAMS,
    StreamInfo,
    open_stream,
    read_stream,
    stream_info,
    stream_of,
)
from ...datamodules.subtitles import SubtitleClips
from ...zoo.encoded import EncodedText, Pool
from ...zoo.models.gsm import GSM
from ...zoo.models.lipspeech import LipSpeech
from ...zoo.subtitles import encode_batch, encode_texts, pool_costs
from ..training.subtitles import least_steps

#: sequences that are encoded together
_AT_ONCE = 32


@dataclass(frozen=True)
class CueModel:
    """A model and the streams that it reads.

    Attributes:
        model: in evaluation mode.
        video: folder of a stream of the clips.
        text: folder of a stream of their subtitles.
        more: folder of the same stream of further subtitles; None where there are none.
    """

    model: LipSpeech | GSM
    video: Path
    text: Path
    more: Path | None = None


@dataclass(frozen=True)
class Costs:
    """Costs of V clips with S subtitles.

    Attributes:
        clips: what is known of each.
        subtitles: ids; those of the split's clips come first, and bear their ids.
        own: how many these are.
        costs: name of a model -> (V, S) float32; that of an alignment per video step.
        right: (V,) int64, the column of each clip's own subtitle.
    """

    clips: list[StreamInfo]
    subtitles: list[str]
    own: int
    costs: dict[str, Tensor]
    right: Tensor


def split_costs(
    parts: Mapping[str, CueModel], split: str, domain: str | None = None, *, among: str | None = None
) -> Costs:
    """Every clip of a split with every subtitle of the split and with all further ones, by each model.

    Clips that lack one of the streams, or are too short for one, are left out for all, and so are further subtitles.

    Args:
        parts: name of a model -> what it reads.
        domain: rank for the clips of this alone; the pool stays as it is.
        among: another split, whose subtitles are further ones too.

    Raises:
        FileNotFoundError: there is no such set.
        ValueError: there is no such split or domain, or no clip is left of it.
    """
    read = {name: _clips(each, split) for name, each in parts.items()}
    first = next(iter(read.values()))
    common = set.intersection(*({clip.id for clip in clips.clips} for clips in read.values()))
    everyone = [clip for clip in first.clips if clip.id in common]
    asking = [place for place, clip in enumerate(everyone) if domain is None or clip.domain == domain]
    if not asking:
        raise ValueError(f"no clip of {domain or split} in {first.video.folder} has all of {', '.join(parts)}")
    least = [least_steps(each.model) for each in parts.values()]
    further = _further([each.more for each in parts.values()], least)
    others = [] if among is None else _further([each.text for each in parts.values()], least, among)
    costs = {}
    for name, each in parts.items():
        numbers = {clip.id: number for number, clip in enumerate(read[name].clips)}
        places = [numbers[clip.id] for clip in everyone]
        encoded = [
            one
            for start in range(0, len(places), _AT_ONCE)
            for one in encode_batch(each.model, read[name].batch(places[start : start + _AT_ONCE]))
        ]
        texts, languages = [one.text for one in encoded], [one.language for one in encoded]
        if each.more is not None:
            texts += _texts(each.model, each.more, [one.id for one in further])
            languages += [one.language for one in further]
        texts += _texts(each.model, each.text, [one.id for one in others])
        languages += [one.language for one in others]
        costs[name] = pool_costs(each.model, [encoded[place].clip for place in asking], Pool.of(texts, languages))
    subtitles = [one.id for one in (*everyone, *further, *others)]
    return Costs([everyone[place] for place in asking], subtitles, len(everyone), costs, torch.tensor(asking))


def rows_together(parts: Sequence[Costs]) -> Costs:
    """Costs of several domains with one pool, as one; clips in the order of the pool.

    Raises ValueError where the pools are not the same.
    """
    subtitles = parts[0].subtitles
    if any(part.subtitles != subtitles for part in parts):
        raise ValueError("clips of different pools cannot be ranked together")
    right = torch.cat([part.right for part in parts])
    order = right.argsort()
    clips = [clip for part in parts for clip in part.clips]
    costs = {name: torch.cat([part.costs[name] for part in parts])[order] for name in parts[0].costs}
    return Costs([clips[place] for place in order.tolist()], subtitles, parts[0].own, costs, right[order])


def _clips(each: CueModel, split: str) -> SubtitleClips:
    video, text = open_stream(each.video, None, VIDEO_STREAMS), open_stream(each.text, None, TEXT_STREAMS)
    return SubtitleClips(video, text, split, least=least_steps(each.model))


def _further(folders: Sequence[Path | None], least: list[int], split: str | None = None) -> list[StreamInfo]:
    """The subtitles, of one split or of all, that every model can read, in one order."""
    found: dict[str, StreamInfo] | None = None
    for folder, steps in zip(folders, least, strict=True):
        if folder is None:
            continue
        features = open_stream(folder, None, TEXT_STREAMS)
        names = features.entries if split is None else [entry.id for entry in features.split(split)]
        here = {one.id: one for name in names if (one := stream_info(features, name)).steps >= steps}
        found = here if found is None else {name: one for name, one in found.items() if name in here}
    return list((found or {}).values())


def _texts(model: LipSpeech | GSM, folder: Path, names: list[str]) -> list[EncodedText]:
    features = open_stream(folder, None, TEXT_STREAMS)
    stream = stream_of(features)
    codes: list[EncodedText] = []
    for start in range(0, len(names), _AT_ONCE):
        steps = [torch.from_numpy(read_stream(features, name)[stream]) for name in names[start : start + _AT_ONCE]]
        lengths = torch.tensor([len(each) for each in steps])
        codes += encode_texts(model, pad_sequence(steps, batch_first=True), lengths)
    return codes

"""Exact evaluation: whole videos, each exactly once over all ranks and workers."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import Dataset

from .batches import ClipTransform, Tokenize, VideoBatch
from .elastic import Read, workers_loader
from .index import ShardSet, sample_key
from .pairs import decode_frames
from .records import AnnotatedVideo
from .tarscan import BadSample


class Videos(Dataset[Read[VideoBatch]]):
    """Number -> that whole video, decoded."""

    def __init__(
        self, shards: ShardSet, records: list[AnnotatedVideo], preprocess: ClipTransform, tokenize: Tokenize
    ) -> None:
        self.shards = shards
        self.records = records
        self.preprocess = preprocess
        self.tokenize = tokenize

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, number: int) -> Read[VideoBatch]:
        record = self.records[number]
        shard = self.shards.shard_name(record.id)
        try:
            clips = [self._clip(record.id, shard, clip) for clip in range(len(record.clips or []))]
            texts = [sentence.text for sentence in record.sentences]
            try:
                input_ids, attention_mask = self.tokenize(texts)
            except ValueError as fault:
                raise self.shards.bad(record.id, None, "json", str(fault)) from fault
        except BadSample as bad:
            return Read(None, [bad.fault])
        batch = VideoBatch(
            id=record.id,
            language=record.language,
            pixels=torch.stack(clips),
            clips=torch.from_numpy(record.clip_times()),
            input_ids=input_ids,
            attention_mask=attention_mask,
            segments=torch.from_numpy(record.segments()),
            narrations=torch.from_numpy(record.narrations()),
            texts=texts,
            annotated=record.annotated,
        )
        return Read(batch, [])

    def _clip(self, video: str, shard: str, clip: int) -> Tensor:
        members = self.shards.read(video, clip)
        key = sample_key(video, clip)
        return self.preprocess(decode_frames(members, self.preprocess.frames, None, shard, key))


class VideoLoader:
    """Every video of a split exactly once over all ranks: this rank's are ``range(rank, N, world)``.

    A bad sample raises BadSample: an evaluation that skips is none.
    """

    def __init__(self, videos: Videos, rank: int, world: int, workers: int, context: str | None) -> None:
        self.videos = videos
        self.places = list(range(rank, len(videos), world))
        self.workers = workers
        self.context = context

    def __len__(self) -> int:
        """Videos of this rank; ranks may differ by one."""
        return len(self.places)

    def __iter__(self) -> Iterator[VideoBatch]:
        for read in workers_loader(self.videos, self.places, self.workers, self.context, ahead=1):
            yield read.take()

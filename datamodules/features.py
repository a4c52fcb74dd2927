"""Cached features: arrays of every video, made once by an encoder and kept as a set derived from the shards.

The arrays lie beside the text record of a video, ``VIDEO/story.clips.npy`` and ``VIDEO/story.sentences.npy``, in a
shard set like any other.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from .batches import FeatureVideo
from .derived import FEATURES, open_derived
from .elastic import even_share
from .index import ShardSet, open_set
from .pairs import seeded_rng
from .records import AnnotatedVideo, weak_labels
from .resumable import Resumable, ResumableDataModule
from .shards import write_record

CLIPS, SENTENCES = "clips", "sentences"
Arrays = dict[str, NDArray[Any]]
#: what says which sentence goes with a clip in training: the times of narration, or people
LabelSource = Literal["weak", "annotated"]


def write_features(path: Path, video: AnnotatedVideo, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a video's record and arrays, as `write_arrays`."""
    write_arrays(path, {**video.to_dict(), "clips": None}, arrays)


def write_arrays(path: Path, record: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a text record with its arrays as a tar of its own, a part that `shards.pack` joins to a set.

    Args:
        path: of the file to write, whole or not at all.
        record: see `shards.write_record`.
        arrays: by name.

    Raises:
        ValueError: an array holds what is no finite number, naming the record.
    """
    members = {}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{record['id']}: features of its {name} are not finite")
        file = io.BytesIO()
        np.save(file, array, allow_pickle=False)
        members[f"{name}.npy"] = file.getvalue()
    write_record(path, record, members)


def read_features(features: ShardSet, video: str) -> Arrays:
    """The arrays of a video by name.

    Raises:
        ValueError: the set has none of this video.
        BadSample: they cannot be read, naming shard, key and member.
    """
    if video not in features.entries:
        raise ValueError(f"{features.folder} has no features of video {video!r}: make them anew for all videos")
    arrays = {}
    for member, payload in features.read(video, None).items():
        name, dot, kind = member.rpartition(".")
        if kind == "npy" and dot:
            try:
                arrays[name] = np.load(io.BytesIO(payload), allow_pickle=False)
            except (ValueError, EOFError) as fault:
                raise features.bad(video, None, member, f"not an array ({fault})") from fault
    return arrays


class FeatureVideos:
    """Whole videos of a split with their features, joined by id; read from disk each time they are asked for.

    Args:
        shards: the parent set, which knows clips, times and annotations.
        features: a set of `FEATURES` that was made of it.
        split: of the parent.
        languages: keep these alone; None keeps all.
        annotated: keep the videos alone that people annotated.
    """

    def __init__(
        self,
        shards: ShardSet,
        features: ShardSet,
        split: str,
        languages: Sequence[str] | None = None,
        *,
        annotated: bool = False,
    ) -> None:
        self.features = features
        records = [record for record in shards.videos(split, languages) if record.annotated or not annotated]
        self.records = [record for record in records if record.clips and record.sentences]

    def __len__(self) -> int:
        return len(self.records)

    def read(self, place: int, pairs: LabelSource = "annotated") -> FeatureVideo:
        """A video, its clips labelled by narration times (``weak``) or by what people annotated.

        Raises BadSample where its features do not have a row for every clip and every sentence.
        """
        record = self.records[place]
        clips, segments, narrations = record.clip_times(), record.segments(), record.narrations()
        arrays = read_features(self.features, record.id)
        for name, count in ((CLIPS, len(clips)), (SENTENCES, len(segments))):
            shape = arrays[name].shape if name in arrays else ()
            if len(shape) != 2 or shape[0] != count:
                reason = f"features of {count} {name} should be ({count}, width), not {tuple(shape)}"
                raise self.features.bad(record.id, None, f"{name}.npy", reason)
        return FeatureVideo(
            id=record.id,
            language=record.language,
            clip_features=torch.from_numpy(arrays[CLIPS].astype(np.float32)),
            sentence_features=torch.from_numpy(arrays[SENTENCES].astype(np.float32)),
            labels=torch.from_numpy(weak_labels(clips, narrations if pairs == "weak" else segments)),
            clips=torch.from_numpy(clips),
            segments=torch.from_numpy(segments),
            narrations=torch.from_numpy(narrations),
            annotated=record.annotated,
        )


class FeatureDataModule(ResumableDataModule["WindowLoader"]):
    """Videos whose clips and sentences were encoded beforehand, as Lightning wants them.

    Training yields lists of `FeatureVideo`, each cut to a window of clips; evaluation yields whole videos one by one,
    each exactly once over all ranks.

    Args:
        folder: of a shard set.
        features: folder of a set of features that was made of it (``weaksync data features``).
        global_batch: videos in a step at most, over all ranks; the steps of an epoch differ by one video at most.
        window: clips that training sees of a video at most, drawn anew every epoch, with the sentences that may belong
            to them; None shows whole videos.
        pairs: what labels the clips of training: narration times, or people's annotations.
        languages: keep the videos in these; None keeps all.
        test_split: which videos `test_dataloader` yields.
        seed: of the order and of the windows.

    Raises:
        FileNotFoundError: there is no such set.
        ValueError: the features were made of another set, or are no features.
    """

    #: a rank may have no video where they are fewer than the ranks
    allow_zero_length_dataloader_with_multiple_devices = True

    def __init__(
        self,
        folder: str | Path,
        features: str | Path,
        *,
        global_batch: int = 16,
        window: int | None = None,
        pairs: LabelSource = "annotated",
        languages: Sequence[str] | None = None,
        test_split: str = "test",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if global_batch < 1 or (window is not None and window < 1):
            raise ValueError(f"global_batch={global_batch}, window={window}: both are 1 at least")
        self.shards = open_set(folder)
        self.features = open_derived(features, self.shards, FEATURES)
        self.global_batch = global_batch
        self.window = window
        self.pairs = pairs
        self.languages = None if languages is None else sorted(set(languages))
        self.test_split = test_split
        self.seed = seed

    @property
    def producer(self) -> str:
        """Who made the features."""
        return self.features.manifest.origin.producer if self.features.manifest.origin else ""

    def widths(self) -> tuple[int, int]:
        """Width of the features of clips and of sentences.  Raises ValueError where no split has a video."""
        for split in self.shards.splits:
            videos = FeatureVideos(self.shards, self.features, split, self.languages)
            if len(videos):
                first = videos.read(0)
                return first.clip_features.shape[1], first.sentence_features.shape[1]
        raise ValueError(f"no video of {self.shards.folder} has clips and sentences")

    def videos(self, split: str, *, annotated: bool = False) -> FeatureVideos:
        """The videos of any split.  Raises ValueError where the set has no such split."""
        return FeatureVideos(self.shards, self.features, split, self.languages, annotated=annotated)

    def training_loader(self, rank: int, world: int) -> WindowLoader:
        """Steps of windows.  Raises ValueError where no video can be learnt from."""
        videos = self.videos("train", annotated=self.pairs == "annotated")
        if not len(videos):
            raise ValueError(
                f"no training video of {self.shards.folder} is annotated: data.pairs=weak learns from its narration "
                "times"
            )
        identity = {
            "global_batch": self.global_batch,
            "window": self.window,
            "pairs": self.pairs,
            "seed": self.seed,
            "languages": self.languages,
            "data": self.shards.fingerprint("train"),
            "features": self.features.fingerprint("train"),
        }
        return WindowLoader(videos, self.pairs, self.global_batch, self.window, identity, rank, world)

    def val_dataloader(self) -> WholeLoader:
        """Videos of the validation split."""
        return WholeLoader(self.videos("val"), *self.place())

    def test_dataloader(self) -> WholeLoader:
        """Videos of `test_split`."""
        return WholeLoader(self.videos(self.test_split), *self.place())


class WholeLoader:
    """Every video exactly once over all ranks: this rank's are ``range(rank, N, world)``."""

    def __init__(self, videos: FeatureVideos, rank: int, world: int) -> None:
        self.videos = videos
        self.places = range(rank, len(videos), world)

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[FeatureVideo]:
        return (self.videos.read(place) for place in self.places)


class WindowLoader(Resumable):
    """Steps of training: the videos of each in a seeded order, each cut to a window.

    What a step holds is a pure function of seed, epoch and step, the same for any number of ranks; the state is the
    epoch and the step, so a run goes on where it was.

    Args:
        videos, pairs: see `FeatureVideos`.
        global_batch, window: see `FeatureDataModule`.
        identity: what a state belongs to, by name; a state of another is refused.
        rank, world: which share of each step is this process's.
    """

    def __init__(
        self,
        videos: FeatureVideos,
        pairs: LabelSource,
        global_batch: int,
        window: int | None,
        identity: dict[str, Any],
        rank: int,
        world: int,
    ) -> None:
        super().__init__(identity)
        self.videos, self.pairs = videos, pairs
        self.global_batch, self.window = global_batch, window
        self.rank, self.world = rank, world
        smallest = len(videos) // len(self)
        if smallest < world:
            raise ValueError(
                f"{len(videos)} videos are too few for steps of at most {global_batch}: the smallest step has "
                f"{smallest}, and needs one for each of {world} ranks; take another data.global_batch, or fewer ranks"
            )

    def __len__(self) -> int:
        """Steps of a whole epoch, for any number of ranks."""
        return -(-len(self.videos) // self.global_batch)

    def __iter__(self) -> Iterator[list[FeatureVideo]]:
        epoch = self.epoch
        order = seeded_rng(self.identity["seed"], epoch).permutation(len(self.videos))
        for step in range(self.step, len(self)):
            places = order[even_share(len(order), step, len(self))]
            share = places[even_share(len(places), self.rank, self.world)]
            self.advance()
            yield [self._window(int(place), epoch) for place in share]

    def _window(self, place: int, epoch: int) -> FeatureVideo:
        video = self.videos.read(place, self.pairs)
        spare = 0 if self.window is None else len(video.clips) - self.window
        if self.window is None or spare <= 0:
            return video
        start = int(seeded_rng(self.identity["seed"], epoch, place).integers(spare + 1))
        return cut(video, start, start + self.window)


def cut(video: FeatureVideo, start: int, stop: int) -> FeatureVideo:
    """Clips ``start:stop`` of a video, with the sentences from the last one before them to the first one after."""
    labels = video.labels
    before, after = labels[:start], labels[stop:]
    first = int(before.max()) if (before >= 0).any() else 0
    last = int(after[after >= 0].min()) if (after >= 0).any() else len(video.segments) - 1
    inside = labels[start:stop]
    if (inside >= 0).any():  # labels that go back may lie outside
        first, last = min(first, int(inside[inside >= 0].min())), max(last, int(inside.max()))
    if last < first:
        first, last = last, first
    sentences = slice(first, last + 1)
    return FeatureVideo(
        id=video.id,
        language=video.language,
        clip_features=video.clip_features[start:stop],
        sentence_features=video.sentence_features[sentences],
        labels=torch.where(inside >= 0, inside - first, -1),
        clips=video.clips[start:stop],
        segments=video.segments[sentences],
        narrations=video.narrations[sentences],
        annotated=video.annotated,
    )

"""Pairs of clips and sentences in groups of one video, and the batches that are made of them.

The pairs of a group are each other's negatives.  Each epoch forms the groups anew, always as many, so that all epochs
have the same length.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from .batches import ClipTransform, PairBatch, Tokenize
from .media import decode_jpeg
from .records import AnnotatedVideo, weak_labels
from .tarscan import BadSample, Fault

#: what says which sentence goes with a clip: the times of narration, people, or a model that aligned the video
PairSource = Literal["weak", "annotated", "aligned"]
#: which pairs of a video make a group: any of them, or those of clips that follow each other
Grouping = Literal["mixed", "consecutive"]


@dataclass
class VideoPairs:
    """The pairs of one video.

    Attributes:
        id: of the video.
        clips: (P,) clip of each pair.
        sentences: (P,) wording of each pair: a number that equal texts share, throughout the data set.
    """

    id: str
    clips: NDArray[np.int64]
    sentences: NDArray[np.int64]


@dataclass
class WeakPairs:
    """The pairs of many videos.

    Attributes:
        videos: those that have pairs of two distinct sentences at least.
        wordings: texts, as `VideoPairs.sentences` numbers them.
        too_few: ids of the videos that were left out: with fewer than two sentences there are no negatives.
    """

    videos: list[VideoPairs]
    wordings: list[str]
    too_few: list[str]

    def __len__(self) -> int:
        return sum(len(video.clips) for video in self.videos)


@dataclass
class Pair:
    """One pair as it was read: its clip's members, still encoded, and its sentence."""

    shard: str
    key: str
    video: int
    sentence: int
    text: str
    members: dict[str, bytes]
    weight: float = 1.0


def weak_pairs(records: Sequence[AnnotatedVideo]) -> WeakPairs:
    """Pair clips with the sentences that are spoken over them (`records.weak_labels`), for all videos."""
    return make_pairs(records, lambda record: weak_labels(record.clip_times(), record.narrations()))


def annotated_pairs(records: Sequence[AnnotatedVideo]) -> WeakPairs:
    """Pair clips with the sentences that people say they show, by the same rule, for the annotated videos alone."""
    annotated = [record for record in records if record.annotated]
    return make_pairs(annotated, lambda record: weak_labels(record.clip_times(), record.segments()))


def make_pairs(records: Sequence[AnnotatedVideo], label: Callable[[AnnotatedVideo], NDArray[np.int64]]) -> WeakPairs:
    """Pair the clips of each video with the sentences that `label` gives them: (n,) text indices, -1 for none."""
    pairs = WeakPairs([], [], [])
    numbers: dict[str, int] = {}
    for record in records:
        labels = label(record)
        clips = np.flatnonzero(labels >= 0)
        texts = [record.sentences[label].text for label in labels[clips]]
        if len({normalise_text(text) for text in texts}) < 2:
            pairs.too_few.append(record.id)
            continue
        for text in texts:
            if numbers.setdefault(normalise_text(text), len(numbers)) == len(pairs.wordings):
                pairs.wordings.append(text)
        sentences = np.array([numbers[normalise_text(text)] for text in texts], dtype=np.int64)
        pairs.videos.append(VideoPairs(record.id, clips.astype(np.int64), sentences))
    return pairs


#: how pairs are made of a video's own record, by their source
PAIR_SOURCES: dict[PairSource, Callable[[Sequence[AnnotatedVideo]], WeakPairs]] = {
    "weak": weak_pairs,
    "annotated": annotated_pairs,
}


def normalise_text(text: str) -> str:
    """What texts that say the same have in common: letters without case, single spaces."""
    return " ".join(text.casefold().split())


def group_count(pairs: int, size: int) -> int:
    """Groups of at most `size` that so many pairs are dealt into; never so many that a pair would be alone."""
    return max(1, min(-(-pairs // size), pairs // 2))


def mixed_groups(sentences: NDArray[np.int64], size: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Deal the pairs of a video into groups, pairs of one sentence into different groups as far as that goes.

    Pairs of the same sentence are no negatives of each other, so a group should hold distinct sentences.  Sorting by
    sentence (in random order) and dealing round robin does that, and leaves groups whose sizes differ by one at most.

    Args:
        sentences: (P,) wording of each pair.
        size: pairs in a group, at most (three where pairs of 2 do not come out even).
        rng: source of the order.

    Returns:
        `group_count` arrays of indices into `sentences`; every index occurs once.
    """
    shuffled = rng.permutation(len(sentences))
    _, places = np.unique(sentences, return_inverse=True)
    rank = rng.permutation(places.max() + 1)[places]
    order = shuffled[np.argsort(rank[shuffled], kind="stable")]
    count = group_count(len(sentences), size)
    return [order[start::count].astype(np.int64) for start in range(count)]


def consecutive_groups(pairs: int, size: int) -> list[NDArray[np.int64]]:
    """Cut the pairs of a video, in the order of their clips, into `group_count` runs whose sizes differ by one."""
    return np.array_split(np.arange(pairs, dtype=np.int64), group_count(pairs, size))


def seeded_rng(*words: int) -> np.random.Generator:
    """A Philox stream that is a pure function of some whole numbers >= 0."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))


def sample_generator(seed: int, epoch: int, key: str) -> Generator:
    """The random stream of one sample in one epoch, whichever worker of whichever rank reads it."""
    digest = hashlib.sha256(f"{seed}/{epoch}/{key}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def choose_frames(candidates: int, count: int, generator: Generator | None) -> list[int]:
    """The numbers of `count` of so many candidates, growing: random, or evenly spread without a `generator`."""
    if generator is None:
        return [int((place + 0.5) * candidates / count) for place in range(count)]
    return sorted(torch.randperm(candidates, generator=generator)[:count].tolist())


def decode_frames(members: dict[str, bytes], count: int, generator: Generator | None, shard: str, key: str) -> Tensor:
    """Decode `count` of a clip's candidates, in temporal order: random ones, or evenly spread without a `generator`.

    Returns:
        uint8 (count, 3, H, W).

    Raises:
        BadSample: naming the picture that cannot be decoded.
    """
    candidates = sum(name.endswith(".jpg") for name in members)
    if candidates < count:
        raise BadSample(Fault(shard, key, "", f"{candidates} pictures, but the model looks at {count} of a clip"))
    decoded: list[Tensor] = []
    for number in choose_frames(candidates, count, generator):
        member = f"{number}.jpg"
        try:
            decoded.append(decode_jpeg(members[member]))
        except (KeyError, ValueError) as fault:
            reason = "missing member" if isinstance(fault, KeyError) else str(fault)
            raise BadSample(Fault(shard, key, member, reason)) from fault
        if decoded[-1].shape != decoded[0].shape:
            shapes = f"{tuple(decoded[-1].shape)}, {tuple(decoded[0].shape)}"
            raise BadSample(Fault(shard, key, member, f"differs in size from the other pictures of its clip: {shapes}"))
    return torch.stack(decoded)


def collate(
    pairs: Sequence[Pair], preprocess: ClipTransform, tokenize: Tokenize, seed: int, epoch: int
) -> tuple[PairBatch | None, list[Fault]]:
    """Make a batch of pairs.  What cannot be used is left out and returned beside; None where nothing was left."""
    faults: list[Fault] = []
    kept: list[Pair] = []
    pixels: Tensor | None = None  # made once: to collect clips and stack them would hold everything twice
    for pair in _with_sound_text(pairs, tokenize, faults):
        generator = sample_generator(seed, epoch, pair.key)
        try:
            decoded = decode_frames(pair.members, preprocess.frames, generator, pair.shard, pair.key)
        except BadSample as bad:
            faults.append(bad.fault)
            continue
        clip = preprocess(decoded, generator=generator)
        if pixels is None:
            pixels = clip.new_empty((len(pairs), *clip.shape))
        pixels[len(kept)] = clip
        kept.append(pair)
    if pixels is None:
        return None, faults
    input_ids, attention_mask = tokenize([pair.text for pair in kept])
    batch = PairBatch(
        pixels=pixels[: len(kept)],
        input_ids=input_ids,
        attention_mask=attention_mask,
        video=torch.tensor([pair.video for pair in kept], dtype=torch.int64),
        sentence=torch.tensor([pair.sentence for pair in kept], dtype=torch.int64),
        weight=torch.tensor([pair.weight for pair in kept], dtype=torch.float32),
        keys=[pair.key for pair in kept],
    )
    return batch, faults


def _with_sound_text(pairs: Sequence[Pair], tokenize: Tokenize, faults: list[Fault]) -> list[Pair]:
    """The pairs whose sentences can be tokenised; the others are added to `faults`."""
    try:
        tokenize([pair.text for pair in pairs])
        return list(pairs)
    except ValueError:
        sound = []
    for pair in pairs:
        try:
            tokenize([pair.text])
            sound.append(pair)
        except ValueError as fault:
            faults.append(Fault(pair.shard, pair.key, "", f"its sentence {pair.text!r}: {fault}"))
    return sound

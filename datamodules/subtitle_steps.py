"""Clips with their subtitles, dealt to steps: what the data modules of subtitle matching have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Generator
from torch.utils.data import Dataset

from .batches import SpokenBatch, SubtitleBatch
from .elastic import Read, even_share, workers_loader
from .index import ShardSet
from .pairs import group_count, sample_generator, seeded_rng
from .resumable import Resumable, ResumableDataModule
from .streams import SPANS, StreamInfo, narrations

Batch = SubtitleBatch | SpokenBatch


class PairedClips(ABC):
    """The clips of a split that have a subtitle and are long enough; read from disk each time they are asked for.

    Args:
        video, text: sets of what is seen of the clips, and of what is known of their subtitles.
        split: of the clips.
        domain: keep the clips of this alone; None keeps all.
        languages: keep the clips in these; None keeps all.
        least: steps that a clip and its subtitle must have.

    Attributes:
        clips: what is known of each, in the order of the shards.
        left_out: id -> why a clip of the split is not among them, apart from its domain and its language.

    Raises:
        ValueError: there is no such split, domain or language.
    """

    def __init__(
        self,
        video: ShardSet,
        text: ShardSet,
        split: str,
        *,
        domain: str | None = None,
        languages: Sequence[str] | None = None,
        least: int = 1,
    ) -> None:
        self.video, self.text = video, text
        everything = [self.info(entry.id) for entry in video.split(split)]
        _check_known(f"the {split} split of {video.folder}", "domain", domain, {clip.domain for clip in everything})
        video.manifest.check_languages(languages, video.folder)
        self.left_out: dict[str, str] = {}
        self.clips: list[StreamInfo] = []
        for clip in everything:
            if (domain is None or clip.domain == domain) and (languages is None or clip.language in languages):
                if reason := self._unfit(clip, least):
                    self.left_out[clip.id] = reason
                else:
                    self.clips.append(clip)

    def __len__(self) -> int:
        return len(self.clips)

    @property
    @abstractmethod
    def names(self) -> tuple[str, str]:
        """What is seen of a clip, and what is known of its subtitle, such as lips and speech."""

    @abstractmethod
    def info(self, name: str) -> StreamInfo:
        """What the record of a clip says, with its steps."""

    @abstractmethod
    def text_steps(self, name: str) -> int:
        """Steps of the subtitle of a clip that has one."""

    @abstractmethod
    def batch(self, places: Sequence[int], generators: Sequence[Generator] | None = None) -> Batch:
        """Some clips with their subtitles.

        Args:
            generators: a clip's own, in training, where it may be augmented.

        Raises:
            BadSample: something cannot be read.
        """

    def cues(self, name: str, spans: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(K, 2) seconds of the clip, and of the speech, in which each cue of a subtitle is said whose time is known.

        Args:
            spans: of all its cues in the speech.

        Raises:
            BadSample: the record has others.
        """
        spoken = narrations(self.text, name)
        if spoken.shape != spans.shape:
            raise self.text.bad(name, None, f"{SPANS}.npy", f"{len(spans)} spans of {len(spoken)} cues")
        timed = ~np.isnan(spoken).any(axis=1)
        return spoken[timed], spans[timed]

    def _unfit(self, clip: StreamInfo, least: int) -> str:
        video, text = self.names
        if clip.id not in self.text.entries:
            return f"{self.text.folder} has no {text} of it"
        steps = {video: clip.steps, text: self.text_steps(clip.id)}
        return ", ".join(
            f"{count} steps of {name}, {least} are needed" for name, count in steps.items() if count < least
        )


class PairedDataModule(ResumableDataModule["SubtitleLoader"]):
    """Training steps of several clips; evaluation clip by clip, each exactly once over all ranks.

    Args:
        clips: the set of conversational clips.
        video, text: see `PairedClips`.
        global_batch: clips in a step at most, over all ranks; the steps of an epoch differ by one clip at most.
        least: steps that a clip and its subtitle must have; shorter ones are left out.
        domain: keep the clips of this alone, such as ``movie``; None keeps all.
        languages: keep the clips in these; None keeps all.
        test_split: which clips `test_dataloader` yields.
        workers: reading processes.
        seed: of the order, and of what training augments.

    Raises:
        ValueError: there is nothing to tell a clip from.
    """

    #: a rank may have no clip to evaluate where they are fewer than the ranks
    allow_zero_length_dataloader_with_multiple_devices = True

    def __init__(
        self,
        clips: ShardSet,
        video: ShardSet,
        text: ShardSet,
        *,
        global_batch: int = 4,
        least: int = 1,
        domain: str | None = None,
        languages: Sequence[str] | None = None,
        test_split: str = "test",
        workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if global_batch < 2:
            raise ValueError(f"global_batch={global_batch}: a clip is told from the others of its step, so 2 at least")
        self.clips, self.video, self.text = clips, video, text
        self.global_batch = global_batch
        self.least = least
        self.domain = domain
        self.languages = None if languages is None else sorted(set(languages))
        self.test_split = test_split
        self.workers = workers
        self.seed = seed

    @property
    def kept(self) -> dict[str, Any]:
        """Which clips of a split there are: arguments of `PairedClips`."""
        return {"domain": self.domain, "languages": self.languages, "least": self.least}

    @property
    @abstractmethod
    def names(self) -> tuple[str, str]:
        """As of `PairedClips`."""

    @property
    @abstractmethod
    def producers(self) -> dict[str, str]:
        """Who makes the features of the two: ``video`` and ``text``."""

    @property
    @abstractmethod
    def per_second(self) -> float:
        """Steps of the video a second."""

    @abstractmethod
    def widths(self) -> tuple[int, int]:
        """Width of a step of the video and of the text."""

    @abstractmethod
    def split(self, split: str) -> PairedClips:
        """The clips of any split.  Raises ValueError where there is no such split, domain or language."""

    @property
    def made_by(self) -> dict[str, Any]:
        """Of the identity of training, what makes the features that are not read from a set."""
        return {}

    def training_loader(self, rank: int, world: int) -> SubtitleLoader:
        """Steps of training.  Raises ValueError where there are too few clips."""
        identity = {
            "global_batch": self.global_batch,
            "seed": self.seed,
            **self.kept,
            "video": self.video.fingerprint("train"),
            "text": self.text.fingerprint("train"),
            **self.made_by,
        }
        steps = SubtitleSteps(self.split("train"), self.global_batch, self.seed, rank, world)
        return SubtitleLoader(steps, identity, self.workers)

    def val_dataloader(self) -> ClipLoader:
        """Clips of the validation split, one at a time."""
        return ClipLoader(self.split("val"), *self.place(), workers=self.workers)

    def test_dataloader(self) -> ClipLoader:
        """Clips of `test_split`, one at a time."""
        return ClipLoader(self.split(self.test_split), *self.place(), workers=self.workers)


@dataclass
class SubtitleSteps(Dataset[Read[Batch]]):
    """(epoch, step) -> this rank's share of that step, a pure function of seed, epoch and step.

    The same clips for any number of ranks; what workers run.

    Raises:
        ValueError: the clips are too few for the ranks, or for a single wrong pair.
    """

    clips: PairedClips
    global_batch: int
    seed: int
    rank: int
    world: int

    def __post_init__(self) -> None:
        smallest = len(self.clips) // len(self)
        if smallest < max(2, self.world):
            raise ValueError(
                f"{len(self.clips)} clips are too few for steps of at most {self.global_batch}: the smallest step has "
                f"{smallest}, and needs two, and one for each of {self.world} ranks; take more clips, another "
                "data.global_batch, or fewer ranks"
            )

    def __len__(self) -> int:
        """Steps of an epoch, for any number of ranks; three clips make a step where steps of 2 do not come out even."""
        return group_count(len(self.clips), self.global_batch)

    def __getitem__(self, place: tuple[int, int]) -> Read[Batch]:
        epoch, step = place
        order = seeded_rng(self.seed, epoch).permutation(len(self.clips))
        places = order[even_share(len(order), step, len(self))]
        own = places[even_share(len(places), self.rank, self.world)].tolist()
        generators = [sample_generator(self.seed, epoch, self.clips.clips[one].id) for one in own]
        return Read.attempt(lambda: self.clips.batch(own, generators))


class SubtitleLoader(Resumable):
    """Steps of training, in order.

    Args:
        steps: of this rank.
        identity: see `Resumable`.
        workers: reading processes; 0 reads in this one.
    """

    def __init__(self, steps: SubtitleSteps, identity: dict[str, Any], workers: int) -> None:
        super().__init__(identity)
        self.steps = steps
        self.workers = workers

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Batch]:
        places = [(self.epoch, step) for step in range(self.step, len(self))]
        for read in workers_loader(self.steps, places, self.workers, None):
            batch = read.take()
            self.advance()
            yield batch


@dataclass
class ClipLoader(Dataset[Read[Batch]]):
    """Every clip exactly once over all ranks, one at a time: this rank's are ``range(rank, N, world)``.

    Args:
        workers: reading processes; 0 reads in this one.
    """

    clips: PairedClips
    rank: int
    world: int
    workers: int = 0

    def __len__(self) -> int:
        return len(range(self.rank, len(self.clips), self.world))

    def __getitem__(self, place: int) -> Read[Batch]:
        return Read.attempt(lambda: self.clips.batch([place]))

    def __iter__(self) -> Iterator[Batch]:
        places = list(range(self.rank, len(self.clips), self.world))
        for read in workers_loader(self, places, self.workers, None, ahead=1):
            yield read.take()


def _check_known(where: str, what: str, wanted: str | None, there: set[str]) -> None:
    """Raises ValueError where nothing has the wanted name; None wants all."""
    if wanted is not None and wanted not in there:
        has = ", ".join(sorted(name or "(none said)" for name in there))
        raise ValueError(f"{where} has no clip of {what} {wanted!r}; it has {has}")

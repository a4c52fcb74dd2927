"""Face tubes with their own sound, in windows of training and whole: what SyncNet learns from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor
from torch.utils.data import Dataset

from .batches import TubeBatch, TubeTransform
from .elastic import Read, even_share, workers_loader
from .index import ShardSet
from .pairs import sample_generator, seeded_rng
from .resumable import Resumable, ResumableDataModule
from .spoken import SAMPLES_A_FRAME, TUBE_FPS, StoredClip, open_clips, read_clip
from .streams import stream_info

#: samples that follow those of the frames, so that spectra of 25 ms last as long as the tube
LOOK_AHEAD = 240
#: frames of the shortest clip that is evaluated
LEAST = 13


@dataclass(frozen=True)
class TubeClip:
    """What is known of a clip before its pictures are read."""

    id: str
    language: str
    frames: int


@dataclass
class Window:
    """Some frames of a clip, and what goes with them.

    Attributes:
        frames: (T, 3, S, S) uint8.
        sound: (640 T + 240,) int16.
        speaking: (T,) bool, whether this face speaks; None where nobody knows.
    """

    frames: Tensor
    sound: Tensor
    speaking: Tensor | None = None


class Tubes:
    """The clips of a split that are long enough, in the order of the set; pictures and sound are read as asked for.

    Args:
        clips: of `open_clips`.
        split: its clips alone.
        preprocess: the network's own.
        least: frames that a clip must have; others are left out.
        languages, domain: keep the clips of these alone; None keeps all.

    Attributes:
        records: of the clips.
        too_short: how many were left out.
    """

    def __init__(
        self,
        clips: ShardSet,
        split: str,
        preprocess: TubeTransform,
        *,
        least: int,
        languages: Sequence[str] | None = None,
        domain: str | None = None,
    ) -> None:
        self.clips = clips
        self.preprocess = preprocess
        clips.manifest.check_languages(languages, clips.folder)
        found = [
            TubeClip(one.id, one.language, one.steps)
            for one in (stream_info(clips, entry.id, _frames) for entry in clips.split(split))
            if (languages is None or one.language in languages) and domain in (None, one.domain)
        ]
        self.records = [record for record in found if record.frames >= least]
        self.too_short = len(found) - len(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def window(self, place: int, first: int, count: int, generator: Generator | None = None) -> Window:
        """`count` frames of a clip from `first` on, and their sound; with a `generator` augmented, as in training."""
        return self.part(read_clip(self.clips, self.records[place].id), first, count, generator)

    def part(self, clip: StoredClip, first: int, count: int, generator: Generator | None) -> Window:
        """The same of a clip that was read."""
        start = first * SAMPLES_A_FRAME
        return Window(
            self.preprocess(clip.tube(first=first, count=count), generator=generator),
            clip.sound()[start : start + count * SAMPLES_A_FRAME + LOOK_AHEAD],
        )

    def whole(self, place: int) -> TubeBatch:
        """A clip as a batch of one, but for the last frame, whose sound has no more that follows."""
        record = self.records[place]
        return collate([record], [self.window(place, 0, record.frames - 1)])


class TubeDataModule(ResumableDataModule["TubeLoader"]):
    """Tubes of conversational clips with their own sound, as Lightning wants them.

    Training yields a `TubeBatch` of one window of each of some clips; evaluation yields whole clips one by one, each
    exactly once over all ranks.

    Args:
        folder: of a set of conversational clips.
        preprocess: the network's own.
        global_batch: clips in a step, over all ranks.  Clips that fill no step sit an epoch out, others in each.
        frames: of a window, drawn anew every epoch.
        languages, domain: keep the clips of these alone; None keeps all.
        workers: processes that decode, for each rank; 0 decodes in the process that trains.
        seed: of the order, of the windows, and of what training augments.

    Raises:
        FileNotFoundError: there is no such set.
        ValueError: it is of another kind, or the network takes another frame rate than tubes have.
    """

    #: what a split of the set is
    kind: ClassVar[type[Tubes]] = Tubes
    #: a rank may have no clip to evaluate where they are fewer than the ranks
    allow_zero_length_dataloader_with_multiple_devices = True

    def __init__(
        self,
        folder: str | Path,
        preprocess: TubeTransform,
        *,
        global_batch: int = 16,
        frames: int = 50,
        languages: Sequence[str] | None = None,
        domain: str | None = None,
        workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if global_batch < 1 or frames < 1 or workers < 0:
            raise ValueError(
                f"global_batch={global_batch}, frames={frames} are 1 at least, and workers={workers} not less than 0"
            )
        if preprocess.fps != TUBE_FPS:
            raise ValueError(
                f"the network takes {preprocess.fps} frames a second, tubes have {TUBE_FPS}: lips and speech keep one "
                f"pace in training with fps={TUBE_FPS}"
            )
        self.clips = self.open(folder)
        self.preprocess = preprocess
        self.global_batch = global_batch
        self.frames = frames
        self.languages = None if languages is None else sorted(set(languages))
        self.domain = domain
        self.workers = workers
        self.seed = seed

    @staticmethod
    def open(folder: str | Path) -> ShardSet:
        """The set.  Raises FileNotFoundError and ValueError where there is none, or one of another kind."""
        return open_clips(folder)

    def tubes(self, split: str, least: int = LEAST) -> Tubes:
        """The clips of any split that have `least` frames.  Raises ValueError where there is none."""
        tubes = self.kind(self.clips, split, self.preprocess, least=least, languages=self.languages, domain=self.domain)
        if not len(tubes):
            raise ValueError(
                f"no clip of {self.clips.folder} in {split}, domain {self.domain or 'any'}, languages "
                f"{', '.join(self.languages or ['any'])}, has {least} frames ({tubes.too_short} are too short)"
            )
        return tubes

    def training_loader(self, rank: int, world: int) -> TubeLoader:
        """Steps of windows.  Raises ValueError where the clips do not fill one."""
        identity = {
            "global_batch": self.global_batch,
            "frames": self.frames,
            "seed": self.seed,
            "languages": self.languages,
            "domain": self.domain,
            "data": self.clips.fingerprint("train"),
        }
        tubes = self.tubes("train", self.frames + 1)  # the last frame has no sound that follows
        return TubeLoader(tubes, self.global_batch, self.frames, identity, rank, world, workers=self.workers)

    def val_dataloader(self) -> WholeTubes:
        """Whole clips of the validation split."""
        return WholeTubes(self.tubes("val"), *self.place(), workers=self.workers)

    def test_dataloader(self) -> WholeTubes:
        """Whole clips of the test split."""
        return WholeTubes(self.tubes("test"), *self.place(), workers=self.workers)


class TubeLoader(Resumable):
    """Steps of training: some clips in a seeded order, a window of each.

    What a step holds is a pure function of seed, epoch and step, the same for any number of ranks and workers.

    Args:
        tubes: of the training split.
        global_batch, frames, workers: see `TubeDataModule`.
        identity: see `Resumable`.
        rank, world: which share of each step is this process's.
    """

    def __init__(
        self,
        tubes: Tubes,
        global_batch: int,
        frames: int,
        identity: dict[str, Any],
        rank: int,
        world: int,
        *,
        workers: int = 0,
    ) -> None:
        if global_batch % world:
            raise ValueError(f"steps of {global_batch} clips cannot be shared by {world} ranks evenly")
        if len(tubes) < global_batch:
            raise ValueError(
                f"{len(tubes)} clips of {tubes.clips.folder} do not fill a step of {global_batch}: lower "
                "data.global_batch"
            )
        super().__init__(identity)
        self.steps = _Steps(tubes, global_batch, frames, identity["seed"], rank, world)
        self.workers = workers

    def __len__(self) -> int:
        return len(self.steps.tubes) // self.steps.global_batch

    def __iter__(self) -> Iterator[TubeBatch]:
        epoch = self.epoch
        places = [(epoch, step) for step in range(self.step, len(self))]
        for read in workers_loader(self.steps, places, self.workers, None):
            batch = read.take()
            self.advance()
            yield batch


class WholeTubes:
    """Every clip exactly once over all ranks, as batches of one: this rank's are ``range(rank, N, world)``."""

    def __init__(self, tubes: Tubes, rank: int, world: int, *, workers: int = 0) -> None:
        self.tubes = tubes
        self.places = range(rank, len(tubes), world)
        self.workers = workers

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[TubeBatch]:
        for read in workers_loader(_Whole(self.tubes), list(self.places), self.workers, None, ahead=1):
            yield read.take()


class _Steps(Dataset[Read[TubeBatch]]):
    """(epoch, step) -> this rank's share of that step.  What workers run; holds nothing that changes."""

    def __init__(self, tubes: Tubes, global_batch: int, frames: int, seed: int, rank: int, world: int) -> None:
        self.tubes = tubes
        self.global_batch = global_batch
        self.frames = frames
        self.seed = seed
        self.rank, self.world = rank, world

    def __getitem__(self, place: tuple[int, int]) -> Read[TubeBatch]:
        epoch, step = place
        order = seeded_rng(self.seed, epoch).permutation(len(self.tubes))
        clips = order[step * self.global_batch : (step + 1) * self.global_batch]
        share = [int(clip) for clip in clips[even_share(len(clips), self.rank, self.world)]]
        records = [self.tubes.records[clip] for clip in share]
        return Read.attempt(lambda: collate(records, [self._window(epoch, clip) for clip in share]))

    def _window(self, epoch: int, clip: int) -> Window:
        record = self.tubes.records[clip]
        first = int(seeded_rng(self.seed, epoch, clip).integers(record.frames - self.frames))
        return self.tubes.window(clip, first, self.frames, sample_generator(self.seed, epoch, record.id))


class _Whole(Dataset[Read[TubeBatch]]):
    """Place -> a whole clip."""

    def __init__(self, tubes: Tubes) -> None:
        self.tubes = tubes

    def __getitem__(self, place: int) -> Read[TubeBatch]:
        return Read.attempt(lambda: self.tubes.whole(place))


def _frames(record: dict[str, Any]) -> int:
    return int(record["clip"]["frames"])


def collate(clips: Sequence[TubeClip], windows: Sequence[Window]) -> TubeBatch:
    """Windows of one length as a batch."""
    speaking = [window.speaking for window in windows if window.speaking is not None]
    return TubeBatch(
        ids=[clip.id for clip in clips],
        languages=[clip.language for clip in clips],
        frames=torch.stack([window.frames for window in windows]),
        waveform=torch.stack([window.sound for window in windows]),
        speaking=torch.stack(speaking) if speaking else None,
    )

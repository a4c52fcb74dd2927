"""Clips with their subtitles, both as streams of features, as Lightning wants them.

The video's stream is derived from a set of conversational clips, the text's from a set of speech that was derived from
the same clips; a clip and its subtitle share an id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from .batches import SubtitleBatch
from .derived import SPEECH as SPEECH_SET
from .derived import open_derived
from .elastic import Read, rank_share, refuse_changed, workers_loader
from .features import Arrays
from .index import ShardSet
from .pairs import chance
from .resumable import ResumableDataModule
from .spoken import open_clips
from .streams import (
    SPANS,
    TEXT_STREAMS,
    TIMES,
    VIDEO_STREAMS,
    Known,
    known,
    narrations,
    open_stream,
    producer_of,
    read_stream,
    stream_of,
)
from .tarscan import BadSample


class SubtitleClips:
    """The clips of a split whose two streams are long enough; read from disk each time they are asked for.

    Args:
        video, text: sets of features of `open_stream`.
        split: of the clips.
        domain: keep the clips of this alone; None keeps all.
        languages: keep the clips in these; None keeps all.
        least: steps that a stream must have.

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
        everything = [known(video, entry.id) for entry in video.split(split)]
        _check_known(f"the {split} split of {video.folder}", "domain", domain, {clip.domain for clip in everything})
        video.manifest.check_languages(languages, video.folder)
        self.left_out: dict[str, str] = {}
        self.clips: list[Known] = []
        for clip in everything:
            if (domain is None or clip.domain == domain) and (languages is None or clip.language in languages):
                if reason := self._unfit(clip, least):
                    self.left_out[clip.id] = reason
                else:
                    self.clips.append(clip)

    def __len__(self) -> int:
        return len(self.clips)

    def _unfit(self, clip: Known, least: int) -> str:
        if clip.id not in self.text.entries:
            return f"{self.text.folder} has no {stream_of(self.text)} of it"
        steps = {stream_of(self.video): clip.steps, stream_of(self.text): known(self.text, clip.id).steps}
        return ", ".join(
            f"{count} steps of {name}, {least} are needed" for name, count in steps.items() if count < least
        )

    def read(self, place: int) -> tuple[Arrays, Arrays]:
        """The arrays of a clip and of its subtitle, as `read_stream` gives them; `SPANS` of the clip are its cues.

        Raises BadSample where they cannot be read.
        """
        name = self.clips[place].id
        video, text = read_stream(self.video, name), read_stream(self.text, name)
        if SPANS in text:
            spoken = narrations(self.text, name)
            if spoken.shape != text[SPANS].shape:
                raise self.text.bad(name, None, f"{SPANS}.npy", f"{len(text[SPANS])} spans of {len(spoken)} cues")
            timed = ~np.isnan(spoken).any(axis=1)
            video, text = {**video, SPANS: spoken[timed]}, {**text, SPANS: text[SPANS][timed]}
        return video, text

    def batch(self, places: Sequence[int]) -> SubtitleBatch:
        """Some clips with their subtitles, padded."""
        read = [self.read(place) for place in places]
        videos, texts = [video for video, _ in read], [text for _, text in read]
        video, video_lengths = _padded(videos, stream_of(self.video))
        text, text_lengths = _padded(texts, stream_of(self.text))
        batch = SubtitleBatch(
            ids=[self.clips[place].id for place in places],
            languages=[self.clips[place].language for place in places],
            video=video,
            video_lengths=video_lengths,
            text=text,
            text_lengths=text_lengths,
        )
        if all(TIMES in video and SPANS in text for video, text in read):
            batch.video_times, batch.text_times = _padded(videos, TIMES)[0], _padded(texts, TIMES)[0]
            batch.spoken = [torch.from_numpy(arrays[SPANS]) for arrays in videos]
            batch.synthesised = [torch.from_numpy(arrays[SPANS]) for arrays in texts]
        return batch


class SubtitleDataModule(ResumableDataModule):
    """Training steps of several clips; evaluation clip by clip, each exactly once over all ranks.

    Args:
        clips: folder of a set of conversational clips (``weaksync data build subtitles``).
        speech: folder of the set of speech that was made of it (``weaksync data speech``).
        video: folder of a stream of `clips`, such as lips (``weaksync data features``).
        text: folder of a stream of `speech`: speech or words.
        global_batch: clips in a step, over all ranks; the last step of an epoch may be smaller.
        least: steps that each stream of a clip must have; shorter ones are left out.
        domain: keep the clips of this alone, such as ``movie``; None keeps all.
        languages: keep the clips in these; None keeps all.
        test_split: which clips `test_dataloader` yields.
        workers: reading processes.
        seed: of the order.

    Raises:
        FileNotFoundError: there is no such set.
        ValueError: one was made of another set, or holds something else.
    """

    #: a rank may have no clip to evaluate where they are fewer than the ranks
    allow_zero_length_dataloader_with_multiple_devices = True

    def __init__(
        self,
        clips: str | Path,
        speech: str | Path,
        video: str | Path,
        text: str | Path,
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
        self.clips = open_clips(clips)
        self.speech = open_derived(speech, self.clips, SPEECH_SET)
        self.video = open_stream(video, self.clips, VIDEO_STREAMS)
        self.text = open_stream(text, self.speech, TEXT_STREAMS)
        self.global_batch = global_batch
        self.least = least
        self.domain = domain
        self.languages = None if languages is None else sorted(set(languages))
        self.test_split = test_split
        self.workers = workers
        self.seed = seed
        self._training: SubtitleLoader | None = None

    @property
    def producers(self) -> dict[str, str]:
        """Who made the two streams: ``video`` and ``text``."""
        return {"video": producer_of(self.video), "text": producer_of(self.text)}

    @property
    def per_second(self) -> float:
        """Steps of the video's stream a second."""
        return float(self.video.manifest.settings["per_second"])

    def widths(self) -> tuple[int, int]:
        """Width of a step of the video and of the text.  Raises ValueError where no split has a clip."""
        for split in self.clips.splits:
            if split in self.video.splits and len(clips := self.split(split)):
                video, text = clips.read(0)
                return video[stream_of(self.video)].shape[1], text[stream_of(self.text)].shape[1]
        raise ValueError(f"no clip of {self.clips.folder} has both streams")

    def split(self, split: str) -> SubtitleClips:
        """The clips of any split.  Raises ValueError where there is no such split, domain or language."""
        return SubtitleClips(
            self.video, self.text, split, domain=self.domain, languages=self.languages, least=self.least
        )

    def train_dataloader(self) -> SubtitleLoader:
        """Steps of training.  The same loader for the life of the module: asking again does not lose the place."""
        if self._training is None:
            identity = {
                "global_batch": self.global_batch,
                "least": self.least,
                "seed": self.seed,
                "domain": self.domain,
                "languages": self.languages,
                "video": self.video.fingerprint("train"),
                "text": self.text.fingerprint("train"),
            }
            steps = SubtitleSteps(self.split("train"), self.global_batch, self.seed, *self.place())
            self._training = SubtitleLoader(steps, identity, self.workers)
            if self._resumed:
                self._training.load_state_dict(self._resumed)
        return self._training

    def val_dataloader(self) -> ClipLoader:
        """Clips of the validation split, one at a time."""
        return ClipLoader(self.split("val"), *self.place())

    def test_dataloader(self) -> ClipLoader:
        """Clips of `test_split`, one at a time."""
        return ClipLoader(self.split(self.test_split), *self.place())


@dataclass
class SubtitleSteps(Dataset[Read[SubtitleBatch]]):
    """(epoch, step) -> this rank's share of that step, a pure function of seed, epoch and step.

    The same clips for any number of ranks; what workers run.

    Raises:
        ValueError: the clips are too few for the ranks, or for a single wrong pair.
    """

    clips: SubtitleClips
    global_batch: int
    seed: int
    rank: int
    world: int

    def __post_init__(self) -> None:
        if len(self.clips) < max(2, self.world) or self.global_batch < self.world:
            raise ValueError(
                f"{len(self.clips)} clips in steps of {self.global_batch} are too few for {self.world} ranks: each "
                "needs one of every step, and a step two"
            )

    def __len__(self) -> int:
        """Steps of an epoch; a last one with fewer clips than ranks, or a single clip, is left out."""
        whole, rest = divmod(len(self.clips), self.global_batch)
        return whole + (rest >= max(2, self.world))

    def __getitem__(self, place: tuple[int, int]) -> Read[SubtitleBatch]:
        epoch, step = place
        order = chance(self.seed, epoch).permutation(len(self.clips))
        places = order[step * self.global_batch : (step + 1) * self.global_batch]
        try:
            return Read(self.clips.batch(places[rank_share(len(places), self.rank, self.world)].tolist()), [])
        except BadSample as bad:
            return Read(None, [bad.fault])


class SubtitleLoader:
    """Steps of training, in order; its state is the epoch and the step, so that a run goes on where it was.

    Args:
        steps: of this rank.
        identity: what a state belongs to, by name; a state of another is refused.
        workers: reading processes; 0 reads in this one.
    """

    def __init__(self, steps: SubtitleSteps, identity: dict[str, Any], workers: int) -> None:
        self.steps = steps
        self.identity = identity
        self.workers = workers
        self.epoch = self.step = 0

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[SubtitleBatch]:
        epoch = self.epoch
        places = [(epoch, step) for step in range(self.step, len(self))]
        for read in workers_loader(self.steps, places, self.workers, None):
            if read.batch is None:
                raise BadSample(read.faults[0])
            self.step += 1
            if self.step == len(self):
                self.epoch, self.step = epoch + 1, 0
            yield read.batch

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "step": self.step, **self.identity}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises ValueError naming everything that is not as it was when the state was saved."""
        refuse_changed(self.identity, state)
        self.epoch, self.step = int(state["epoch"]), int(state["step"])


class ClipLoader:
    """Every clip exactly once over all ranks, one at a time: this rank's are ``range(rank, N, world)``."""

    def __init__(self, clips: SubtitleClips, rank: int, world: int) -> None:
        self.clips = clips
        self.places = range(rank, len(clips), world)

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[SubtitleBatch]:
        return (self.clips.batch([place]) for place in self.places)


def _padded(rows: Sequence[Arrays], name: str) -> tuple[Tensor, Tensor]:
    each = [torch.from_numpy(arrays[name]) for arrays in rows]
    return pad_sequence(each, batch_first=True), torch.tensor([len(steps) for steps in each], dtype=torch.int64)


def _check_known(where: str, what: str, wanted: str | None, there: set[str]) -> None:
    """Raises ValueError where nothing has the wanted name; None wants all."""
    if wanted is not None and wanted not in there:
        counted = Counter(name or "(none said)" for name in there)
        raise ValueError(f"{where} has no clip of {what} {wanted!r}; it has {', '.join(sorted(counted))}")

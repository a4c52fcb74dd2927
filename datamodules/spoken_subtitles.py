"""Clips with their subtitles as pictures and sound, for a SyncNet that learns: a face tube, and the synthesised speech.

What is known of a clip, the cues and the order are those of the streams that the same SyncNet would have made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from .batches import SPEECH_RATE, SpokenBatch, TubeTransform
from .derived import SPEECH as SPEECH_SET
from .derived import open_derived
from .index import ShardSet
from .speech_set import cue_spans, read_speech
from .spoken import at_rate, frames_at_rate, open_clips, tube
from .streams import LIPS, SPEECH, StreamInfo, stream_info
from .subtitle_steps import PairedClips, PairedDataModule


@dataclass(frozen=True)
class SpokenInput:
    """What a network takes of a clip and its subtitle, and makes of them; picklable, so that workers can carry it.

    Attributes:
        preprocess: its pictures.
        lip_steps: frames, at its own rate, to the steps that it makes of them.
        speech_steps: the same of samples.
        width: of a step.
        per_second: steps of lips a second.
        producer: who makes them, as a set of features would name it.
    """

    preprocess: TubeTransform
    lip_steps: Callable[[int], int]
    speech_steps: Callable[[int], int]
    width: int
    per_second: float
    producer: str


class SpokenClips(PairedClips):
    """The clips of a split as tubes and waveforms, of `open_clips` and `open_speech`.

    Args:
        network: takes them.
        kept: as of `PairedClips`, and its errors.
    """

    names = (LIPS, SPEECH)

    def __init__(self, clips: ShardSet, speech: ShardSet, split: str, network: SpokenInput, **kept: Any) -> None:
        self.network = network
        super().__init__(clips, speech, split, **kept)

    def info(self, name: str) -> StreamInfo:
        return stream_info(self.video, name, self._lip_steps)

    def text_steps(self, name: str) -> int:
        return stream_info(self.text, name, self._speech_steps).steps

    def _lip_steps(self, record: dict[str, Any]) -> int:
        return self.network.lip_steps(frames_at_rate(record["clip"]["frames"], self.network.preprocess.fps))

    def _speech_steps(self, record: dict[str, Any]) -> int:
        return self.network.speech_steps(round(record["duration"] * SPEECH_RATE))

    def batch(self, places: Sequence[int], generators: Sequence[Generator] | None = None) -> SpokenBatch:
        clips = [self.clips[place] for place in places]
        chances: Sequence[Generator | None] = generators or [None] * len(clips)
        cues = [self.cues(clip.id, cue_spans(self.text, clip.id)) for clip in clips]
        return SpokenBatch(
            ids=[clip.id for clip in clips],
            languages=[clip.language for clip in clips],
            tubes=[self._tube(clip.id, chance) for clip, chance in zip(clips, chances, strict=True)],
            speech=[read_speech(self.text, clip.id).waveform for clip in clips],
            spoken=[torch.from_numpy(said) for said, _ in cues],
            synthesised=[torch.from_numpy(said) for _, said in cues],
        )

    def _tube(self, name: str, generator: Generator | None) -> Tensor:
        preprocess = self.network.preprocess
        return preprocess(at_rate(tube(self.video, name), preprocess.fps), generator=generator)


class SpokenDataModule(PairedDataModule):
    """Clips as face tubes, and their subtitles as synthesised speech; see `PairedDataModule`.

    Args:
        clips: folder of a set of conversational clips (``weaksync data build subtitles``).
        speech: folder of the set of speech that was made of it (``weaksync data speech``).
        network: takes them.
        settings: of `PairedDataModule`.

    Raises:
        FileNotFoundError: there is no such set.
        ValueError: the speech is of other clips, or a set holds something else.
    """

    def __init__(self, clips: str | Path, speech: str | Path, network: SpokenInput, **settings: Any) -> None:
        parent = open_clips(clips)
        super().__init__(parent, parent, open_derived(speech, parent, SPEECH_SET), **settings)
        self.network = network

    @property
    def names(self) -> tuple[str, str]:
        return SpokenClips.names

    @property
    def producers(self) -> dict[str, str]:
        return dict.fromkeys(("video", "text"), self.network.producer)

    @property
    def per_second(self) -> float:
        return self.network.per_second

    @property
    def made_by(self) -> dict[str, Any]:
        preprocess = self.network.preprocess.to_dict()
        return {"producer": self.network.producer, "per_second": self.per_second, "preprocess": preprocess}

    def widths(self) -> tuple[int, int]:
        return self.network.width, self.network.width

    def split(self, split: str) -> SpokenClips:
        return SpokenClips(self.video, self.text, split, self.network, **self.kept)

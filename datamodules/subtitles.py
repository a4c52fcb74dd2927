"""Clips with their subtitles, both as streams of features, as Lightning wants them.

The video's stream is derived from a set of conversational clips, the text's from a set of speech that was derived from
the same clips; a clip and its subtitle share an id.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn.utils.rnn import pad_sequence

from .batches import SubtitleBatch
from .derived import SPEECH as SPEECH_SET
from .derived import open_derived
from .features import Arrays
from .spoken import open_clips
from .streams import (
    SPANS,
    TEXT_STREAMS,
    TIMES,
    VIDEO_STREAMS,
    StreamInfo,
    open_stream,
    producer_of,
    read_stream,
    stream_info,
    stream_of,
)
from .subtitle_steps import PairedClips, PairedDataModule


class SubtitleClips(PairedClips):
    """The clips of a split as two streams, of `open_stream`; arguments and errors as of `PairedClips`."""

    def info(self, name: str) -> StreamInfo:
        return stream_info(self.video, name)

    def text_steps(self, name: str) -> int:
        return stream_info(self.text, name).steps

    @property
    def names(self) -> tuple[str, str]:
        return stream_of(self.video), stream_of(self.text)

    def read(self, place: int) -> tuple[Arrays, Arrays]:
        """The arrays of a clip and of its subtitle, as `read_stream` gives them; `SPANS` of the clip are its cues.

        Raises BadSample where they cannot be read.
        """
        name = self.clips[place].id
        video, text = read_stream(self.video, name), read_stream(self.text, name)
        if SPANS in text:
            spoken, synthesised = self.cues(name, text[SPANS])
            video, text = {**video, SPANS: spoken}, {**text, SPANS: synthesised}
        return video, text

    def batch(self, places: Sequence[int], generators: Sequence[Generator] | None = None) -> SubtitleBatch:
        """Some clips with their subtitles, padded; nothing is left to chance."""
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


class SubtitleDataModule(PairedDataModule):
    """Clips and subtitles as features that were made beforehand; see `PairedDataModule`.

    Args:
        clips: folder of a set of conversational clips (``weaksync data build subtitles``).
        speech: folder of the set of speech that was made of it (``weaksync data speech``).
        video: folder of a stream of `clips`, such as lips (``weaksync data features``).
        text: folder of a stream of `speech`: speech or words.
        settings: of `PairedDataModule`.

    Raises:
        FileNotFoundError: there is no such set.
        ValueError: one was made of another set, or holds something else.
    """

    def __init__(
        self, clips: str | Path, speech: str | Path, video: str | Path, text: str | Path, **settings: Any
    ) -> None:
        parent = open_clips(clips)
        spoken = open_derived(speech, parent, SPEECH_SET)
        super().__init__(
            parent, open_stream(video, parent, VIDEO_STREAMS), open_stream(text, spoken, TEXT_STREAMS), **settings
        )

    @property
    def names(self) -> tuple[str, str]:
        return stream_of(self.video), stream_of(self.text)

    @property
    def producers(self) -> dict[str, str]:
        return {"video": producer_of(self.video), "text": producer_of(self.text)}

    @property
    def per_second(self) -> float:
        return float(self.video.manifest.settings["per_second"])

    def widths(self) -> tuple[int, int]:
        """Raises ValueError where no split has a clip."""
        for split in self.clips.splits:
            if split in self.video.splits and len(clips := self.split(split)):
                video, text = clips.read(0)
                return video[self.names[0]].shape[1], text[self.names[1]].shape[1]
        raise ValueError(f"no clip of {self.clips.folder} has both streams")

    def split(self, split: str) -> SubtitleClips:
        return SubtitleClips(self.video, self.text, split, **self.kept)


def _padded(rows: Sequence[Arrays], name: str) -> tuple[Tensor, Tensor]:
    each = [torch.from_numpy(arrays[name]) for arrays in rows]
    return pad_sequence(each, batch_first=True), torch.tensor([len(steps) for steps in each], dtype=torch.int64)

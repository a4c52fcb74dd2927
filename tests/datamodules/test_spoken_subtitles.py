"""Clips as tubes and speech: what is stored, at the network's rate, augmented by a chance that nothing else decides."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor

from weaksync.datamodules.batches import Speech, Word
from weaksync.datamodules.index import open_set
from weaksync.datamodules.sample_clips import make_clips
from weaksync.datamodules.speech_set import cue_spans, open_speech, read_speech, speak_clips
from weaksync.datamodules.spoken import open_clips, tube
from weaksync.datamodules.spoken_subtitles import SpokenDataModule, SpokenInput
from weaksync.datamodules.subtitle_steps import SubtitleSteps


@dataclass
class Tone:
    """A fiftieth of a second a letter."""

    voice: str = "tone"
    rate: float = 1.0
    producer: str = "tone 1"

    def __call__(self, text: str, *, language: str) -> Speech:
        waveform = torch.arange(320 * len(text)).sin().mul(9000).to(torch.int16)
        return Speech(waveform, [], [], [Word(text, 0.0, len(text) / 50)])


@dataclass
class Shaded:
    """Darker by chance where it may augment."""

    fps: int = 25

    def __call__(self, frames: Tensor, *, generator: Generator | None = None) -> Tensor:
        return frames if generator is None else frames // int(torch.randint(2, 99, (), generator=generator))

    def to_dict(self) -> dict[str, object]:
        return {"fps": self.fps}


def steps_of(taken: int, at_once: int) -> int:
    return taken // at_once


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spoken")
    count = {"train": 7, "val": 3}
    make_clips(folder / "clips", count, seconds=1.2, size=16, domains=("movie", "youtube"), languages=("en", "es"))
    speak_clips(folder / "speech", folder / "clips", Tone())
    return folder


def module(made: Path, fps: int = 25, at_once: int = 5, **settings: object) -> SpokenDataModule:
    network = SpokenInput(
        preprocess=Shaded(fps),
        lip_steps=partial(steps_of, at_once=at_once),
        speech_steps=partial(steps_of, at_once=640 * at_once),
        width=8,
        per_second=fps / at_once,
        producer="a test",
    )
    return SpokenDataModule(made / "clips", made / "speech", network, **settings)


@pytest.mark.parametrize("fps", [25, 24])
def test_a_batch_holds_what_was_stored(made: Path, fps: int) -> None:
    batch = module(made, fps).split("val").batch([2, 0])
    assert batch.ids == ["val0002", "val0000"] and batch.languages == ["en", "en"] and len(batch) == 2
    clips, speech = open_clips(made / "clips"), open_speech(made / "speech")
    for row, name in enumerate(batch.ids):
        frames = tube(clips, name)
        nearest = [min(range(30), key=lambda frame, at=at: abs(frame / 25 - at / fps)) for at in range(30 * fps // 25)]
        assert torch.equal(batch.tubes[row], frames[nearest])
        assert torch.equal(batch.speech[row], read_speech(speech, name).waveform)
        assert torch.equal(batch.spoken[row], torch.from_numpy(clips.record(name).narrations()))
        assert torch.equal(batch.synthesised[row], torch.from_numpy(cue_spans(speech, name)))


def test_what_is_known_of_a_clip_is_known_here(made: Path) -> None:
    data = module(made, domain="movie", languages=["en"])
    (first, *_) = data.split("train").clips
    assert (first.id, first.language, first.domain, first.steps) == ("train0000", "en", "movie", 6)
    assert first.hidden == pytest.approx(0.1) and first.offscreen == pytest.approx(0.1)
    assert {(clip.language, clip.domain) for clip in data.split("train").clips} == {("en", "movie")}
    assert (data.names, data.widths(), data.per_second) == (("lips", "speech"), (8, 8), 5)
    assert data.producers == {"video": "a test", "text": "a test"}
    with pytest.raises(ValueError, match=r"no clip of domain 'stage'; it has movie, youtube"):
        module(made, domain="stage").split("train")


def test_clips_without_subtitle_or_too_short_are_left_out_and_said(made: Path) -> None:
    data = module(made, at_once=1, least=26)
    speech = open_speech(made / "speech")
    said = {name: len(read_speech(speech, name).waveform) // 640 for name in speech.entries if name.startswith("train")}
    least = sorted(said.values())[3]
    data.least = least = min(least, 30)
    del data.text.entries["train0006"]
    left_out = data.split("train").left_out
    assert left_out.pop("train0006") == f"{made / 'speech'} has no speech of it"
    assert left_out == {
        name: f"{steps} steps of speech, {least} are needed"
        for name, steps in said.items()
        if steps < least and name != "train0006"
    }
    data.least = 31  # a clip has thirty frames
    assert all("30 steps of lips, 31 are needed" in reason for reason in data.split("val").left_out.values())


def test_training_is_augmented_alike_for_any_number_of_ranks_and_workers(made: Path) -> None:
    def epoch(number: int, world: int, workers: int = 0) -> dict[str, Tensor]:
        found = {}
        for rank in range(world):
            data = module(made, seed=3, workers=workers)
            steps = SubtitleSteps(data.split("train"), 4, 3, rank, world)
            loader = type(data.train_dataloader())(steps, {}, workers)
            loader.epoch = number
            for batch in loader:
                found |= dict(zip(batch.ids, batch.tubes, strict=True))
        return found

    alone = epoch(1, 1)
    assert len(alone) == 7
    for other in (epoch(1, 2), epoch(1, 1, workers=2)):
        assert all(torch.equal(alone[name], other[name]) for name in alone)
    again, clips = epoch(2, 1), open_clips(made / "clips")
    assert not any(torch.equal(alone[name], again[name]) for name in alone)
    assert not any(torch.equal(alone[name], tube(clips, name)) for name in alone)
    for workers in (0, 1):
        for batch in module(made, workers=workers).val_dataloader():
            assert torch.equal(batch.tubes[0], tube(clips, batch.ids[0]))


def test_it_goes_on_where_it_was(made: Path) -> None:
    whole, stopped, resumed = (module(made, seed=5) for _ in range(3))
    everything = [batch.ids for _ in range(2) for batch in whole.train_dataloader()]
    seen = [next(iter(stopped.train_dataloader())).ids]
    resumed.load_state_dict(stopped.state_dict())
    seen += [batch.ids for _ in range(2) for batch in resumed.train_dataloader()]
    assert seen == everything and len(set(chain.from_iterable(everything))) == 7
    with pytest.raises(ValueError, match="seed was 5 and is 6"):
        other = module(made, seed=6)
        other.train_dataloader()
        other.load_state_dict(stopped.state_dict())
    with pytest.raises(ValueError, match=r"per_second was 5\.0 and is 8\.33"):
        other = module(made, at_once=3, seed=5)
        other.train_dataloader()
        other.load_state_dict(stopped.state_dict())


def test_speech_of_other_clips_is_refused(made: Path, tmp_path: Path) -> None:
    make_clips(tmp_path / "clips", {"train": 2}, seconds=0.4, size=16)
    with pytest.raises(ValueError, match="holds speech of another set than"):
        SpokenDataModule(tmp_path / "clips", made / "speech", module(made).network)


@pytest.mark.parametrize("workers", [0, 1])
def test_damage_is_named(made: Path, workers: int) -> None:
    shard = made / "clips" / "val-000000.tar"
    whole = shard.read_bytes()
    place = whole.index(b"mdat") + 50
    shard.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    try:
        assert open_set(made / "clips").entries["val0000"]
        with pytest.raises(ValueError, match=r"val-000000\.tar: val0000/story: face\.mp4"):
            list(module(made, workers=workers).val_dataloader())
    finally:
        shard.write_bytes(whole)

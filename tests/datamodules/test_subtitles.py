"""Clips with their subtitles: joined by id, dealt to steps in one order for any number of ranks, which resumes."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch

from weaksync.datamodules.derived import FEATURES, SPEECH, origin, write_derived
from weaksync.datamodules.features import write_arrays
from weaksync.datamodules.index import open_set
from weaksync.datamodules.sample_clips import make_clips
from weaksync.datamodules.shards import pack
from weaksync.datamodules.subtitle_steps import ClipLoader, SubtitleLoader, SubtitleSteps
from weaksync.datamodules.subtitles import SubtitleDataModule


@dataclass
class Made:
    folder: Path
    lengths: dict[str, tuple[int, int]] = field(default_factory=dict)

    def module(self, **settings: object) -> SubtitleDataModule:
        folders = [self.folder / name for name in ("clips", "speech", "lips", "said")]
        return SubtitleDataModule(*folders, **settings)  # type: ignore[arg-type]


def derive(made: Made, parent: str, name: str, stream: str, side: int, *, leave: str = "") -> None:
    """A stream whose every value tells the number of the clip; steps a tenth of a second apart."""
    shards = open_set(made.folder / parent)
    parts: dict[str, list[Path]] = {}
    for number, entry in enumerate(shards.entries.values()):
        if entry.id == leave:
            continue
        steps = made.lengths[entry.id][side]
        arrays = {stream: np.full((steps, 3 + side), number, "f4"), "times": np.arange(steps, dtype="f4") / 10}
        record = {**shards.stored_record(entry.id), "clips": None, "steps": steps}
        if stream == "speech":
            arrays["spans"] = np.array([[0.0, 1.0], [1.0, steps / 10]], "f4")
        path = made.folder / f"{name}-{entry.id}.tar"
        write_arrays(path, record, arrays)
        parts.setdefault(entry.split, []).append(path)
    settings = {"stream": stream, "per_second": 10.0}
    pack(made.folder / name, parts, settings, origin=origin(shards, FEATURES, f"{stream} by a test"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    made = Made(tmp_path_factory.mktemp("subtitles"))
    count = {"train": 11, "val": 3, "test": 5}
    make_clips(made.folder / "clips", count, seconds=0.4, size=16, domains=("movie", "youtube"), languages=("en", "es"))
    clips = open_set(made.folder / "clips")
    records = [(split, video.to_dict()) for split in clips.splits for video in clips.videos(split)]
    write_derived(made.folder / "speech", records, {}, origin(clips, SPEECH, "a test"))
    made.lengths = {name: (20 + number, 30 - number) for number, name in enumerate(clips.entries)}
    derive(made, "clips", "lips", "lips", 0)
    derive(made, "speech", "said", "speech", 1, leave="train0002")
    return made


def test_a_batch_holds_what_was_stored(made: Made) -> None:
    batch = made.module().split("val").batch([2, 0])
    assert batch.ids == ["val0002", "val0000"] and batch.languages == ["en", "en"] and len(batch) == 2
    numbers = list(open_set(made.folder / "lips").entries)
    for row, name in enumerate(batch.ids):
        n, m = made.lengths[name]
        number = numbers.index(name)
        assert (batch.video_lengths[row], batch.text_lengths[row]) == (n, m)
        assert (batch.video[row, :n] == number).all() and not batch.video[row, n:].any()
        assert batch.video_times is not None and batch.text_times is not None
        np.testing.assert_allclose(batch.video_times[row, :n], np.arange(n) / 10, atol=1e-6)
        assert batch.spoken is not None and batch.synthesised is not None
        cues = open_set(made.folder / "clips").record(name).narrations()
        np.testing.assert_array_equal(batch.spoken[row], cues)
        np.testing.assert_allclose(batch.synthesised[row], [[0, 1], [1, m / 10]], atol=1e-6)
    assert batch.text.shape == (2, 14, 4) and batch.text.dtype == torch.float32


def test_a_clip_without_subtitle_is_left_out_and_said(made: Made) -> None:
    train = made.module().split("train")
    assert len(train) == 10 and list(train.left_out) == ["train0002"]
    assert "said has no speech of it" in train.left_out["train0002"]
    short = made.module(least=25).split("train")
    assert all(min(made.lengths[clip.id]) >= 25 for clip in short.clips)
    assert "24 steps of speech, 25 are needed" in "\n".join(short.left_out.values())


def test_domains_and_languages_are_kept_apart(made: Made) -> None:
    assert {clip.domain for clip in made.module(domain="movie").split("train").clips} == {"movie"}
    assert {clip.language for clip in made.module(languages=["es"]).split("train").clips} == {"es"}
    with pytest.raises(ValueError, match=r"no clip of domain 'stage'; it has movie, youtube"):
        made.module(domain="stage").split("train")
    with pytest.raises(ValueError, match="has no video in fr"):
        made.module(languages=["fr"]).split("train")


def steps(made: Made, epoch: int, world: int, workers: int = 0) -> list[list[str]]:
    """The clips of every step of an epoch, of all ranks together."""
    found: list[list[str]] = []
    for rank in range(world):
        own = SubtitleSteps(made.module().split("train"), 4, 7, rank, world)
        loader = SubtitleLoader(own, {}, workers)
        loader.epoch = epoch
        for step, batch in enumerate(loader):
            found += [[]] * (step + 1 - len(found))
            found[step] = found[step] + batch.ids
    return found


def test_steps_are_the_same_for_any_number_of_ranks_and_workers(made: Made) -> None:
    alone = steps(made, 1, 1)
    assert [len(step) for step in alone] == [4, 3, 3]  # none of two clips, which three ranks could not share
    assert steps(made, 1, 2) == steps(made, 1, 3) == steps(made, 1, 1, workers=2) == alone
    assert sorted(chain.from_iterable(alone)) == [clip.id for clip in made.module().split("train").clips]
    assert steps(made, 2, 1) != alone


def test_the_last_step_of_an_epoch_is_gone_on_with_on_more_ranks(made: Made) -> None:
    alone = made.module().training_loader(0, 1)
    rest = iter(alone)
    next(rest), next(rest)
    state = alone.state_dict()
    expected = [batch.ids for _ in range(2) for batch in alone]
    assert state["step"] == len(alone) - 1 and len(expected) == 4
    ranks = [made.module().training_loader(rank, 3) for rank in range(3)]
    for loader in ranks:
        loader.load_state_dict(state)
    shares = zip(*([batch.ids for _ in range(2) for batch in loader] for loader in ranks), strict=True)
    assert [list(chain(*share)) for share in shares] == expected


def test_no_step_is_of_a_clip_alone(made: Made) -> None:
    clips = made.module().split("train")
    clips.clips = clips.clips[:5]
    own = SubtitleSteps(clips, 2, 7, 0, 1)
    assert [len(own[0, step].batch or []) for step in range(len(own))] == [3, 2]
    clips.clips = clips.clips[:1]
    with pytest.raises(
        ValueError, match="1 clips are too few for steps of at most 2: the smallest step has 1, and needs two"
    ):
        SubtitleSteps(clips, 2, 7, 0, 1)


def test_a_stream_goes_on_where_it_was(made: Made) -> None:
    whole, module = made.module(seed=3), made.module(seed=3)
    everything = [batch.ids for _ in range(2) for batch in whole.train_dataloader()]
    first = iter(module.train_dataloader())
    seen = [next(first).ids for _ in range(2)]
    resumed = made.module(seed=3)
    resumed.load_state_dict(module.state_dict())
    seen += [batch.ids for _ in range(2) for batch in resumed.train_dataloader()]
    assert seen == everything
    with pytest.raises(ValueError, match="seed was 3 and is 4"):
        other = made.module(seed=4)
        other.train_dataloader()
        other.load_state_dict(module.state_dict())


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_every_clip_is_evaluated_once(made: Made, world: int) -> None:
    clips = made.module().split("test")
    found = [batch.ids for rank in range(world) for batch in ClipLoader(clips, rank, world)]
    assert sorted(chain.from_iterable(found)) == [clip.id for clip in clips.clips] and all(
        len(ids) == 1 for ids in found
    )


def test_sets_that_do_not_belong_together_are_refused(made: Made, tmp_path: Path) -> None:
    folders = {name: made.folder / name for name in ("clips", "speech", "lips", "said")}

    def module(**other: Path) -> SubtitleDataModule:
        return SubtitleDataModule(*{**folders, **other}.values())

    make_clips(tmp_path / "clips", {"train": 2}, seconds=0.4, size=16)
    with pytest.raises(ValueError, match="holds speech of another set than"):
        module(clips=tmp_path / "clips")
    with pytest.raises(ValueError, match="holds features of another set than"):
        module(lips=folders["said"])
    with pytest.raises(ValueError, match=r"holds features of .*clips, not speech"):
        module(speech=folders["lips"])
    with pytest.raises(ValueError, match="global_batch=1"):
        made.module(global_batch=1)
    with pytest.raises(ValueError, match="the smallest step has 3, and needs two, and one for each of 5 ranks"):
        SubtitleSteps(made.module().split("train"), 4, 0, 0, 5)


def test_damage_is_named(made: Made) -> None:
    module = made.module()
    shard = made.folder / "lips" / "val-000000.tar"
    whole = shard.read_bytes()
    place = whole.index(b"\x93NUMPY") + 150
    shard.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    try:
        with pytest.raises(ValueError, match=r"val-000000\.tar: val0000/story: lips\.npy"):
            next(iter(module.val_dataloader()))
    finally:
        shard.write_bytes(whole)

"""Windows of tubes with their sound: exact, the same for any number of ranks, and resumable."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from weaksync.datamodules.batches import TubeBatch
from weaksync.datamodules.face_tracks import TRACKS, SpeakingDataModule, open_tracks, speaking, write_track
from weaksync.datamodules.index import ShardSet
from weaksync.datamodules.sample_clips import make_clips
from weaksync.datamodules.shards import pack
from weaksync.datamodules.spoken import open_clips, read_clip, sound, tube
from weaksync.datamodules.tarscan import BadSample
from weaksync.datamodules.tubes import TubeDataModule

FRAMES = 20


class AsTheyAre:
    fps = 25

    def __call__(self, frames: Tensor, *, generator: Generator | None = None) -> Tensor:
        return frames

    def to_dict(self) -> dict[str, Any]:
        return {"fps": self.fps}


class Shaded(AsTheyAre):
    """Darker by chance where it may augment."""

    def __call__(self, frames: Tensor, *, generator: Generator | None = None) -> Tensor:
        return frames if generator is None else frames // int(torch.randint(2, 99, (), generator=generator))


class Slower(AsTheyAre):
    fps = 24


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips") / "set"
    make_clips(folder, {"train": 9, "val": 3}, seconds=2.0, size=16, languages=("en", "es"))
    return folder


def module(clips: Path, **settings: Any) -> TubeDataModule:
    return TubeDataModule(clips, AsTheyAre(), **{"global_batch": 4, "frames": FRAMES, "seed": 3, **settings})


def steps(
    clips: Path, monkeypatch: pytest.MonkeyPatch, rank: int = 0, world: int = 1, **settings: Any
) -> Iterator[TubeBatch]:
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.setenv("WORLD_SIZE", str(world))
    loader = module(clips, **settings).train_dataloader()
    while True:
        yield from loader


def same(first: TubeBatch, second: TubeBatch) -> bool:
    whole = torch.equal(first.frames, second.frames) and torch.equal(first.waveform, second.waveform)
    return whole and first.ids == second.ids and first.languages == second.languages


def test_a_window_is_a_part_of_its_clip_with_the_sound_of_that_part(
    clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = open_clips(clips)
    firsts = set()
    for batch in islice(steps(clips, monkeypatch), 6):
        assert batch.frames.shape == (4, FRAMES, 3, 16, 16) and batch.waveform.shape == (4, FRAMES * 640 + 240)
        for name, language, frames, heard in zip(batch.ids, batch.languages, batch.frames, batch.waveform, strict=True):
            whole, all_heard = tube(shards, name), sound(shards, name)
            # sound is told apart sample by sample, pictures of a still mouth are not
            first = next(n for n in range(len(whole)) if torch.equal(all_heard[n * 640 : n * 640 + len(heard)], heard))
            assert torch.equal(whole[first : first + FRAMES], frames)
            assert language == shards.record(name).language
            firsts.add(first)
    assert len(firsts) > 5


@pytest.mark.parametrize("workers", [0, 2])
def test_ranks_share_the_same_steps(clips: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    alone = list(islice(steps(clips, monkeypatch), 5))
    shares = [list(islice(steps(clips, monkeypatch, rank, 2, workers=workers), 5)) for rank in (0, 1)]
    for whole, first, second in zip(alone, *shares, strict=True):
        assert whole.ids == first.ids + second.ids
        assert torch.equal(whole.frames, torch.cat([first.frames, second.frames]))
        assert torch.equal(whole.waveform, torch.cat([first.waveform, second.waveform]))


def test_training_alone_augments_each_clip_anew_and_alike_on_any_rank(
    clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shades(rank: int = 0, world: int = 1) -> list[dict[str, float]]:
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", str(world))
        loader = TubeDataModule(clips, Shaded(), global_batch=8, frames=FRAMES, seed=3).train_dataloader()
        return [
            dict(zip(b.ids, b.frames.float().mean((1, 2, 3, 4)).tolist(), strict=True)) for _ in "ab" for b in loader
        ]

    (first, again), shares = shades(), [shades(rank, 2) for rank in (0, 1)]
    assert first == shares[0][0] | shares[1][0] and again == shares[0][1] | shares[1][1]
    assert all(first[name] != again[name] for name in first.keys() & again.keys())
    monkeypatch.setenv("WORLD_SIZE", "1")
    seen = next(iter(TubeDataModule(clips, Shaded()).val_dataloader()))
    assert torch.equal(seen.frames[0], tube(open_clips(clips), seen.ids[0])[:-1])


def test_an_epoch_has_each_clip_once_at_most_and_every_epoch_another_order(
    clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader = module(clips).train_dataloader()
    epochs = [[name for batch in loader for name in batch.ids] for _ in range(3)]
    assert all(len(epoch) == len(set(epoch)) == 8 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_a_stream_goes_on_where_it_was(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(islice(steps(clips, monkeypatch), 6))
    first = module(clips)
    begun = list(islice(iter(first.train_dataloader()), 1))
    again = module(clips)
    again.load_state_dict(first.state_dict())
    loader = again.train_dataloader()
    rest = [batch for _ in range(3) for batch in loader][:5]
    assert all(same(one, other) for one, other in zip(whole, begun + rest, strict=True))


def test_the_last_step_of_an_epoch_is_gone_on_with_on_more_ranks(clips: Path) -> None:
    alone = module(clips).training_loader(0, 1)
    next(iter(alone))
    state = alone.state_dict()
    expected = [batch.ids for _ in range(2) for batch in alone]
    assert state["step"] == len(alone) - 1 and len(expected) == 3
    ranks = [module(clips).training_loader(rank, 4) for rank in range(4)]
    for loader in ranks:
        loader.load_state_dict(state)
    shares = zip(*([batch.ids for _ in range(2) for batch in loader] for loader in ranks), strict=True)
    assert [list(chain(*share)) for share in shares] == expected


def test_another_stream_is_not_gone_on_with(clips: Path) -> None:
    loader = module(clips).train_dataloader()
    next(iter(loader))
    with pytest.raises(ValueError, match="frames was 20 and is 21; seed was 3 and is 4"):
        module(clips, frames=21, seed=4).train_dataloader().load_state_dict(loader.state_dict())


def test_evaluation_has_every_clip_once_over_all_ranks(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[str] = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in (0, 1):
        monkeypatch.setenv("RANK", str(rank))
        for batch in module(clips).val_dataloader():
            assert batch.frames.shape[:2] == (1, 49) and batch.waveform.shape == (1, 49 * 640 + 240)
            found += batch.ids
    assert sorted(found) == ["val0000", "val0001", "val0002"]


@pytest.mark.parametrize("workers", [0, 1])
def test_damage_is_named_in_one_line(clips: Path, workers: int) -> None:
    shard = clips / "val-000000.tar"
    whole = shard.read_bytes()
    place = whole.index(b"mdat") + 50
    shard.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    try:
        with pytest.raises(BadSample, match=r"^val-000000\.tar: val0000/story: face\.mp4: [^\n]*$"):
            list(module(clips, workers=workers).val_dataloader())
    finally:
        shard.write_bytes(whole)


@pytest.mark.parametrize("workers", [0, 1])
def test_damage_ends_training_in_one_line(clips: Path, tmp_path: Path, workers: int) -> None:
    shutil.copytree(clips, tmp_path / "set")
    shard = tmp_path / "set" / "train-000000.tar"
    whole = bytearray(shard.read_bytes())
    for place in [found.end() + 50 for found in re.finditer(b"mdat", whole)]:
        whole[place] ^= 1
    shard.write_bytes(whole)
    with pytest.raises(BadSample, match=r"^train-000000\.tar: train000./story: face\.mp4: [^\n]*$"):
        list(module(tmp_path / "set", workers=workers).train_dataloader())


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The clips that are read, hashed and parsed whole."""
    found: list[str] = []
    real = ShardSet.read

    def read(self: ShardSet, video: str, clip: int | None) -> dict[str, bytes]:
        found.append(video)
        return real(self, video, clip)

    monkeypatch.setattr(ShardSet, "read", read)
    return found


def test_a_clip_is_read_when_a_window_is_cut_and_once(clips: Path, reads: list[str]) -> None:
    tubes = module(clips).tubes("train")
    assert reads == []
    tubes.window(2, 5, FRAMES)
    assert reads == [tubes.records[2].id]


def test_a_track_is_read_once_and_knows_when_its_face_speaks(clips: Path, tmp_path: Path, reads: list[str]) -> None:
    stored = read_clip(open_clips(clips), "val0000")
    pictures = stored.tube().permute(0, 2, 3, 1).numpy()
    speaks = np.arange(len(pictures)) % 7 < 3
    write_track(tmp_path / "a.tar", replace(stored.clip(), cues=[]), pictures, stored.sound().numpy(), speaks)
    pack(tmp_path / "set", {"train": [tmp_path / "a.tar"]}, {"kind": TRACKS})
    tracks = open_tracks(tmp_path / "set")
    data = SpeakingDataModule(tmp_path / "set", AsTheyAre(), global_batch=1)
    reads.clear()
    found = data.tubes("train").window(0, 9, FRAMES)
    assert reads == ["val0000"]
    assert found.speaking is not None and found.speaking.tolist() == speaks[9 : 9 + FRAMES].tolist()
    assert torch.equal(found.frames, tube(tracks, "val0000", first=9, count=FRAMES))
    assert speaking(tracks, "val0000").tolist() == speaks.tolist()


def test_clips_that_do_not_do_are_named(clips: Path) -> None:
    assert len(module(clips, languages=["es"]).tubes("train")) == 4
    assert len(module(clips, domain="movie").tubes("train")) == 5
    with pytest.raises(ValueError, match=r"no clip .* has 51 frames \(9 are too short\)"):
        module(clips, frames=50).train_dataloader()
    with pytest.raises(ValueError, match="in train, domain opera, languages any"):
        module(clips, domain="opera").train_dataloader()
    with pytest.raises(ValueError, match=r"9 clips .* do not fill a step of 10: lower data\.global_batch"):
        module(clips, global_batch=10).train_dataloader()
    with pytest.raises(ValueError, match="takes 24 frames a second, tubes have 25"):
        TubeDataModule(clips, Slower())

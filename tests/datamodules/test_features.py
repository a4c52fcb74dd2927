"""Sets of features: joined to their own shards, whole or refused, and dealt to training in an order that resumes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import webdataset as wds
from hypothesis import given
from hypothesis import strategies as st

from weaksync.datamodules.batches import FeatureVideo
from weaksync.datamodules.derived import origin
from weaksync.datamodules.features import (
    FEATURES,
    FeatureDataModule,
    WindowLoader,
    cut,
    read_features,
    write_features,
)
from weaksync.datamodules.index import open_set, verify
from weaksync.datamodules.sample_set import make_set
from weaksync.datamodules.shards import pack
from weaksync.datamodules.tarscan import BadSample

CLIPS = {"train": [8, 6, 9, 7, 12], "val": [4, 3], "test": [5, 2, 6]}


def derive(parent: Path, folder: Path, *, short: str = "") -> Path:
    """Features that say which video and which row they are of; one row too few for the video `short`."""
    shards = open_set(parent)
    parts: dict[str, list[Path]] = {}
    for split in shards.splits:
        for video in shards.videos(split):
            number = float(video.id[-4:])
            clips = np.stack([np.full(len(video.clips or []), number), np.arange(len(video.clips or []))], axis=1)
            sentences = np.arange(len(video.sentences))[:, None].repeat(3, axis=1)
            arrays = {"clips": clips[video.id == short :].astype("f4"), "sentences": sentences.astype("f2")}
            path = folder.parent / f"{folder.name}-{video.id}.tar"
            write_features(path, video, arrays)
            parts.setdefault(split, []).append(path)
    pack(folder, parts, {}, origin=origin(shards, FEATURES, "a test"))
    return folder


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features") / "set"
    make_set(folder, CLIPS, size=(16, 16), frames=1)
    return folder


@pytest.fixture(scope="module")
def features(parent: Path) -> Path:
    return derive(parent, parent.parent / "features")


def ids(loader: WindowLoader) -> list[list[str]]:
    return [[video.id for video in step] for step in loader]


def test_a_set_of_features_is_sound_and_webdataset_reads_it(features: Path) -> None:
    assert verify(features) == []
    shard = str(next(features.glob("val-*.tar")))
    samples = list(wds.WebDataset(shard, shardshuffle=False))
    assert [sorted(key for key in sample if key.endswith("npy")) for sample in samples] == [
        ["clips.npy", "sentences.npy"]
    ] * 2


def test_every_video_comes_whole_with_its_own_rows(parent: Path, features: Path) -> None:
    data = FeatureDataModule(parent, features)
    assert data.producer == "a test"
    assert data.widths() == (2, 3)
    found = list(data.test_dataloader())
    assert [len(video.clips) for video in found] == CLIPS["test"]
    for video in found:
        n = len(video.clips)
        assert video.clip_features.tolist() == [[float(video.id[-4:]), float(row)] for row in range(n)]
        assert video.sentence_features.dtype == torch.float32
        assert video.labels.tolist() == [clip // 2 for clip in range(n)]  # as `make_set` tells them


def test_features_of_other_shards_are_refused(parent: Path, features: Path, tmp_path: Path) -> None:
    make_set(tmp_path / "other", CLIPS, size=(16, 16), frames=1, seed=1)
    with pytest.raises(ValueError, match="holds features of another set than"):
        FeatureDataModule(tmp_path / "other", features)
    with pytest.raises(ValueError, match="holds no features: it was built from videos"):
        FeatureDataModule(parent, parent)


def test_rows_that_do_not_fit_the_video_are_named(parent: Path, tmp_path: Path) -> None:
    data = FeatureDataModule(parent, derive(parent, tmp_path / "short", short="test0001"))
    with pytest.raises(BadSample, match=r"test0001/story: clips.npy: features of 2 clips should be \(2, width\), not"):
        list(data.test_dataloader())
    with pytest.raises(ValueError, match="has no features of video 'nobody'"):
        read_features(data.features, "nobody")


def test_features_that_are_no_numbers_are_never_written(parent: Path, tmp_path: Path) -> None:
    video = open_set(parent).videos("val")[0]
    with pytest.raises(ValueError, match="features of its clips are not finite"):
        write_features(tmp_path / "part.tar", video, {"clips": np.array([[np.nan]])})
    assert not list(tmp_path.iterdir())


def test_an_epoch_holds_every_video_once_and_the_next_is_another(parent: Path, features: Path) -> None:
    loader = FeatureDataModule(parent, features, global_batch=2).train_dataloader()
    first, second = ids(loader), ids(loader)
    assert [len(step) for step in first] == [2, 2, 1]
    assert len(loader) == 3
    for epoch in (first, second):
        assert sorted(name for step in epoch for name in step) == [f"train{number:04d}" for number in range(5)]
    assert first != second


def windows(parent: Path, features: Path, rank: int = 0, world: int = 1) -> WindowLoader:
    return FeatureDataModule(parent, features, global_batch=4, window=3).training_loader(rank, world)


def seen(loader: WindowLoader) -> list[list[tuple[str, list[list[float]]]]]:
    return [[(video.id, video.clips.tolist()) for video in step] for step in loader]


def test_ranks_share_the_steps_of_one_process(parent: Path, features: Path) -> None:
    steps = seen(windows(parent, features))
    assert [len(step) for step in steps] == [3, 2]  # no step of one video, which two ranks could not share
    shares = [seen(windows(parent, features, rank, 2)) for rank in range(2)]
    assert [first + second for first, second in zip(*shares, strict=True)] == steps


def test_the_last_step_of_an_epoch_is_gone_on_with_on_more_ranks(parent: Path, features: Path) -> None:
    alone = windows(parent, features)
    next(iter(alone))
    state = alone.state_dict()
    expected = seen(alone) + seen(alone)
    assert state["step"] == len(alone) - 1 and len(expected) == 3
    ranks = [windows(parent, features, rank, 2) for rank in range(2)]
    for loader in ranks:
        loader.load_state_dict(state)
    shares = [seen(loader) + seen(loader) for loader in ranks]
    assert [first + second for first, second in zip(*shares, strict=True)] == expected
    with pytest.raises(ValueError, match="cannot resume this data stream at step 2 of epoch 0: an epoch has 2 steps"):
        alone.load_state_dict({**state, "step": 2})


def test_a_run_goes_on_at_the_very_step(parent: Path, features: Path) -> None:
    whole = FeatureDataModule(parent, features, global_batch=2, window=4, seed=5)
    expected = [[(v.id, v.clips.tolist()) for v in step] for _ in range(2) for step in whole.train_dataloader()]
    begun = FeatureDataModule(parent, features, global_batch=2, window=4, seed=5)
    steps = iter(begun.train_dataloader())
    found = [[(v.id, v.clips.tolist()) for v in next(steps)] for _ in range(2)]
    state = begun.state_dict()
    again = FeatureDataModule(parent, features, global_batch=2, window=4, seed=5)
    again.load_state_dict(state)
    found += [[(v.id, v.clips.tolist()) for v in step] for _ in range(2) for step in again.train_dataloader()]
    assert found == expected
    other = FeatureDataModule(parent, features, global_batch=2, window=4, seed=6)
    with pytest.raises(ValueError, match="seed was 5 and is 6"):
        other.load_state_dict(state)
        other.train_dataloader()


def test_windows_move_from_epoch_to_epoch(parent: Path, features: Path) -> None:
    loader = FeatureDataModule(parent, features, global_batch=8, window=3).train_dataloader()
    starts = {
        tuple(float(video.clips[0, 0]) for video in sorted(step, key=lambda v: v.id))
        for _ in range(4)
        for step in loader
    }
    assert len(starts) > 1


@given(
    st.lists(st.integers(-1, 5), min_size=1, max_size=10).flatmap(
        lambda labels: st.tuples(
            st.just(labels),
            st.integers(0, len(labels) - 1).flatmap(lambda a: st.tuples(st.just(a), st.integers(a + 1, len(labels)))),
        )
    )
)
def test_a_cut_keeps_every_pair_inside_it(case: tuple[list[int], tuple[int, int]]) -> None:
    labels, (start, stop) = case
    n, m = len(labels), 6
    rows, times = torch.arange(n, dtype=torch.float64), torch.arange(m, dtype=torch.float64)
    whole = FeatureVideo(
        "v", "en", rows[:, None].float(), times[:, None].float(), torch.tensor(labels),
        torch.stack([rows, rows + 1], 1), torch.stack([times, times], 1), torch.stack([times, times], 1), True,
    )  # fmt: skip
    part = cut(whole, start, stop)
    assert part.clip_features[:, 0].tolist() == list(range(start, stop))
    kept = [int(part.sentence_features[label, 0]) if label >= 0 else -1 for label in part.labels]
    assert kept == labels[start:stop]
    assert len(part.segments) == len(part.narrations) == len(part.sentence_features) > 0
    matched = [label for label in labels if label >= 0]
    if matched == sorted(matched):  # sentences that belong to clips outside are outside, but for those at the borders
        inside = set(part.sentence_features[:, 0].int().tolist())
        others = {label for place, label in enumerate(labels) if label >= 0 and not start <= place < stop}
        assert len(others & inside) <= 2


def test_impossible_settings_are_refused(parent: Path, features: Path) -> None:
    with pytest.raises(ValueError, match="global_batch=0, window=None"):
        FeatureDataModule(parent, features, global_batch=0)
    videos = FeatureDataModule(parent, features).videos("train")
    with pytest.raises(
        ValueError, match="for steps of at most 4: the smallest step has 2, and needs one for each of 3 ranks"
    ):
        WindowLoader(videos, "weak", 4, None, {"seed": 0}, 0, 3)

"""The order of exact streaming: the same for every layout, nothing lost, nothing repeated, resumed anywhere."""

import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from weaksync.datamodules.elastic import Budget, GroupOrder, TooManyBadSamples, even_share
from weaksync.datamodules.pairs import VideoPairs, WeakPairs, group_count, mixed_groups, seeded_rng
from weaksync.datamodules.sample_set import PlainTokenize, PlainTransform, make_set
from weaksync.datamodules.story import StoryDataModule
from weaksync.datamodules.tarscan import BadSample, Fault

CLIPS = [20, 7, 1, 33, 2, 12]  # the third and fifth have one sentence alone


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("elastic") / "set"
    make_set(folder, {"train": CLIPS, "val": [5, 6, 3]}, frames=3, size=(16, 16), shard_bytes=60_000)
    return folder


def module(folder, *, place=(0, 1), **options):
    options = {"global_batch": 4, "group_size": 4, "seed": 3, **options}
    made = StoryDataModule(folder, PlainTransform(2, 8), PlainTokenize(), **options)
    made.place = lambda: place
    return made


@pytest.fixture(autouse=True)
def quiet():
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*fewer than two paired.*")
        yield


sentences = st.lists(st.integers(0, 6), min_size=2, max_size=60).map(lambda rows: np.array(rows, dtype=np.int64))


@given(sentences, st.integers(2, 9), st.integers(0, 2**32))
def test_every_pair_is_dealt_once_into_groups_of_even_size(rows, size, seed):
    groups = mixed_groups(rows, size, seeded_rng(seed))
    assert sorted(np.concatenate(groups)) == list(range(len(rows)))
    assert len(groups) == group_count(len(rows), size)
    lengths = {len(group) for group in groups}
    assert max(lengths) - min(lengths) <= 1
    assert min(lengths) >= 2
    assert max(lengths) <= max(size, 3)


@given(sentences, st.integers(2, 9))
def test_pairs_of_one_sentence_are_spread_over_the_groups(rows, size):
    groups = mixed_groups(rows, size, seeded_rng(0))
    for sentence in set(rows.tolist()):
        counts = [int((rows[group] == sentence).sum()) for group in groups]
        assert max(counts) - min(counts) <= 1


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(2, 25), st.integers(0, 5)), min_size=1, max_size=12), st.integers(2, 8))
def test_an_epoch_holds_every_group_once_and_blocks_keep_few_shards_open(videos, size):
    videos.sort(key=lambda video: video[1])
    pairs = WeakPairs([VideoPairs(str(i), np.arange(n), np.arange(n)) for i, (n, _) in enumerate(videos)], [], [])
    order = GroupOrder(pairs, [shard for _, shard in videos], size, seed=1, block=2)
    shards = len({shard for _, shard in videos})
    for epoch in range(3):
        groups = order.epoch(epoch)
        assert len(groups) == len(order)
        seen = [(v, int(i)) for v, g in groups.tolist() for i in order.members(epoch, v, g)]
        assert sorted(seen) == [(v, i) for v, (n, _) in enumerate(videos) for i in range(n)]
        visited = [videos[v][1] for v, _ in groups.tolist()]
        spans = [(visited.index(shard), len(visited) - visited[::-1].index(shard)) for shard in set(visited)]
        assert all(sum(a <= at < b for a, b in spans) <= 2 for at in range(len(visited)))
    assert shards == 1 or len(order) < 6 or not np.array_equal(order.epoch(0), order.epoch(1))


@given(st.integers(0, 50), st.integers(1, 9))
def test_even_shares_cover_everything_once(count, world):
    things = list(range(count))
    shares = [things[even_share(count, rank, world)] for rank in range(world)]
    assert list(itertools.chain(*shares)) == things
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def steps_of(loaders):
    """Global batches: for each step the keys that count, in rank order."""
    return [
        [key for batch in step for key, weight in zip(batch.keys, batch.weight.tolist(), strict=True) if weight]
        for step in zip(*loaders, strict=True)
    ]


def test_every_pair_comes_once_an_epoch_and_epochs_differ(folder):
    made = module(folder)
    loader = made.train_dataloader()
    assert len(loader) * 4 != sum(made.train_dataloader().steps.order.counts)  # there is a tail
    epochs = [[key for batch in loader for key in batch.keys] for _ in range(2)]
    expected = [f"train{v:04d}/{c:05d}" for v in (0, 1, 3, 5) for c in range(CLIPS[v])]
    assert sorted(epochs[0]) == sorted(epochs[1]) == expected
    assert epochs[0] != epochs[1]
    assert made.pairs.too_few == ["train0002", "train0004"]


def test_batches_hold_whole_groups_of_one_video(folder):
    for batch in module(folder, global_batch=1).train_dataloader():
        assert len(set(batch.video.tolist())) == 1
        assert len(set(batch.sentence.tolist())) > 1
        assert batch.pixels.shape == (len(batch.keys), 2, 3, 8, 8)
        assert batch.input_ids.shape == batch.attention_mask.shape


@pytest.mark.parametrize("world", [2, 4])
def test_the_same_global_batches_on_any_number_of_ranks(folder, world):
    alone = steps_of([module(folder).train_dataloader()])
    loaders = [module(folder, place=(rank, world)).train_dataloader() for rank in range(world)]
    assert len({len(loader) for loader in loaders}) == 1
    assert steps_of(loaders) == alone


def test_a_rank_without_a_group_gets_one_of_no_weight(folder):
    loaders = [module(folder, global_batch=16, place=(rank, 16)).train_dataloader() for rank in range(16)]
    last = [list(loader)[-1] for loader in loaders]
    weights = [set(batch.weight.tolist()) for batch in last]
    assert {0.0} in weights
    assert {1.0} in weights
    assert sorted(map(max, weights), reverse=True) == [max(w) for w in weights]


@pytest.mark.parametrize(("workers", "method"), [(2, "fork"), pytest.param(2, "spawn", marks=pytest.mark.slow)])
def test_workers_change_neither_order_nor_pixels(folder, workers, method):
    alone = list(module(folder).train_dataloader())
    spread = list(module(folder, workers=workers, start_method=method).train_dataloader())
    assert [b.keys for b in alone] == [b.keys for b in spread]
    assert all(torch.equal(a.pixels, b.pixels) for a, b in zip(alone, spread, strict=True))


def test_frames_are_drawn_anew_each_epoch_and_the_same_on_every_rank(folder):
    def pixels(loader):
        return {k: p for b in loader for k, p, w in zip(b.keys, b.pixels, b.weight.tolist(), strict=True) if w}

    whole = module(folder).train_dataloader()
    first, second = pixels(whole), pixels(whole)
    shared = {}
    for rank in range(2):
        shared |= pixels(module(folder, place=(rank, 2)).train_dataloader())
    assert all(torch.equal(first[key], shared[key]) for key in first)
    assert any(not torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("stop", [1, 4, 5])
@pytest.mark.parametrize(("before", "after"), [(1, 1), (2, 1), (1, 2), (1, 4)])
def test_first_k_and_the_rest_are_all(folder, stop, before, after):
    loader = module(folder).train_dataloader()
    whole = steps_of([loader]) + steps_of([loader])
    loaders = [module(folder, place=(rank, before)).train_dataloader() for rank in range(before)]
    iterators = [iter(loader) for loader in loaders]
    first = steps_of([[next(it) for _ in range(stop)] for it in iterators])
    state = json.loads(json.dumps(loaders[0].state_dict()))
    assert state == loaders[-1].state_dict()
    resumed = [module(folder, place=(rank, after)).train_dataloader() for rank in range(after)]
    for loader in resumed:
        loader.load_state_dict(state)
    while len(first) < len(whole):
        first += steps_of(resumed)
    assert first == whole


def test_reading_ahead_does_not_move_the_state(folder):
    loader = module(folder, workers=2, start_method="fork").train_dataloader()
    iterator = iter(loader)
    next(iterator)
    next(iterator)
    assert (loader.state_dict()["epoch"], loader.state_dict()["step"]) == (0, 2)


@pytest.mark.parametrize(
    ("change", "name"),
    [({"seed": 4}, "seed was 3 and is 4"), ({"global_batch": 8}, "global_batch was 4"), ({"group_size": 3}, "group_")],
)
def test_a_changed_setting_is_refused_by_name(folder, change, name):
    state = module(folder).train_dataloader().state_dict()
    with pytest.raises(ValueError, match=name):
        module(folder, **change).train_dataloader().load_state_dict(state)


def test_changed_data_is_refused_by_name(folder, tmp_path):
    make_set(tmp_path / "set", {"train": CLIPS}, size=(16, 16), seed=9)
    state = module(folder).train_dataloader().state_dict()
    with pytest.raises(ValueError, match=r"data was '[0-9a-f]{64}' and is"):
        module(tmp_path / "set").train_dataloader().load_state_dict(state)


def test_a_batch_that_ranks_cannot_share_is_refused_with_the_fix(folder):
    with pytest.raises(ValueError, match=r"global_batch=4 cannot be shared by 3 ranks; take 3 or 6"):
        module(folder, place=(0, 3)).train_dataloader()


def test_the_budget_counts_says_and_ends():
    faults = [Fault("s.tar", f"v/{i:05d}", "0.jpg", "bad") for i in range(5)]
    with pytest.raises(BadSample, match=r"s\.tar: v/00000: 0\.jpg: bad"):
        Budget(0, 100).spend(faults)
    budget = Budget(0.03, 100)
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(TooManyBadSamples, match="4 bad samples, 3 are tolerated"),
    ):
        budget.spend(faults)
    for wrong in (-1, 1.0, 2.5):
        with pytest.raises(ValueError, match="max_bad"):
            Budget(wrong, 10)


class Log(lightning.LightningModule):
    """Writes down what every step consumed."""

    def __init__(self, path, pause=0.0):
        super().__init__()
        self.path, self.pause = Path(path), pause
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch, number):
        keys = [k for k, w in zip(batch.keys, batch.weight.tolist(), strict=True) if w]
        with self.path.open("a") as file:
            file.write(json.dumps([self.global_step, keys]) + "\n")
        time.sleep(self.pause)
        return (self.weight * batch.pixels.mean()).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(folder, work, *, resume=False, epochs=3, workers=0, pause=0.0):
    made = StoryDataModule(
        folder, PlainTransform(2, 8), PlainTokenize(), global_batch=4, group_size=4, seed=3, workers=workers
    )
    saver = lightning.pytorch.callbacks.ModelCheckpoint(
        dirpath=work, filename="last", every_n_train_steps=1, save_top_k=1, enable_version_counter=False
    )
    trainer = lightning.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, callbacks=[saver], enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=work,
    )  # fmt: skip
    model = Log(work / "log.jsonl", pause)
    trainer.fit(model, made, ckpt_path=work / "last.ckpt" if resume else None)
    return model


def consumed(work):
    """Keys by step; a step that ran again after a kill counts as its last run."""
    return dict(json.loads(line) for line in (work / "log.jsonl").read_text().splitlines())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", [0, 1])
def test_killed_at_a_random_step_and_resumed_through_lightning(folder, tmp_path, seed):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    weights = fit(folder, whole).weight
    steps = len(consumed(whole))
    stop = 1 + int(np.random.default_rng(seed).integers(steps - 2))
    code = (
        "import importlib.util as u, sys, pathlib; s = u.spec_from_file_location('t', sys.argv[1]);"
        "t = u.module_from_spec(s); sys.modules['t'] = t; s.loader.exec_module(t);"
        "t.fit(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]), workers=2, pause=0.1)"
    )
    with (tmp_path / "out").open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", code, __file__, str(folder), str(broken)], stdout=out, stderr=out, cwd=tmp_path
        )
        log, deadline = broken / "log.jsonl", time.time() + 120
        while not (log.exists() and len(log.read_text().splitlines()) > stop and (broken / "last.ckpt").exists()):
            assert process.poll() is None, (tmp_path / "out").read_text()
            assert time.time() < deadline, (tmp_path / "out").read_text()
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert stop < len(consumed(broken)) < steps
    resumed = fit(folder, broken, resume=True).weight
    assert consumed(broken) == consumed(whole)
    assert torch.equal(weights, resumed)


@pytest.mark.filterwarnings("ignore")
def test_resuming_at_the_end_of_an_epoch_starts_the_next(folder, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    fit(folder, whole, epochs=3)
    fit(folder, parts, epochs=1)
    fit(folder, parts, epochs=3, resume=True)
    assert consumed(parts) == consumed(whole)


def test_hash_of_the_order_is_what_it_was():
    """A change of the order would break every run that waits to be resumed."""
    pairs = WeakPairs([VideoPairs(str(i), np.arange(9), np.arange(9) // 2) for i in range(6)], [], [])
    order = GroupOrder(pairs, [0, 0, 1, 2, 3, 4], 4, seed=7)
    words = [[epoch, order.epoch(epoch).tolist(), order.members(epoch, 2, 1).tolist()] for epoch in range(2)]
    assert (
        hashlib.sha256(json.dumps(words).encode()).hexdigest()
        == "6cd555b9cdc973c25627b1fd33f04279cd4f67b52b091c023a38ed6bbf1482f7"
    )

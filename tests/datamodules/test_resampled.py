"""Streaming with replacement: as many steps as were asked for, from anywhere, and nothing lost in silence."""

import functools
import http.server
import shutil
import threading

import pytest

from weaksync.datamodules.resampled import address_of
from weaksync.datamodules.sample_set import PlainTokenize, PlainTransform, make_set
from weaksync.datamodules.story import StoryDataModule
from weaksync.datamodules.tarscan import BadSample


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resampled") / "set"
    make_set(
        folder, {"train": [12, 9, 2, 15, 8], "val": [3]}, size=(16, 16), shard_bytes=40_000, languages=("en", "hi")
    )
    return folder


def module(folder, *, place=(0, 1), **options):
    options = {"global_batch": 4, "group_size": 4, "steps_per_epoch": 6, **options}
    made = StoryDataModule(folder, PlainTransform(2, 8), PlainTokenize(), mode="resampled", **options)
    made.place = lambda: place
    return made


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("world", [1, 2, 4])
def test_every_rank_makes_the_steps_that_were_asked_for(folder, world, workers):
    for rank in range(world):
        options = {"workers": workers, "start_method": "fork"} if workers else {}
        loader = module(folder, place=(rank, world), **options).train_dataloader()
        assert len(loader) == len(list(loader)) == len(list(loader)) == 6


def test_batches_hold_groups_of_one_video_with_its_own_sentences(folder):
    for batch in module(folder, global_batch=1).train_dataloader():
        assert len(set(batch.video.tolist())) == 1
        assert len(set(batch.sentence.tolist())) > 1
        assert len({key.partition("/")[0] for key in batch.keys}) == 1
        assert set(batch.weight.tolist()) == {1.0}


def test_ranks_workers_and_epochs_draw_differently_and_a_seed_repeats(folder):
    def keys(**options):
        return [batch.keys for batch in module(folder, **options).train_dataloader()]

    assert keys(place=(0, 2)) == keys(place=(0, 2)) != keys(place=(1, 2))
    assert keys(seed=1) != keys(seed=2)
    loader = module(folder).train_dataloader()
    assert [b.keys for b in loader] != [b.keys for b in loader]


def test_every_video_comes_in_time(folder):
    batches = list(module(folder, steps_per_epoch=60).train_dataloader())
    videos = {key.partition("/")[0] for batch in batches for key in batch.keys}
    assert videos == {"train0000", "train0001", "train0003", "train0004"}  # the third has one sentence


def test_resuming_ends_the_epoch_where_it_would_have_ended(folder):
    loader = module(folder).train_dataloader()
    iterator = iter(loader)
    next(iterator)
    next(iterator)
    state = loader.state_dict()
    resumed = module(folder).train_dataloader()
    resumed.load_state_dict(state)
    assert len(list(resumed)) == 4
    assert resumed.state_dict() == {"epoch": 1, "step": 0, "steps_per_epoch": 6}
    with pytest.raises(ValueError, match="steps_per_epoch was 6 and is 9"):
        module(folder, steps_per_epoch=9).train_dataloader().load_state_dict(state)


def test_languages(folder):
    batches = list(module(folder, languages=["hi"]).train_dataloader())
    assert {key.partition("/")[0] for batch in batches for key in batch.keys} == {"train0001", "train0003"}
    with pytest.raises(ValueError, match="no video in ru; it has en, hi"):
        module(folder, languages=["ru"]).train_dataloader()


def test_a_set_without_pairs_is_said_not_waited_for(tmp_path):
    make_set(tmp_path / "set", {"train": [1, 2]}, size=(16, 16))
    with pytest.raises(ValueError, match="held no video to train on"):
        list(module(tmp_path / "set").train_dataloader())


def test_it_streams_over_http(folder):
    if shutil.which("curl") is None:
        pytest.skip("webdataset opens http addresses with curl, which is not installed")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *words: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made = module(f"http://127.0.0.1:{server.server_port}/")
        assert len(list(made.train_dataloader())) == 6
        with pytest.raises(ValueError, match="needs a set on a local disk"):
            made.val_dataloader()
        server.shutdown()


@pytest.mark.parametrize("address", ["pipe:touch canary", "pipe:cat /etc/passwd"])
def test_commands_are_refused(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="runs a command and is refused"):
        module(address).train_dataloader()
    assert list(tmp_path.iterdir()) == []


def test_unknown_schemes_are_named():
    with pytest.raises(ValueError, match=r"no way to open 'ftp'; known are .*https"):
        address_of("ftp://somewhere/set")


def test_a_manifest_cannot_name_a_command(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "set")
    manifest = copy / "manifest.json"
    manifest.write_text(manifest.read_text().replace("train-000000.tar", "pipe:touch canary"))
    with pytest.raises(ValueError, match="is not the name of a shard"):
        module(copy).train_dataloader()


def cut_short(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2 // 512 * 512])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("damage", [cut_short, flip])
@pytest.mark.parametrize("workers", [0, 2])
def test_what_webdataset_passes_over_in_silence_is_found(folder, tmp_path, damage, workers):
    copy = shutil.copytree(folder, tmp_path / "set")
    damage(max(copy.glob("train-*.tar"), key=lambda path: path.stat().st_size))
    options = {"workers": workers, "start_method": "fork"} if workers else {}
    with pytest.raises(BadSample, match=r"train-\d{6}\.tar"):
        for _ in range(3):
            list(module(copy, steps_per_epoch=20, **options).train_dataloader())


@pytest.mark.filterwarnings("ignore:left out")
def test_a_tolerated_bad_sample_is_left_out(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "set")
    flip(max(copy.glob("train-*.tar"), key=lambda path: path.stat().st_size))
    loader = module(copy, steps_per_epoch=40, max_bad=1000).train_dataloader()
    keys = {key for batch in loader for key in batch.keys}
    bad = {fault.key for fault in loader.skipped}
    assert len(bad) == 1
    assert not bad & keys

"""The story data module: exactly-once evaluation, bad samples, and errors that name the fix."""

import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from weaksync.datamodules.elastic import TooManyBadSamples
from weaksync.datamodules.index import open_set
from weaksync.datamodules.records import AnnotatedVideo, Sentence
from weaksync.datamodules.sample_set import PlainTokenize, PlainTransform, make_set
from weaksync.datamodules.shards import pack, write_video
from weaksync.datamodules.story import StoryDataModule
from weaksync.datamodules.tarscan import BadSample

VIDEOS = [3, 5, 2, 4, 6, 3, 2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("story") / "set"
    languages = ("en", "hi", "ru")
    make_set(folder, {"train": [20] * 10, "val": VIDEOS}, size=(16, 16), shard_bytes=60_000, languages=languages)
    return folder


def module(folder, *, place=(0, 1), transform=None, **options):
    options = {"global_batch": 5, "group_size": 4, **options}
    made = StoryDataModule(folder, transform or PlainTransform(2, 8), PlainTokenize(), **options)
    made.place = lambda: place
    return made


def flip(folder, share, *, split="train"):
    """Flip a byte in the first picture of a share of the clips; their keys."""
    shards = open_set(folder)
    rows = [(entry, clip) for entry in shards.split(split) for clip in range(entry.clips)]
    random = np.random.default_rng(0)
    chosen = [rows[row] for row in random.choice(len(rows), round(share * len(rows)), replace=False)]
    for entry, clip in chosen:
        offset = int(shards._offsets[entry.row + 1 + clip]) + 512 + 100
        with (folder / shards.manifest.shards[entry.shard].name).open("r+b") as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 0xFF]))
    return {f"{entry.id}/{clip:05d}" for entry, clip in chosen}


def test_a_video_batch_is_the_whole_video(folder):
    batch = next(iter(module(folder).val_dataloader()))
    record = open_set(folder).videos("val")[0]
    assert batch.id == record.id
    assert batch.texts == [sentence.text for sentence in record.sentences]
    assert batch.pixels.shape == (3, 2, 3, 8, 8)
    assert batch.pixels.dtype == torch.float32
    assert np.array_equal(batch.clips.numpy(), record.clip_times())
    assert np.array_equal(batch.segments.numpy(), record.segments(), equal_nan=True)
    assert len(batch.input_ids) == len(batch.attention_mask) == len(batch.texts)


def ids(loaders):
    return sorted(batch.id for loader in loaders for batch in loader)


EXPECTED = [f"val{number:04d}" for number in range(len(VIDEOS))]


@pytest.mark.parametrize("world", [1, 2, 3, 9])
def test_every_video_is_evaluated_once_on_any_number_of_ranks(folder, world):
    loaders = [module(folder, place=(rank, world)).val_dataloader() for rank in range(world)]
    assert ids(loaders) == EXPECTED
    assert max(map(len, loaders)) - min(map(len, loaders)) <= 1


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_every_video_is_evaluated_once_with_workers(folder, world, method):
    options = {"workers": 2, "start_method": method}
    loaders = [module(folder, place=(rank, world), **options).val_dataloader() for rank in range(world)]
    one = hashlib.sha256(json.dumps(EXPECTED).encode()).hexdigest()
    assert hashlib.sha256(json.dumps(ids(loaders)).encode()).hexdigest() == one


RANK_SCRIPT = """
import json, os, sys, warnings

def main(rank, world, store, runs):
    # imported here: spawned workers import this file, and have no use for these
    import torch.distributed as dist
    from weaksync.datamodules.sample_set import PlainTokenize, PlainTransform
    from weaksync.datamodules.story import StoryDataModule

    warnings.simplefilter("ignore")
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        os.environ.pop(name, None)
    for folder, workers, method, mode in runs:
        options = {} if mode == "exact" else {"steps_per_epoch": 4}
        made = StoryDataModule(folder, PlainTransform(2, 8), PlainTokenize(), global_batch=4, group_size=4, mode=mode,
                               workers=workers, start_method=method if workers else None, **options)
        steps = 0
        for batch in made.train_dataloader():
            dist.barrier()  # hangs where ranks step differently
            steps += 1
        print(json.dumps([steps, [batch.id for batch in made.val_dataloader()]]))
    dist.destroy_process_group()

if __name__ == "__main__":
    rank, world, store, runs = sys.argv[1:]
    main(int(rank), int(world), store, json.loads(runs))
"""


def run_ranks(work, runs, world=2):
    """For each of `runs`, (folder, workers, start method, mode), the (steps, videos) of every rank.

    Every rank is a process of its own, under a time limit; all runs share them, for starting one takes seconds.
    """
    script = work / "ranks.py"
    script.write_text(RANK_SCRIPT)
    arguments = [str(world), str(work / "store"), json.dumps([[str(folder), *rest] for folder, *rest in runs])]
    ranks = [
        subprocess.Popen([sys.executable, str(script), str(rank), *arguments], stdout=subprocess.PIPE, text=True)
        for rank in range(world)
    ]
    try:
        outputs = [rank.communicate(timeout=240)[0] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0] * world
    found = [[json.loads(line) for line in output.splitlines()[-len(runs) :]] for output in outputs]
    return list(zip(*found, strict=True))


@pytest.mark.slow
def test_two_processes_step_alike_and_evaluate_once(folder, tmp_path):
    """Ranks come from the process group: workers have no RANK in their environment."""
    starts = [(0, "fork"), (2, "fork"), (1, "spawn")]
    runs = [(folder, *start, mode) for start in starts for mode in ("exact", "resampled")]
    for (_, *what), (one, other) in zip(runs, run_ranks(tmp_path, runs), strict=True):
        assert one[0] == other[0] > 0, what
        assert sorted(one[1] + other[1]) == EXPECTED, what


@pytest.mark.slow
def test_uneven_and_single_shards_do_not_hang(tmp_path):
    for name, clips in {"uneven": [40, 4], "single": [6]}.items():
        make_set(tmp_path / name, {"train": clips, "val": [2]}, size=(16, 16), shard_bytes=30_000)
    runs = [(tmp_path / name, 0, "fork", mode) for name in ("uneven", "single") for mode in ("exact", "resampled")]
    for (_, *what), (one, other) in zip(runs, run_ranks(tmp_path, runs), strict=True):
        assert one[0] == other[0] > 0, what
        assert one[1] + other[1] == ["val0000"], what


def test_languages_filter_and_unknown_ones_are_named(folder):
    only = module(folder, languages=["hi"])
    assert {batch.language for batch in only.val_dataloader()} == {"hi"}
    assert {video.id for video in only.pairs.videos} == {"train0001", "train0004", "train0007"}
    with pytest.raises(ValueError, match="no video in xx; it has en, hi, ru"):
        module(folder, languages=["xx", "en"]).train_dataloader()


@pytest.mark.parametrize("workers", [0, 2])
def test_the_first_bad_sample_ends_training_by_default(folder, tmp_path, workers):
    bad = flip(shutil.copytree(folder, tmp_path / "set"), 0.01)
    options = {"workers": workers, "start_method": "fork"} if workers else {}
    with pytest.raises(BadSample, match=r"train-\d{6}\.tar: train\d{4}/\d{5}: 0\.jpg: changed") as fault:
        list(module(tmp_path / "set", **options).train_dataloader())
    assert fault.value.fault.key in bad


def test_a_tolerated_share_is_left_out_said_and_counted(folder, tmp_path):
    bad = flip(shutil.copytree(folder, tmp_path / "set"), 0.01)
    made = module(tmp_path / "set", max_bad=0.01)
    loader = made.train_dataloader()
    with pytest.warns(UserWarning, match="left out a bad sample"):
        batches = list(loader)
    keys = [key for batch in batches for key in batch.keys]
    assert len(bad) == 2
    assert sorted([*keys, *bad]) == [f"train{v:04d}/{c:05d}" for v in range(10) for c in range(20)]
    assert {fault.key for fault in loader.skipped} == bad
    for batch in batches:
        fields = (batch.pixels, batch.input_ids, batch.attention_mask, batch.video, batch.sentence, batch.weight)
        assert {len(field) for field in fields} == {len(batch.keys)}
    with pytest.warns(UserWarning, match="left out a bad sample"):
        list(loader)
    assert len(loader.skipped) == 2  # counted by epoch


@pytest.mark.filterwarnings("ignore:left out")
def test_more_than_the_budget_ends_training(folder, tmp_path):
    flip(shutil.copytree(folder, tmp_path / "set"), 0.1)
    with pytest.raises(TooManyBadSamples, match="3 bad samples, 2 are tolerated"):
        list(module(tmp_path / "set", max_bad=0.01).train_dataloader())


def test_evaluation_never_skips(folder, tmp_path):
    flip(shutil.copytree(folder, tmp_path / "set"), 0.1, split="val")
    with pytest.raises(BadSample, match="val-0"):
        list(module(tmp_path / "set", max_bad=0.5).val_dataloader())


def test_a_picture_that_cannot_be_decoded_is_named(tmp_path):
    cuts = [(0.0, 1.0), (1.0, 2.0)]
    record = AnnotatedVideo("film", "", 2.0, [Sentence("a", narration=cuts[0]), Sentence("b", narration=cuts[1])], cuts)
    write_video(tmp_path / "p", record, [[b"\xff\xd8 no picture \xff\xd9"]] * 2)
    pack(tmp_path / "set", {"train": [tmp_path / "p"]}, {})
    made = module(tmp_path / "set", transform=PlainTransform(1, 8))
    with pytest.raises(BadSample, match=r"train-000000\.tar: film/0000\d: 0\.jpg: not a JPEG"):
        list(made.train_dataloader())


def test_a_sentence_that_gives_no_token_is_named(tmp_path):
    cuts = [(0.0, 1.0), (1.0, 2.0)]
    record = AnnotatedVideo("film", "", 2.0, [Sentence("", narration=cuts[0]), Sentence("b", narration=cuts[1])], cuts)
    make_set(tmp_path / "other", {"train": [2]}, frames=1, size=(16, 16))
    picture = open_set(tmp_path / "other").read("train0000", 0)["0.jpg"]
    write_video(tmp_path / "p", record, [[picture]] * 2)
    pack(tmp_path / "set", {"train": [tmp_path / "p"], "val": []}, {})
    made = module(tmp_path / "set", transform=PlainTransform(1, 8), max_bad=1)
    with pytest.warns(UserWarning, match=r"film/00000: its sentence '': a text is empty"):
        assert [batch.keys for batch in made.train_dataloader()] == [["film/00001"]]


def test_too_few_candidates_are_said_before_anything_runs(folder):
    with pytest.raises(ValueError, match=r"looks at 4 frames of a clip, .* holds 3; build the set with more"):
        module(folder, transform=PlainTransform(4, 8)).train_dataloader()


def test_evaluation_takes_the_same_frames_each_time(folder):
    class Spy(PlainTransform):
        def __call__(self, frames, *, generator=None):
            assert generator is None
            return super().__call__(frames)

    first, second = ([b.pixels for b in module(folder, transform=Spy(2, 8)).val_dataloader()] for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_videos_without_pairs_are_counted_and_said(tmp_path):
    make_set(tmp_path / "set", {"train": [8, 1, 2]}, size=(16, 16))
    made = module(tmp_path / "set")
    with pytest.warns(UserWarning, match="2 of 3 training videos have fewer than two paired sentences"):
        assert made.pairs.too_few == ["train0001", "train0002"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"global_batch": 0}, "global_batch=0"),
        ({"group_size": 1}, "group_size=1"),
        ({"mode": "fast"}, "mode='fast'"),
        ({"mode": "resampled"}, "steps_per_epoch"),
        ({"steps_per_epoch": 5}, "steps_per_epoch"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_bad_arguments_are_named(folder, options, words):
    with pytest.raises(ValueError, match=words):
        module(folder, **options)


def test_an_absent_set_says_how_to_make_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="weaksync data build"):
        module(tmp_path).train_dataloader()


def test_the_place_is_the_launchers_where_nothing_else_knows(folder, monkeypatch):
    made = StoryDataModule(folder, PlainTransform(2, 8), PlainTokenize(), global_batch=4)
    assert made.place() == (0, 1)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert made.place() == (1, 2)


def test_reading_is_not_changed_by_the_models_random_stream(folder):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    list(module(folder).train_dataloader())
    assert torch.equal(before, torch.get_rng_state())

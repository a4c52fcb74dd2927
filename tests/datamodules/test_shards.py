"""Shard sets: deterministic, whole or absent, plain WebDataset."""

import errno
import json
import os
import resource
import tarfile
from pathlib import Path

import pytest
import webdataset

from weaksync.datamodules import shards as writing
from weaksync.datamodules.manifest import Manifest
from weaksync.datamodules.records import AnnotatedVideo, Sentence
from weaksync.datamodules.sample_set import make_set
from weaksync.datamodules.shards import pack, write_video

JPEG = b"\xff\xd8 not looked into \xff\xd9"


def record(name="film", clips=3):
    cuts = [(float(i), i + 1.0) for i in range(clips)]
    sentences = [Sentence(f"sätze {i}", narration=cut) for i, cut in enumerate(cuts)]
    return AnnotatedVideo(name, "", float(clips), sentences, clips=cuts, language="de")


def part(folder, name="film", clips=3, frames=2):
    path = folder / f"{name}.part"
    write_video(path, record(name, clips), [[JPEG] * frames] * clips)
    return path


def test_a_part_is_a_plain_tar_of_the_record_and_then_its_clips(tmp_path):
    with tarfile.open(part(tmp_path)) as tar:
        names = tar.getnames()
        story = json.load(tar.extractfile(names[0]))
    assert names[:4] == ["film/story.json", "film/00000.0.jpg", "film/00000.1.jpg", "film/00000.json"]
    assert len(names) == 1 + 3 * 3
    assert AnnotatedVideo.from_dict(story) == record()


def test_webdataset_reads_what_was_written(tmp_path):
    make_set(tmp_path / "set", {"train": [4, 3, 5]}, frames=2, shard_bytes=60_000)
    urls = sorted(str(path) for path in (tmp_path / "set").glob("*.tar"))
    assert len(urls) > 1
    samples = list(webdataset.WebDataset(urls, shardshuffle=False))
    assert len(samples) == 3 + 12
    clips = [sample for sample in samples if not sample["__key__"].endswith("/story")]
    assert all({"0.jpg", "1.jpg", "json"} <= set(sample) for sample in clips)
    assert {sample["__key__"] for sample in clips} == {
        f"train{v:04d}/{c:05d}" for v, n in enumerate([4, 3, 5]) for c in range(n)
    }


def test_the_same_parts_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        make_set(tmp_path / name, {"train": [4, 3], "val": [2]}, shard_bytes=40_000)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "b").iterdir())
    assert all((tmp_path / "a" / n).read_bytes() == (tmp_path / "b" / n).read_bytes() for n in files)


def test_a_video_never_spans_two_shards_and_the_manifest_counts(tmp_path):
    manifest = make_set(tmp_path / "set", {"train": [4, 30, 5], "test": [2]}, shard_bytes=40_000)
    assert manifest == Manifest.read(tmp_path / "set")
    homes = {}
    for shard in manifest.shards:
        with tarfile.open(tmp_path / "set" / shard.name) as tar:
            for name in tar.getnames():
                homes.setdefault(name.partition("/")[0], set()).add(shard.name)
    assert all(len(home) == 1 for home in homes.values())
    assert (manifest.counts["train"].videos, manifest.counts["train"].clips) == (3, 39)
    assert manifest.languages == {"en": 4}
    assert manifest.frames == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v, f: (setattr(v, "id", "a.b"), f)[1], "video id 'a.b'"),
        (lambda v, f: f[:-1], "3 clips but pictures of 2"),
        (lambda v, f: [*f[:-1], f[-1] * 2], "same number of pictures"),
        (lambda v, f: [*f[:-1], [JPEG, b"GIF"]], "film/00002: picture 1 is not a JPEG"),
        (lambda v, f: (setattr(v, "clips", None), f)[1], "no clips are known"),
    ],
)
def test_a_video_that_does_not_fit_is_refused_by_name(tmp_path, change, words):
    video, frames = record(), [[JPEG, JPEG]] * 3
    frames = change(video, frames)
    with pytest.raises(ValueError, match=words):
        write_video(tmp_path / "x.tar", video, frames)
    assert list(tmp_path.iterdir()) == []


def test_pack_refuses_what_would_make_a_bad_set(tmp_path):
    one, other = part(tmp_path), tmp_path / "copy.part"
    other.write_bytes(one.read_bytes())
    with pytest.raises(ValueError, match="two videos share the id 'film'"):
        pack(tmp_path / "s", {"train": [one], "val": [other]}, {})
    with pytest.raises(ValueError, match="no video to pack"):
        pack(tmp_path / "s", {"train": []}, {})
    with pytest.raises(ValueError, match=r"b/00000"):
        pack(tmp_path / "s", {"train": [one, part(tmp_path, "b", frames=3)]}, {})
    one.write_bytes(one.read_bytes()[:2000])
    with pytest.raises(ValueError, match="film"):
        pack(tmp_path / "s", {"train": [one]}, {})
    assert list((tmp_path / "s").iterdir()) == []
    pack(tmp_path / "s", {"train": [other]}, {})
    with pytest.raises(ValueError, match="holds a shard set already"):
        pack(tmp_path / "s", {"train": [other]}, {})


def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch):
    parts = [part(tmp_path, name) for name in ("a", "b", "c")]
    synced = []

    def full(descriptor):
        synced.append(descriptor)
        if len(synced) == 4:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="is full") as fault:
        pack(tmp_path / "set", {"train": parts}, {}, shard_bytes=1000)
    assert fault.value.errno == errno.ENOSPC
    assert list((tmp_path / "set").iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_write_that_fails_leaves_no_file(tmp_path, monkeypatch):
    real = writing.Path.open
    monkeypatch.setattr(writing.Path, "open", lambda self, *a, **k: real(writing.Path("/dev/full"), *a, **k))
    with pytest.raises(OSError, match="space"):
        write_video(tmp_path / "x.tar", record(), [[JPEG, JPEG]] * 3)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_cleared_away(tmp_path):
    folder = tmp_path / "set"
    (folder / ".packing").mkdir(parents=True)
    (folder / ".packing" / "train-000007.tar").write_bytes(b"left over")
    manifest = pack(folder, {"train": [part(tmp_path)]}, {"width": 320})
    assert sorted(p.name for p in folder.iterdir()) == ["manifest.json", "train-000000.index.json", "train-000000.tar"]
    assert manifest.settings == {"width": 320}


@pytest.mark.parametrize("name", ["train-000000.tar", "imagenet-000146.tar", "00000.tar", "train-000000.index.json"])
def test_the_tars_of_others_are_not_touched(tmp_path, name):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / name).write_bytes(b"somebody's")
    for replace in (False, True):
        with pytest.raises(ValueError, match=rf"set holds {name}, which is of no shard set .* choose another folder"):
            pack(folder, {"train": [part(tmp_path)]}, {}, replace=replace)
    assert [p.name for p in folder.iterdir()] == [name]
    assert (folder / name).read_bytes() == b"somebody's"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_set_is_replaced_whole(tmp_path):
    folder, parts = tmp_path / "set", [part(tmp_path, name) for name in ("a", "b", "c")]
    pack(folder, {"train": parts, "val": [part(tmp_path, "d")]}, {}, shard_bytes=1000)
    (folder / "report.json").write_bytes(b"{}")
    pack(folder, {"train": parts[:1]}, {"width": 320}, replace=True)
    pack(tmp_path / "new", {"train": parts[:1]}, {"width": 320})
    assert contents(folder) == {**contents(tmp_path / "new"), "report.json": b"{}"}


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("call", range(1, 14))
@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_set_stays_where_its_replacement_fails(tmp_path, monkeypatch, broken, call, fault):
    """Packing two shards flushes three kinds of file; putting them into place renames the old away, the new in."""
    folder, parts = tmp_path / "set", [part(tmp_path, name) for name in ("a", "b")]
    pack(folder, {"train": parts}, {}, shard_bytes=1000)
    before, calls, real = contents(folder), [], getattr(os, broken)

    def breaks(*arguments, **more):
        calls.append(arguments)
        if len(calls) == call:
            raise fault
        return real(*arguments, **more)

    monkeypatch.setattr(os, broken, breaks)
    try:
        pack(folder, {"train": parts[::-1]}, {"width": 320}, shard_bytes=1000, replace=True)
    except (OSError, KeyboardInterrupt):
        assert contents(folder) == before
    else:
        assert len(calls) < call
        assert Manifest.read(folder).settings == {"width": 320} and contents(folder) != before


def test_a_file_that_cannot_grow_leaves_the_set_that_is_there(tmp_path):
    """What is buffered cannot be written at the end either, when the file is closed."""
    folder, parts = tmp_path / "set", [part(tmp_path, name, clips=1) for name in ("a", "b")]
    pack(folder, {"train": parts[:1]}, {})
    before, limits = contents(folder), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large") as fault:
            pack(folder, {"train": parts}, {}, replace=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert fault.value.errno == errno.EFBIG
    assert contents(folder) == before

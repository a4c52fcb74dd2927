"""Conversational clips on disc: what is read is what was written, and any part of it without the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from weaksync.datamodules.derived import FEATURES, open_derived, origin, write_derived
from weaksync.datamodules.h264 import decode_h264, encode_h264
from weaksync.datamodules.index import BadSample, ShardSet, verify
from weaksync.datamodules.records import Cue, SpokenClip
from weaksync.datamodules.sample_clips import make_clips
from weaksync.datamodules.sample_set import make_set
from weaksync.datamodules.shards import pack
from weaksync.datamodules.spoken import CLIPS, open_clips, scene, sound, spoken_clip, tube, write_clip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets") / "clips"
    make_clips(folder, {"train": 3, "test": 2}, seconds=4)
    return folder


@pytest.fixture(scope="module")
def clips(folder: Path) -> ShardSet:
    return open_clips(folder)


def drawn(frames: int, height: int, width: int) -> list[np.ndarray]:
    """A ramp whose brightness tells the number of the picture."""
    ramp = np.linspace(0, 40, width).astype(np.uint8)
    return [np.broadcast_to((ramp + 3 * n)[None, :, None], (height, width, 3)).copy() for n in range(frames)]


def record(frames: int) -> SpokenClip:
    faces = np.full((frames, 4), np.nan, np.float32)
    faces[1:] = [10.25, 20.5, 110, 140.75]
    cues = [Cue("Good morning.", 0.1, 0.9), Cue("So it is.", 1.0, 1.6)]
    end = 61.0 + frames / 25
    return SpokenClip("a", "film.mp4", 61.0, end, "en", cues, 25, frames, faces, (640, 360), "movie", "ann", 0.7, 0.1)


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    clip, face, whole = record(60), drawn(60, 32, 32), drawn(60, 36, 64)
    noise = np.random.default_rng(0).integers(-9000, 9000, 60 * 640).astype(np.int16)
    write_clip(tmp_path / "a.tar", clip, face, whole, noise, decisions={"kept": True})
    pack(tmp_path / "set", {"train": [tmp_path / "a.tar"]}, {"kind": CLIPS})
    shards = open_clips(tmp_path / "set")
    assert not verify(tmp_path / "set")
    read = spoken_clip(shards, "a")
    np.testing.assert_array_equal(read.faces, clip.faces)
    assert replace(read, faces=clip.faces) == clip
    assert [sentence.narration for sentence in shards.record("a").sentences] == [(0.1, 0.9), (1.0, 1.6)]
    torch.testing.assert_close(sound(shards, "a"), torch.from_numpy(noise), rtol=0, atol=0)
    pictures = tube(shards, "a")
    assert pictures.dtype == torch.uint8 and pictures.shape == (60, 3, 32, 32)
    wanted = torch.from_numpy(np.stack(face)).permute(0, 3, 1, 2)
    assert (pictures.float() - wanted.float()).abs().mean() < 3
    assert scene(shards, "a").shape == (60, 3, 36, 64)


@pytest.mark.parametrize(("first", "count"), [(0, 1), (3, 20), (24, 2), (25, 1), (49, 26), (99, 1), (60, None), (5, 0)])
def test_a_part_of_a_tube_is_that_part_of_the_whole(clips: ShardSet, first: int, count: int | None) -> None:
    whole, part = tube(clips, "train0001"), tube(clips, "train0001", first=first, count=count)
    assert torch.equal(part, whole[first:][:count])


def test_scenes_are_sampled_at_the_nearest_picture(tmp_path: Path) -> None:
    clip = record(50)
    write_clip(tmp_path / "a.tar", clip, drawn(50, 16, 16), drawn(50, 16, 32), np.zeros(50 * 640, np.int16))
    pack(tmp_path / "set", {"train": [tmp_path / "a.tar"]}, {"kind": CLIPS})
    shards = open_clips(tmp_path / "set")
    whole, few = scene(shards, "a"), scene(shards, "a", fps=8)
    assert len(few) == 16
    for number, picture in enumerate(few):
        distance = np.abs(np.arange(50) / 25 - number / 8)
        nearest = np.flatnonzero(distance < distance.min() + 1e-9)  # two, where the time lies between them
        assert any(torch.equal(picture, whole[place]) for place in nearest)
    assert len(scene(shards, "a", fps=50)) == 100


def test_the_same_clip_is_the_same_bytes(tmp_path: Path) -> None:
    first, second = (make_clips(tmp_path / name, {"train": 2}, seconds=1) for name in ("one", "two"))
    assert [shard.sha256 for shard in first.shards] == [shard.sha256 for shard in second.shards]
    other = make_clips(tmp_path / "three", {"train": 2}, seconds=1, seed=1)
    assert other.shards[0].sha256 != first.shards[0].sha256


def test_a_set_of_clips_is_a_shard_set(folder: Path, clips: ShardSet, tmp_path: Path) -> None:
    assert not verify(folder)
    counts = clips.manifest.counts
    assert {split: (held.videos, held.clips, held.sentences) for split, held in counts.items()} == {
        "train": (3, 0, 6),
        "test": (2, 0, 4),
    }
    records = [(split, video.to_dict()) for split in clips.splits for video in clips.videos(split)]
    write_derived(tmp_path / "made", records, {}, origin(clips, FEATURES, "a test"))
    assert sorted(open_derived(tmp_path / "made", clips, FEATURES).entries) == sorted(clips.entries)
    with pytest.raises(ValueError, match="holds features, and no conversational clips: make them with"):
        open_clips(tmp_path / "made")


def test_the_made_up_mouth_follows_the_sound(clips: ShardSet) -> None:
    """Or nothing could be learnt of it: dark pixels at the mouth against loudness, frame by frame."""
    clip = spoken_clip(clips, "train0000")
    seen = ~np.isnan(clip.faces).any(axis=1)
    dark = (tube(clips, clip.id)[:, 2, 16:].float() < 40).float().mean((1, 2)).numpy()[seen]
    loud = sound(clips, clip.id).float().reshape(-1, 640).square().mean(1).sqrt().numpy()[seen]
    assert np.corrcoef(dark, loud)[0, 1] > 0.8


def test_other_sets_and_other_clips_are_refused(clips: ShardSet, tmp_path: Path) -> None:
    make_set(tmp_path / "story", {"train": [2]})
    with pytest.raises(ValueError, match=r"story videos, and no conversational clips.*weaksync data build subtitles"):
        open_clips(tmp_path / "story")
    with pytest.raises(FileNotFoundError, match="weaksync data build subtitles"):
        open_clips(tmp_path / "nothing")
    for read in (spoken_clip, tube, scene, sound):
        with pytest.raises(ValueError, match="no clip 'nobody'"):
            read(clips, "nobody")
    with pytest.raises(ValueError, match="has 100 frames; 90 to 110 are asked for"):
        tube(clips, "train0000", first=90, count=20)
    with pytest.raises(ValueError, match="fps is 0"):
        scene(clips, "train0000", fps=0)


def test_damage_is_named(tmp_path: Path) -> None:
    make_clips(tmp_path / "set", {"train": 1}, seconds=1)
    shard = tmp_path / "set" / "train-000000.tar"
    data = bytearray(shard.read_bytes())
    data[data.index(b"ftyp") + 200] ^= 0xFF
    shard.write_bytes(data)
    assert [(fault.key, fault.member) for fault in verify(tmp_path / "set")] == [("train0000/story", "face.mp4")]
    with pytest.raises(BadSample, match=r"train0000/story: face\.mp4"):
        tube(open_clips(tmp_path / "set"), "train0000")


def test_a_sound_of_another_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a: 100 samples of sound to 10 frames, not 6400"):
        write_clip(tmp_path / "a.tar", record(10), drawn(10, 16, 16), drawn(10, 16, 16), np.zeros(100, np.int16))
    assert not list(tmp_path.iterdir())


def test_a_record_without_its_clip_is_no_clip() -> None:
    data = record(3).to_dict()
    del data["clip"]["size"]
    with pytest.raises(ValueError, match=r"not a conversational clip \(KeyError: 'size'\): a"):
        SpokenClip.from_dict(data)
    with pytest.raises(ValueError, match="not a video record"):
        SpokenClip.from_dict({"id": "a"})


def test_pictures_of_odd_sides_and_none_are_refused() -> None:
    with pytest.raises(ValueError, match="even sides"):
        encode_h264(drawn(2, 15, 16), 25)
    with pytest.raises(ValueError, match="no picture"):
        encode_h264([], 25)
    data = encode_h264(drawn(30, 16, 16), 25)
    assert decode_h264(data, [0, 0, 29]).shape == (3, 16, 16, 3)
    with pytest.raises(ValueError, match="no picture 30"):
        decode_h264(data, [30])
    with pytest.raises(ValueError, match="ascend"):
        decode_h264(data, [3, 2])
    with pytest.raises(ValueError, match=r"no H\.264 in MP4, or damaged, 4 bytes"):
        decode_h264(b"what", [0])

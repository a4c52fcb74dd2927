"""Cached features through SyncNet's content heads: what the network gives when it sees the clip itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from weaksync import zoo
from weaksync.datamodules.sample_clips import make_clips
from weaksync.datamodules.spoken import open_clips, tube
from weaksync.datamodules.streams import open_stream, producer_of, read_stream
from weaksync.recipes.derived.content_streams import content_stream
from weaksync.recipes.derived.streams import make_stream
from weaksync.zoo.models.syncnet import SyncNet


def test_content_is_what_the_network_gives(tmp_path: Path) -> None:
    make_clips(tmp_path / "clips", {"train": 2, "test": 1}, seconds=1.0)
    torch.manual_seed(0)
    syncnet = zoo.create("syncnet-tiny", image_size=64).eval()
    assert isinstance(syncnet, SyncNet)
    syncnet.save_pretrained(tmp_path / "net")
    make_stream(tmp_path / "clips", "lips", tmp_path / "lips", model=str(tmp_path / "net"), workers=0)
    content_stream(tmp_path / "lips", syncnet, tmp_path / "content")
    clips = open_clips(tmp_path / "clips")
    found = open_stream(tmp_path / "content", clips, ("lips",))
    before = open_stream(tmp_path / "lips", clips, ("lips",))
    assert set(found.entries) == set(clips.entries)
    assert producer_of(found) == f"{producer_of(before)}/content"
    for name in clips.entries:
        with torch.inference_mode():
            frames = syncnet.preprocess(tube(clips, name))[None]
            expected = syncnet.lip_content(syncnet.encode_lips(frames))[0]
        arrays = read_stream(found, name)
        torch.testing.assert_close(torch.from_numpy(arrays["lips"]), expected, atol=2e-2, rtol=1e-2)
        assert arrays["times"].tolist() == read_stream(before, name)["times"].tolist()


def test_other_streams_have_no_content(tmp_path: Path) -> None:
    make_clips(tmp_path / "clips", {"train": 1}, seconds=1.0)
    make_stream(tmp_path / "clips", "scene", tmp_path / "scene", model="picturenet-tiny", workers=0)
    syncnet = zoo.create("syncnet-tiny")
    assert isinstance(syncnet, SyncNet)
    with pytest.raises(ValueError, match="stream of scene: only lips and speech"):
        content_stream(tmp_path / "scene", syncnet, tmp_path / "content")

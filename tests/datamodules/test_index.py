"""Every kind of damage is found, when a shard is indexed and when a set is verified, and named."""

import io
import pickle
import re
import shutil
import tarfile

import pytest

from weaksync.datamodules.index import BadSample, open_set, verify
from weaksync.datamodules.manifest import Manifest
from weaksync.datamodules.sample_set import make_set
from weaksync.datamodules.shards import build_index, index_name

SHARD = "train-000000.tar"


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound") / "set"
    make_set(folder, {"train": [3, 4, 3], "val": [2]}, frames=2, shard_bytes=40_000, languages=("en", "hi"))
    return folder


@pytest.fixture
def damaged(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "set")


def members(path):
    with tarfile.open(path) as tar:
        return [(info, tar.extractfile(info).read() if info.isreg() else b"") for info in tar]


def rewrite(path, change):
    """Write the shard again with its list of (info, payload) changed, as a sound tar."""
    content = change(members(path))
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for info, payload in content:
            info.size = len(payload)
            tar.addfile(info, io.BytesIO(payload))


def header_of(path, name):
    with tarfile.open(path) as tar:
        info = tar.getmember(name)
    return info.offset, info.offset_data, info.size


def patch(path, offset, data):
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def rename(name, new):
    def change(content):
        for info, _ in content:
            if info.name == name:
                info.name = new
        return content

    return lambda path: rewrite(path, change)


def replace(name, payload):
    return lambda path: rewrite(path, lambda c: [(i, payload if i.name == name else p) for i, p in c])


def cut_inside_a_header(path):
    offset, _, _ = header_of(path, "train0000/00001.1.jpg")
    path.write_bytes(path.read_bytes()[: offset + 100])


def cut_between_members(path):
    offset, _, _ = header_of(path, "train0000/00001.1.jpg")
    path.write_bytes(path.read_bytes()[:offset])


def cut_in_a_payload(path):
    _, data, _ = header_of(path, "train0000/00001.1.jpg")
    path.write_bytes(path.read_bytes()[: data + 700])


def corrupt_header(path):
    offset, _, _ = header_of(path, "train0000/00001.1.jpg")
    patch(path, offset + 50, b"x")


def zeroed_header(path):
    offset, _, _ = header_of(path, "train0000/00001.1.jpg")
    patch(path, offset, bytes(512))


def zeroed_payload(path):
    _, data, size = header_of(path, "train0000/00001.1.jpg")
    patch(path, data, bytes(size))


def flipped_byte(path):
    _, data, size = header_of(path, "train0000/00001.1.jpg")
    byte = path.read_bytes()[data + size // 2]
    patch(path, data + size // 2, bytes([byte ^ 1]))


def no_end(path):
    path.write_bytes(path.read_bytes()[: build_end(path) + 600])


def no_marker(path):
    end = build_end(path)
    path.write_bytes(path.read_bytes()[:end])


def build_end(path):
    with tarfile.open(path) as tar:
        last = tar.getmembers()[-1]
    return last.offset_data + -(-last.size // 512) * 512


def without(name):
    return lambda path: rewrite(path, lambda content: [(i, p) for i, p in content if i.name != name])


def without_clip(path):
    rewrite(path, lambda content: [(i, p) for i, p in content if not i.name.startswith("train0000/00001.")])


def not_adjacent(path):
    def change(content):
        stray = next(item for item in content if item[0].name == "train0000/00001.1.jpg")
        return [item for item in content if item is not stray] + [stray]

    rewrite(path, change)


def twice(path):
    rewrite(path, lambda c: [item for item in c for _ in range(1 + (item[0].name == "train0000/00001.1.jpg"))])


def clip_twice(path):
    def change(content):
        clip = [(i, p) for i, p in content if i.name.startswith("train0000/00001.")]
        return content + clip

    rewrite(path, change)


def link(path):
    def change(content):
        for info, _ in content:
            if info.name == "train0000/00001.1.jpg":
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        return [(i, b"" if i.issym() else p) for i, p in content]

    rewrite(path, change)


CLIP = "train0000/00001"
# damage, key, member (None: any), words of the reason; whether indexing finds it too
MATRIX = {
    "cut inside a header": (cut_inside_a_header, CLIP, None, "cut|lost", True),
    "cut between members": (cut_between_members, CLIP, None, "cut|lost", True),
    "cut in a payload": (cut_in_a_payload, CLIP, "1.jpg", "cut|lost", True),
    "corrupt header": (corrupt_header, CLIP, "1.jpg", "corrupt header", True),
    "zeroed header": (zeroed_header, CLIP, "1.jpg", "header", True),
    "zeroed payload": (zeroed_payload, CLIP, "1.jpg", "zeroed payload", True),
    "flipped byte": (flipped_byte, CLIP, "1.jpg", "changed", False),
    "missing picture": (without(f"{CLIP}.1.jpg"), CLIP, "1.jpg", "missing member", True),
    "missing json": (without(f"{CLIP}.json"), CLIP, "json", "missing member", True),
    "missing record": (without("train0000/story.json"), "train0000/story", None, "missing|first", True),
    "missing clip": (without_clip, CLIP, "", "missing", True),
    "not adjacent": (not_adjacent, CLIP, "1.jpg", "side by side|missing", True),
    "member twice": (twice, CLIP, "1.jpg", "twice", True),
    "clip twice": (clip_twice, CLIP, None, "twice", True),
    "bad JSON": (replace(f"{CLIP}.json", b'{"start": 1,'), CLIP, "json", "bad JSON", True),
    "bad UTF-8": (replace("train0000/story.json", b'{"id": "\xff"}'), "train0000/story", "json", "bad UTF-8", True),
    "other times": (replace(f"{CLIP}.json", b'{"start": 1.0, "end": 9.0}'), CLIP, "json", "differ|changed", True),
    "empty": (replace(f"{CLIP}.1.jpg", b""), CLIP, "1.jpg", "empty", True),
    "half a JPEG": (replace(f"{CLIP}.1.jpg", b"\xff\xd8half"), CLIP, "1.jpg", "JPEG", True),
    "absolute name": (rename(f"{CLIP}.1.jpg", "/etc/passwd"), "", "/etc/passwd", "absolute", True),
    "upward name": (rename(f"{CLIP}.1.jpg", "../../x.jpg"), "", "../../x.jpg", r"\.\.", True),
    "a link": (link, CLIP, "1.jpg", "not a plain file", True),
    "cut end marker": (no_end, "", "", "end-of-archive|cut", True),
    "no end marker": (no_marker, "", "", "end-of-archive", True),
}


def test_a_sound_set_has_no_fault(sound):
    assert verify(sound) == []


@pytest.mark.parametrize("name", MATRIX)
def test_verify_names_the_damage(damaged, name):
    damage, key, member, words, _ = MATRIX[name]
    damage(damaged / SHARD)
    faults = verify(damaged)
    assert all(fault.shard == SHARD for fault in faults)
    named = [
        f for f in faults if f.key == key and (member is None or f.member == member) and re.search(words, f.reason)
    ]
    assert named, [str(fault) for fault in faults]
    assert len(faults) <= 6, [str(fault) for fault in faults]


@pytest.mark.parametrize("name", [name for name, row in MATRIX.items() if row[4]])
def test_a_damaged_shard_cannot_be_indexed(damaged, name):
    MATRIX[name][0](damaged / SHARD)
    with pytest.raises(BadSample, match=SHARD):
        build_index(damaged / SHARD, frames=2)


def test_indexing_a_sound_shard_gives_the_same_index(sound):
    for shard in Manifest.read(sound).shards:
        assert build_index(sound / shard.name) == (sound / index_name(shard.name)).read_bytes()


def test_missing_extra_and_doubled_shards_are_named(damaged):
    second = Manifest.read(damaged).shards[2].name
    shutil.copy(damaged / SHARD, damaged / "train-000099.tar")
    (damaged / second).unlink()
    assert {(f.shard, f.reason) for f in verify(damaged)} == {
        ("train-000099.tar", "a shard that the manifest does not know"),
        (second, "missing shard"),
    }


def test_a_video_in_two_shards_is_found(damaged):
    manifest = Manifest.read(damaged)
    first, second = [shard.name for shard in manifest.shards if shard.split == "train"][:2]
    shutil.copy(damaged / first, damaged / second)
    assert any("occurs in" in fault.reason and fault.shard == second for fault in verify(damaged))


def test_a_clip_with_fewer_pictures_than_the_set_promises(damaged):
    path = damaged / "manifest.json"
    path.write_text(path.read_text().replace('"frames": 2', '"frames": 3'))
    assert ("train0000/00000", "2.jpg", "missing member") in {(f.key, f.member, f.reason) for f in verify(damaged)}


def test_missing_or_foreign_indexes_and_manifests(damaged):
    (damaged / index_name(SHARD)).unlink()
    assert [f.reason for f in verify(damaged)] == ["missing index"]
    (damaged / index_name(SHARD)).write_text("{}")
    assert "is not the index" in verify(damaged)[0].reason
    (damaged / "manifest.json").write_text("{")
    assert "is not the manifest" in verify(damaged)[0].reason
    with pytest.raises(FileNotFoundError, match="no shard set"):
        verify(damaged / "nowhere")


def test_opening_notices_that_the_set_changed(damaged):
    original = (damaged / SHARD).read_bytes()
    (damaged / SHARD).write_bytes(original + bytes(512))
    with pytest.raises(ValueError, match=f"{SHARD} changed since its index"):
        open_set(damaged)
    (damaged / SHARD).write_bytes(original)
    index = damaged / index_name(SHARD)
    index.write_bytes(index.read_bytes().replace(b"00001", b"00009"))
    with pytest.raises(ValueError, match=r"train-000000.index.json changed since"):
        open_set(damaged)


def test_reading_by_offset_gives_the_members(sound):
    shards = open_set(sound)
    content = {info.name: payload for info, payload in members(sound / SHARD)}
    read = shards.read("train0000", 1)
    assert read == {m: content[f"{CLIP}.{m}"] for m in ("0.jpg", "1.jpg", "json")}
    again = pickle.loads(pickle.dumps(shards))
    assert again.read("train0000", 1) == read
    assert [video.id for video in shards.videos("train")] == ["train0000", "train0001", "train0002"]
    assert [video.id for video in shards.videos("train", ["hi"])] == ["train0001"]
    with pytest.raises(ValueError, match="no video in xx; it has en, hi"):
        shards.videos("train", ["xx"])
    with pytest.raises(ValueError, match="no split 'dev'; it has"):
        shards.videos("dev")


def test_a_flipped_byte_is_named_as_it_is_read(damaged):
    flipped_byte(damaged / SHARD)
    with pytest.raises(BadSample, match=r"train-000000.tar: train0000/00001: 1.jpg: changed") as bad:
        open_set(damaged).read("train0000", 1)
    assert bad.value.fault.member == "1.jpg"
    assert open_set(damaged, check_hashes=False).read("train0000", 1)  # unchecked, it passes: that is the option

"""Derived sets: joined to their own parent by video, and to no other; texts replaced, all else the parent's."""

import json
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from weaksync.datamodules.derived import (
    ALIGNMENTS,
    FEATURES,
    TRANSLATIONS,
    mismatch,
    open_derived,
    origin,
    originals,
    translated_videos,
    write_derived,
)
from weaksync.datamodules.index import open_set, verify
from weaksync.datamodules.manifest import Manifest
from weaksync.datamodules.pairs import annotated_pairs
from weaksync.datamodules.records import AnnotatedVideo, Sentence
from weaksync.datamodules.sample_set import PlainTokenize, PlainTransform, make_set
from weaksync.datamodules.story import StoryDataModule
from weaksync.datamodules.tarscan import BadSample

CLIPS = {"train": [8, 6, 9, 7], "val": [4, 3], "test": [5, 2]}


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    folder = tmp_path_factory.mktemp("derived") / "set"
    make_set(folder, CLIPS, size=(16, 16), shard_bytes=40_000, languages=("es", "hi"), clips_per_sentence=1)
    return folder


def derive(parent, folder, *, change=str.upper, kind=TRANSLATIONS, languages=None):
    """A set of translations by `change`, which takes a text."""
    shards = open_set(parent)
    records = []
    for split in shards.splits:
        for video in shards.videos(split, languages):
            record = video.to_dict() | {"clips": None}
            for sentence in record["sentences"]:
                sentence["original"], sentence["text"] = sentence["text"], change(sentence["text"])
            records.append((split, record))
    write_derived(folder, records, {"to": "en"}, origin(shards, kind, "upper case"))
    return folder


@pytest.fixture(scope="module")
def translations(parent):
    return derive(parent, parent.parent / "translations")


def module(folder, *, place=(0, 1), **options):
    options = {"global_batch": 4, "group_size": 3, **options}
    made = StoryDataModule(folder, PlainTransform(2, 8), PlainTokenize(), **options)
    made.place = lambda: place
    return made


def texts(input_ids, attention_mask):
    return [bytes((row[mask > 0] - 1).tolist()).decode() for row, mask in zip(input_ids, attention_mask, strict=True)]


def test_a_derived_set_is_a_sound_set_that_says_what_it_is(parent, translations):
    assert verify(translations) == []
    manifest = Manifest.read(translations)
    assert manifest.origin.kind == "translations"
    assert manifest.origin.parent == str(parent)
    assert manifest.origin.producer == "upper case"
    assert manifest.origin.fingerprints == {split: open_set(parent).fingerprint(split) for split in CLIPS}
    assert {split: count.videos for split, count in manifest.counts.items()} == {"train": 4, "val": 2, "test": 2}
    assert {count.clips for count in manifest.counts.values()} == {0}
    assert Manifest.from_json(manifest.to_json(), "here") == manifest
    assert b"origin" not in Manifest.read(parent).to_json()


def test_only_the_texts_are_replaced(parent, translations):
    shards = open_set(parent)
    joined = translated_videos(shards, open_derived(translations, shards, TRANSLATIONS), "train")
    for own, other in zip(shards.videos("train"), joined, strict=True):
        upper = [Sentence(s.text.upper(), s.segment, s.narration) for s in own.sentences]
        assert other.sentences == upper
        other.sentences = own.sentences
        assert other == own


def test_originals_stand_beside_their_translations(parent, translations):
    shards = open_set(parent)
    for video in shards.videos("test"):
        found = originals(open_set(translations), video.id)
        assert found == [(s.text, s.text.upper()) for s in video.sentences]


@settings(max_examples=25)
@given(words=st.lists(st.text(min_size=1).filter(lambda text: text.strip()), min_size=2, max_size=8, unique=True))
def test_any_text_comes_back_as_it_was_written(words, tmp_path_factory):
    work = tmp_path_factory.mktemp("any")
    make_set(work / "set", {"train": [len(words)]}, size=(16, 16), frames=1, clips_per_sentence=1)
    left = iter(words)
    derive(work / "set", work / "t", change=lambda text: next(left))
    shards = open_set(work / "set")
    (video,) = translated_videos(shards, open_derived(work / "t", shards, TRANSLATIONS), "train")
    assert [sentence.text for sentence in video.sentences] == words


def test_another_parent_is_refused_and_both_are_named(parent, translations, tmp_path):
    make_set(tmp_path / "other", CLIPS, size=(16, 16), seed=1)
    with pytest.raises(ValueError, match="holds translations of another set") as fault:
        open_derived(translations, open_set(tmp_path / "other"), TRANSLATIONS)
    words = str(fault.value)
    was, now = open_set(parent).fingerprint("val")[:12], open_set(tmp_path / "other").fingerprint("val")[:12]
    assert str(parent) in words and str(tmp_path / "other") in words and f"val was {was} and is {now}" in words


def test_one_changed_or_missing_split_is_enough(parent, translations):
    manifest, found = Manifest.read(parent), Manifest.read(translations).origin
    assert mismatch(found, manifest) == ""
    manifest.counts.pop("val")
    assert mismatch(found, manifest) == f"val was {found.fingerprints['val'][:12]} and is absent"


def test_what_is_no_such_set_is_refused(parent, tmp_path):
    shards = open_set(parent)
    with pytest.raises(ValueError, match="holds no translations: it was built from videos"):
        open_derived(parent, shards, TRANSLATIONS)
    with pytest.raises(FileNotFoundError, match="no shard set"):
        open_derived(tmp_path, shards, TRANSLATIONS)
    for kind, maker in ((TRANSLATIONS, "translate"), (ALIGNMENTS, "align"), (FEATURES, "features")):
        with pytest.raises(FileNotFoundError, match=f"of {kind} in .*absent.* make one with `weaksync data {maker}`"):
            open_derived(tmp_path / "absent", shards, kind)
    derive(parent, tmp_path / "labels", kind="labels")
    with pytest.raises(ValueError, match=r"holds labels of .*, not translations"):
        open_derived(tmp_path / "labels", shards, TRANSLATIONS)


def test_a_set_that_is_there_is_never_written_over(parent, translations):
    before = {path.name: path.read_bytes() for path in translations.iterdir()}
    with pytest.raises(ValueError, match="holds a shard set already"):
        derive(parent, translations)
    assert {path.name: path.read_bytes() for path in translations.iterdir()} == before


def test_a_language_that_was_not_translated_is_named(parent, tmp_path):
    derive(parent, tmp_path / "t", languages=["es"])
    made = module(parent, translations=tmp_path / "t")
    with pytest.raises(ValueError, match="no translations from hi; it has those from es"):
        made.train_dataloader()
    assert len(module(parent, translations=tmp_path / "t", languages=["es"]).val_dataloader()) == 1


def test_a_record_of_other_sentences_is_named(parent, tmp_path):
    shards = open_set(parent)
    video = shards.videos("test")[0]
    record = video.to_dict() | {"clips": None, "sentences": video.to_dict()["sentences"][:-1]}
    write_derived(tmp_path / "t", [("test", record)], {"to": "en"}, origin(shards, TRANSLATIONS, "a scissor"))
    made = open_derived(tmp_path / "t", shards, TRANSLATIONS)
    with pytest.raises(BadSample, match=f"{video.id}/story: json: 4 sentences, 5 in its parent"):
        translated_videos(shards, made, "test", ["es"])
    with pytest.raises(BadSample, match="no translation with its original"):
        originals(made, video.id)


@pytest.mark.parametrize("workers", [0, 2])
def test_training_reads_the_translations_of_the_same_clips(parent, translations, workers):
    options = {"workers": workers, "start_method": "fork"} if workers else {}
    plain = list(module(parent).train_dataloader())
    joined = list(module(parent, translations=translations, **options).train_dataloader())
    assert [batch.keys for batch in plain] == [batch.keys for batch in joined]
    for own, other in zip(plain, joined, strict=True):
        assert texts(other.input_ids, other.attention_mask) == [
            text.upper() for text in texts(own.input_ids, own.attention_mask)
        ]
        assert torch.equal(own.pixels, other.pixels)


@pytest.mark.parametrize("loader", ["val_dataloader", "test_dataloader", "predict_dataloader"])
def test_evaluation_reads_the_translations_and_keeps_the_rest(parent, translations, loader):
    plain, joined = getattr(module(parent), loader)(), getattr(module(parent, translations=translations), loader)()
    for own, other in zip(plain, joined, strict=True):
        assert other.texts == [text.upper() for text in own.texts] == texts(other.input_ids, other.attention_mask)
        assert (other.id, other.language) == (own.id, own.language)
        assert np.array_equal(other.segments, own.segments, equal_nan=True)
        assert np.array_equal(other.narrations, own.narrations, equal_nan=True)


def test_what_the_model_reads_is_the_language_of_the_translations(parent, translations):
    assert module(parent).text_languages == ["es", "hi"]
    assert module(parent, languages=["hi"]).text_languages == ["hi"]
    assert module(parent, translations=translations).text_languages == ["en"]


def test_changed_translations_are_refused_by_name_at_resume(parent, translations, tmp_path):
    derive(parent, tmp_path / "t", change=str.title)
    state = json.loads(json.dumps(module(parent, translations=translations).train_dataloader().state_dict()))
    module(parent, translations=translations).train_dataloader().load_state_dict(state)
    with pytest.raises(ValueError, match=r"translations was '[0-9a-f]{64}' and is '"):
        module(parent, translations=tmp_path / "t").train_dataloader().load_state_dict(state)
    with pytest.raises(ValueError, match=r"translations was '[0-9a-f]{64}' and is None"):
        module(parent).train_dataloader().load_state_dict(state)


def test_a_state_of_before_there_were_translations_still_resumes(parent):
    state = module(parent).train_dataloader().state_dict()
    del state["translations"], state["pairs"], state["alignments"]
    module(parent).train_dataloader().load_state_dict(state)
    with pytest.raises(ValueError, match="pairs was None and is 'annotated'"):
        module(parent, pairs="annotated").train_dataloader().load_state_dict(state)


def test_a_derived_set_alone_cannot_be_trained_on(translations, parent):
    with pytest.raises(ValueError, match=f"holds translations of {parent}, and no clips"):
        module(translations).train_dataloader()
    with pytest.raises(ValueError, match="and no clips"):
        module(translations, mode="resampled", steps_per_epoch=2).train_dataloader()


def test_streamed_shards_take_no_translations(parent, translations):
    with pytest.raises(ValueError, match="derived sets belong to mode='exact'"):
        module(parent, translations=translations, mode="resampled", steps_per_epoch=2)


def test_a_damaged_record_is_named(parent, translations, tmp_path):
    shutil.copytree(translations, tmp_path / "t")
    shard = next((tmp_path / "t").glob("train-*.tar"))
    data = bytearray(shard.read_bytes())
    data[600] ^= 1
    shard.write_bytes(bytes(data))
    assert [fault.shard for fault in verify(tmp_path / "t")] == [shard.name]
    with pytest.raises(BadSample, match=f"{shard.name}: train0000/story"):
        module(parent, translations=tmp_path / "t").train_dataloader()


CUTS = [(0.0, 2.0), (2.0, 4.0), (4.0, 8.0)]


def test_annotated_pairs_by_hand():
    """Told over clips 0 and 1 one late; shown: "a" on clip 0, "b" on most of clip 2, "c" on too little of clip 1."""
    sentences = [
        Sentence("a", (0.0, 2.0), (2.0, 4.0)),
        Sentence("b", (5.0, 9.0), (4.0, 8.0)),
        Sentence("c", (2.0, 2.9), None),
        Sentence("d", None, (0.0, 2.0)),
    ]
    annotated = AnnotatedVideo("film", "", 9.0, sentences, CUTS)
    weak = AnnotatedVideo("other", "", 9.0, [Sentence(s.text, None, s.narration) for s in sentences], CUTS)
    weak.annotated = False
    found = annotated_pairs([weak, annotated])
    assert [video.id for video in found.videos] == ["film"]
    assert found.videos[0].clips.tolist() == [0, 2]
    assert [found.wordings[number] for number in found.videos[0].sentences] == ["a", "b"]
    assert found.too_few == []  # an unannotated video is not one with too few


@pytest.mark.parametrize("options", [{}, {"mode": "resampled", "steps_per_epoch": 3}])
def test_annotated_pairs_are_refused_where_nobody_annotated(tmp_path, options):
    make_set(tmp_path / "set", {"train": [6, 6]}, size=(16, 16), annotated=False)
    with pytest.raises(ValueError, match="annotated pairs"):
        list(module(tmp_path / "set", pairs="annotated", **options).train_dataloader())
    with pytest.raises(ValueError, match="pairs='strong': choose 'weak' or 'annotated'"):
        module(tmp_path / "set", pairs="strong", **options)


def test_streamed_shards_take_annotated_pairs(parent):
    made = module(parent, pairs="annotated", mode="resampled", steps_per_epoch=2)
    assert all(len(batch.keys) for batch in made.train_dataloader())

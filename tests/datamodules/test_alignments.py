"""Alignments as a derived set: the pairs that an earlier model made of a video train the next one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from weaksync.datamodules.derived import ALIGNMENTS, aligned_labels, open_derived, origin, write_derived
from weaksync.datamodules.index import open_set
from weaksync.datamodules.sample_set import PlainTokenize, PlainTransform, make_set
from weaksync.datamodules.story import StoryDataModule
from weaksync.datamodules.tarscan import BadSample


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alignments") / "set"
    make_set(folder, {"train": [8, 6], "val": [4]}, size=(16, 16), languages=("es", "hi"))
    return folder


def label(video):
    """Every second clip with the sentences in turn: nothing that times would say."""
    labels = np.full(len(video.clips), -1)
    labels[::2] = np.arange(len(labels[::2])) % len(video.sentences)
    return labels


def derive(parent, folder, *, label=label, languages=None):
    shards = open_set(parent)
    records = [
        ("train", {**video.to_dict(), "clips": None, "labels": label(video).tolist()})
        for video in shards.videos("train", languages)
    ]
    write_derived(folder, records, {}, origin(shards, ALIGNMENTS, "by hand"))
    return folder


def module(folder, **options):
    return StoryDataModule(folder, PlainTransform(2, 8), PlainTokenize(), global_batch=4, group_size=3, **options)


def test_pairs_are_those_of_the_labels(parent, tmp_path):
    folder = derive(parent, tmp_path / "a")
    data = module(parent, pairs="aligned", alignments=folder)
    expected = set()
    for video in open_set(parent).videos("train"):
        for clip, sentence in enumerate(label(video)):
            if sentence >= 0:
                expected.add((f"{video.id}/{clip:05d}", video.sentences[sentence].text))
    seen = set()
    for batch in data.train_dataloader():
        texts = [bytes(ids[mask.bool()].sub(1).tolist()).decode() for ids, mask in
                 zip(batch.input_ids, batch.attention_mask, strict=True)]  # fmt: skip
        seen |= set(zip(batch.keys, texts, strict=True))
    assert seen == expected


def test_another_alignment_is_another_run(parent, tmp_path):
    first, second = derive(parent, tmp_path / "a"), derive(parent, tmp_path / "b", label=lambda v: label(v)[::-1])
    state = module(parent, pairs="aligned", alignments=first).train_dataloader().state_dict()
    with pytest.raises(ValueError, match=r"alignments was '[0-9a-f]{64}' and is '"):
        module(parent, pairs="aligned", alignments=second).train_dataloader().load_state_dict(state)
    with pytest.raises(ValueError, match="pairs was 'aligned' and is None"):
        module(parent).train_dataloader().load_state_dict(state)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [(lambda v: label(v)[1:], "labels are not of 8 clips"), (lambda v: label(v) + 9, "labels are not of 8 clips")],
)
def test_labels_that_do_not_fit_are_named(parent, tmp_path, wrong, words):
    folder = derive(parent, tmp_path / "a", label=wrong)
    with pytest.raises(BadSample, match=words):
        module(parent, pairs="aligned", alignments=folder).train_dataloader()


def test_a_language_that_was_not_aligned_is_named(parent, tmp_path):
    folder = derive(parent, tmp_path / "a", languages=["es"])
    shards = open_set(parent)
    found = open_derived(folder, shards, ALIGNMENTS)
    assert len(aligned_labels(found, shards.videos("train", ["es"])[0])) == 8
    with pytest.raises(ValueError, match=r"no alignment of train0001 \(hi\); it has those in es"):
        module(parent, pairs="aligned", alignments=folder).train_dataloader()
    module(parent, pairs="aligned", alignments=folder, languages=["es"]).train_dataloader()


def test_alignments_and_aligned_go_together(parent, tmp_path):
    with pytest.raises(ValueError, match="alignments belong to pairs='aligned'"):
        module(parent, pairs="aligned")
    with pytest.raises(ValueError, match="alignments belong to pairs='aligned'"):
        module(parent, alignments=tmp_path)


def test_consecutive_groups_are_runs_of_clips_in_their_order(parent):
    """And every pair comes once an epoch, as in mixed groups."""
    data = module(parent, grouping="consecutive")
    seen = []
    for batch in data.train_dataloader():
        seen += batch.keys
        pairs = zip(batch.video.tolist(), batch.keys, strict=True)
        for _, group in itertools.groupby(pairs, key=lambda pair: pair[0]):
            clips = [int(key[-5:]) for _, key in group]
            steps = np.diff(clips)  # 1 within a run; a video may have two of them in a step
            assert len(clips) >= 2 and (steps != 1).sum() <= 1
    expected = [f"train{video:04d}/{clip:05d}" for video, count in enumerate([8, 6]) for clip in range(count)]
    assert sorted(seen) == expected
    with pytest.raises(ValueError, match="'consecutive' belongs to mode='exact'"):
        module(parent, grouping="consecutive", mode="resampled", steps_per_epoch=2)

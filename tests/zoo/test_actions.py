"""The actions of an alignment, against stacks that are really popped; labels that no actions make are refused."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from weaksync.zoo.actions import MATCH, POP_CLIP, POP_SENTENCE, actions_of, monotone


def popped(actions: list[int], clips: int, sentences: int) -> list[int]:
    """The labels of stacks that are really popped."""
    clip_stack, sentence_stack = list(range(clips))[::-1], list(range(sentences))[::-1]
    labels = [-1] * clips
    for action in actions:
        if action == POP_SENTENCE:
            sentence_stack.pop()
        elif action == MATCH:
            labels[clip_stack.pop()] = sentence_stack[-1]
        else:
            assert action == POP_CLIP
            clip_stack.pop()
    return labels


@st.composite
def alignments(draw: st.DrawFn) -> tuple[Tensor, int]:
    """Labels that never go back, and how many sentences there are."""
    sentences = draw(st.integers(1, 8))
    matched = sorted(draw(st.lists(st.integers(0, sentences - 1), max_size=12)))
    labels = list(matched)
    for _ in range(draw(st.integers(0, 6))):
        labels.insert(draw(st.integers(0, len(labels))), -1)
    return torch.tensor(labels, dtype=torch.int64), sentences


@given(alignments())
def test_actions_pop_the_stacks_to_the_labels(alignment: tuple[Tensor, int]) -> None:
    labels, sentences = alignment
    actions = actions_of(labels, sentences)
    assert popped(actions.tolist(), len(labels), sentences) == labels.tolist()
    assert int((actions != POP_SENTENCE).sum()) == len(labels)
    assert int((actions == MATCH).sum()) == int((labels >= 0).sum())
    assert len(actions) < len(labels) + sentences or len(labels) == 0


def test_a_sentence_is_dropped_right_before_the_next_match() -> None:
    assert actions_of(torch.tensor([-1, 1, 1, -1, 3, -1]), 5).tolist() == [0, 1, 2, 2, 0, 1, 1, 2, 0]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([0, 3], "clip 1 has label 3; there are 3 sentences"),
        ([-2], "clip 0 has label -2"),
        ([1, 0], "clip 1 goes back"),
    ],
)
def test_labels_that_no_actions_make_are_refused(labels: list[int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        actions_of(torch.tensor(labels), 3)


@given(st.lists(st.integers(-1, 4), max_size=9))
def test_monotone_keeps_as_many_as_can_be(labels: list[int]) -> None:
    kept = monotone(torch.tensor(labels, dtype=torch.int64)).tolist()
    assert all(a in (b, -1) for a, b in zip(kept, labels, strict=True))
    chain = [label for label in kept if label >= 0]
    assert chain == sorted(chain)
    matched = [label for label in labels if label >= 0]
    best = next(
        size
        for size in range(len(matched), -1, -1)
        if any(list(some) == sorted(some) for some in itertools.combinations(matched, size))
    )
    assert len(chain) == best

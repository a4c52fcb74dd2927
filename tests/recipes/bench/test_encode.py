"""The encoding benchmark compares towers that compute the same; its figures are for people, not for a test."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from weaksync import zoo
from weaksync.recipes.bench.encode import EncodeTimes, activation_bytes, bare_tower, measure


@pytest.mark.parametrize("name", ["cclm-tiny", "clip4clip-tiny"])
def test_both_are_timed_on_towers_that_compute_the_same(name: str) -> None:
    times = measure(name, clips=1, sentences=2, repeats=2)
    assert list(times) == ["frames", "sentences"]
    for each in times.values():
        assert each.ours.shape == each.bare.shape == (2,)
        assert (each.ours > 0).all() and (each.bare > 0).all()


def test_bare_towers_share_their_weights_and_are_the_libraries_own() -> None:
    model = zoo.create("cclm-tiny")
    for tower in (model.get_submodule("vision"), model.get_submodule("text")):
        bare = bare_tower(tower)
        assert type(bare) is type(tower) and bare is not tower
        own = {parameter.data_ptr() for parameter in tower.parameters()}
        assert {parameter.data_ptr() for parameter in bare.parameters()} == own
    with pytest.raises(ValueError, match="Linear is no tower of timm or transformers"):
        bare_tower(nn.Linear(2, 2))


def test_the_ratio_is_taken_pair_by_pair() -> None:
    assert EncodeTimes(np.array([2.0, 30.0, 4.0]), np.array([1.0, 10.0, 4.0])).ratio() == (2.0, 1.0, 3.0)


def test_checkpointing_keeps_less_and_every_kept_tensor_counts_once() -> None:
    plain, spared = (activation_bytes("cclm-tiny", pairs=8, checkpointed=each) for each in (False, True))
    assert 0 < spared < plain / 2
    twice = activation_bytes("cclm-tiny", pairs=16)
    assert 1.9 < twice / plain < 2.1  # weights, which would be the same for both, are not counted


def test_another_kind_of_model_is_refused() -> None:
    with pytest.raises(ValueError, match="does not align stories"):
        measure("transnet-v2", repeats=1)

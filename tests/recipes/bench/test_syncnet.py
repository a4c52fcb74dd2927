"""The benchmark measures what it says: the same features, by the published layers and by ours."""

from __future__ import annotations

import json

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from weaksync import zoo
from weaksync.recipes.bench import syncnet as bench_syncnet
from weaksync.zoo.models.syncnet import SyncNet


def test_every_way_gives_the_same_features() -> None:
    measured = bench_syncnet.measure("syncnet-tiny", seconds=1.5, windows=23, repeats=1)
    assert [each.way for each in measured] == ["whole tube at once", "windows one by one", "windows, 20 at a time"]
    assert all(each.error < 1e-5 and each.seconds > 0 for each in measured)


def test_the_arithmetic_is_that_of_the_published_layers() -> None:
    at = bench_syncnet.measure("syncnet-tiny", seconds=0.6, windows=3, repeats=1)[0]
    model = zoo.create("syncnet-tiny")
    assert isinstance(model, SyncNet)
    first = (model.config.image_size - 7) // 2 + 1
    second = ((first - 3) // 2 + 1 - 3) // 2 + 1
    third = (second - 1) // 2 + 1
    layers = [layer for layer in model.netcnnlip if isinstance(layer, nn.Conv2d)]
    sides = [first, second, third, third, third, 1]  # of the maps, 11 of each
    flops = sum(2 * 11 * side**2 * layer.weight.numel() for side, layer in zip(sides, layers, strict=True))
    assert at.rate * at.seconds == pytest.approx(1e-9 * flops)


def test_the_published_layers_are_the_published_sizes() -> None:
    with torch.device("meta"):
        model = zoo.create("syncnet")
        assert isinstance(model, SyncNet)
        layers = bench_syncnet.as_published(model)
        assert layers(torch.empty(1, 3, 9, 224, 224)).shape == (1, 512, 5, 1, 1)
    shapes = [tuple(p.shape) for name, p in layers.named_parameters() if p.ndim == 5]
    assert shapes == [
        (96, 3, 5, 7, 7), (256, 96, 1, 5, 5), (256, 256, 1, 3, 3), (256, 256, 1, 3, 3), (256, 256, 1, 3, 3),
        (512, 256, 1, 6, 6),
    ]  # fmt: skip


def test_the_verb_prints_json() -> None:
    arguments = ["--model", "syncnet-tiny", "--seconds", "1", "--windows", "3", "--repeats", "1", "--json"]
    done = CliRunner().invoke(bench_syncnet.command, arguments)
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)[0]["way"] == "whole tube at once"
    with pytest.raises(ValueError, match="cclm-tiny is no SyncNet"):
        bench_syncnet.measure("cclm-tiny")

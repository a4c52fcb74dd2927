"""Rows say what is true of the models, listing is light, and errors name the nearest."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from weaksync import zoo
from weaksync.zoo import registry


def test_listing_imports_no_torch() -> None:
    code = (
        "import sys; from weaksync import zoo; zoo.list_models(); zoo.list_weights(); "
        "from weaksync.zoo.optim import OptimConfig; OptimConfig(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd="/").returncode == 0


def test_every_public_name_is_there() -> None:
    for name in zoo.__all__:
        assert getattr(zoo, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = zoo.nonsense


@pytest.mark.parametrize("row", registry.list_models(), ids=lambda row: row.name)
def test_rows_state_the_parameters_they_have(row: registry.ModelRow) -> None:
    with torch.device("meta"):
        model = zoo.create(row.name)
    assert sum(p.numel() for p in model.parameters()) == row.parameters


def test_rows_are_unique_and_weights_fit_a_model() -> None:
    names = [row.name for row in registry.list_models()]
    assert len(set(names)) == len(names)
    assert {row.model for row in registry.list_weights()} <= set(names)


def test_a_weights_row_says_what_to_do() -> None:
    for row in registry.list_weights():
        assert row.source.startswith("https://")
        assert "convert" in row.how


def test_unknown_names_and_overrides_name_the_nearest() -> None:
    with pytest.raises(ValueError, match="no model 'cclm-tinny' \\(did you mean 'cclm-tiny'\\?\\)"):
        zoo.create("cclm-tinny")
    with pytest.raises(ValueError, match="takes no 'embed_dims' \\(did you mean 'embed_dim'\\?\\)"):
        zoo.create("cclm-tiny", embed_dims=3)


def test_create_overrides_and_does_not_change_the_row() -> None:
    model = zoo.create("cclm-tiny", project_dim=16, embed_dim=8, num_heads=[1, 1, 1])
    assert model.vision_proj.out_features == 16
    assert model.registry_name == "cclm-tiny"
    assert model.arguments["project_dim"] == 16
    assert registry.find_model("cclm-tiny").arguments["project_dim"] == 128
    assert "hi" in model.languages


def test_arguments_that_do_not_fit_are_refused_together() -> None:
    with pytest.raises(ValueError, match=r"image_size 65 .*; text_width 30 .*; freeze names towers"):
        zoo.create("cclm-tiny", image_size=65, text_width=30, freeze=["eyes"])

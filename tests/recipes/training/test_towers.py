"""The recipes take any dual encoder by name: from a hub folder of another library, or small and random."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from weaksync import zoo
from weaksync.datamodules.sample_set import make_set
from weaksync.recipes.evaluate import evaluate
from weaksync.recipes.settings import config
from weaksync.recipes.training.story import build_model, train
from weaksync.zoo.models.clip4clip import CLIP4Clip
from weaksync.zoo.models.siglip import SigLIP

from ...zoo.siglip_folder import siglip_folder

TWO_STEPS = ["data.global_batch=2", "data.group_size=4", "data.workers=0", "trainer.max_steps=2", "optim.warmup=0"]
ON_CPU = ["trainer.accelerator=cpu", "trainer.precision=32-true", "data.languages=null"]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards") / "set"
    make_set(folder, {"train": [8, 6], "val": [6], "test": [6, 7]}, size=(64, 64), clips_per_sentence=1)
    return folder


@pytest.mark.filterwarnings("ignore:a sentence was cut")
@pytest.mark.parametrize("naflex", [False, True])
def test_siglip_trains_from_its_folder_and_is_evaluated(naflex: bool, shards: Path, tmp_path: Path) -> None:
    folder = siglip_folder(tmp_path / "siglip", naflex=naflex)
    overrides = [f"data.shards={shards}", f"root={tmp_path}", f"model.name={folder}", *TWO_STEPS, *ON_CPU]
    run = train(config.load("story/siglip2", [*overrides, "model.arguments={checkpoint_activations: true}"]))
    assert zoo.verify(run / "model") == []
    before, after = zoo.load(folder), zoo.load(run / "model")
    assert isinstance(after, SigLIP)
    assert after.preprocess == before.preprocess
    assert torch.equal(after.tokenize(["a dog runs"])[0], before.tokenize(["a dog runs"])[0])
    moved = [name for name, tensor in before.state_dict().items() if not torch.equal(tensor, after.state_dict()[name])]
    assert {name.partition(".")[0] for name in moved} == {"vision", "text", "logit_scale"}
    assert sorted(evaluate(after, shards, workers=0)["model"].per_video) == ["test0000", "test0001"]


def test_clip4clip_learns_a_thousandth_as_fast_unless_told_otherwise(shards: Path, tmp_path: Path) -> None:
    small = "model.arguments={vision_layers: 1, text_layers: 1, vision_width: 32, text_width: 32}"
    common = [f"data.shards={shards}", f"root={tmp_path}", "model.name=clip4clip-tiny", small, *TWO_STEPS, *ON_CPU]
    freely = ["name=freely", "optim.vision_lr=1", "optim.text_lr=1", "optim.head_lr=1"]
    start = build_model(config.load("story/clip4clip", common))
    runs = [train(config.load("story/clip4clip", [*common, *more])) for more in ([], freely)]
    slow, fast = (zoo.load(run / "model") for run in runs)
    assert isinstance(slow, CLIP4Clip) and start.registry_name == slow.registry_name
    apart = [float((model.state_dict()["logit_scale"] - start.logit_scale).detach().abs()) for model in (slow, fast)]
    assert apart[0] < 1e-6 < 1e-5 < apart[1]
    assert json.loads((runs[0] / "model" / "config.json").read_text())["arguments"]["end_id"] == 2


def test_a_name_says_where_its_weights_are(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    small = "model.arguments={vision_layers: 1, text_layers: 1, vision_width: 24, text_width: 24, vocab_size: 300}"
    build_model(config.load("story/siglip2", ["data.shards=x", "model.name=siglip2-base", small]))
    said = " ".join(capfd.readouterr().err.split())
    assert "model.name=hf://google/siglip2-base-patch16-224" in said
    assert said.startswith(
        "siglip2-base starts from random weights here; published ones: https://huggingface.co/google"
    )


def test_a_model_of_another_kind_is_refused_before_its_weights_are_read(tmp_path: Path) -> None:
    def read(name: str) -> None:
        build_model(config.load("story/siglip2", ["data.shards=x", f"model.name={name}"]))

    with pytest.raises(ValueError, match="transnet-v2 does not align stories by encoding"):
        read("transnet-v2")
    saved = zoo.create("transnet-v2").save_pretrained(tmp_path / "shots")
    with pytest.raises(ValueError, match="is a TransNetV2, not a DualEncoder"):
        read(str(saved))
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match="of type 'bert'; of those weaksync reads SigLIP 2 and CLIP"):
        read(str(tmp_path / "bert"))

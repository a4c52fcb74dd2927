"""SigLIP 2 against bare transformers: vectors, text, pixels; and its folder in, a checkpoint folder out."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import normalize
from transformers import AutoImageProcessor, AutoTokenizer, Siglip2Model, SiglipModel

from weaksync import zoo
from weaksync.datamodules.batches import ClipTransform, Tokenize
from weaksync.recipes import convert as verb
from weaksync.zoo.models.dual_encoder import DualEncoder
from weaksync.zoo.models.siglip import SigLIP, cut_patches
from weaksync.zoo.models.transnet import TransNetV2

from .siglip_folder import fast_tokenizer, siglip_folder

SENTENCES = ["A dog runs.", "the Queen rests", "o", "a sentence of far more letters than there are positions"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return siglip_folder(tmp_path_factory.mktemp("siglip") / "fixed")


@pytest.fixture(scope="module")
def naflex(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return siglip_folder(tmp_path_factory.mktemp("siglip") / "naflex", naflex=True)


def frames(clips: int, count: int = 3, size: int = 32) -> Tensor:
    return torch.randn(clips, count, 3, size, size, generator=torch.Generator().manual_seed(1))


def test_a_folder_of_transformers_is_loaded_as_it_is(folder: Path) -> None:
    model = DualEncoder.from_pretrained(folder)
    assert isinstance(model, SigLIP) and not model.training
    assert isinstance(model.preprocess, ClipTransform) and isinstance(model.tokenize, Tokenize)
    assert model.temp.item() == pytest.approx(math.exp(-4.7))
    assert zoo.load(folder, frames=2, augment="none").preprocess.frames == 2


@pytest.mark.filterwarnings("ignore:a sentence was cut")
def test_sentences_are_read_as_transformers_reads_them(folder: Path) -> None:
    model = DualEncoder.from_pretrained(folder)
    ids, mask = model.tokenize(SENTENCES)
    there = AutoTokenizer.from_pretrained(folder)(
        SENTENCES, padding="max_length", max_length=18, truncation=True, return_tensors="pt"
    )
    assert torch.equal(ids, there["input_ids"]) and torch.equal(mask, there["attention_mask"])
    bare = SiglipModel.from_pretrained(folder).eval()
    with torch.no_grad():
        expected = normalize(bare.get_text_features(input_ids=ids).pooler_output, dim=-1)
        torch.testing.assert_close(model.encode_text(ids, mask), expected)


def test_padding_is_read_so_its_side_is_the_folder_s(folder: Path, tmp_path: Path) -> None:
    turned = fast_tokenizer()
    turned.padding_side = "left"
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    turned.save_pretrained(tmp_path)
    model = zoo.load(tmp_path)
    ids, mask = model.tokenize(["a dog"])
    assert ids[0, -1] == 1 and mask[0].tolist() == [0] * 12 + [1] * 6
    again = zoo.load(model.save_pretrained(tmp_path / "saved"))
    assert torch.equal(again.tokenize(["a dog"])[0], ids)


def test_frames_are_those_of_transformers_and_a_clip_their_mean(folder: Path) -> None:
    model, x = DualEncoder.from_pretrained(folder), frames(2)
    bare = SiglipModel.from_pretrained(folder).eval()
    with torch.no_grad():
        each = torch.stack([normalize(bare.get_image_features(x[:, f]).pooler_output, dim=-1) for f in range(3)], dim=1)
        torch.testing.assert_close(model.encode_clips(x), normalize(each.mean(dim=1), dim=-1))
    with pytest.raises(ValueError, match="add a batch axis"):
        model.encode_clips(x[0])


def test_pixels_are_those_of_transformers_own_processor(folder: Path) -> None:
    model = DualEncoder.from_pretrained(folder)
    picture = torch.randint(0, 256, (1, 3, 48, 80), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    expected = AutoImageProcessor.from_pretrained(folder)(images=list(picture), return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(model.preprocess(picture), expected, atol=1e-5, rtol=0)


def test_naflex_sees_what_transformers_does_of_a_square(naflex: Path) -> None:
    model = DualEncoder.from_pretrained(naflex)
    picture = torch.randint(0, 256, (2, 3, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    cut = AutoImageProcessor.from_pretrained(naflex)(images=list(picture), return_tensors="pt")
    pixels = model.preprocess(picture)
    torch.testing.assert_close(cut_patches(pixels, 8), cut["pixel_values"], atol=1e-5, rtol=0)
    bare = Siglip2Model.from_pretrained(naflex).eval()
    with torch.no_grad():
        expected = normalize(bare.get_image_features(**cut).pooler_output, dim=-1)
        found = model.encode_clips(pixels[:, None])
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
        ids, mask = model.tokenize(SENTENCES[:2])
        text = normalize(bare.get_text_features(input_ids=ids).pooler_output, dim=-1)
        torch.testing.assert_close(model.encode_text(ids, mask), text)


@pytest.mark.parametrize("kind", ["folder", "naflex"])
def test_it_is_saved_whole_and_comes_back(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    model = DualEncoder.from_pretrained(request.getfixturevalue(kind))
    saved = model.save_pretrained(tmp_path / "saved")
    assert zoo.verify(saved) == []
    again = DualEncoder.from_pretrained(saved)
    assert again.preprocess == model.preprocess
    with torch.no_grad():
        for first, second in zip(
            model(frames(2), *model.tokenize(SENTENCES[:2])),
            again(frames(2), *again.tokenize(SENTENCES[:2])),
            strict=True,
        ):
            assert torch.equal(first, second)


def test_converted_it_is_a_checkpoint_folder_that_knows_its_origin(folder: Path, tmp_path: Path) -> None:
    zoo.convert(folder, "siglip2", tmp_path / "out")
    metrics = json.loads((tmp_path / "out" / "config.json").read_text())["metrics"]
    assert metrics["converted from"] == folder.name
    assert len(metrics["sha256 of model.safetensors"]) == 64


def test_a_hub_id_is_read_as_it_is_and_converted(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def snapshot(repo: str, **options: Any) -> str:
        asked.append(repo)
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    hub = "hf://google/siglip2-tiny"
    assert isinstance(DualEncoder.from_pretrained(hub, freeze=["text"]), SigLIP)
    out = tmp_path / "out"
    done = CliRunner().invoke(verb.command, [hub, "--from", "siglip2", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert asked == ["google/siglip2-tiny"] * 2
    assert json.loads((out / "config.json").read_text())["metrics"]["converted from"] == hub
    assert isinstance(zoo.load(out), SigLIP)


@pytest.mark.parametrize("tower", ["vision", "text"])
def test_a_frozen_tower_stays_and_the_rest_learns(folder: Path, tower: str) -> None:
    model = DualEncoder.from_pretrained(folder, freeze=[tower]).train()
    clips, texts = model(frames(2), *model.tokenize(SENTENCES[:2]))
    ((clips * texts).sum() / model.temp).backward()
    moved = {name.partition(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved == {"vision", "text", "logit_scale"} - {tower}
    assert not getattr(model, tower).training


@pytest.mark.parametrize("kind", ["folder", "naflex"])
def test_checkpointed_activations_give_the_same_gradients(kind: str, request: pytest.FixtureRequest) -> None:
    gradients = []
    for checkpointed in (False, True):
        model = DualEncoder.from_pretrained(request.getfixturevalue(kind), checkpoint_activations=checkpointed).train()
        assert any(getattr(m, "gradient_checkpointing", False) for m in model.vision.modules()) == checkpointed
        clips, texts = model(frames(2), *model.tokenize(SENTENCES[:2]))
        (clips * texts).sum().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], atol=1e-6, rtol=1e-4)


def changed(folder: Path, out: Path, change: Any) -> Path:
    for file in folder.iterdir():
        (out / file.name).write_bytes(file.read_bytes())
    tensors = load_file(out / "model.safetensors")
    change(tensors)
    save_file(tensors, out / "model.safetensors")
    return out


def test_every_tensor_that_does_not_fit_is_named(folder: Path, tmp_path: Path) -> None:
    def change(tensors: dict[str, Tensor]) -> None:
        del tensors["vision_model.head.probe"]
        tensors["vision_model.extra.weight"] = torch.zeros(2)
        tensors["text_model.head.weight"] = torch.zeros(3, 24)

    with pytest.raises(ValueError, match="not weights of SigLIP") as caught:
        zoo.load(changed(folder, tmp_path, change))
    assert "missing: vision_model.head.probe (1, 1, 32)" in str(caught.value)
    assert "surplus: vision_model.extra.weight (2,)" in str(caught.value)
    assert "misshaped: text_model.head.weight (3, 24), not (32, 24)" in str(caught.value)


def test_a_vocabulary_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has 44 ids, the model 20 rows"):
        zoo.load(siglip_folder(tmp_path / "small", vocab_size=20))


def test_what_is_absent_or_of_another_kind_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a SigLIP, not a TransNetV2"):
        TransNetV2.from_pretrained(folder)
    with pytest.raises(ValueError, match="image_size of a checkpoint cannot be changed"):
        zoo.load(folder, image_size=64)
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match="a model of transformers, of type 'bert'"):
        zoo.load(tmp_path / "bert")
    with pytest.raises(ValueError, match="a file, without its configuration"):
        zoo.convert(folder / "model.safetensors", "siglip2")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        zoo.convert(tmp_path / "nowhere", "siglip2")
    part = tmp_path / "part"
    part.mkdir()
    for file in folder.iterdir():
        (part / file.name).write_bytes(file.read_bytes())
    for name, words in (
        ("tokenizer.json", "no tokenizer"),
        ("model.safetensors", r"no model\.safetensors"),
        ("preprocessor_config.json", "the preprocessing of the model is unknown"),
    ):
        (part / name).unlink()
        if name == "tokenizer.json":
            (part / "tokenizer_config.json").unlink()
        with pytest.raises(FileNotFoundError, match=words):
            zoo.load(part)


def test_the_published_sizes_are_known_by_their_names() -> None:
    assert zoo.create("siglip2-base", **{**SMALL, "vocab_size": 300}).registry_name == "siglip2-base"
    with torch.device("meta"):
        state = zoo.create("siglip2-so400m").state_dict()
    assert state["vision.embeddings.patch_embedding.weight"].shape == (1152, 3, 16, 16)
    assert state["text.embeddings.position_embedding.weight"].shape == (64, 1152)


SMALL = {
    "image_size": 32,
    "vision_width": 32,
    "vision_layers": 1,
    "vision_heads": 2,
    "vision_ffn": 32,
    "text_width": 32,
    "text_layers": 1,
    "text_heads": 2,
    "text_ffn": 32,
}

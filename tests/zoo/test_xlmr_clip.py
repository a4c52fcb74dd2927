"""CLIP with XLM-R as open_clip publishes it, against its towers in plain torch and transformers' XLM-R."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F
from torch.nn.functional import normalize
from transformers import XLMRobertaConfig, XLMRobertaModel

from weaksync import zoo
from weaksync.zoo.models.dual_encoder import DualEncoder
from weaksync.zoo.models.xlmr_clip import XLMRCLIP

from .cclm_published import tokenizer_folder
from .clip_published import NARROW, filled, vision, vision_shapes

VOCABULARY, WIDTH, DIM = 90, 64, NARROW["dim"]
SENTENCES = ["a w5 w6 dog", "w7", "w8 w9 w10 w11"]


def xlmr() -> XLMRobertaModel:
    """transformers' own tower, with norms and biases that are not ones and zeros."""
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=1,
        intermediate_size=96,
        max_position_embeddings=82,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
    )
    model = XLMRobertaModel(config, add_pooling_layer=False).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    """A file's, with what older versions also saved."""
    between = (WIDTH + DIM) // 2
    found = filled(
        vision_shapes(NARROW) | {"text.proj.0.weight": (between, WIDTH), "text.proj.2.weight": (DIM, between)}
    )
    found |= {f"text.transformer.{name}": tensor.detach() for name, tensor in xlmr().state_dict().items()}
    found["text.transformer.embeddings.position_ids"] = torch.arange(82)[None]
    return {**found, "logit_scale": torch.tensor(4.0)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tensors: dict[str, Tensor]) -> Path:
    """A repository's folder, and beside its weights the same as a bare file and as a checkpoint of training."""
    folder = tokenizer_folder(tmp_path_factory.mktemp("open_clip") / "repository", VOCABULARY)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "open_clip_model.safetensors")
    torch.save(tensors, folder / "bare.bin")
    trained = {f"module.{name}": tensor for name, tensor in tensors.items()}
    torch.save({"epoch": 3, "name": "run", "state_dict": trained}, folder / "epoch_3.pt")
    write_config(folder)
    return folder


def write_config(folder: Path, pixels: dict[str, Any] | None = None, **text: Any) -> None:
    noted = {
        "model_cfg": {
            "embed_dim": DIM,
            "vision_cfg": {"image_size": 32, "layers": 2, "width": 128, "patch_size": 8},
            "text_cfg": {"hf_model_name": "xlm-roberta-base", "hf_pooler_type": "mean_pooler", **text},
        },
        "preprocess_cfg": {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4], **(pixels or {})},
    }
    (folder / "open_clip_config.json").write_text(json.dumps(noted))


@pytest.mark.parametrize("name", ["", "bare.bin", "epoch_3.pt"])
@torch.no_grad()
def test_what_is_published_is_plain_torch_and_transformers(folder: Path, tensors: dict[str, Tensor], name: str) -> None:
    model: Any = DualEncoder.from_pretrained(folder)
    if name:
        model = zoo.convert(folder / name, "open_clip", tokenizer=folder)
    assert isinstance(model, XLMRCLIP) and not model.training
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.encode_frames(x), vision(tensors, x, "", quick=False), atol=1e-5, rtol=1e-5)
    ids, mask = model.tokenize(SENTENCES)
    states = xlmr()(input_ids=ids, attention_mask=mask).last_hidden_state
    pooled = (states * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
    projected = F.gelu(pooled @ tensors["text.proj.0.weight"].T) @ tensors["text.proj.2.weight"].T
    torch.testing.assert_close(model.encode_text(ids, mask), normalize(projected, dim=-1), atol=1e-5, rtol=1e-5)
    assert model.logit_scale.item() == 4.0


def test_a_folder_brings_its_preprocessing_and_vocabulary(folder: Path, tmp_path: Path) -> None:
    model = DualEncoder.from_pretrained(folder, frames=2)
    assert (model.preprocess.mean, model.preprocess.fit, model.preprocess.frames) == ((0.4, 0.5, 0.6), "crop", 2)
    again = DualEncoder.from_pretrained(model.save_pretrained(tmp_path / "saved"))
    assert again.preprocess == model.preprocess
    first, second = (each.tokenize(SENTENCES) for each in (model, again))
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in model.state_dict().items())


def copied(folder: Path, tmp_path: Path, pixels: dict[str, Any]) -> Path:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    write_config(tmp_path, pixels)
    return tmp_path


@pytest.mark.parametrize(
    ("pixels", "fit", "interpolation"),
    [
        ({"resize_mode": "squash", "interpolation": "bilinear", "size": 32}, "squash", "bilinear"),
        ({"resize_mode": "shortest", "interpolation": "bicubic", "size": [32, 32], "mode": "RGB"}, "crop", "bicubic"),
        ({"interpolation": "random"}, "crop", "bicubic"),
    ],
)
def test_a_folders_resize_is_kept(
    folder: Path, pixels: dict[str, Any], fit: str, interpolation: str, tmp_path: Path
) -> None:
    found = zoo.load(copied(folder, tmp_path, pixels)).preprocess
    assert (found.fit, found.interpolation, found.size) == (fit, interpolation, 32)


def test_a_resize_that_ours_cannot_do_is_refused(folder: Path, tmp_path: Path) -> None:
    wrong = {"resize_mode": "longest", "interpolation": "nearest", "size": 40, "mode": "L"}
    with pytest.raises(
        ValueError, match=r"resize_mode is 'longest'.*; interpolation is 'nearest'.* not RGB; size is 40"
    ):
        zoo.load(copied(folder, tmp_path, wrong))


def test_padding_does_not_change_a_sentence(folder: Path) -> None:
    model = DualEncoder.from_pretrained(folder)
    with torch.no_grad():
        alone, beside = model.encode_text(*model.tokenize(["w7"])), model.encode_text(*model.tokenize(SENTENCES))
    torch.testing.assert_close(alone[0], beside[1], atol=1e-6, rtol=1e-5)


def test_every_tensor_that_does_not_fit_is_named(tensors: dict[str, Tensor], folder: Path, tmp_path: Path) -> None:
    wrong = {**tensors, "text.transformer.extra": torch.zeros(2), "text.proj.2.weight": torch.zeros(5, 5)}
    del wrong["visual.ln_pre.weight"]
    torch.save(wrong, tmp_path / "wrong.bin")
    with pytest.raises(ValueError, match="not weights of XLMRCLIP") as caught:
        zoo.convert(tmp_path / "wrong.bin", "open_clip", tokenizer=folder)
    for words in ("missing: visual.ln_pre.weight", "surplus: text.transformer.extra", "misshaped: text.proj.2.weight"):
        assert words in str(caught.value)


def test_another_text_tower_or_vocabulary_is_refused(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    write_config(tmp_path, hf_model_name="google/mt5-base")
    with pytest.raises(ValueError, match=r"text tower is google/mt5-base.*only XLM-R"):
        zoo.load(tmp_path)
    (tmp_path / "open_clip_config.json").write_text("{}")
    with pytest.raises(ValueError, match="not a configuration of open_clip"):
        zoo.load(tmp_path)
    torch.save({"transformer.resblocks.0.ln_1.weight": torch.zeros(2)}, tmp_path / "clip.bin")
    with pytest.raises(ValueError, match=r"has no text\.transformer\.\*"):
        zoo.convert(tmp_path / "clip.bin", "open_clip")
    other = tokenizer_folder(tmp_path / "other", VOCABULARY - 1)
    with pytest.raises(ValueError, match="is not the one of these weights"):
        zoo.convert(folder / "bare.bin", "open_clip", tokenizer=other)


def test_a_repository_without_safetensors_says_how_its_other_file_is_read(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(FileNotFoundError, match=r"no open_clip_model\.safetensors.*weaksync convert FILE"):
        zoo.load(tmp_path)


@pytest.mark.parametrize("tower", ["vision", "text"])
def test_a_frozen_tower_stays_and_the_rest_learns(folder: Path, tower: str) -> None:
    model = DualEncoder.from_pretrained(folder, freeze=[tower]).train()
    clips, texts = model(torch.randn(3, 2, 3, 32, 32), *model.tokenize(SENTENCES))
    ((clips * texts).sum() / model.temp).backward()
    moved = {name.partition(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved == {"vision", "text", "vision_proj", "text_proj", "logit_scale"} - {tower}


def test_checkpointed_activations_give_the_same_gradients(folder: Path) -> None:
    gradients = []
    x = torch.randn(3, 2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for checkpointed in (False, True):
        model = DualEncoder.from_pretrained(folder, checkpoint_activations=checkpointed, text_dropout=0.0).train()
        clips, texts = model(x, *model.tokenize(SENTENCES))
        (clips * texts).sum().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], atol=1e-6, rtol=1e-4)

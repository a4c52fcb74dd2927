"""CCLM's published layout written down from its architecture, and the towers assembled of timm and of transformers."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any

import torch
from timm.models.swin_transformer import SwinTransformer, checkpoint_filter_fn
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from torch.nn.functional import normalize
from transformers import SwinConfig, SwinModel, XLMRobertaConfig, XLMRobertaModel

VOCABULARY = 300
#: the architecture, narrowed; windows and pixels stay, so that tables and masks are those of the published files
NARROW: dict[str, Any] = {
    "embed_dim": 8,
    "depths": [2, 2, 2, 2],
    "num_heads": [1, 2, 2, 4],
    "text_width": 32,
    "text_layers": 2,
    "text_heads": 4,
    "text_ffn": 64,
    "vocab_size": VOCABULARY,
    "position_rows": 40,
    "max_tokens": 32,
    "project_dim": 16,
}
FULL: dict[str, Any] = {
    "embed_dim": 128,
    "depths": [2, 2, 18, 2],
    "num_heads": [4, 8, 16, 32],
    "text_width": 1024,
    "text_layers": 6,
    "text_heads": 16,
    "text_ffn": 4096,
    "vocab_size": 2000,
    "position_rows": 514,
    "max_tokens": 64,
    "project_dim": 256,
}


def shapes(config: dict[str, Any], window: int = 7) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a pre-training file, written down from the architecture."""
    found: dict[str, tuple[int, ...]] = {"temp": ()}

    def linear(name: str, out: int, inner: int) -> None:
        found[f"{name}.weight"], found[f"{name}.bias"] = (out, inner), (out,)

    def norm(name: str, width: int) -> None:
        found[f"{name}.weight"], found[f"{name}.bias"] = (width,), (width,)

    width = config["embed_dim"]
    found["vision_encoder.patch_embed.proj.weight"] = (width, 3, 4, 4)
    found["vision_encoder.patch_embed.proj.bias"] = (width,)
    norm("vision_encoder.patch_embed.norm", width)
    for stage, (depth, heads) in enumerate(zip(config["depths"], config["num_heads"], strict=True)):
        for block in range(depth):
            name = f"vision_encoder.layers.{stage}.blocks.{block}"
            norm(f"{name}.norm1", width)
            norm(f"{name}.norm2", width)
            found[f"{name}.attn.relative_position_bias_table"] = ((2 * window - 1) ** 2, heads)
            found[f"{name}.attn.relative_position_index"] = (window**2, window**2)
            linear(f"{name}.attn.qkv", 3 * width, width)
            linear(f"{name}.attn.proj", width, width)
            linear(f"{name}.mlp.fc1", 4 * width, width)
            linear(f"{name}.mlp.fc2", width, 4 * width)
            if block % 2 and stage < 3:
                found[f"{name}.attn_mask"] = (4 ** (3 - stage), window**2, window**2)
        if stage < 3:
            found[f"vision_encoder.layers.{stage}.downsample.reduction.weight"] = (2 * width, 4 * width)
            norm(f"vision_encoder.layers.{stage}.downsample.norm", 4 * width)
            width *= 2
    norm("vision_encoder.norm", width)

    text, rows, ffn = config["text_width"], config["position_rows"], config["text_ffn"]
    found["text_encoder.bert.embeddings.position_ids"] = (1, rows)
    found["text_encoder.bert.embeddings.word_embeddings.weight"] = (config["vocab_size"], text)
    found["text_encoder.bert.embeddings.position_embeddings.weight"] = (rows, text)
    found["text_encoder.bert.embeddings.token_type_embeddings.weight"] = (1, text)
    norm("text_encoder.bert.embeddings.LayerNorm", text)
    for layer in range(2 * config["text_layers"]):
        name = f"text_encoder.bert.encoder.layer.{layer}"
        for kind in ["attention"] + ["crossattention"] * (layer >= config["text_layers"]):
            for part in ("self.query", "self.key", "self.value", "output.dense"):
                linear(f"{name}.{kind}.{part}", text, text)
            norm(f"{name}.{kind}.output.LayerNorm", text)
        linear(f"{name}.intermediate.dense", ffn, text)
        linear(f"{name}.output.dense", text, ffn)
        norm(f"{name}.output.LayerNorm", text)
    found["text_encoder.cls.predictions.bias"] = (config["vocab_size"],)
    linear("text_encoder.cls.predictions.transform.dense", text, text)
    norm("text_encoder.cls.predictions.transform.LayerNorm", text)
    linear("text_encoder.cls.predictions.decoder", config["vocab_size"], text)

    linear("vision_proj", config["project_dim"], width)
    linear("text_proj", config["project_dim"], text)
    for head, out in (("itm_head", 2), ("bbox_head", 4)):
        linear(f"{head}.0", 2 * text, text)
        norm(f"{head}.1", 2 * text)
        linear(f"{head}.3", out, 2 * text)
    return found


def values(name: str, shape: tuple[int, ...]) -> Tensor:
    """Random, norms and tables too: their defaults (ones and zeros) hide errors."""
    if name == "temp":
        return torch.tensor(0.05)
    if name.endswith(("relative_position_index", "position_ids")):
        return torch.zeros(shape, dtype=torch.int64)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
    if name.endswith("table"):
        return noise
    if len(shape) == 1:
        return 1.0 + 0.3 * noise if name.endswith("weight") else 0.3 * noise
    return noise / shape[-1] ** 0.5 if "embeddings" not in name else noise


def pre_training(config: dict[str, Any], window: int = 7) -> dict[str, Tensor]:
    return {name: values(name, shape) for name, shape in shapes(config, window).items()}


def fine_tuned(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights as a retrieval file has them."""
    gone = ("text_encoder.cls.", "bbox_head.")
    return {
        name.replace("text_encoder.bert.", "text_encoder."): tensor
        for name, tensor in tensors.items()
        if not name.startswith(gone)
    }


def tokenizer_folder(folder: Path, vocabulary: int) -> Path:
    """A unigram vocabulary of a given size, with XLM-R's special ids."""
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -3.0)]
    pieces += [(letter, -5.0) for letter in "abcdefghijklmnopqrstuvwxyz"]
    pieces += [(f"▁w{number}", -6.0) for number in range(vocabulary - len(pieces) - 1)] + [("<mask>", 0.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def by_timm(tensors: dict[str, Tensor], config: dict[str, Any], size: int) -> SwinTransformer:
    """timm's tower, whose own filter reads the layout of Swin's authors."""
    window = size // 32
    names = ("embed_dim", "depths", "num_heads")
    vision = SwinTransformer(img_size=size, window_size=window, num_classes=0, **{name: config[name] for name in names})
    own = {name[15:]: tensor for name, tensor in tensors.items() if name.startswith("vision_encoder.")}
    vision.load_state_dict({k: v for k, v in checkpoint_filter_fn(own, vision).items() if k in vision.state_dict()})
    return vision.eval()


def by_transformers(tensors: dict[str, Tensor], config: dict[str, Any], size: int) -> SwinModel:
    """transformers' tower, which merges patches at the end of a stage as the published one does."""
    vision = SwinModel(
        SwinConfig(
            image_size=size,
            window_size=size // 32,
            patch_size=4,
            embed_dim=config["embed_dim"],
            depths=config["depths"],
            num_heads=config["num_heads"],
        )
    )
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if not name.startswith("vision_encoder.") or name.endswith(("position_index", "attn_mask")):
            continue
        name = name[15:].replace("patch_embed.proj", "embeddings.patch_embeddings.projection")
        name = name.replace("patch_embed.norm", "embeddings.norm")
        name = re.sub(r"^norm\.", "layernorm.", re.sub(r"^layers\.", "encoder.layers.", name))
        name = name.replace("norm1", "layernorm_before").replace("norm2", "layernorm_after")
        name = name.replace("attn.proj", "attention.o_proj")
        name = name.replace("attn.relative", "attention.relative_position_bias.relative")
        if "attn.qkv" in name:
            for part, piece in zip("qkv", tensor.chunk(3), strict=True):
                renamed[name.replace("attn.qkv", f"attention.{part}_proj")] = piece
        else:
            renamed[name] = tensor
    left = vision.load_state_dict(renamed, strict=False)
    assert not left.unexpected_keys
    assert all("relative_position_index" in name for name in left.missing_keys), left.missing_keys
    return vision.eval()


def text_tower(tensors: dict[str, Tensor], config: dict[str, Any]) -> XLMRobertaModel:
    """transformers' tower with the published position table as it stands."""
    text = XLMRobertaModel(
        XLMRobertaConfig(
            vocab_size=config["vocab_size"],
            hidden_size=config["text_width"],
            num_hidden_layers=config["text_layers"],
            num_attention_heads=config["text_heads"],
            intermediate_size=config["text_ffn"],
            max_position_embeddings=config["position_rows"],
            type_vocab_size=1,
            layer_norm_eps=1e-5,
        ),
        add_pooling_layer=False,
    )
    own = {re.sub(r"^text_encoder\.(bert\.)?", "", name): tensor for name, tensor in tensors.items()}
    text.load_state_dict({name: own[name] for name in text.state_dict()})
    return text.eval()


def projected(features: Tensor, tensors: dict[str, Tensor], tower: str) -> Tensor:
    return normalize(features @ tensors[f"{tower}_proj.weight"].T + tensors[f"{tower}_proj.bias"], dim=-1)


@torch.no_grad()
def assembled_text(tensors: dict[str, Tensor], config: dict[str, Any], ids: Tensor, mask: Tensor) -> Tensor:
    """Positions 0, 1, 2, ..., padding included."""
    positions = torch.arange(ids.shape[1]).expand_as(ids)
    text = text_tower(tensors, config)
    return projected(text(ids, attention_mask=mask, position_ids=positions).last_hidden_state[:, 0], tensors, "text")

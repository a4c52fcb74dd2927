"""CLIP's published layout from its architecture, its towers in plain torch, and transformers' model assembled of it."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel

Tensors = dict[str, Tensor]

#: narrow, though its heads have 64 dimensions as published ones do
NARROW: dict[str, Any] = {
    "size": 32,
    "patch": 8,
    "width": 128,
    "layers": 2,
    "text_width": 64,
    "text_layers": 2,
    "vocabulary": 60,
    "positions": 40,
    "dim": 48,
}
FULL: dict[str, Any] = {
    "size": 224,
    "patch": 32,
    "width": 768,
    "layers": 12,
    "text_width": 512,
    "text_layers": 12,
    "vocabulary": 49408,
    "positions": 77,
    "dim": 512,
}


def blocks(prefix: str, width: int, layers: int) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for layer in range(layers):
        block = f"{prefix}transformer.resblocks.{layer}."
        for name, out, inner in (
            ("attn.in_proj_", 3 * width, width),
            ("attn.out_proj.", width, width),
            ("mlp.c_fc.", 4 * width, width),
            ("mlp.c_proj.", width, 4 * width),
        ):
            found[f"{block}{name}weight"], found[f"{block}{name}bias"] = (out, inner), (out,)
        for norm in ("ln_1", "ln_2"):
            found[f"{block}{norm}.weight"] = found[f"{block}{norm}.bias"] = (width,)
    return found


def vision_shapes(config: dict[str, Any], prefix: str = "") -> dict[str, tuple[int, ...]]:
    width, patch = config["width"], config["patch"]
    return {
        f"{prefix}visual.class_embedding": (width,),
        f"{prefix}visual.positional_embedding": ((config["size"] // patch) ** 2 + 1, width),
        f"{prefix}visual.proj": (width, config["dim"]),
        f"{prefix}visual.conv1.weight": (width, 3, patch, patch),
        **{f"{prefix}visual.{norm}.{part}": (width,) for norm in ("ln_pre", "ln_post") for part in ("weight", "bias")},
        **blocks(f"{prefix}visual.", width, config["layers"]),
    }


def shapes(config: dict[str, Any], prefix: str = "clip.") -> dict[str, tuple[int, ...]]:
    """Names and shapes of a CLIP4Clip file of mean pooling."""
    width = config["text_width"]
    return {
        f"{prefix}logit_scale": (),
        f"{prefix}positional_embedding": (config["positions"], width),
        f"{prefix}text_projection": (width, config["dim"]),
        f"{prefix}token_embedding.weight": (config["vocabulary"], width),
        f"{prefix}ln_final.weight": (width,),
        f"{prefix}ln_final.bias": (width,),
        **vision_shapes(config, prefix),
        **blocks(prefix, width, config["text_layers"]),
    }


def filled(layout: dict[str, tuple[int, ...]]) -> Tensors:
    """Random values, each a function of its name: norms about one, the rest about zero."""
    tensors = {}
    for name, shape in layout.items():
        values = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
        norm = len(shape) == 1 and name.endswith("weight")
        tensors[name] = 1 + 0.1 * values if norm else (0.1 if len(shape) > 1 else 0.05) * values
    if "clip.logit_scale" in tensors:
        tensors["clip.logit_scale"] = torch.tensor(3.0)
    return tensors


def transformer(x: Tensor, tensors: Tensors, prefix: str, mask: Tensor | None, *, quick: bool) -> Tensor:
    """The blocks below ``<prefix>transformer.resblocks.`` on (B, L, D), by torch's own attention on packed weights."""
    width, layer = x.shape[-1], 0
    while f"{prefix}transformer.resblocks.{layer}.ln_1.weight" in tensors:
        p = {
            name.removeprefix(f"{prefix}transformer.resblocks.{layer}."): tensor
            for name, tensor in tensors.items()
            if name.startswith(f"{prefix}transformer.resblocks.{layer}.")
        }
        y = F.layer_norm(x, (width,), p["ln_1.weight"], p["ln_1.bias"]).transpose(0, 1)
        y = F.multi_head_attention_forward(
            y,
            y,
            y,
            width,
            width // 64,
            p["attn.in_proj_weight"],
            p["attn.in_proj_bias"],
            None,
            None,
            False,
            0.0,
            p["attn.out_proj.weight"],
            p["attn.out_proj.bias"],
            training=False,
            need_weights=False,
            attn_mask=mask,
        )[0]
        x = x + y.transpose(0, 1)
        y = F.layer_norm(x, (width,), p["ln_2.weight"], p["ln_2.bias"]) @ p["mlp.c_fc.weight"].T + p["mlp.c_fc.bias"]
        y = y * torch.sigmoid(1.702 * y) if quick else F.gelu(y)
        x = x + y @ p["mlp.c_proj.weight"].T + p["mlp.c_proj.bias"]
        layer += 1
    return x


def vision(tensors: Tensors, pixels: Tensor, prefix: str = "clip.", *, quick: bool = True) -> Tensor:
    """(N, 3, H, W) to projected (N, D)."""
    prefix = f"{prefix}visual."
    kernel = tensors[f"{prefix}conv1.weight"]
    x = F.conv2d(pixels, kernel, stride=kernel.shape[-1]).flatten(2).transpose(1, 2)
    x = torch.cat([tensors[f"{prefix}class_embedding"].expand(len(x), 1, -1), x], dim=1)
    x = x + tensors[f"{prefix}positional_embedding"]
    x = F.layer_norm(x, x.shape[-1:], tensors[f"{prefix}ln_pre.weight"], tensors[f"{prefix}ln_pre.bias"])
    x = transformer(x, tensors, prefix, None, quick=quick)[:, 0]
    x = F.layer_norm(x, x.shape[-1:], tensors[f"{prefix}ln_post.weight"], tensors[f"{prefix}ln_post.bias"])
    return x @ tensors[f"{prefix}proj"]


def text(tensors: Tensors, ids: Tensor, prefix: str = "clip.") -> Tensor:
    """(N, L) to projected (N, D), at the highest id of each row."""
    x = tensors[f"{prefix}token_embedding.weight"][ids] + tensors[f"{prefix}positional_embedding"][: ids.shape[1]]
    ahead = torch.full((ids.shape[1], ids.shape[1]), -torch.inf).triu(1)
    x = transformer(x, tensors, prefix, ahead, quick=True)
    x = F.layer_norm(x, x.shape[-1:], tensors[f"{prefix}ln_final.weight"], tensors[f"{prefix}ln_final.bias"])
    return x[torch.arange(len(ids)), ids.argmax(dim=1)] @ tensors[f"{prefix}text_projection"]


def clip_model(tensors: Tensors, config: dict[str, Any]) -> CLIPModel:
    """transformers' own model with the tensors of a CLIP4Clip file, moved tower by tower."""
    model = CLIPModel(
        CLIPConfig(
            text_config={
                "vocab_size": config["vocabulary"],
                "hidden_size": config["text_width"],
                "intermediate_size": 4 * config["text_width"],
                "num_hidden_layers": config["text_layers"],
                "num_attention_heads": config["text_width"] // 64,
                "max_position_embeddings": config["positions"],
                "projection_dim": config["dim"],
                "bos_token_id": config["vocabulary"] - 2,
                "eos_token_id": config["vocabulary"] - 1,
                "pad_token_id": 0,
            },
            vision_config={
                "image_size": config["size"],
                "patch_size": config["patch"],
                "hidden_size": config["width"],
                "intermediate_size": 4 * config["width"],
                "num_hidden_layers": config["layers"],
                "num_attention_heads": config["width"] // 64,
                "projection_dim": config["dim"],
            },
            projection_dim=config["dim"],
        )
    )
    clip = {name.removeprefix("clip."): tensor for name, tensor in tensors.items()}
    with torch.no_grad():
        for tower, prefix, first, last in (
            (model.vision_model, "visual.", model.vision_model.pre_layrnorm, model.vision_model.post_layernorm),
            (model.text_model, "", None, model.text_model.final_layer_norm),
        ):
            norms = [(first, "visual.ln_pre"), (last, "visual.ln_post" if prefix else "ln_final")]
            for number, layer in enumerate(tower.encoder.layers):
                block = f"{prefix}transformer.resblocks.{number}."
                attention = layer.self_attn
                parts = (attention.q_proj, attention.k_proj, attention.v_proj)
                width = clip[f"{block}attn.in_proj_weight"].shape[1]
                for third, part in enumerate(parts):
                    part.weight.copy_(clip[f"{block}attn.in_proj_weight"][third * width : (third + 1) * width])
                    part.bias.copy_(clip[f"{block}attn.in_proj_bias"][third * width : (third + 1) * width])
                norms += [(layer.layer_norm1, f"{block}ln_1"), (layer.layer_norm2, f"{block}ln_2")]
                norms += [(attention.out_proj, f"{block}attn.out_proj")]
                norms += [(layer.mlp.fc1, f"{block}mlp.c_fc"), (layer.mlp.fc2, f"{block}mlp.c_proj")]
            for module, name in norms:
                if module is not None:
                    module.weight.copy_(clip[f"{name}.weight"])
                    module.bias.copy_(clip[f"{name}.bias"])
        seen, words = model.vision_model.embeddings, model.text_model.embeddings
        seen.class_embedding.copy_(clip["visual.class_embedding"])
        seen.patch_embedding.weight.copy_(clip["visual.conv1.weight"])
        seen.position_embedding.weight.copy_(clip["visual.positional_embedding"])
        words.token_embedding.weight.copy_(clip["token_embedding.weight"])
        words.position_embedding.weight.copy_(clip["positional_embedding"])
        model.visual_projection.weight.copy_(clip["visual.proj"].T)
        model.text_projection.weight.copy_(clip["text_projection"].T)
        model.logit_scale.copy_(clip["logit_scale"])
    return model.eval()


def tokenizer_folder(folder: Path, vocabulary: int) -> Path:
    """Words of CLIP's kind: its start and end tokens have the two highest ids."""
    ids = {f"w{number}": number for number in range(vocabulary - 2)}
    ids |= {"<|startoftext|>": vocabulary - 2, "<|endoftext|>": vocabulary - 1}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="w1"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(["<|startoftext|>", "<|endoftext|>"])
    folder.mkdir(exist_ok=True, parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder

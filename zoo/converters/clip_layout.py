"""The layout of CLIP's own code, which CLIP4Clip and open_clip keep, against that of transformers."""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor

from ..models.clip4clip import CLIP4Clip
from ..tokenizers import PAD_ID_OF_CLIP
from .published import check_vocabulary

#: published name -> ours, as patterns on the names of transformers' modules; blocks come after
_PLAIN = {
    "vision.embeddings.class_embedding": "visual.class_embedding",
    "vision.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision.pre_layrnorm.": "visual.ln_pre.",
    "vision.post_layernorm.": "visual.ln_post.",
    "vision.encoder.layers.": "visual.transformer.resblocks.",
    "vision_proj.weight": "visual.proj",
    "text.embeddings.token_embedding.": "token_embedding.",
    "text.embeddings.position_embedding.weight": "positional_embedding",
    "text.encoder.layers.": "transformer.resblocks.",
    "text.final_layer_norm.": "ln_final.",
    "text_proj.weight": "text_projection",
}
_BLOCK = {
    ".self_attn.out_proj.": ".attn.out_proj.",
    ".layer_norm1.": ".ln_1.",
    ".layer_norm2.": ".ln_2.",
    ".mlp.fc1.": ".mlp.c_fc.",
    ".mlp.fc2.": ".mlp.c_proj.",
}
_ATTENTION = re.compile(r"\.self_attn\.([qkv])_proj\.(weight|bias)$")
_TRANSPOSED = re.compile(r"(.*\.)?(visual\.proj|text_projection)")
_PACKED = re.compile(r".*\.attn\.in_proj_(weight|bias)")


def published_name(name: str) -> str:
    """What CLIP's code calls a tensor of ours; a third of a packed one is ``in_proj_weight[q]``, as `unpack` says."""
    for ours, theirs in _PLAIN.items():
        if name.startswith(ours):
            name = theirs + name.removeprefix(ours)
            break
    for ours, theirs in _BLOCK.items():
        name = name.replace(ours, theirs)
    return _ATTENTION.sub(r".attn.in_proj_\2[\1]", name)


def unpack(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """With queries, keys and values apart, and projections as `nn.Linear` has them (published ones are transposed)."""
    unpacked: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if _PACKED.fullmatch(name):
            thirds = zip("qkv", tensor.chunk(3), strict=False)  # what does not divide by three shows as misshaped
            unpacked |= {f"{name}[{part}]": third for part, third in thirds}
        else:
            unpacked[name] = tensor.T if _TRANSPOSED.fullmatch(name) and tensor.ndim == 2 else tensor
    return unpacked


def vision_sizes(tensors: dict[str, Tensor], prefix: str) -> dict[str, Any]:
    """Arguments of the vision tower that the published file is of, as far as its tensors tell."""
    sizes: dict[str, Any] = {}
    patches, places = tensors.get(f"{prefix}visual.conv1.weight"), tensors.get(f"{prefix}visual.positional_embedding")
    if patches is not None and patches.ndim == 4:
        width, patch = patches.shape[0], patches.shape[-1]
        sizes |= {"patch_size": patch, "vision_width": width}
        if places is not None:
            sizes["image_size"] = patch * round((len(places) - 1) ** 0.5)
    if depth := layers(tensors, f"{prefix}visual.transformer.resblocks."):
        sizes["vision_layers"] = depth
    projection = tensors.get(f"{prefix}visual.proj")
    if projection is not None and projection.ndim == 2:
        sizes["project_dim"] = projection.shape[1]
    return sizes


def layers(tensors: dict[str, Tensor], prefix: str) -> int:
    """The number of blocks below a name."""
    numbers = {name.removeprefix(prefix).partition(".")[0] for name in tensors if name.startswith(prefix)}
    return len([number for number in numbers if number.isdigit()])


def check_vocabulary_of_clip(model: CLIP4Clip) -> None:
    """`check_vocabulary` for OpenAI's tokenizer, whose last two ids start and end a sentence."""
    rows = model.config.vocab_size
    check_vocabulary(model, "CLIP", "openai/clip-vit-base-patch32", (rows - 2, PAD_ID_OF_CLIP, rows - 1))

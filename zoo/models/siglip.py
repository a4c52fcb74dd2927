"""SigLIP 2 on the frames of a clip: multilingual towers, with transformers' own modules.

Tschannen et al., "SigLIP 2" (2025).  Both kinds are read: of one picture size, and NaFlex, whose position table is
resized; here it sees squares too.  The bias of the sigmoid loss is left out, as it changes neither ranks nor a softmax.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize
from transformers import (
    Siglip2VisionConfig,
    Siglip2VisionModel,
    SiglipTextConfig,
    SiglipTextModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from ..tokenizers import Reading
from .dual_encoder import DualEncoder, DualEncoderConfig, ImageTextEncoder


@dataclass
class SigLIPConfig(DualEncoderConfig):
    """Arguments of `SigLIP` beyond those of every dual encoder; the defaults are ``siglip2-base``.

    Attributes:
        patch_size, vision_width, vision_layers, vision_heads, vision_ffn: of the vision tower, whose width is that of
            the shared space.
        position_grid: side of NaFlex's table of positions, in patches; None for a tower of one picture size.
        text_width, text_layers, text_heads, text_ffn: of the text tower, which always reads `max_tokens` tokens.
        scale: of the similarities, at the start; it is learnt.
    """

    augment: str = "crop"
    vocab_size: int = 256000
    max_tokens: int = 64
    tokenizer: str = "google/siglip2-base-patch16-224"
    patch_size: int = 16
    vision_width: int = 768
    vision_layers: int = 12
    vision_heads: int = 12
    vision_ffn: int = 3072
    position_grid: int | None = None
    text_width: int = 768
    text_layers: int = 12
    text_heads: int = 12
    text_ffn: int = 3072
    scale: float = 100.0

    def faults(self) -> list[str]:
        checks = [
            (
                self.position_grid is not None and self.image_size % self.patch_size,
                f"image_size {self.image_size} must be a multiple of patch_size {self.patch_size}",
            ),
            (
                self.vision_width % self.vision_heads or self.text_width % self.text_heads,
                "the widths must be multiples of the numbers of heads",
            ),
        ]
        return [*(fault for wrong, fault in checks if wrong), *super().faults()]


class SigLIP(ImageTextEncoder):
    """SigLIP 2 on the frames of a clip."""

    config_class = SigLIPConfig
    free_arguments = DualEncoder.free_arguments - {"max_tokens"}
    reading = Reading(clean="lower", start=False, fixed=True)
    pixels: ClassVar[dict[str, Any]] = {
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "interpolation": "bilinear",
    }
    # without a softmax in its training it goes beyond CLIP's bound
    largest_scale = 1000.0
    config: SigLIPConfig

    def __init__(self, config: SigLIPConfig) -> None:
        super().__init__(config, scale=config.scale)
        vision: dict[str, Any] = {
            "patch_size": config.patch_size,
            "hidden_size": config.vision_width,
            "intermediate_size": config.vision_ffn,
            "num_hidden_layers": config.vision_layers,
            "num_attention_heads": config.vision_heads,
        }
        self.vision: SiglipVisionModel | Siglip2VisionModel
        if config.position_grid is None:
            self.vision = SiglipVisionModel(SiglipVisionConfig(image_size=config.image_size, **vision))
        else:
            self.vision = Siglip2VisionModel(Siglip2VisionConfig(num_patches=config.position_grid**2, **vision))
        self.text = SiglipTextModel(
            SiglipTextConfig(
                vocab_size=config.vocab_size,
                hidden_size=config.text_width,
                intermediate_size=config.text_ffn,
                num_hidden_layers=config.text_layers,
                num_attention_heads=config.text_heads,
                max_position_embeddings=config.max_tokens,
                projection_size=config.vision_width,
                bos_token_id=None,
                eos_token_id=None,
                pad_token_id=None,
            )
        )
        self.settle()

    def encode_frames(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W) pixels of single frames to (N, D) vectors of any length."""
        with self.gradient("vision"):
            if self.config.position_grid is None:
                return self.vision(pixel_values=pixels).pooler_output
            sides = torch.tensor([[side // self.config.patch_size for side in pixels.shape[-2:]]]).expand(
                len(pixels), 2
            )
            patches = cut_patches(pixels, self.config.patch_size)
            return self.vision(pixel_values=patches, pixel_attention_mask=None, spatial_shapes=sides).pooler_output

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, L) ids of `tokenize` to (B, D) unit vectors; the tower reads padding as well, so no mask is needed."""
        with self.gradient("text"):
            return normalize(self.text(input_ids=input_ids).pooler_output, dim=-1)


def cut_patches(pixels: Tensor, patch: int) -> Tensor:
    """(N, 3, H, W) to (N, patches, patch * patch * 3): rows of patches first; in each its rows, then its colours."""
    count, channels, height, width = pixels.shape
    tiles = pixels.view(count, channels, height // patch, patch, width // patch, patch)
    return tiles.permute(0, 2, 4, 3, 5, 1).reshape(count, -1, patch * patch * channels)

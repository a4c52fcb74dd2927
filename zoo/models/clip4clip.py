"""CLIP4Clip with mean pooling: CLIP's two towers on the frames of a clip, as M-SyMoN's baseline.

Luo et al., "CLIP4Clip" (2021), the similarity without parameters (meanP); Radford et al., "CLIP" (2021).  The towers
are transformers' own, with the names of their checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModel

from ..tokenizers import Reading, SentenceTokenizer
from .dual_encoder import DualEncoderConfig, ImageTextEncoder

#: CLIP4Clip samples no more of a video
MOST_FRAMES = 12


@dataclass
class CLIP4ClipConfig(DualEncoderConfig):
    """Arguments of `CLIP4Clip` beyond those of every dual encoder; the defaults are ``clip4clip-base``.

    Attributes:
        patch_size, vision_width, vision_layers, vision_heads: of the vision tower.
        text_width, text_layers, text_heads: of the text tower.
        position_rows: rows of the position table of the text tower.
        project_dim: width of the shared space.
        end_id: the token that ends a sentence; the tower's output there is the sentence's.
        scale: of the similarities, at the start; it is learnt.
    """

    augment: str = "crop"
    vocab_size: int = 49408
    max_tokens: int = 32
    tokenizer: str = "openai/clip-vit-base-patch32"
    patch_size: int = 32
    vision_width: int = 768
    vision_layers: int = 12
    vision_heads: int = 12
    text_width: int = 512
    text_layers: int = 12
    text_heads: int = 8
    position_rows: int = 77
    project_dim: int = 512
    end_id: int = 49407
    scale: float = 100.0

    def faults(self) -> list[str]:
        checks = [
            (self.frames > MOST_FRAMES, f"frames must be {MOST_FRAMES} or less, not {self.frames}"),
            (
                self.image_size % self.patch_size,
                f"image_size {self.image_size} must be a multiple of patch_size {self.patch_size}",
            ),
            (
                self.vision_width % self.vision_heads or self.text_width % self.text_heads,
                "the widths must be multiples of the numbers of heads",
            ),
            (
                self.max_tokens > self.position_rows,
                f"max_tokens {self.max_tokens} must be at most position_rows {self.position_rows}",
            ),
            (
                self.end_id >= self.vocab_size,
                f"end_id {self.end_id} must be one of the {self.vocab_size} ids of vocab_size",
            ),
        ]
        return [*(fault for wrong, fault in checks if wrong), *super().faults()]


class CLIP4Clip(ImageTextEncoder):
    """CLIP on the frames of a clip."""

    config_class = CLIP4ClipConfig
    reading = Reading(clean="lower")
    pixels: ClassVar[dict[str, Any]] = {"fit": "crop"}
    config: CLIP4ClipConfig

    def __init__(self, config: CLIP4ClipConfig) -> None:
        super().__init__(config, scale=config.scale)
        self.vision = CLIPVisionModel(
            CLIPVisionConfig(
                image_size=config.image_size,
                patch_size=config.patch_size,
                hidden_size=config.vision_width,
                intermediate_size=4 * config.vision_width,
                num_hidden_layers=config.vision_layers,
                num_attention_heads=config.vision_heads,
                hidden_act="quick_gelu",
            )
        )
        self.text = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=config.vocab_size,
                hidden_size=config.text_width,
                intermediate_size=4 * config.text_width,
                num_hidden_layers=config.text_layers,
                num_attention_heads=config.text_heads,
                max_position_embeddings=config.position_rows,
                bos_token_id=None,
                pad_token_id=None,
                eos_token_id=config.end_id,
                hidden_act="quick_gelu",
            )
        )
        self.vision_proj = nn.Linear(config.vision_width, config.project_dim, bias=False)
        self.text_proj = nn.Linear(config.text_width, config.project_dim, bias=False)
        self.settle()

    def encode_frames(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W) pixels of single frames to (N, D) vectors of any length."""
        with self.gradient("vision"):
            features = self.vision(pixel_values=pixels).pooler_output
        return self.vision_proj(features)

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, L) ids of `tokenize` to (B, D) unit vectors.

        The tower is causal, so padding after the end changes nothing and `attention_mask` is ignored.
        """
        with self.gradient("text"):
            states = self.text(input_ids=input_ids).last_hidden_state
        # the first end token: CLIP's own `argmax` of the ids is the same, as its end token has the highest id
        ends = (input_ids == self.config.end_id).int().argmax(dim=1)
        return normalize(self.text_proj(states[torch.arange(len(ends), device=ends.device), ends]), dim=-1)

    def check_tokenizer(self, found: SentenceTokenizer) -> None:
        """Raises ValueError for a tokenizer of too many ids, or of another end token than the tower is read at."""
        super().check_tokenizer(found)
        if found.end_id != self.config.end_id:
            raise ValueError(
                f"the tokenizer {self.config.tokenizer!r} ends sentences with id {found.end_id}, the model reads them "
                f"at id {self.config.end_id}: set end_id={found.end_id}, or give the tokenizer of these weights"
            )

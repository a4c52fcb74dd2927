"""CLIP with an XLM-R text tower, as open_clip trains it: a ViT for frames, XLM-R for sentences in a hundred languages.

Ilharco et al., "OpenCLIP" (2021); Conneau et al., "XLM-R" (ACL 2020).  The towers are transformers' own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import CLIPVisionConfig, CLIPVisionModel, XLMRobertaConfig, XLMRobertaModel

from ..tokenizers import Reading
from .dual_encoder import DualEncoderConfig, ImageTextEncoder

#: XLM-R counts positions from here on, after its padding id
FIRST_POSITION = 2


@dataclass
class XLMRCLIPConfig(DualEncoderConfig):
    """Arguments of `XLMRCLIP` beyond those of every dual encoder; the defaults are ``xlmr-clip-base``.

    Attributes:
        patch_size, vision_width, vision_layers, vision_heads: of the vision tower.
        text_width, text_layers, text_heads, text_ffn, text_dropout: of the text tower.
        position_rows: rows of the position table of the text tower; sentences may have two tokens less than this.
        project_dim: width of the shared space.
        scale: of the similarities, at the start; it is learnt.
    """

    augment: str = "crop"
    max_tokens: int = 77
    tokenizer: str = "FacebookAI/xlm-roberta-base"
    patch_size: int = 32
    vision_width: int = 768
    vision_layers: int = 12
    vision_heads: int = 12
    text_width: int = 768
    text_layers: int = 12
    text_heads: int = 12
    text_ffn: int = 3072
    text_dropout: float = 0.1
    position_rows: int = 514
    project_dim: int = 512
    scale: float = 100.0

    def faults(self) -> list[str]:
        checks = [
            (
                self.image_size % self.patch_size,
                f"image_size {self.image_size} must be a multiple of patch_size {self.patch_size}",
            ),
            (
                self.vision_width % self.vision_heads or self.text_width % self.text_heads,
                "the widths must be multiples of the numbers of heads",
            ),
            (
                self.max_tokens > self.position_rows - FIRST_POSITION,
                f"max_tokens {self.max_tokens} must be at most position_rows - {FIRST_POSITION}",
            ),
        ]
        return [*(fault for wrong, fault in checks if wrong), *super().faults()]


class XLMRCLIP(ImageTextEncoder):
    """CLIP's vision tower and XLM-R on the frames and the sentence of a clip."""

    config_class = XLMRCLIPConfig
    free_arguments = ImageTextEncoder.free_arguments | {"text_dropout"}
    reading = Reading(clean="plain")
    pixels: ClassVar[dict[str, Any]] = {"fit": "crop"}
    config: XLMRCLIPConfig

    def __init__(self, config: XLMRCLIPConfig) -> None:
        super().__init__(config, scale=config.scale)
        self.vision = CLIPVisionModel(
            CLIPVisionConfig(
                image_size=config.image_size,
                patch_size=config.patch_size,
                hidden_size=config.vision_width,
                intermediate_size=4 * config.vision_width,
                num_hidden_layers=config.vision_layers,
                num_attention_heads=config.vision_heads,
                hidden_act="gelu",
            )
        )
        self.text = XLMRobertaModel(
            XLMRobertaConfig(
                vocab_size=config.vocab_size,
                hidden_size=config.text_width,
                num_hidden_layers=config.text_layers,
                num_attention_heads=config.text_heads,
                intermediate_size=config.text_ffn,
                hidden_dropout_prob=config.text_dropout,
                attention_probs_dropout_prob=config.text_dropout,
                max_position_embeddings=config.position_rows,
                type_vocab_size=1,
                layer_norm_eps=1e-5,
                use_cache=False,
            ),
            add_pooling_layer=False,
        )
        self.vision_proj = nn.Linear(config.vision_width, config.project_dim, bias=False)
        between = (config.text_width + config.project_dim) // 2
        self.text_proj = nn.Sequential(
            nn.Linear(config.text_width, between, bias=False),
            nn.GELU(),
            nn.Linear(between, config.project_dim, bias=False),
        )
        self.settle()

    def encode_frames(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W) pixels of single frames to (N, D) vectors of any length."""
        with self.gradient("vision"):
            features = self.vision(pixel_values=pixels).pooler_output
        return self.vision_proj(features)

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, L) ids and mask of `tokenize` to (B, D) unit vectors, from the mean over tokens."""
        with self.gradient("text"):
            states = self.text(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            mask = attention_mask.unsqueeze(-1).to(states.dtype)
            features = (states * mask).sum(dim=1) / mask.sum(dim=1)
        return normalize(self.text_proj(features), dim=-1)

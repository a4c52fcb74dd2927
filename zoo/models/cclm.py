"""CCLM as a dual encoder: a Swin tower for frames and half of a shortened XLM-R tower for sentences.

Zeng et al., "Cross-View Language Modeling" (ACL 2023); used for story alignment by M-SyMoN (section 5).  The cross
encoder of CCLM is left out.  Sub-modules are timm's and transformers' own, with the names of their checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import XLMRobertaConfig, XLMRobertaModel

from .dual_encoder import DualEncoder, DualEncoderConfig

#: XLM-R counts positions from here on (after its padding id); CCLM counts them from 0
FIRST_POSITION = 2
TEMPERATURE_BOUNDS = (0.001, 0.5)


@dataclass
class CCLMConfig(DualEncoderConfig):
    """Arguments of `CCLM` beyond those of every dual encoder; the defaults are ``cclm-base``.

    Attributes:
        patch_size, embed_dim, depths, num_heads, window_size, drop_path: of the Swin tower.
        text_width, text_layers, text_heads, text_ffn, text_dropout: of the text tower.
        position_rows: rows of the position table; sentences may have two tokens less than this.
        project_dim: width of the shared space.
        temperature: at the start; it is learnt.
    """

    patch_size: int = 4
    embed_dim: int = 128
    depths: list[int] = field(default_factory=lambda: [2, 2, 18, 2])
    num_heads: list[int] = field(default_factory=lambda: [4, 8, 16, 32])
    window_size: int = 7
    drop_path: float = 0.1
    text_width: int = 1024
    text_layers: int = 6
    text_heads: int = 16
    text_ffn: int = 4096
    text_dropout: float = 0.1
    position_rows: int = 514
    project_dim: int = 256
    temperature: float = 0.07
    max_words: int | None = 30
    tokenizer: str = "FacebookAI/xlm-roberta-large"

    def faults(self) -> list[str]:
        checks = [
            (
                len(self.depths) != len(self.num_heads),
                f"depths {self.depths} and num_heads {self.num_heads} must be equally long",
            ),
            (
                self.image_size % (self.patch_size * 2 ** (len(self.depths) - 1)),
                f"image_size {self.image_size} must be a multiple of patch_size * 2 ** (stages - 1)",
            ),
            (
                self.text_width % self.text_heads,
                f"text_width {self.text_width} must be a multiple of text_heads {self.text_heads}",
            ),
            (
                self.max_tokens > self.position_rows - FIRST_POSITION,
                f"max_tokens {self.max_tokens} must be at most position_rows - {FIRST_POSITION}",
            ),
        ]
        return [*(fault for wrong, fault in checks if wrong), *super().faults()]


class CCLM(DualEncoder):
    """Swin and half of XLM-R large; the frames of a clip are averaged before they are projected."""

    config_class = CCLMConfig
    free_arguments = DualEncoder.free_arguments | {"drop_path", "text_dropout"}
    config: CCLMConfig
    vision: SwinTransformer

    def __init__(self, config: CCLMConfig) -> None:
        super().__init__(config)
        self.vision = SwinTransformer(
            img_size=config.image_size,
            patch_size=config.patch_size,
            num_classes=0,
            embed_dim=config.embed_dim,
            depths=tuple(config.depths),
            num_heads=tuple(config.num_heads),
            window_size=config.window_size,
            drop_path_rate=config.drop_path,
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
        self.vision_proj = nn.Linear(self.vision.num_features, config.project_dim)
        self.text_proj = nn.Linear(config.text_width, config.project_dim)
        self.temp = nn.Parameter(torch.tensor(config.temperature))
        self.settle()

    def encode_clips(self, pixels: Tensor) -> Tensor:
        """(B, F, 3, H, W) pixels of `preprocess` to (B, D) unit vectors.

        The frames' features are averaged before they are projected and normalised.

        Raises:
            ValueError: pixels of another shape.
        """
        self.check_pixels(pixels)
        clips, frames = pixels.shape[:2]
        with self.gradient("vision"):
            features = self.vision(pixels.flatten(0, 1)).view(clips, frames, -1).mean(dim=1)
        return normalize(self.vision_proj(features), dim=-1)

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, L) ids and mask of `tokenize` to (B, D) unit vectors."""
        with self.gradient("text"):
            features = self.text(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state[:, 0]
        return normalize(self.text_proj(features), dim=-1)

    @torch.no_grad()
    def clamp_temperature(self) -> None:
        """Keep the temperature within CCLM's bounds; call it before every step of training."""
        self.temp.clamp_(*TEMPERATURE_BOUNDS)


def shift_positions(table: Tensor) -> Tensor:
    """A position table of CCLM (rows 0, 1, 2, ...) as XLM-R's code reads it (rows 2, 3, 4, ...).

    CCLM starts from XLM-R's table but counts from 0, padding included.  Unless every row moves down by two, all keys
    load and all sentences are wrong.  Rows 0 and 1 belong to padding.
    """
    shifted = torch.zeros_like(table)
    shifted[FIRST_POSITION:] = table[:-FIRST_POSITION]
    return shifted

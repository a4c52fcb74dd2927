"""CCLM as a dual encoder: a Swin tower for frames and half of a shortened XLM-R tower for sentences.

Zeng et al., "Cross-View Language Modeling" (ACL 2023); used for story alignment by M-SyMoN (section 5).  The cross
encoder of CCLM is left out.  Sub-modules are timm's and transformers' own, so their names are the checkpoint's names.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import XLMRobertaConfig, XLMRobertaModel

from .. import tokenizers
from ..checkpoint import Pretrained
from ..preprocess import ClipPreprocess

#: XLM-R counts positions from here on (after its padding id); CCLM counts them from 0
FIRST_POSITION = 2
TEMPERATURE_BOUNDS = (0.001, 0.5)


@dataclass
class CCLMConfig:
    """Arguments of `CCLM`; the defaults are ``cclm-base``.

    Attributes:
        image_size: side of a frame in pixels.
        frames: how many frames of a clip are averaged.
        augment: of `ClipPreprocess`, in training.
        flip: chance of a mirror image in training.
        patch_size, embed_dim, depths, num_heads, window_size, drop_path: of the Swin tower.
        text_width, text_layers, text_heads, text_ffn, text_dropout: of the text tower.
        vocab_size: rows of the word table; at least what the tokenizer has.
        position_rows: rows of the position table; sentences may have two tokens less than this.
        project_dim: width of the shared space.
        temperature: at the start; it is learnt.
        max_tokens: longest sentence in tokens; longer ones are cut, with a warning.
        max_words: most words of a sentence that are read, None for all.
        tokenizer: of `tokenizers.load`: ``story``, a folder, or a hub id.
        freeze: towers that stay as they are, ``vision``, ``text`` or both; their projections still learn.
        checkpoint_activations: compute activations twice instead of keeping them.
    """

    image_size: int = 224
    frames: int = 3
    augment: str = "cclm"
    flip: float = 0.5
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
    vocab_size: int = 250002
    position_rows: int = 514
    project_dim: int = 256
    temperature: float = 0.07
    max_tokens: int = 64
    max_words: int | None = 30
    tokenizer: str = "FacebookAI/xlm-roberta-large"
    freeze: list[str] = field(default_factory=list)
    checkpoint_activations: bool = False

    def __post_init__(self) -> None:
        faults = []
        if len(self.depths) != len(self.num_heads):
            faults.append(f"depths {self.depths} and num_heads {self.num_heads} must be equally long")
        if self.image_size % (self.patch_size * 2 ** (len(self.depths) - 1)):
            faults.append(f"image_size {self.image_size} must be a multiple of patch_size * 2 ** (stages - 1)")
        if self.text_width % self.text_heads:
            faults.append(f"text_width {self.text_width} must be a multiple of text_heads {self.text_heads}")
        if self.max_tokens > self.position_rows - FIRST_POSITION:
            faults.append(f"max_tokens {self.max_tokens} must be at most position_rows - {FIRST_POSITION}")
        if self.frames < 1:
            faults.append(f"frames must be 1 or more, not {self.frames}")
        if not set(self.freeze) <= {"vision", "text"}:
            faults.append(f"freeze names towers, vision or text, not {self.freeze}")
        if faults:
            raise ValueError("; ".join(faults))


class CCLM(Pretrained):
    """Clips and sentences in one space; the similarity of a pair is the dot product of their unit vectors.

    Attributes:
        preprocess: `ClipTransform` for its frames.
        tokenize: `Tokenize` for its sentences.
        temp: learnt temperature, a scalar; logits are similarities divided by it.
    """

    config_class = CCLMConfig
    free_arguments = frozenset(
        {"augment", "flip", "frames", "max_tokens", "max_words"}
        | {"freeze", "checkpoint_activations", "drop_path", "text_dropout"}
    )

    def __init__(self, config: CCLMConfig) -> None:
        super().__init__()
        self.config = config
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
            ),
            add_pooling_layer=False,
        )
        self.vision_proj = nn.Linear(self.vision.num_features, config.project_dim)
        self.text_proj = nn.Linear(config.text_width, config.project_dim)
        self.temp = nn.Parameter(torch.tensor(config.temperature))
        self.preprocess = ClipPreprocess(
            size=config.image_size, frames=config.frames, augment=config.augment, flip=config.flip
        )
        self._tokenize: tokenizers.SentenceTokenizer | None = None
        self.vision.requires_grad_("vision" not in config.freeze)
        self.text.requires_grad_("text" not in config.freeze)
        if config.checkpoint_activations:
            self.vision.set_grad_checkpointing()
            self.text.gradient_checkpointing_enable({"use_reentrant": False})

    @property
    def tokenize(self) -> tokenizers.SentenceTokenizer:
        """Read when it is first used, so that a model can be made where its vocabulary is not at hand.

        Raises:
            FileNotFoundError: the vocabulary can be neither found nor fetched.
            ValueError: it has more ids than the word table has rows.
        """
        if self._tokenize is None:
            config = self.config
            found = tokenizers.load(config.tokenizer, max_tokens=config.max_tokens, max_words=config.max_words)
            if found.vocab_size > config.vocab_size:
                raise ValueError(
                    f"the tokenizer {config.tokenizer!r} has {found.vocab_size} ids, the model {config.vocab_size} "
                    f"rows: set vocab_size={found.vocab_size}"
                )
            self._tokenize = found
        return self._tokenize

    @property
    def arguments(self) -> dict[str, Any]:
        """Every argument, as `zoo.create` takes them."""
        return asdict(self.config)

    def encode_clips(self, pixels: Tensor) -> Tensor:
        """(B, F, 3, H, W) pixels of `preprocess` to (B, D) unit vectors.

        The frames' features are averaged before they are projected and normalised.
        """
        clips, frames = pixels.shape[:2]
        with self._gradient("vision"):
            features = self.vision(pixels.flatten(0, 1)).view(clips, frames, -1).mean(dim=1)
        return normalize(self.vision_proj(features), dim=-1)

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, L) ids and mask of `tokenize` to (B, D) unit vectors."""
        with self._gradient("text"):
            features = self.text(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state[:, 0]
        return normalize(self.text_proj(features), dim=-1)

    def forward(self, pixels: Tensor, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Unit vectors of clips and of sentences, (B, D) each."""
        return self.encode_clips(pixels), self.encode_text(input_ids, attention_mask)

    def train(self, mode: bool = True) -> CCLM:
        """As in torch, but a frozen tower stays in evaluation mode."""
        super().train(mode)
        for tower in self.config.freeze:
            getattr(self, tower).eval()
        return self

    @torch.no_grad()
    def clamp_temperature(self) -> None:
        """Keep the temperature within CCLM's bounds; call it before every step of training."""
        self.temp.clamp_(*TEMPERATURE_BOUNDS)

    def _gradient(self, tower: str) -> AbstractContextManager[Any]:
        return torch.no_grad() if tower in self.config.freeze else nullcontext()


def shift_positions(table: Tensor) -> Tensor:
    """A position table of CCLM (rows 0, 1, 2, ...) as XLM-R's code reads it (rows 2, 3, 4, ...).

    CCLM starts from XLM-R's table but counts from 0, padding included.  Its vectors only come out right if every row
    moves down by two; otherwise all keys load and all sentences are wrong.  Rows 0 and 1 belong to padding.
    """
    shifted = torch.zeros_like(table)
    shifted[FIRST_POSITION:] = table[:-FIRST_POSITION]
    return shifted

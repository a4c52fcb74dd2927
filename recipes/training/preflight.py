"""What can be wrong with a run before anything heavy starts: its first stage, its languages, their pairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from ...datamodules.derived import ALIGNMENTS, TRANSLATIONS, aligned_labels, open_derived
from ...datamodules.index import ShardSet, open_set
from ...datamodules.pairs import PAIR_SOURCES, make_pairs
from ...datamodules.story import StoryDataModule
from ...zoo import tokenizers
from ...zoo.registry import check_arguments, did_you_mean, find_model, list_models, list_weights, model_class
from ...zoo.tokenizers import UNKNOWN, SentenceTokenizer
from ..runs import RECIPE, model_folder
from ..settings.config import Settings
from ..settings.matching import MatchingRecipe
from ..settings.schema import ConfigError, Fault
from ..settings.story import DataConfig, StoryRecipe
from . import module_of

#: a vocabulary that reads more of a language's words than this as unknown does not cover it
UNKNOWN_SHARE = 0.1
_VIDEOS = 200  # of training, whose words are looked at

#: stands for the language in `model.name`, where a recipe is trained on each language by itself
LANGUAGE = "{language}"


def check(recipe: StoryRecipe) -> None:
    """Look at what a recipe names, from file names and text records alone.

    Raises:
        FileNotFoundError: the checkpoint, or the run whose model is trained further, is not there.
        ValueError: that run has not ended; or the shards lack a language, or have nothing to train on in one.
        ConfigError: both the model and the data are wrong; it names both.
    """
    try:
        check_model(recipe)
    except (ValueError, OSError) as fault:
        if others := _faults_of([partial(check_data, recipe)]):
            raise ConfigError([Fault("", str(fault)), *others], recipe.name) from None
        raise
    check_data(recipe)


def faults(recipe: Settings) -> list[Fault]:
    """Everything for which `weaksync train` would refuse a recipe before it begins.

    Where names and records show no fault, the model and its data are made, as for training; a matcher's are not.
    """
    checks: list[Callable[[], object]] = []
    if isinstance(recipe, StoryRecipe):
        checks = [partial(check_model, recipe), partial(check_data, recipe)]
        if recipe.model.name in {row.name for row in list_models()}:
            checks.append(partial(check_arguments, recipe.model.name, recipe.model.arguments))
    elif isinstance(recipe, MatchingRecipe):
        from .stages import Stages

        checks = [Stages(recipe).check]
    found = _faults_of(checks)
    if not found and not isinstance(recipe, MatchingRecipe):
        found = _faults_of([partial(module_of(recipe).build, recipe)])
    if (recipe.folder / RECIPE).exists():
        found.insert(0, Fault("", f"{recipe.folder} holds a run: name=OTHER, or train with --resume or --force"))
    return found


def _faults_of(checks: list[Callable[[], object]]) -> list[Fault]:
    """What the checks raise."""
    found: list[Fault] = []
    for look in checks:
        try:
            look()
        except ConfigError as several:
            found += several.faults
        except (ValueError, OSError) as fault:
            found.append(Fault("", str(fault)))
    return found


def check_model(recipe: StoryRecipe) -> None:
    """Raises FileNotFoundError or ValueError where `model.name` is neither a model whose vocabulary can be had, nor a
    checkpoint."""
    name = recipe.model.name
    if LANGUAGE in name:
        raise ValueError(
            f"model.name is {name}, a run for each language: train them all with --each-language, or one with "
            f"data.languages=[es] model.name={name.replace(LANGUAGE, 'es')}"
        )
    models = [row.name for row in list_models("story")]
    if name in models or name.startswith("hf://"):
        if Path(name, "config.json").is_file():
            raise ValueError(
                f"{name} is a model that starts from random weights, and a checkpoint folder here: "
                f"model.name=./{name} is the folder"
            )
        if name in models:
            check_vocabulary(name, recipe.model.arguments)
        return
    if model_folder(name).is_dir():
        return
    published = [row for row in list_weights(Path(name).name) if "--out FOLDER" in row.how]
    if published and not Path(recipe.root, Path(name).name, RECIPE).exists():
        row = published[0]
        raise FileNotFoundError(
            f"no checkpoint at {name}, from which {recipe.name} is to start. It is made of published weights: "
            f"{row.source}: {row.how.replace('FOLDER', name)}. model.name={Path(name).name} starts from random ones, "
            "model.name=cclm-tiny from those of a model that is small enough for a CPU"
        )
    runs = [str(path.parent) for path in Path(recipe.root).glob(f"*/{RECIPE}")]
    raise FileNotFoundError(
        f"no run or checkpoint at {name}{did_you_mean(name, [*models, *runs])}, from which {recipe.name} is to start. "
        "A first stage is trained by its own recipe; weaksync convert makes a folder of published weights; "
        "model.name=cclm-tiny or cclm-base starts from random ones"
    )


def check_vocabulary(name: str, arguments: dict[str, Any]) -> None:
    """Raises FileNotFoundError where a model's vocabulary is neither here nor on a hub that answers.

    It is read before the weights are drawn, which takes long.
    """
    row = find_model(name)
    known = {field.name: field.default for field in fields(model_class(name).config_class)}
    source = {**known, **row.arguments, **arguments}.get("tokenizer")
    if not isinstance(source, str):
        return
    try:
        tokenizers.load(source)
    except FileNotFoundError as absent:
        raise FileNotFoundError(
            f"{absent}. In a recipe the folder is model.arguments={{tokenizer: FOLDER}}; model.name=cclm-tiny has a "
            "vocabulary of its own"
        ) from absent


def check_data(recipe: StoryRecipe) -> None:
    """Raises ValueError where the shards lack a language or its pairs, or the translations are of another set."""
    data = recipe.data
    if not Path(data.shards).is_dir():
        if "://" in data.shards:  # of an object store not every record is read
            return
        raise FileNotFoundError(
            f"no shard set in {data.shards}: weaksync data build story makes one, data.shards names it"
        )
    shards = open_set(data.shards)
    shards.manifest.check_clips(data.shards)
    shards.manifest.check_languages(data.languages, data.shards)
    if data.translations is not None:
        open_derived(data.translations, shards, TRANSLATIONS)
    if bare := without_pairs(shards, data):
        what = {
            "weak": "has a narration time over two of its clips",
            "annotated": "is annotated",
            "aligned": f"has clips of two sentences in {data.alignments}",
        }[data.pairs]
        rest = sorted(set(data.languages or shards.manifest.languages) - set(bare))
        advice = f"; data.languages=[{','.join(rest)}] leaves it out" if rest else ""
        if data.pairs == "weak" and not without_pairs(shards, replace(data, pairs="annotated")):
            advice += "; people annotated some: data.pairs=annotated learns from that"
        raise ValueError(f"{data.shards}: no training video in {', '.join(bare)} {what}: nothing to train on{advice}")


def check_words(tokenize: SentenceTokenizer, data: StoryDataModule) -> None:
    """Raises ValueError where the vocabulary does not know the words of a language.

    A vocabulary without an unknown token falls back on bytes, and knows them all.
    """
    unknown = tokenize.tokenizer.token_to_id(UNKNOWN)
    if unknown is None or not Path(data.folder).is_dir():
        return
    texts = data.translation_set or data.shards
    entries = data.shards.split("train")
    found: dict[str, list[float]] = {}
    for entry in entries[:: -(-len(entries) // _VIDEOS)]:
        video = texts.record(entry.id)
        if data.languages is None or video.language in data.languages:
            ids = [tokenize.tokenizer.encode(each.text, add_special_tokens=False).ids for each in video.sentences]
            found.setdefault(video.language, []).extend(id == unknown for row in ids for id in row)
    shares = {language: sum(strange) / max(1, len(strange)) for language, strange in found.items()}
    if lost := [language for language, share in shares.items() if share > UNKNOWN_SHARE]:
        worst = max(lost, key=lambda language: shares[language])
        raise ValueError(
            f"the model's vocabulary does not know {', '.join(sorted(lost))}: {shares[worst]:.0%} of the words of "
            f"{worst} are unknown to it; take a model that knows them, or other languages: data.languages=[...]"
        )


def without_pairs(shards: ShardSet, data: DataConfig) -> list[str]:
    """The languages in which no training video has pairs; records are read until each language has shown one."""
    if data.alignments is None:
        pairs = PAIR_SOURCES[data.pairs]
    else:
        pairs = partial(make_pairs, label=partial(aligned_labels, open_derived(data.alignments, shards, ALIGNMENTS)))
    left = set(data.languages or shards.manifest.languages)
    for entry in shards.split("train"):
        if not left:
            break
        record = shards.record(entry.id)
        if record.language in left and pairs([record]).videos:
            left.remove(record.language)
    return sorted(left)

"""One recipe over all languages: a run for each, which languages are done, and the row of the paper's table."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from statistics import fmean
from typing import Any

from ...datamodules.files import write_whole
from ...datamodules.index import BUILD_STORY
from ...datamodules.manifest import Manifest
from ..console import print_table
from ..runs import MODEL, RECIPE
from ..scoring import paper
from ..scoring.scores import ALONE, RunScores, run_scores
from ..settings.story import StoryRecipe
from .launch import is_rank_zero, part, say
from .preflight import LANGUAGE, check
from .story import train

ROW = "table.json"


def languages_of(recipe: StoryRecipe) -> list[str]:
    """The languages that a recipe names, else those of its shards; in the paper's order, others after."""
    shards = Path(recipe.data.shards)
    return list(paper.in_order(recipe.data.languages or Manifest.read(shards, maker=BUILD_STORY).languages))


def for_language(recipe: StoryRecipe, language: str) -> StoryRecipe:
    """The recipe for one language: the run ``<name>-<language>``, and ``{language}`` in `model.name` filled in."""
    return dataclasses.replace(
        recipe,
        name=f"{recipe.name}-{language}",
        data=dataclasses.replace(recipe.data, languages=[language]),
        model=dataclasses.replace(recipe.model, name=recipe.model.name.replace(LANGUAGE, language)),
    )


def train_per_language(recipe: StoryRecipe, *, resume: bool = False, force: bool = False) -> dict[str, RunScores]:
    """Train a recipe on each language by itself, and score each run on the test videos of its language.

    Args:
        recipe: of `config.load`.
        resume: keep the languages that are done, and go on with the one that was stopped.
        force: replace the runs that are there.

    Returns:
        Language -> what its run scores; also written to ``<root>/<name>/table.json``.

    Raises:
        ValueError, FileNotFoundError: what is wrong with any language is said before the first is trained.
    """
    each = {language: for_language(recipe, language) for language in languages_of(recipe)}
    done = [language for language, one in each.items() if (one.folder / MODEL).is_dir()]
    for language, one in each.items():
        if language not in done or force:
            check(one)
        if (one.folder / RECIPE).is_file() and not resume and not force:
            raise ValueError(f"{one.folder} holds a run: --resume keeps what is done and goes on, --force replaces it")
    scores = {}
    for place, (language, one) in enumerate(each.items(), start=1):
        say(f"{language}, {place} of {len(each)}: {one.folder}")
        with part(f"run {one.folder}"):
            train(one, resume=resume and (one.folder / RECIPE).is_file(), force=force)
        scores[language] = run_scores(
            one.folder, one.data.shards, language, translations=one.data.translations, workers=one.data.workers
        )
    if is_rank_zero():
        recipe.folder.mkdir(parents=True, exist_ok=True)
        write_whole(recipe.folder / ROW, json.dumps(row(recipe, scores), indent=1, ensure_ascii=False).encode())
    return scores


def row(recipe: StoryRecipe, scores: dict[str, RunScores]) -> dict[str, Any]:
    """What `train_per_language` writes: for each language its run and its figures, as fractions, with intervals."""
    languages: dict[str, Any] = {}
    for language, found in scores.items():
        languages[language] = {"run": f"{recipe.name}-{language}", "videos": found.videos, **found.figures()}
    return {"name": recipe.name, "shards": recipe.data.shards, "languages": languages}


def show(recipe: StoryRecipe, scores: dict[str, RunScores]) -> None:
    """Print the row as the paper does: a column for each language and their average, in per cent."""
    columns = ["%", *scores, paper.AVERAGE]
    rows: list[list[Any]] = []
    for way, words in (("model", "F1"), (ALONE, "F1, similarity alone"), ("transcript", "F1 of the transcript")):
        found = [each.mean(way).f1.value * 100 for each in scores.values() if way in each.ways]
        if len(found) == len(scores):
            rows.append([words, *(f"{value:.1f}" for value in (*found, fmean(found)))])
    print_table(f"{recipe.name}, each language on its own test videos", columns, rows)

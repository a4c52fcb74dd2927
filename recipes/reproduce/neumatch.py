"""NeuMATCH and its data-efficient successor for Table 5: trained on the annotated pairs of YMS, on cached features."""

from __future__ import annotations

from pathlib import Path

from ...datamodules.derived import FEATURES, open_derived
from ...datamodules.index import open_set
from ...datamodules.manifest import MANIFEST
from ...zoo.evaluation import Row
from ...zoo.models.neumatch import NeuMATCH
from ..console import progress
from ..derived.features import encoded
from ..runs import MODEL, RECIPE
from ..scoring.features import evaluate
from ..settings import config
from ..settings.features import FeatureRecipe
from ..training.features import train
from ..training.launch import part, say
from ..training.run import changes
from .story_runs import Runs

RECIPE_NAME = "story/neumatch"
#: row of the table -> what its recipe changes; the run of 2018 beside that of the recipe's own name
ROWS = {
    "neumatch": ("name=neumatch-2018", "model.name=neumatch", "optim.trust=null", "optim.lr=1e-3", "optim.smoothing=0"),
    "wang2021": (),
}
#: the parts of a user's overrides that mean the same here as in a recipe of a dual encoder
_SHARED = ("trainer.", "seed=")


def check(yms: Path, features: Path | None) -> None:
    """Raises FileNotFoundError or ValueError where there is no such set, where it has no English test videos, or where
    the features that were given are not of it."""
    shards = open_set(yms)
    shards.manifest.check_languages(["en"], yms)
    if "test" not in shards.splits:
        raise ValueError(f"{yms} has no test split to score on: build it with the videos of test_split.txt too")
    if features is not None:
        open_derived(features, shards, FEATURES)


def recipe(row: str, own: Runs, features: Path) -> FeatureRecipe:
    """What trains the model of a row.

    Args:
        row: of `ROWS`.
        own: the runs on YMS, whose root and settings of trainer and seed it takes.
        features: folder of the features of its shards.
    """
    given = [f"data.shards={own.shards}", f"data.features={features}", f"root={own.root}"]
    given += [f"data.languages=[{','.join(own.languages)}]", *ROWS[row], *own.preset("neumatch")]
    given += [override for override in own.overrides if override.startswith(_SHARED)]
    found = config.load(RECIPE_NAME, given)
    assert isinstance(found, FeatureRecipe)  # its own recipe says so
    return found


def features_of(own: Runs) -> Path:
    """Features of the shards of YMS by the dual encoder that was trained there, made where they are absent."""
    folder = own.root / "features"
    if not (folder / MANIFEST).is_file():
        encoder = own.folder("individual", "en")
        say(f"features: {folder}, of {encoder}")
        with progress("videos") as bar:
            task = bar.add_task("encoding", total=None)
            encoded(
                own.shards,
                str(encoder),
                folder,
                started=lambda total: bar.update(task, total=total),
                advance=lambda: bar.advance(task),
            )
    return folder


def rows(own: Runs, features: Path | None = None) -> tuple[dict[str, Row], str]:
    """What both score on the test videos of YMS, and who made the features that they learnt from.

    Runs that have ended are taken as they are, the rest is trained.

    Args:
        own: the runs on YMS; its CCLM-individual has ended, where `features` are to be made.
        features: folder of the features of its shards; by default made with CCLM-individual (YMS).

    Raises:
        ValueError: the features are of another set, or a run that has ended was trained on features of another encoder.
    """
    folder = features or features_of(own)
    parent = open_set(own.shards)
    made_of = open_derived(folder, parent, FEATURES).manifest.origin
    found: dict[str, Row] = {}
    for row in ROWS:
        asked = recipe(row, own, folder)
        if not (asked.folder / MODEL).is_dir():
            say(f"run: {asked.folder}")
            with part(f"run {asked.folder}"):
                train(asked, resume=(asked.folder / RECIPE).is_file())
        elif (asked.folder / RECIPE).is_file() and (changed := changes(asked.folder, asked)):
            say(f"taken as it is: {asked.folder} (its settings differ: {'; '.join(changed.values())})")
        model = NeuMATCH.from_pretrained(asked.folder / MODEL)
        scored = evaluate(model, own.shards, folder, languages=list(own.languages), settings=asked.trainer)
        found[row] = scored["model"]
    return found, made_of.producer.rpartition(" ")[0] if made_of else ""

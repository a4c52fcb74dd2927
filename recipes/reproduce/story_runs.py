"""The runs behind the paper's tables: what is finished is taken as it is, what is missing is trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ...datamodules.index import open_set
from ..runs import MODEL, RECIPE
from ..scoring import paper
from ..scoring.scores import RunScores, run_scores
from ..settings.story import StoryRecipe, load
from ..training.launch import part, say
from ..training.preflight import check_data, check_model
from ..training.run import changes, refuse_changes
from ..training.story import train
from ..training.strategies import for_language


@dataclass(frozen=True)
class Strategy:
    """One of the six training strategies (M-SyMoN, section 5.2).

    Attributes:
        name: of its recipe, ``story/<name>``, and of its row in the tables.
        each: whether it trains a model for each language.
        translated: whether it reads every text in English.
        first: the strategy whose model it trains further.
    """

    name: str
    each: bool = False
    translated: bool = False
    first: str | None = None

    def run(self, language: str) -> str:
        """The name of the run that serves a language."""
        return f"{self.name}-{language}" if self.each else self.name


STRATEGIES = {
    strategy.name: strategy
    for strategy in (
        Strategy("multilingual"),
        Strategy("individual", each=True),
        Strategy("translate", translated=True),
        Strategy("two_stage", each=True, first="translate"),
        Strategy("translate_supervision", translated=True, first="translate"),
        Strategy("two_stage_supervision", each=True, first="two_stage"),
    )
}

#: strategy, or ``neumatch`` -> overrides that its recipe gets before the user's own
Preset = Callable[[str], list[str]]


@dataclass(frozen=True)
class Runs:
    """Where runs lie, and how those that are missing are made.

    Attributes:
        shards: folder of the shard set.
        root: folder of the runs, by the names that the recipes give them.
        languages: codes, in the order of the tables.
        translations: derived set with every text in English; needed by the strategies that translate.
        model: what the first stages start from, if not what their recipes say.
        overrides: ``key=value`` for every recipe.
        preset: more of them, for each strategy.
    """

    shards: Path
    root: Path
    languages: tuple[str, ...]
    translations: Path | None = None
    model: str | None = None
    overrides: tuple[str, ...] = ()
    preset: Preset = field(default=lambda strategy: [])

    def recipe(self, strategy: str, language: str) -> StoryRecipe:
        """What trains the run that serves a language."""
        row = STRATEGIES[strategy]
        given = [f"data.shards={self.shards}", f"root={self.root}", f"data.languages=[{','.join(self.languages)}]"]
        if row.translated:
            given.append(f"data.translations={self._needed_translations(strategy)}")
        if row.first is not None:
            given.append(f"model.name={self.root / STRATEGIES[row.first].run('{language}')}")
        elif self.model is not None:
            given.append(f"model.name={self.model}")
        recipe = load(f"story/{strategy}", [*given, *self.preset(strategy), *self.overrides])
        return for_language(recipe, language) if row.each else recipe

    def folder(self, strategy: str, language: str) -> Path:
        """Where the run that serves a language lies, or is to lie."""
        return self.root / STRATEGIES[strategy].run(language)

    def needed(self, strategies: Iterable[str], languages: Iterable[str] | None = None) -> list[tuple[str, str]]:
        """(strategy, language) of every run, first stages first; one that is finished needs no first stage.

        Args:
            languages: which the runs serve; by default all.
        """
        served = self.languages if languages is None else tuple(languages)
        steps: dict[Path, tuple[str, str]] = {}

        def add(strategy: str, language: str) -> None:
            folder, first = self.folder(strategy, language), STRATEGIES[strategy].first
            if folder in steps:
                return
            if first is not None and not self.finished(strategy, language):
                add(first, language)
            steps[folder] = strategy, language

        for strategy in strategies:
            for language in served:
                add(strategy, language)
        return list(steps.values())

    def missing(self, strategies: Iterable[str], languages: Iterable[str] | None = None) -> list[tuple[str, str]]:
        """Those of `needed` that are to be trained."""
        return [step for step in self.needed(strategies, languages) if not self.finished(*step)]

    def finished(self, strategy: str, language: str) -> bool:
        """Whether the run that serves a language has ended."""
        return (self.folder(strategy, language) / MODEL).is_dir()

    def changed(self, strategy: str, language: str) -> list[str]:
        """Which settings of a finished run are others than it would be trained with: ``key was a and is b``.

        None of a run without a recipe, such as converted weights that were put there.
        """
        folder = self.folder(strategy, language)
        if not (folder / RECIPE).is_file():
            return []
        asked = self
        if STRATEGIES[strategy].translated and self.translations is None:  # it is taken, so none are needed
            before = load(str(folder / RECIPE)).data.translations
            asked = dataclasses.replace(self, translations=None if before is None else Path(before))
        return list(changes(folder, asked.recipe(strategy, language)).values())

    def plan(self, strategies: Iterable[str], languages: Iterable[str] | None = None) -> list[StoryRecipe]:
        """The recipes that `train` would train, first stages first; arguments and errors are those of `train`."""
        plan = [self.recipe(*step) for step in self.missing(strategies, languages)]
        made = {str(recipe.folder) for recipe in plan}
        for recipe in plan:
            if (recipe.folder / RECIPE).is_file():
                refuse_changes(recipe)
            if recipe.model.name not in made:
                check_model(recipe)
            check_data(recipe)
        return plan

    def train(self, strategies: Iterable[str], languages: Iterable[str] | None = None) -> None:
        """Train what is missing of the strategies and of their first stages; every fault is found before the first.

        A finished run is taken as it is; where its settings are others than it would be trained with, that is said.

        Args:
            strategies: names.
            languages: which the runs serve; by default all.

        Raises:
            ValueError, FileNotFoundError: as `preflight.check` does, and where translations are needed and not given.
        """
        strategies = list(strategies)
        for step in self.needed(strategies, languages):
            if self.finished(*step) and (changed := self.changed(*step)):
                say(f"taken as it is: {self.folder(*step)} (its settings differ: {'; '.join(changed)})")
        plan = self.plan(strategies, languages)
        for place, recipe in enumerate(plan, start=1):
            say(f"run {place} of {len(plan)}: {recipe.folder}")
            with part(f"run {recipe.folder}"):
                train(recipe, resume=(recipe.folder / RECIPE).is_file())

    def scores(
        self, strategy: str, language: str, *, source: str | None = None, shards: Path | None = None
    ) -> RunScores:
        """What a strategy scores on the test videos of a language.

        Args:
            source: the language whose run is asked, if it is another.
            shards: another set to score on, in its own words.
        """
        row = STRATEGIES[strategy]
        return run_scores(
            self.folder(strategy, source or language),
            shards or self.shards,
            language,
            translations=self._needed_translations(strategy) if row.translated and shards is None else None,
        )

    def _needed_translations(self, strategy: str) -> Path:
        if self.translations is None:
            raise ValueError(
                f"{paper.STRATEGIES[strategy]} reads every text in English: --translations names the folder that "
                f"weaksync data translate {self.shards} --to en --out FOLDER makes"
            )
        return self.translations


def languages_in(shards: Path, wanted: Iterable[str] = ()) -> tuple[str, ...]:
    """The languages of a set, or those `wanted`, in the order of the paper.  Raises ValueError for any it lacks."""
    manifest = open_set(shards).manifest
    names = list(wanted)
    manifest.check_languages(names, shards)
    return paper.in_order(names or manifest.languages)


def on_yms(runs: Runs, yms: Path) -> Runs:
    """The runs of one that trains on the annotated pairs of YMS instead: CCLM-individual (YMS) of Table 5."""
    return dataclasses.replace(
        runs,
        shards=yms,
        root=runs.root / "yms",
        languages=("en",),
        overrides=("data.pairs=annotated", *runs.overrides),
    )

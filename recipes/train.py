"""`weaksync train`: a recipe to a run: checkpoints, metrics, and a model folder that `zoo.load` takes."""

from __future__ import annotations

from pathlib import Path

import click

from .settings import config as recipes
from .settings.config import Settings
from .settings.story import StoryRecipe
from .training import module_of


def train(recipe: Settings, *, resume: bool = False, force: bool = False) -> Path:
    """Run a recipe of any task.

    Args:
        recipe: of `config.load`.
        resume: go on from the newest good checkpoint of the run; a run that has ended is left as it is.
        force: replace a run of that name.

    Returns:
        The run's folder, with ``recipe.yaml``, ``checkpoints/``, ``metrics.csv``, ``training.png``, ``tensorboard/``
        and ``model/``.

    Raises:
        FileNotFoundError: there is no run to resume.
        ValueError: a run of that name is there, and neither `resume` nor `force` is set; or the recipe, the shards
            and the model do not fit each other.
    """
    folder: Path = module_of(recipe).train(recipe, resume=resume, force=force)
    return folder


@click.command()
@click.argument("recipe")
@click.argument("overrides", nargs=-1)
@click.option("--resume", is_flag=True, help="Go on from the newest good checkpoint; a run that has ended stays.")
@click.option("--force", is_flag=True, help="Replace a run of that name.")
@click.option("--each-language", is_flag=True, help="A run for each language, NAME-LANGUAGE; prints what they score.")
def command(recipe: str, overrides: tuple[str, ...], resume: bool, force: bool, each_language: bool) -> None:
    """Train RECIPE (a name of `weaksync ls` or a YAML file), with OVERRIDES such as optim.lr=1e-4."""
    if resume and force:
        raise click.UsageError("--resume and --force exclude each other")
    read = recipes.load(recipe, list(overrides))
    if not each_language:
        train(read, resume=resume, force=force)
        return
    if not isinstance(read, StoryRecipe):
        raise click.UsageError(f"--each-language is for dual encoders; data.languages chooses those of {recipe}")
    from .training.launch import is_rank_zero, resumed_by  # imports torch
    from .training.strategies import show, train_per_language

    with resumed_by(f"the same command with --resume{' instead of --force' if force else ''}"):
        scores = train_per_language(read, resume=resume, force=force)
    if is_rank_zero():
        show(read, scores)

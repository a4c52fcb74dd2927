"""`weaksync validate`: a recipe checked as a whole, before anything heavy starts."""

from __future__ import annotations

import click

from . import config
from .schema import ConfigError


@click.command()
@click.argument("recipe")
@click.argument("overrides", nargs=-1)
@click.option("--files", is_flag=True, help="Also look at shards, first stage and vocabulary, as train does.")
def command(recipe: str, overrides: tuple[str, ...], files: bool) -> None:
    """Check RECIPE (a name or a YAML file) with OVERRIDES such as optim.lr=1e-4; print it resolved.

    With --files this is all of `weaksync train` that comes before the training.
    """
    checked = config.load_any(recipe, list(overrides))
    if files:
        from .preflight import faults  # imports torch

        if found := faults(checked):
            raise ConfigError(found, recipe)
    click.echo(config.dump(checked), nl=False)

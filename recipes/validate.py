"""`weaksync validate`: a recipe checked as a whole, before anything heavy starts."""

from __future__ import annotations

import click

from . import config


@click.command()
@click.argument("recipe")
@click.argument("overrides", nargs=-1)
def command(recipe: str, overrides: tuple[str, ...]) -> None:
    """Check RECIPE (a name or a YAML file) with OVERRIDES such as optim.lr=1e-4; print it resolved."""
    checked = config.load_any(recipe, list(overrides))
    click.echo(config.dump(checked), nl=False)

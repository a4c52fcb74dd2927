"""`weaksync validate`: a recipe checked as a whole, before anything heavy starts."""

from __future__ import annotations

import click

from .settings import config
from .settings.matching import MatchingRecipe
from .settings.schema import ConfigError
from .settings.stages import setting_faults


@click.command()
@click.argument("recipe")
@click.argument("overrides", nargs=-1)
@click.option("--files", is_flag=True, help="Also look at the data, and make the model, as train does.")
def command(recipe: str, overrides: tuple[str, ...], files: bool) -> None:
    """Check RECIPE (a name or a YAML file) with OVERRIDES such as optim.lr=1e-4; print it resolved.

    Of a matcher the settings of every stage are checked too.  With --files this is all of `weaksync train` that comes
    before the training; of a matcher, all that comes before its first stage.
    """
    checked = config.load(recipe, list(overrides))
    found = []
    if files:
        from .training.preflight import faults  # imports torch

        found = faults(checked)
    elif isinstance(checked, MatchingRecipe):
        found = setting_faults(checked)
    if found:
        raise ConfigError(found, recipe)
    click.echo(config.dump(checked), nl=False)

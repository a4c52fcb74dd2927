"""`weaksync cp`: a packaged recipe as a file of one's own."""

from __future__ import annotations

from pathlib import Path

import click

from .console import out
from .settings import config


@click.command()
@click.argument("recipe")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def command(recipe: str, path: Path, force: bool) -> None:
    """Copy RECIPE (see `weaksync ls`) to PATH, a file or a folder."""
    source = config.locate(recipe)
    target = path / source.name if path.is_dir() else path
    if target.suffix not in (".yaml", ".yml"):
        raise ValueError(f"{target} should end in .yaml, so that `weaksync train {target}.yaml` finds it")
    if target.exists() and not force:
        raise FileExistsError(f"{target} is there already; --force replaces it")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    out.print(f"copied {recipe} to {target}", highlight=False)

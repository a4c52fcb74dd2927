"""`weaksync convert`: a published weights file to a checkpoint folder."""

from __future__ import annotations

from pathlib import Path

import click

from ..zoo.converters import SOURCES, convert


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--from", "source", type=click.Choice(list(SOURCES)), required=True, help="Its published layout.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Checkpoint folder to write.")
def command(file: Path, source: str, out: Path) -> None:
    """Turn the published weights FILE into a checkpoint folder that `zoo.load` reads."""
    click.echo(f"wrote {convert(file, source, out)}")

"""`weaksync convert`: published weights to a checkpoint folder."""

from __future__ import annotations

from pathlib import Path

import click

from ..zoo.converters import SOURCES, convert


@click.command()
@click.argument("file")
@click.option("--from", "source", type=click.Choice(list(SOURCES)), required=True, help="Its published layout.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Checkpoint folder to write.")
@click.option("--tokenizer", metavar="DIR|ID", help="Its tokenizer: a folder or hub id; else its own.")
@click.option("--resolution", type=int, metavar="PIXELS", help="cclm: 384 makes a model of 384 pixels of a 224 file.")
def command(file: str, source: str, out: Path, tokenizer: str | None, resolution: int | None) -> None:
    """Turn published weights into a checkpoint folder that `zoo.load` reads.

    FILE is a weights file; for siglip2, clip and open_clip it may be a folder, or hf://org/repo.
    """
    given = {"tokenizer": tokenizer, "resolution": resolution}
    convert(file, source, out, **{name: value for name, value in given.items() if value is not None})
    click.echo(f"wrote {out}")

"""`weaksync shots`: cut a video into shots, by TransNetV2 or by how much the picture changes."""

from __future__ import annotations

from pathlib import Path

import click

from .building.shots import METHODS, Method, choose, shots
from .console import err, print_table, progress, tracker


@click.command()
@click.argument("video", type=click.Path(path_type=Path))
@click.option(
    "--shots", "method", type=click.Choice(METHODS), default="auto", show_default=True, help="How to find them."
)
@click.option("--weights", type=click.Path(path_type=Path), help="TransNetV2 weights, if not those of the package.")
@click.option("--json", "as_json", is_flag=True, help="Print a list of [start, end] in seconds.")
def command(video: Path, method: Method, weights: Path | None, as_json: bool) -> None:
    """Cut VIDEO into shots and print them as [start, end) seconds."""
    err.print(choose(method, weights).reason, highlight=False)
    with progress("frames") as bar:
        found = shots(video, method=method, weights=weights, track=tracker(bar, cutting="windows"))
    if as_json:
        click.echo("[" + ",\n ".join(f"[{start:.3f}, {end:.3f}]" for start, end in found) + "]")
        return
    rows = [(number, start, end, end - start) for number, (start, end) in enumerate(found)]
    print_table(f"{video.name}: {len(found)} shots", ["shot", "start (s)", "end (s)", "length (s)"], rows)

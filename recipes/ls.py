"""`weaksync ls`: what there is to run and to load."""

from __future__ import annotations

import dataclasses
import json

import click

from ..zoo.registry import list_models, list_weights
from .console import print_table
from .settings import config


@click.command()
@click.argument("what", type=click.Choice(["all", "recipes", "models", "weights"]), default="all")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(what: str, as_json: bool) -> None:
    """List recipes, models and weights, or one of the three."""
    recipes = [(name, config.header(config.locate(name))[0]) for name in config.names()]
    if as_json:
        listing = {
            "recipes": [{"name": name, "description": words} for name, words in recipes],
            "models": [dataclasses.asdict(row) for row in list_models()],
            "weights": [dataclasses.asdict(row) for row in list_weights()],
        }
        click.echo(json.dumps(listing if what == "all" else listing[what], indent=2, ensure_ascii=False))
        return
    if what in ("all", "recipes"):
        print_table("Recipes: weaksync train NAME", ["name", "what it is"], recipes)
    if what in ("all", "models"):
        rows = [(row.name, f"{row.parameters / 1e6:.1f} M", row.description) for row in list_models()]
        print_table("Models: zoo.create(NAME)", ["name", "parameters", "what it is"], rows)
    if what in ("all", "weights"):
        weights = [(row.name, row.licence or "see the source", f"{row.source}: {row.how}") for row in list_weights()]
        print_table("Weights", ["name", "licence", "where from, and how"], weights)

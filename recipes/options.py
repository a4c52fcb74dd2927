"""What groups and verbs of the command line share beyond single options."""

from __future__ import annotations

from typing import Literal, get_args

import click
from click.core import ParameterSource

Device = Literal["auto", "cpu", "cuda", "mps"]
DEVICES = click.Choice(get_args(Device))


class OrderedGroup(click.Group):
    """Lists its verbs in the order in which they were added, such as that of the paper's tables."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


def refuse_options(context: click.Context, *options: str, why: str) -> None:
    """Raises UsageError where one of the options was given."""
    given = [f"--{name}" for name in options if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if given:
        raise click.UsageError(f"leave out {' and '.join(given)}: {why}")


def chosen_device(asked: Device) -> str:
    """Where to compute: as asked; ``auto`` is a GPU where there is one.  Raises ValueError where there is none such."""
    import torch  # slow to import, and --help needs none of it

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if asked == "auto":
        return next(device for device, found in there.items() if found)
    if not there[asked]:
        raise ValueError(f"there is no {asked} device here: leave --device out, or give cpu")
    return asked

"""What groups and verbs of the command line share beyond single options."""

from __future__ import annotations

import click
from click.core import ParameterSource


class InOrder(click.Group):
    """Lists its verbs in the order in which they were added, such as that of the paper's tables."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


def leave_out(context: click.Context, *options: str, why: str) -> None:
    """Raises UsageError where one of the options was given."""
    given = [f"--{name}" for name in options if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if given:
        raise click.UsageError(f"leave out {' and '.join(given)}: {why}")

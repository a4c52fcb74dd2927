"""The `weaksync` command: a table of verbs, each in a file of its own that is imported when it is called."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from typing import Any, TextIO

import click

from ..zoo.registry import did_you_mean

#: verb -> (module of this package, what it does); the listing needs the words alone, so nothing heavy is imported.
VERBS = {
    "ls": ("ls", "List recipes, models and weights."),
    "cp": ("cp", "Copy a recipe, to make it your own."),
    "validate": ("validate", "Check a recipe; report every fault at once."),
    "train": ("train", "Train a model from a recipe."),
    "submit": ("submit", "Send a training run to a SLURM cluster."),
    "eval": ("evaluate", "Score a trained model beside the baselines and the oracle."),
    "cross": ("cross_lingual", "Score the model of every language in every language."),
    "align": ("align", "Align one video with its text: JSON, SRT and an HTML report."),
    "match": ("match", "Find the subtitle that is said in a clip: JSON and an HTML report that plays it."),
    "regenerate": ("regenerate", "Give a clip another subtitle that fits: SRT and a dubbed video."),
    "index": ("index", "Index a pool of subtitles for matching."),
    "data": ("data", "Make, check and count data sets."),
    "convert": ("convert", "Turn a published weights file into a checkpoint folder."),
    "shots": ("shots", "Cut a video into shots."),
    "bench": ("bench", "Measure speed beside a bare loop, in the same run."),
    "reproduce": ("reproduce", "Print the paper's tables with your own figures beside."),
    "doctor": ("doctor", "Say what this machine has and what is missing."),
}
USER_FAULT = 2


class LazyGroup(click.Group):
    """Verbs that are listed by name and imported when called, with a did-you-mean for the rest."""

    def __init__(self, verbs: dict[str, tuple[str, str]], **options: Any) -> None:
        super().__init__(**options)
        self.verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.verbs:
            return None
        module, _ = self.verbs[cmd_name]
        command = importlib.import_module(f".{module}", __package__).command
        command.name = cmd_name
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, words) for verb, (_, words) in self.verbs.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in self.verbs:
            ctx.fail(f"no verb {args[0]!r}{did_you_mean(args[0], self.verbs)}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    verbs=VERBS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 the run failed, 2 the input is at fault. WEAKSYNC_DEBUG=1 shows a trace.",
)
@click.version_option(package_name="weaksync")
def weaksync() -> None:
    """A Lightning model zoo for weakly synchronised video and text."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.  Exit codes: 0 done, 1 our fault or a failed run, 2 the user's (said in one line)."""
    warnings.showwarning = _warn
    try:
        weaksync.main(args=arguments, prog_name="weaksync", standalone_mode=False)
    except click.ClickException as fault:
        fault.show()
        sys.exit(fault.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    except BrokenPipeError:
        # the reader of our output has gone (`weaksync ls | head`): nothing is lost that anybody wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (ValueError, OSError, ImportError) as fault:
        if os.environ.get("WEAKSYNC_DEBUG"):
            raise
        click.echo(f"weaksync: {fault}", err=True)
        sys.exit(USER_FAULT)


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning as one line of words: whoever runs a command has no use for the line of code that gave it."""
    click.echo(f"warning: {message}", err=True)


if __name__ == "__main__":
    main()

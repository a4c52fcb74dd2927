"""What the documents say to type: every command is taken by the command line, and Python that needs no file runs."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path

import click
import pytest

from weaksync.recipes.cli import weaksync
from weaksync.recipes.settings import config

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "recipes/README.md", "kernels/README.md")]
RECIPES = sorted((ROOT / "recipes" / "configs").rglob("*.yaml"))


def typed(document: Path) -> list[str]:
    """The commands of a document: lines of a console, lines of a recipe's header, and code within a sentence."""
    text = document.read_text(encoding="utf-8")
    if document.suffix == ".yaml":
        header = text[: re.search(r"^[^#\n]", text, re.MULTILINE).start()]  # type: ignore[union-attr]
        text = re.sub(r"^# ?", "", header, flags=re.MULTILINE)
    blocks = re.findall(r"^ *(?:\$ |  )((?:torchrun .*)?weaksync .*(?:(?<=\\)\n.*)*)", text, re.MULTILINE)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return blocks + re.findall(r"`((?:torchrun [^`]*)?weaksync [^`]+)`", prose)


def parts(command: str) -> list[list[str]]:
    """The arguments after each `weaksync` of a line."""
    words = shlex.split(command.replace("\\\n", " ").replace("\n", " "), comments=True)
    lines: list[list[str]] = []
    for word in words:
        if word == "weaksync":
            lines.append([])
        elif lines and word != "&&":
            lines[-1].append(word)
    return lines


def fault(words: list[str]) -> str | None:
    """Why the command line would refuse these words, as far as that can be told without the files they name."""
    command, rest = weaksync, list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        for name in rest[0].split("|"):  # `table1|table2` stands for either
            found = command.get_command(click.Context(command), name)
            if found is None:
                return f"no verb {name!r} below {command.name!r}"
        command, rest = found, rest[1:]
    options = {name for option in command.params for name in option.opts} | {"--help"}
    unknown = [word for word in rest if word.startswith("--") and word not in options]
    if unknown:
        return f"{command.name} has no {unknown[0]}"
    if rest and rest[0] in config.names():
        try:
            config.load(
                rest[0], [word for before, word in pairwise(rest) if "=" in word and not before.startswith("--")]
            )
        except ValueError as error:
            return str(error)
    return None


@pytest.mark.parametrize("document", [*DOCUMENTS, *RECIPES], ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_is_taken(document: Path) -> None:
    faults = [f"{command}: {why}" for command in typed(document) for words in parts(command) if (why := fault(words))]
    assert not faults, "\n".join(faults)
    assert document.suffix != ".yaml" or typed(document), "a recipe says how it is run"


@pytest.mark.parametrize(
    "words", ["trian story/weak", "train story/weak optim.lrr=1", "eval runs/a --agains runs/b", "data build stories"]
)
def test_what_is_misspelt_is_seen(words: str) -> None:
    assert fault(words.split())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_that_needs_no_file_runs(document: Path) -> None:
    for block in re.findall(r"^```python\n(.*?)^```", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        code = compile(block, str(document), "exec")
        if "runs/" not in block:
            exec(code, {})

"""The house itself: which room may import which, and whether every package is on the map."""

from __future__ import annotations

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("kernels", "datamodules", "zoo", "recipes")
#: room -> rooms, or modules of rooms, that it may import
MAY_IMPORT = {
    "kernels": set(),
    "datamodules": set(),
    "zoo": {"kernels", "datamodules.batches"},
    "recipes": {"kernels", "datamodules", "zoo"},
}


def imports(path: Path) -> set[str]:
    """Modules below `weaksync.` that a file names in any import statement, wherever it stands."""
    package = list(path.relative_to(ROOT).with_suffix("").parts[:-1])
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            if node.level and len(package) < node.level:  # from ..zoo import x: up to the namespace
                stem = node.module or ""
            names = [f"{stem}.{alias.name}" for alias in node.names] if stem else [alias.name for alias in node.names]
            if not node.level and not stem.startswith("weaksync"):
                continue
        else:
            continue
        found |= {name.removeprefix("weaksync.") for name in names}
    return {name for name in found if name.split(".")[0] in ROOMS}


@pytest.mark.parametrize("room", ROOMS)
def test_no_arrow_runs_back_up(room: str) -> None:
    faults = []
    for path in sorted((ROOT / room).rglob("*.py")):
        for name in imports(path):
            allowed = MAY_IMPORT[room] | {room}
            if not any(name == door or name.startswith(f"{door}.") for door in allowed):
                faults.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not faults, "\n".join(faults)


def test_the_floor_check_sees_every_form_of_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    file = tmp_path / "zoo" / "models" / "some.py"
    file.parent.mkdir(parents=True)
    file.write_text(
        "import weaksync.recipes.cli\nfrom weaksync.recipes import cli\nfrom ...recipes import align\n"
        "from ...datamodules.batches import PairBatch\nfrom ..losses import InfoNCE\nfrom ... import kernels\n"
        "def f():\n    from ...datamodules.story import StoryDataModule\n"
    )
    assert imports(file) == {
        "recipes.cli",
        "recipes.align",
        "datamodules.batches.PairBatch",
        "zoo.losses.InfoNCE",
        "kernels",
        "datamodules.story.StoryDataModule",
    }


def test_every_package_is_on_the_map() -> None:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    listed = set(parser["options"]["packages"].split())
    found = {
        "weaksync." + ".".join(path.parent.relative_to(ROOT).parts)
        for room in ROOMS
        for path in (ROOT / room).rglob("__init__.py")
    }
    assert listed == found


def test_each_room_is_typed() -> None:
    assert all((ROOT / room / "py.typed").is_file() for room in ROOMS)


@pytest.mark.parametrize("arguments", [["--help"], ["ls"], ["ls", "--json"], ["validate", "story/quickstart"]])
def test_listing_and_checking_do_not_import_torch(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom weaksync.recipes.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'torch', 'lightning', 'transformers', 'timm', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr

"""Hold a wheel's contents to the tree: every module and data file of the four rooms is in it, and nothing else."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("kernels", "datamodules", "zoo", "recipes")
SHIPPED = {".py", ".typed", ".yaml", ".json", ".html", ".css", ".js", ".cpp", ".h"}
#: built into the wheel where there is a compiler; its name goes on with the Python it was built for
LIBRARY = "weaksync/kernels/cpu/_recurrences."


def expected() -> set[str]:
    """What the wheel should hold below `weaksync/`."""
    files = (path for room in ROOMS for path in (ROOT / room).rglob("*"))
    return {f"weaksync/{path.relative_to(ROOT)}" for path in files if path.suffix in SHIPPED}


def main(wheel: str) -> int:
    """Print what is missing and what is too much; 0 where nothing is."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
    library = [name for name in names if name.startswith(LIBRARY)]
    held = set(names) - set(library)
    missing, surplus = sorted(expected() - held), sorted(held - expected())
    for name in missing:
        print(f"missing from the wheel: {name} (list its package in setup.cfg)")
    for name in surplus:
        print(f"in the wheel and not in the tree: {name} (a stale build/?)")
    if not library:
        print("missing from the wheel: the CPU kernels (no compiler? the build's output says why)")
    print(f"{wheel}: {len(names)} files, {len(missing)} missing, {len(surplus)} too many")
    return 1 if missing or surplus or not library else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

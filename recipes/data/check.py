"""`weaksync data check`: read every byte of a shard set and name what is wrong with it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from ...datamodules.derived import mismatch
from ...datamodules.manifest import CLIPS, MANIFEST, Manifest, Origin
from ...datamodules.tarscan import Fault
from ...datamodules.verify import set_bytes, verify
from ..cli import USER_FAULT
from ..console import BYTES, print_table, progress


def check(folder: Path) -> list[Fault]:
    """Every fault of a shard set, with a progress bar.  Raises FileNotFoundError where there is no set."""
    try:
        total = set_bytes(folder)
    except ValueError:  # a damaged manifest, which `verify` reports as a fault
        total = 0
    with progress(BYTES) as bar:
        task = bar.add_task("reading", total=total)
        return verify(folder, lambda count: bar.advance(task, count)) or parent_faults(folder)


def parent_faults(folder: Path) -> list[Fault]:
    """Where the parent of a derived set lies where it lay, and is not what it was: that, as a fault."""
    origin = Manifest.read(folder).origin
    if origin is None or not (Path(origin.parent) / MANIFEST).is_file():
        return []
    difference = mismatch(origin, Manifest.read(Path(origin.parent)))
    reason = f"the set was made of {origin.parent}, which is another now: {difference}"
    return [Fault(MANIFEST, "", "", reason)] if difference else []


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the faults, and what the set holds, as JSON.")
def command(folder: Path, as_json: bool) -> None:
    """Verify the shard set in FOLDER against its manifest and its indexes.

    Exit code 0 where all is well, 2 where anything is wrong: a cut or changed shard, a missing or damaged member,
    a clip that its video does not have, a shard too many or too few; of a derived set, such as translations, also a
    parent that has changed since.
    """
    faults = check(folder)
    if as_json:
        report = {"ok": not faults, "faults": [asdict(fault) for fault in faults], **_counts(folder, faults)}
        json.dump(report, sys.stdout, ensure_ascii=False, indent=2)
        sys.stdout.write("\n")
    elif faults:
        rows = [(fault.shard, fault.key, fault.member, fault.reason) for fault in faults]
        print_table(
            f"{len(faults)} fault{'s'[: len(faults) != 1]} in {folder}",
            ["shard", "key", "member", "what is wrong"],
            rows,
        )
    else:
        manifest = Manifest.read(folder)
        kind = f", {words(manifest.origin)}" if manifest.origin else ""
        title = f"{folder}: ok, {len(manifest.shards)} shards{kind}"
        if manifest.settings.get("kind") == CLIPS:  # each is a video of its own
            spoken = [(split, count.videos, count.sentences) for split, count in manifest.counts.items()]
            print_table(title, ["split", "clips", "sentences"], spoken)
            return
        held = [(split, count.videos, count.clips, count.sentences) for split, count in manifest.counts.items()]
        print_table(title, ["split", "videos", "clips", "sentences"], held)
    if faults:
        sys.exit(USER_FAULT)


def words(origin: Origin) -> str:
    """What a derived set is, for people."""
    return f"{origin.kind} of {origin.parent} by {origin.producer}"


def _counts(folder: Path, faults: list[Fault]) -> dict[str, object]:
    if faults:
        return {}
    manifest = Manifest.read(folder)
    return {
        "shards": len(manifest.shards),
        "frames": manifest.frames,
        "splits": {split: asdict(held) for split, held in manifest.counts.items()},
        "languages": manifest.languages,
        **({"origin": asdict(manifest.origin)} if manifest.origin else {}),
    }

"""Compiles every Triton kernel for GPUs that are not there, and reads registers, spills and instructions per row.

    python tests/kernels/triton_static.py            prints the table
    python tests/kernels/triton_static.py --write    writes it to tests/kernels/triton_baseline.json

Runs without TRITON_INTERPRET, in a process of its own.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from weaksync.kernels.triton.launch import UNSPILLED

BASELINE = Path(__file__).with_name("triton_baseline.json")
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
TARGETS = {
    "sm_80": GPUTarget("cuda", 80, 32),
    "sm_90": GPUTarget("cuda", 90, 32),
    "sm_100": GPUTarget("cuda", 100, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}
#: 256 columns: eight on each of 32 lanes, or four on each of 64
FLAGS = {"BAND": False, "NARROW": False, "MOVING": False, "CHUNKED": False}
EVERY = {"EVERY": 8}
DSTA = {"BAND": False, "NARROW": False, "WINDOWED": False, "MARGIN": 1}


DROP = FLAGS | {"DROP_TEXT": True, "CONTIGUOUS": True}


@dataclass(frozen=True)
class Case:
    """One kernel with its compile-time arguments."""

    name: str
    module: str
    kernel: str
    constants: dict[str, Any] = field(default_factory=dict)
    columns: int = 256
    warps: int = 1
    targets: tuple[str, ...] = tuple(TARGETS)


CASES = [
    Case("soft-DTW value", "soft_dtw", "forward", FLAGS | EVERY | {"STORE": False}),
    Case("soft-DTW forward", "soft_dtw", "forward", FLAGS | EVERY | {"STORE": True}),
    Case("soft-DTW backward", "soft_dtw", "backward", FLAGS),
    Case("soft-DSTA forward", "soft_dsta", "forward", DSTA | EVERY | {"STORE": True}),
    Case("soft-DSTA backward", "soft_dsta", "backward", DSTA | EVERY),
    Case("soft-DSTA window forward", "soft_dsta", "forward", DSTA | EVERY | {"STORE": True, "WINDOWED": True}),
    Case("soft-DSTA window backward", "soft_dsta", "backward", DSTA | EVERY | {"WINDOWED": True}),
    Case("soft Drop-DTW forward", "soft_drop_dtw", "forward", DROP | EVERY | {"STORE": True}),
    Case("soft Drop-DTW backward", "soft_drop_dtw", "backward", DROP | EVERY),
    Case("soft Drop-DTW gaps backward", "soft_drop_dtw", "backward", DROP | EVERY | {"CONTIGUOUS": False}),
    Case("DTW value", "dtw", "forward", FLAGS | {"STORE": False}),
    Case("DTW path", "dtw", "forward", FLAGS | {"STORE": True}),
    Case("DTW trace", "dtw", "trace", {"NARROW": False, "BLOCK": 256}),
    Case("DSTA labels", "dsta", "forward", DSTA | {"STORE": True}),
    Case("DSTA window labels", "dsta", "forward", DSTA | {"STORE": True, "WINDOWED": True}),
    Case("DSTA trace", "dsta", "trace", DSTA | {"WINDOWED": True, "BLOCK": 256}),
    Case("Drop-DTW labels", "drop_dtw", "forward", DROP | {"STORE": True}),
    Case("Drop-DTW trace", "drop_dtw", "trace", {"CONTIGUOUS": True, "NARROW": False, "BLOCK": 256}),
    Case("spoiled pairs", "rows", "find_spoiled", {"ROWS": 64, "BLOCK": 1024}, warps=4),
]
#: bands that programs move along, rows of several blocks, with a band and without, and the widest rows of one program
STORED = EVERY | {"STORE": True}
MOVING = FLAGS | {"BAND": True, "NARROW": True, "MOVING": True, "CHUNKED": True}
LONG = FLAGS | {"CHUNKED": True}
LONG_BAND = LONG | {"BAND": True, "NARROW": True}
DSTA_MOVING = DSTA | {"BAND": True, "NARROW": True}
LONG_DROP, LONG_BAND_DROP, MOVING_DROP = DROP | LONG, DROP | LONG_BAND, DROP | MOVING
WINDOW = DSTA | {"WINDOWED": True}
WINDOW_MOVING = WINDOW | DSTA_MOVING | {"WINDOWED": True}
SOFT, HARD, STORED_ROWS = {"SOFT": True}, {"SOFT": False}, {"STORE": True}
TWO = ("sm_90", "gfx942")
CASES += [
    Case("soft-DTW band forward", "soft_dtw", "forward", MOVING | STORED, targets=TWO),
    Case("soft-DTW band backward", "soft_dtw", "backward", MOVING, targets=TWO),
    Case("soft-DTW long forward", "soft_dtw", "forward", LONG | STORED, 1024, 4, TWO),
    Case("soft-DTW long backward", "soft_dtw", "backward", LONG, 1024, 4, TWO),
    Case("soft-DTW long band forward", "soft_dtw", "forward", LONG_BAND | STORED, 1024, 4, TWO),
    Case("soft-DTW long band backward", "soft_dtw", "backward", LONG_BAND, 1024, 4, TWO),
    Case("soft-DSTA band forward", "soft_dsta", "forward", DSTA_MOVING | STORED, targets=TWO),
    Case("soft-DSTA band backward", "soft_dsta", "backward", DSTA_MOVING | EVERY, targets=TWO),
    Case("soft-DSTA 2048 window forward", "soft_dsta", "forward", WINDOW | STORED, 2048, 8, TWO),
    Case("soft-DSTA 2048 window backward", "soft_dsta", "backward", WINDOW | EVERY, 2048, 8, TWO),
    Case("soft-DSTA long forward", "long_dsta", "forward", DSTA | SOFT | STORED_ROWS, 512, 4, TWO),
    Case("soft-DSTA long backward", "long_dsta", "backward", DSTA, 512, 4, TWO),
    Case("soft-DSTA long window forward", "long_dsta", "forward", WINDOW | SOFT | STORED_ROWS, 512, 4, TWO),
    Case("soft-DSTA long window backward", "long_dsta", "backward", WINDOW, 512, 4, TWO),
    Case("DSTA long labels", "long_dsta", "forward", DSTA | HARD | STORED_ROWS, 512, 4, TWO),
    Case("DSTA window band labels", "long_dsta", "forward", WINDOW_MOVING | HARD | STORED_ROWS, 128, 1, TWO),
    Case("soft Drop-DTW long forward", "soft_drop_dtw", "forward", LONG_DROP | STORED, 1024, 4, TWO),
    Case("soft Drop-DTW long backward", "soft_drop_dtw", "backward", LONG_DROP | EVERY, 1024, 4, TWO),
    Case("soft Drop-DTW long band forward", "soft_drop_dtw", "forward", LONG_BAND_DROP | STORED, 1024, 4, TWO),
    Case("soft Drop-DTW long band backward", "soft_drop_dtw", "backward", LONG_BAND_DROP | EVERY, 1024, 4, TWO),
    Case("soft Drop-DTW band forward", "soft_drop_dtw", "forward", MOVING_DROP | STORED, targets=TWO),
    Case("soft Drop-DTW band backward", "soft_drop_dtw", "backward", MOVING_DROP | EVERY, targets=TWO),
    Case("DTW band path", "dtw", "forward", MOVING | {"STORE": True}, targets=TWO),
    Case("DTW long path", "dtw", "forward", LONG | {"STORE": True}, 1024, 4, TWO),
    Case("DTW long band path", "dtw", "forward", LONG_BAND | {"STORE": True}, 1024, 4, TWO),
    Case("DSTA band labels", "dsta", "forward", DSTA_MOVING | {"STORE": True}, targets=TWO),
    Case("Drop-DTW band labels", "drop_dtw", "forward", MOVING_DROP | {"STORE": True}, targets=TWO),
    Case("Drop-DTW long labels", "drop_dtw", "forward", LONG_DROP | {"STORE": True}, 1024, 4, TWO),
    Case("Drop-DTW long band labels", "drop_dtw", "forward", LONG_BAND_DROP | {"STORE": True}, 1024, 4, TWO),
]


def compiled(case: Case, target: str) -> Any:
    module = importlib.import_module(f"weaksync.kernels.triton.{case.module}")
    function = getattr(module, case.kernel)
    goal = TARGETS[target]
    constants = dict(case.constants)
    if "Q" in function.arg_names:
        lanes = case.warps * goal.warp_size
        constants["Q"] = tuple(range(max(case.columns // lanes, 4)))
        if "L" in function.arg_names:
            constants["L"] = lanes
    signature: dict[str, str] = {}
    attributes: dict[tuple[int, ...], list[list[Any]]] = {}
    for place, name in enumerate(function.arg_names):
        if name in constants:
            signature[name] = "constexpr"
            continue
        signature[name] = argument_type(name)
        if signature[name].startswith("*"):
            attributes[(place,)] = [["tt.divisibility", 16]]
    source = ASTSource(fn=function, signature=signature, constexprs=constants, attrs=attributes)
    in_layout = "Q" in constants and case.warps > 1
    unspilled = UNSPILLED if in_layout and goal.backend == "cuda" else {}
    return triton.compile(source, target=goal, options={"num_warps": case.warps, "num_stages": 1} | unspilled)


#: what is no pointer to float32
TYPES = {
    "steps": "*i64",
    "texts": "*i64",
    "windows": "*i64",
    "spoiled": "*i32",
    "choices": "*i8",
    "path": "*i64",
    "backwards": "*i64",
    "path_lengths": "*i64",
    "labels": "*i64",
    "n": "i32",
    "m": "i32",
    "rows": "i32",
    "longest": "i32",
    "band": "i32",
    "scale": "fp32",
    "decay": "fp32",
    "weight": "fp32",
}


def argument_type(name: str) -> str:
    return TYPES.get(name) or ("i32" if name.endswith("4") else "*fp32")


def figures(kernel: Any) -> dict[str, int]:
    """Registers, spilled bytes, and for NVIDIA the instructions of the row loop."""
    if "cubin" not in kernel.asm:
        text = kernel.asm["amdgcn"]

        def read(name: str) -> int:
            found = re.search(rf"\.{name}:\s*(\d+)", text)
            return int(found.group(1)) if found else -1

        # scalar registers spill into lanes of vector registers, not into memory
        spills = read("vgpr_spill_count") + read("private_segment_fixed_size")
        return {"registers": read("vgpr_count"), "spills": spills, "instructions": amd_row_loop(text)}
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(kernel.asm["cubin"])
        file.flush()
        usage = subprocess.run(
            [TOOLS / "cuobjdump", "-res-usage", file.name], capture_output=True, text=True, check=True
        ).stdout
        sass = subprocess.run([TOOLS / "nvdisasm", "-c", file.name], capture_output=True, text=True, check=True).stdout
    used = {name: int(count) for name, count in re.findall(r"\b(REG|STACK|LOCAL):(\d+)", usage)}
    return {"registers": used["REG"], "spills": used["STACK"] + used["LOCAL"], "instructions": nvidia_row_loop(sass)}


def row_loop(lines: list[str], labels: dict[str, int], jumps: list[tuple[int, str]], instruction: str) -> int:
    """Instructions of a common pass through the longest innermost loop, which is the loop over rows.

    What a short forward jump leaves out (renormalising, every few rows) does not count.
    """
    loops = [(labels[label], place) for place, label in jumps if labels.get(label, place) < place]

    def holds_another(loop: tuple[int, int]) -> bool:
        """Whether a good part of a loop is another; a block moved out of a loop jumps back too, but over little."""
        start, end = loop
        return any(start <= a and b <= end and (a, b) != loop and 4 * (b - a) > end - start for a, b in loops)

    inner = [loop for loop in loops if not holds_another(loop)]
    counts = [0]
    for start, end in inner:
        skipped = {
            line
            for place, label in jumps
            if start < place < labels.get(label, 0) <= end and 2 * (labels[label] - place) < end - start
            for line in range(place + 1, labels[label])
        }
        body = [lines[line] for line in range(start, end + 1) if line not in skipped]
        counts.append(sum(bool(re.search(instruction, line)) for line in body))
    return max(counts)


def nvidia_row_loop(sass: str) -> int:
    lines = sass.splitlines()
    labels = {m.group(1): place for place, line in enumerate(lines) if (m := re.match(r"\s*(\.L_x_\d+):", line))}
    jump = re.compile(r"\bBRA(?:\.U)?\s.*?`\((\.L_x_\d+)\)")
    jumps = [(place, m.group(1)) for place, line in enumerate(lines) if (m := jump.search(line))]
    return row_loop(lines, labels, jumps, r"/\*[0-9a-f]{4,}\*/\s+\S")


def amd_row_loop(text: str) -> int:
    lines = text.splitlines()
    labels = {m.group(1): place for place, line in enumerate(lines) if (m := re.match(r"(\.LBB\d+_\d+):", line))}
    jump = re.compile(r"\s+s_c?branch\w*\s+(\.LBB\d+_\d+)")
    jumps = [(place, m.group(1)) for place, line in enumerate(lines) if (m := jump.match(line))]
    return row_loop(lines, labels, jumps, r"^\s+(?:s|v|ds|buffer|global)_\w+")


def table(only: str = "", targets: tuple[str, ...] = tuple(TARGETS)) -> dict[str, dict[str, dict[str, int]]]:
    return {
        case.name: {target: figures(compiled(case, target)) for target in targets if target in case.targets}
        for case in CASES
        if only in case.name
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("only", nargs="?", default="", help="a part of the kernel's name")
    parser.add_argument("--write", action="store_true", help="write the baseline")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--targets", default=",".join(TARGETS))
    arguments = parser.parse_args()
    found = table(arguments.only, tuple(arguments.targets.split(",")))
    if arguments.write:
        BASELINE.write_text(json.dumps({"triton": triton.__version__, "kernels": found}, indent=1) + "\n")
    if arguments.json:
        json.dump(found, sys.stdout)
        return
    for name, row in found.items():
        cells = (
            f"{target} {c['instructions']:5d} instr {c['registers']:3d} reg {c['spills']} sp"
            for target, c in row.items()
        )
        print(f"{name:28s}", "   ".join(cells), flush=True)


if __name__ == "__main__":
    main()

